"""What several shard folders have together: label sets, targets, columns, manifest."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clef_ray.errors import DataError
from clef_ray.shards.census import Census
from clef_ray.shards.derive import Origin
from clef_ray.shards.manifest import Manifest, Part, fingerprint
from clef_ray.shards.schema import SCHEMA_VERSION, part_schema

#: The dataset's name in the manifest of merged shards; their records are named already.
MERGED = "merged"

#: Reason of a record that is set aside because an earlier folder holds the recording.
OTHER_CORPUS = "duplicate of another corpus"


class United:
    """The shape, label sets and targets that the folders have together."""

    def __init__(self, origins: Sequence[Origin]) -> None:
        self._manifests = [origin.manifest for origin in origins]
        self.fs, self.samples, self.leads = (
            getattr(self._manifests[0], n) for n in ("fs", "samples", "leads")
        )
        self.label_sets = self._union("label set", lambda m: m.label_sets)
        self.targets = self._union("target", lambda m: m.targets)
        self._schema = part_schema(self)

    def _union(self, what: str, of: Callable[[Manifest], Mapping[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for manifest in self._manifests:
            for name, meaning in of(manifest).items():
                if found.setdefault(name, meaning) != meaning:
                    raise DataError(
                        f"{what} {name!r} is {_text(found[name])} in one folder and {_text(meaning)} in that of {manifest.dataset}"
                    )
        return found

    def change(self, table: pa.Table, prefix: str) -> pa.Table:
        """A part's records as they are called here, with the columns it lacks."""
        columns = {}
        for field in self._schema:
            if field.name in ("record", "patient"):
                names = [f"{prefix}{name}" for name in table[field.name].to_pylist()]
                columns[field.name] = pa.array(names, type=field.type)
            elif field.name in table.column_names:
                columns[field.name] = table[field.name]
            elif field.name.startswith("target_"):
                columns[field.name] = pa.array(np.full(len(table), np.nan))
            else:
                columns[field.name] = pa.nulls(len(table), field.type)
        return pa.table(columns, schema=self._schema)

    def manifest(
        self,
        parts: tuple[Part, ...],
        found: Census,
        kept_N: NDArray[np.bool_],
        told: Sequence[Mapping[str, Any]],
        aside: int,
    ) -> Manifest:
        """Its quality and filters are the folders', where all were told the same."""
        manifests = self._manifests
        quality, filters = (
            dict(getattr(manifests[0], name))
            if all(getattr(m, name) == getattr(manifests[0], name) for m in manifests)
            else {}
            for name in ("quality", "filters")
        )
        return Manifest(
            schema_version=SCHEMA_VERSION,
            dataset=MERGED,
            parameters={},
            fs=self.fs,
            samples=self.samples,
            leads=self.leads,
            label_sets=self.label_sets,
            headline=next((m.headline for m in manifests if m.headline), ""),
            records=int(kept_N.sum()),
            patients=found.patients(kept_N),
            quarantined={OTHER_CORPUS: aside} if aside else {},
            coverage=found.coverage(kept_N),
            parts=parts,
            fingerprint=fingerprint(parts),
            citation="; ".join(Counter(m.citation for m in manifests)),
            licence="; ".join(Counter(m.licence for m in manifests)),
            targets=self.targets,
            quality=quality,
            filters=filters,
            made_from=tuple(told),
        )


def _text(meaning: Any) -> str:
    return meaning if isinstance(meaning, str) else f"({', '.join(meaning)})"
