"""Shard folders made from others: each new part holds records of one old part, so that only one part is in memory at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clef_ray.errors import DataError
from clef_ray.parquet import open_parquet
from clef_ray.shards.aside import write_quarantine
from clef_ray.shards.census import Census, census
from clef_ray.shards.ingest import part_names
from clef_ray.shards.manifest import MANIFEST, Manifest, Part
from clef_ray.shards.resume import claim, pending, told_what_is_kept
from clef_ray.shards.schema import SCHEMA_VERSION
from clef_ray.shards.writer import PartSummary, Quarantined, save_part
from clef_ray.store import Store


@dataclass(frozen=True)
class Origin:
    """A folder that others are made from: where it is, its manifest and its records."""

    store: Store
    manifest: Manifest
    found: Census

    @classmethod
    def load(cls, folder: str) -> "Origin":
        """DataError: no shard folder, one whose parts have no signatures, or parts that are missing or changed."""
        manifest, store = Manifest.load(folder), Store(folder)
        if manifest.schema_version < SCHEMA_VERSION:
            raise DataError(
                f"{folder} was made by an older clef_ray (schema version {manifest.schema_version}, without the recordings' signatures): "
                "training reads it, but to merge or split it ingest it again"
            )
        # What is made of a damaged part would look sound: it gets a digest of its own.
        manifest.verify(folder)
        return cls(store, manifest, census(store, manifest.parts))

    def told(self, kept_N: NDArray[np.bool_]) -> dict[str, Any]:
        """What the manifest of what is made from it says of it."""
        manifest = self.manifest
        return {
            "dataset": manifest.dataset,
            "parameters": dict(manifest.parameters),
            "fingerprint": manifest.fingerprint,
            "records": manifest.records,
            "kept": int(kept_N.sum()),
            "made_from": list(manifest.made_from),
        }


@dataclass(frozen=True)
class Piece:
    """One new part: the records `kept_n` of an old one, changed by `change`."""

    store: Store
    part: Part
    kept_n: NDArray[np.bool_]
    change: Callable[[pa.Table], pa.Table]

    def table(self) -> pa.Table:
        with self.store.open_input(self.part.file) as source:
            table = open_parquet(source, self.store.path(self.part.file)).read()
        return self.change(table.filter(pa.array(self.kept_n)))


def pieces(origin: Origin, kept_N: NDArray[np.bool_], change: Callable[[pa.Table], pa.Table]) -> list[Piece]:
    """A new part for each old one that keeps a record."""
    edges = np.cumsum([part.records for part in origin.manifest.parts])[:-1]
    masks = np.split(kept_N, edges)
    return [
        Piece(origin.store, part, mask, change)
        for part, mask in zip(origin.manifest.parts, masks, strict=True)
        if mask.any()
    ]


def write(
    out: str,
    identity: Mapping[str, Any],
    new: Sequence[Piece],
    aside: Sequence[Quarantined],
    finish: Callable[[tuple[Part, ...]], Manifest],
) -> Manifest:
    """Write the parts that are missing below `out`, then the quarantine, then the manifest; resumable as an ingestion is.

    identity: what the folder is made from and how; finish: the manifest, given the parts.
    """
    store, files = Store(out), part_names(len(new))
    with told_what_is_kept(store, files):
        claim(store, {"schema_version": SCHEMA_VERSION, **identity})
        missing = pending(store, files, again=lambda _: False)
        if not missing and store.exists(MANIFEST):
            manifest = Manifest.load(store.uri)
            manifest.verify(store.uri)
            return manifest
        by_file = dict(zip(files, new, strict=True))
        for file in missing:
            PartSummary(save_part(store, file, by_file[file].table()), (), {}, {}).save(store)
        write_quarantine(store, aside)
        manifest = finish(tuple(PartSummary.load(store, file).part for file in files))
        manifest.save(store)
        return manifest
