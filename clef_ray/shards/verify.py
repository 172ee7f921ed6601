"""Whether a shard folder is what its manifest says."""

import json

import pyarrow as pa

from clef_ray.errors import DataError
from clef_ray.parquet import open_parquet
from clef_ray.shards.manifest import Manifest, Part, changed
from clef_ray.shards.schema import ROW_GROUP, SCHEMA_VERSION, part_schema
from clef_ray.store import Store


def problems(folder: str) -> list[str]:
    """What is wrong with the parts of a finished shard folder, one sentence each: digest, columns, number of records.

    DataError: no manifest, or a damaged one.
    """
    manifest, store = Manifest.load(folder), Store(folder)
    wrong = set(changed(store, manifest.parts))
    found = []
    for part in manifest.parts:
        if part.file in wrong:
            found.append(f"{part.file} is {'changed' if store.exists(part.file) else 'missing'}")
        else:
            found += _odd(store, part, manifest)
    if (records := sum(part.records for part in manifest.parts)) != manifest.records:
        found.append(f"the parts hold {records} records, and the manifest says {manifest.records}")
    return found


def _odd(store: Store, part: Part, manifest: Manifest) -> list[str]:
    """What a part that has its digest says of itself, against the manifest."""
    with store.open_input(part.file) as source:
        try:
            file = open_parquet(source, part.file)
        except DataError as error:
            return [str(error)]
        schema, rows, groups = file.schema_arrow, file.metadata.num_rows, file.metadata.num_row_groups
    found = [f"{part.file}: {what}" for what in _odd_columns(schema, manifest)]
    if (rows, groups) != (part.records, part.row_groups) or groups != -(-rows // ROW_GROUP):
        found.append(f"{part.file}: {rows} records in {groups} row groups")
    return found


def _odd_columns(schema: pa.Schema, manifest: Manifest) -> list[str]:
    wanted = part_schema(manifest)
    found = [
        f"column {f.name} is {f.type}" for f in schema if f.name in wanted.names and f != wanted.field(f.name)
    ]
    if manifest.schema_version == SCHEMA_VERSION:  # an older one's parts lack columns that were added since
        found += [f"column {name} is missing" for name in wanted.names if name not in schema.names]
    about = json.loads((schema.metadata or {}).get(b"clef_ray", b"{}"))
    told = json.loads(wanted.metadata[b"clef_ray"])
    return found + [
        f"its {key} is not the manifest's"
        for key in ("fs", "samples", "leads", "label_sets")
        if about.get(key) != told[key]
    ]
