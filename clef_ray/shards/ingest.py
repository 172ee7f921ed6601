"""From a dataset to a shard folder: plan, write the parts that are missing, finish."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.config import to_dict
from clef_ray.datasets import Dataset
from clef_ray.errors import ConfigError
from clef_ray.sections import Filters, Quality
from clef_ray.shards.aside import (
    check_share,
    kept_of,
    reasons_of,
    with_copies,
    without_copies,
    write_quarantine,
)
from clef_ray.shards.census import Census, Recordings, census, repeats
from clef_ray.shards.check import check_table, contradictions
from clef_ray.shards.fit import CHANGES
from clef_ray.shards.manifest import MANIFEST, Manifest, fingerprint
from clef_ray.shards.resume import claim, pending, told_what_is_kept
from clef_ray.shards.schema import SCHEMA_VERSION, canonical
from clef_ray.shards.writer import PartSummary, write_part
from clef_ray.signal.filters import check as check_filters
from clef_ray.store import Store

#: What the manifest counts, in place of refusing the table, where only few patients contradict themselves.
TWO_PERSONS = "patients of both sexes, or of ages too far apart"


@dataclass(frozen=True)
class Plan:
    """What an ingestion is to write. The same wherever the parts are written: here, or by Ray tasks."""

    dataset: Dataset
    records_per_part: int
    quality: Quality = Quality()  # noqa: RUF009 - frozen
    filters: Filters = Filters()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        if self.records_per_part < 1:
            raise ConfigError(f"records_per_part must be at least 1, given {self.records_per_part}")
        # Here, not at the first record: a folder that was claimed with them would take no others.
        check_filters(self.filters, self.dataset.fs)

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
            "quality": to_dict(self.quality),
            "filters": to_dict(self.filters),
            "records_per_part": self.records_per_part,
            "records": len(self.table),
        }

    def rows(self, file: str) -> pd.DataFrame:
        """The part's slice of the table."""
        first = int(file.removeprefix("part-").removesuffix(".parquet")) * self.records_per_part
        return self.table.iloc[first : first + self.records_per_part]

    @property
    def files(self) -> list[str]:
        return part_names(-(-len(self.table) // self.records_per_part))

    def begin(self, store: Store) -> list[str]:
        """Claim the folder and return the parts still to be written; none where the ingestion is complete.

        Before the manifest is written, parts that lack files are among them: a download may have gone on meanwhile.
        DataError: the folder holds something else, or an ingestion with other parameters (the first that differs is named).
        """
        claim(store, self.identity)
        return pending(store, self.files, again=lambda summary: summary.lacks_files)

    def carry_out(self, store: Store, max_bad: float, write: Callable[[list[str]], None]) -> Manifest:
        """Have `write` write the parts that are missing, by name, then finish. Where all is done, the parts are verified (DataError: one
        was changed) and nothing is read from the dataset again: files put right after that need a new folder.
        StorageError: nothing more can be written; it says what is kept.
        """
        with told_what_is_kept(store, self.files):
            missing = self.begin(store)
            if not missing and store.exists(MANIFEST):
                manifest = Manifest.load(store.uri)
                manifest.verify(store.uri)
                return manifest
            write(missing)
            return self.finish(store, max_bad)

    def finish(self, store: Store, max_bad: float) -> Manifest:
        """Gather the parts' summaries, set duplicates aside, write quarantine.parquet, and the manifest last.

        DataError when more than the share `max_bad` of the records is quarantined; everything written stays where it is.
        """
        summaries = [PartSummary.load(store, file) for file in self.files]
        parts = [summary.part for summary in summaries]
        found = census(store, parts)
        keeper = repeats(
            found, Recordings([(store, part) for part in parts], self.dataset), self._recordings(found)
        )
        hints = Counter[str]()
        if self.quality.duplicates == "keep":
            hints.update(reason for reason, _ in reasons_of(keeper, found).values())
            keeper = {}
        told = reasons_of(keeper, found)
        summaries = [
            with_copies(summary, p, told, found, self.rows(summary.part.file)["record"])
            for p, summary in enumerate(summaries)
        ]
        quarantined = [row for summary in summaries for row in summary.quarantined]
        write_quarantine(store, quarantined)
        reasons = dict(sorted(Counter(row.reason for row in quarantined).items()))
        check_share(reasons, len(self.table), max_bad, store)
        for p in sorted({int(found.part_N[n]) for n in keeper}):
            summaries[p] = without_copies(store, summaries[p], kept_of(found, keeper)[found.part_N == p])
        for summary in summaries:
            hints.update(summary.hints)
        if wrong := contradictions(self.table):
            hints[TWO_PERSONS] = wrong
        manifest = self._manifest(summaries, found, kept_of(found, keeper), reasons, hints)
        manifest.save(store)
        return manifest

    def _recordings(self, found: Census) -> NDArray[np.int64] | None:
        """Of a dataset whose rows are windows (`file`, `start`) the recording each is from: windows that overlap are not copies."""
        if not {"file", "start"} <= set(self.table):
            return None
        file = self.table.set_index("record")["file"].loc[found.record]
        return np.asarray(pd.factorize(file)[0], dtype=np.int64)

    def _manifest(
        self,
        summaries: Sequence[PartSummary],
        found: Census,
        kept_N: NDArray[np.bool_],
        reasons: Mapping[str, int],
        hints: Mapping[str, int],
    ) -> Manifest:
        parts = tuple(summary.part for summary in summaries)
        dataset, about = self.dataset, json.loads(canonical(self.identity))
        return Manifest(
            schema_version=SCHEMA_VERSION,
            dataset=about["dataset"],
            parameters=about["parameters"],
            fs=dataset.fs,
            samples=dataset.samples,
            leads=dataset.leads,
            label_sets=dataset.label_sets,
            headline=dataset.headline,
            records=int(kept_N.sum()),
            patients=found.patients(kept_N),
            quarantined=reasons,
            coverage=found.coverage(kept_N),
            parts=parts,
            fingerprint=fingerprint(parts),
            citation=dataset.citation,
            licence=dataset.licence,
            targets=dict(dataset.targets),
            fitted={change: sum(s.fitted[change] for s in summaries) for change in CHANGES},
            hints=dict(sorted(hints.items())),
            quality=about["quality"],
            filters=about["filters"],
            source=asdict(dataset.source),
        )


def ingest_local(
    dataset: Dataset,
    out: str,
    records_per_part: int = 500,
    max_bad: float = 0.05,
    on_part: Callable[[PartSummary], None] | None = None,
    quality: Quality = Quality(),  # noqa: B008 - frozen
    filters: Filters = Filters(),  # noqa: B008 - frozen
) -> Manifest:
    """Ingest in this process. Finished parts are skipped, so a second start goes on; where all is done it only verifies the parts, and
    files put right later need a new folder.

    out: path or URI of the shard folder. max_bad: largest share of records that may be quarantined. on_part: told of each part written.
    """
    plan, store = Plan(dataset, records_per_part, quality, filters), Store(out)

    def write(files: list[str]) -> None:
        for file in files:
            summary = write_part(dataset, plan.rows(file), store, file, quality, filters)
            if on_part:
                on_part(summary)

    return plan.carry_out(store, max_bad, write)


def part_names(count: int) -> list[str]:
    """The names of a folder's parts, in order."""
    return [f"part-{i:05d}.parquet" for i in range(count)]
