"""From a dataset to a shard folder: plan, write the parts that are missing, finish."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clef_ray.datasets import COVARIATES, Dataset
from clef_ray.errors import ConfigError, DataError
from clef_ray.shards.corpus import read_columns
from clef_ray.shards.manifest import MANIFEST, PLAN, Manifest, fingerprint
from clef_ray.shards.schema import SCHEMA_VERSION, canonical, table_columns
from clef_ray.shards.writer import PartSummary, Quarantined, sidecar, write_part
from clef_ray.store import Store

QUARANTINE = "quarantine.parquet"


@dataclass(frozen=True)
class Plan:
    """What an ingestion is to write. The same wherever the parts are written: here, or by Ray tasks."""

    dataset: Dataset
    records_per_part: int

    def __post_init__(self) -> None:
        if self.records_per_part < 1:
            raise ConfigError(f"records_per_part must be at least 1, given {self.records_per_part}")

    @cached_property
    def table(self) -> pd.DataFrame:
        """The dataset's table, checked."""
        table = self.dataset.table()
        check_table(self.dataset, table)
        return table

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What must be the same for an ingestion to continue another."""
        return {
            "schema_version": SCHEMA_VERSION,
            "dataset": type(self.dataset).__module__.rpartition(".")[2],  # a component's name is its file's
            "parameters": self.dataset.parameters(),
            "records_per_part": self.records_per_part,
            "records": len(self.table),
        }

    def rows(self, file: str) -> pd.DataFrame:
        """The part's slice of the table."""
        first = int(file.removeprefix("part-").removesuffix(".parquet")) * self.records_per_part
        return self.table.iloc[first : first + self.records_per_part]

    @property
    def files(self) -> list[str]:
        return [f"part-{i:05d}.parquet" for i in range(-(-len(self.table) // self.records_per_part))]

    def begin(self, store: Store) -> list[str]:
        """Claim the folder and return the parts still to be written; none where the ingestion is complete.

        Before the manifest is written, parts that lack files are among them: a download may have gone on meanwhile.
        DataError: the folder holds something else, or an ingestion with other parameters (the first that differs is named).
        """
        mine = json.loads(canonical(self.identity))
        if store.exists(PLAN):
            theirs = json.loads(store.read_bytes(PLAN))
            if (difference := _difference(theirs, mine)) is not None:
                raise DataError(
                    f"{store.path()} was made with other parameters: {difference}; choose another folder"
                )
        elif present := store.list():
            raise DataError(
                f"{store.path()} is not empty ({present[0]}, ...) and not a shard folder; choose another folder"
            )
        else:
            store.write_bytes(PLAN, canonical(self.identity))
        written = set(store.list())
        return [
            file
            for file in self.files
            if not {file, sidecar(file)} <= written
            or (MANIFEST not in written and PartSummary.load(store, file).lacks_files)
        ]

    def carry_out(self, store: Store, max_bad: float, write: Callable[[list[str]], None]) -> Manifest:
        """Have `write` write the parts that are missing, by name, then finish. Where all is done, the parts are verified (DataError: one
        was changed) and nothing is read from the dataset again: files put right after that need a new folder.
        """
        pending = self.begin(store)
        if not pending and store.exists(MANIFEST):
            manifest = Manifest.load(store.uri)
            manifest.verify(store.uri)
            return manifest
        write(pending)
        return self.finish(store, max_bad)

    def finish(self, store: Store, max_bad: float) -> Manifest:
        """Gather the parts' summaries, write quarantine.parquet, and the manifest last.

        DataError when more than the share `max_bad` of the records is quarantined; everything written stays where it is.
        """
        summaries = [PartSummary.load(store, file) for file in self.files]
        quarantined = [row for summary in summaries for row in summary.quarantined]
        _write_quarantine(store, quarantined)
        reasons = dict(sorted(Counter(row.reason for row in quarantined).items()))
        _check_share(reasons, len(self.table), max_bad, store)
        parts = tuple(summary.part for summary in summaries)
        kept = read_columns(store, parts, ["patient", *COVARIATES])
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            dataset=self.identity["dataset"],
            parameters=self.dataset.parameters(),
            fs=self.dataset.fs,
            samples=self.dataset.samples,
            leads=self.dataset.leads,
            label_sets=self.dataset.label_sets,
            headline=self.dataset.headline,
            records=len(kept),
            patients=int(kept["patient"].nunique()),
            quarantined=reasons,
            coverage={name: round(float(kept[name].notna().mean()), 6) for name in COVARIATES},
            parts=parts,
            fingerprint=fingerprint(parts),
            citation=self.dataset.citation,
            licence=self.dataset.licence,
        )
        manifest.save(store)
        return manifest


def ingest_local(
    dataset: Dataset,
    out: str,
    records_per_part: int = 500,
    max_bad: float = 0.05,
    on_part: Callable[[PartSummary], None] | None = None,
) -> Manifest:
    """Ingest in this process. Finished parts are skipped, so a second start goes on; where all is done it only verifies the parts, and
    files put right later need a new folder.

    out: path or URI of the shard folder. max_bad: largest share of records that may be quarantined. on_part: told of each part written.
    """
    plan, store = Plan(dataset, records_per_part), Store(out)

    def write(files: list[str]) -> None:
        for file in files:
            summary = write_part(dataset, plan.rows(file), store, file)
            if on_part:
                on_part(summary)

    return plan.carry_out(store, max_bad, write)


def check_table(dataset: Dataset, table: pd.DataFrame) -> None:
    """DataError unless the table keeps the promises of `Dataset.table` that shards rely on."""
    name = type(dataset).__name__
    if missing := [column for column in table_columns(dataset) if column not in table]:
        raise DataError(f"the table of {name} lacks {', '.join(missing)}")
    if table.empty:
        raise DataError(f"{name} has no records")
    if twice := int(table["record"].duplicated().sum()):
        raise DataError(f"the table of {name} holds {twice} records twice")
    if not table["fold"].isin(range(1, 11)).all():
        raise DataError(f"the table of {name} has folds outside 1..10")
    patients = table[["patient", "fold"]].drop_duplicates()["patient"]
    if split := int(patients[patients.duplicated()].nunique()):
        raise DataError(
            f"the table of {name} has {split} patients in more than one fold; folds must be by patient"
        )
    for label_set, classes in dataset.label_sets.items():
        known = table[f"label_{label_set}"].dropna()
        if unknown := sorted(set().union(*known) - set(classes)):
            raise DataError(
                f"the table of {name} has labels outside label set {label_set!r}: {', '.join(unknown)}"
            )


def _difference(theirs: Mapping[str, Any], mine: Mapping[str, Any], where: str = "") -> str | None:
    """The first key on which two plans differ, with both values."""
    for key in sorted({*theirs, *mine}):
        a, b = theirs.get(key), mine.get(key)
        if a != b:
            if isinstance(a, Mapping) and isinstance(b, Mapping):
                return _difference(a, b, f"{where}{key}.")
            return f"{where}{key} is {a!r} there and {b!r} here"
    return None


def _write_quarantine(store: Store, rows: list[Quarantined]) -> None:
    schema = pa.schema([(name, pa.string()) for name in Quarantined.__slots__])
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema), sink)
    store.write_bytes(QUARANTINE, sink.getvalue())


def _check_share(reasons: Mapping[str, int], total: int, max_bad: float, store: Store) -> None:
    bad = sum(reasons.values())
    if bad == total or bad > max_bad * total:
        main = ", ".join(
            f"{reason} {n}" for reason, n in sorted(reasons.items(), key=lambda item: -item[1])[:5]
        )
        raise DataError(
            f"{bad} of {total} records ({bad / total:.1%}) cannot be used, more than the {max_bad:.1%} allowed (max_bad): {main}. "
            f"Each is listed in {store.path(QUARANTINE)}. Nothing was deleted: once files that were missing are there, start the same "
            "command again and it reads them; files that were put right in another way need a new folder. To allow more: "
            f"`clef-ray ingest ... --out {store.path()} --max-bad SHARE`."
        )
