"""Setting records aside: the quarantine, copies of recordings, and when there are too many."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clef_ray.errors import DataError
from clef_ray.parquet import open_parquet
from clef_ray.shards.census import Census
from clef_ray.shards.writer import PartSummary, Quarantined, save_part
from clef_ray.store import Store

QUARANTINE = "quarantine.parquet"

#: Reasons of a record that is set aside because another one is the same recording.
SAME_PATIENT, OTHER_PATIENT = "duplicate", "duplicate of another patient"


def write_quarantine(store: Store, rows: Sequence[Quarantined]) -> None:
    """All records that were set aside, as a table."""
    schema = pa.schema([(name, pa.string()) for name in Quarantined.__slots__])
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema), sink)
    store.write_bytes(QUARANTINE, sink.getvalue())


def reasons_of(keeper: Mapping[int, int], found: Census) -> dict[int, tuple[str, str]]:
    """Row of a duplicate -> reason and detail."""
    return {
        n: (SAME_PATIENT if found.patient[n] == found.patient[first] else OTHER_PATIENT, found.record[first])
        for n, first in keeper.items()
    }


def kept_of(found: Census, keeper: Mapping[int, int]) -> NDArray[np.bool_]:
    """Which records are not set aside, [N]."""
    kept_N = np.ones(len(found.record), dtype=bool)
    kept_N[list(keeper)] = False
    return kept_N


def with_copies(
    summary: PartSummary,
    part: int,
    told: Mapping[int, tuple[str, str]],
    found: Census,
    order: pd.Series,
) -> PartSummary:
    """The part's summary with the copies among its records. told: row -> reason, detail; order: the part's record names as in the table."""
    new = [
        Quarantined(found.record[n], found.patient[n], *told[n])
        for n in np.flatnonzero(found.part_N == part).tolist()
        if n in told
    ]
    if not new:
        return summary
    position = {name: i for i, name in enumerate(order)}
    rows = sorted([*summary.quarantined, *new], key=lambda row: position[row.record])
    return replace(summary, quarantined=tuple(rows))


def without_copies(store: Store, summary: PartSummary, kept_N: NDArray[np.bool_]) -> PartSummary:
    """A part without its duplicates. Killed between the two writes, the part is not what its summary says, and is made anew."""
    with store.open_input(summary.part.file) as source:
        table = open_parquet(source, store.path(summary.part.file)).read()
    part = save_part(store, summary.part.file, table.filter(pa.array(kept_N)))
    summary = replace(summary, part=part)
    summary.save(store)
    return summary


def check_share(reasons: Mapping[str, int], total: int, max_bad: float, store: Store) -> None:
    """DataError with the main reasons where more than the share `max_bad` of the records is set aside, or all."""
    bad = sum(reasons.values())
    if bad == total or bad > max_bad * total:
        main = ", ".join(
            f"{reason} {n}" for reason, n in sorted(reasons.items(), key=lambda item: -item[1])[:5]
        )
        raise DataError(
            f"{bad} of {total} records ({bad / total:.1%}) cannot be used, more than the {max_bad:.1%} allowed (max_bad): {main}. "
            f"Each is listed in {store.path(QUARANTINE)}. Nothing was deleted: once files that were missing are there, start the same "
            "command again and it reads them; files that were put right in another way need a new folder. To allow more: "
            f"`clef-ray ingest ... --out {store.path()} --max-bad SHARE`; other limits, into another folder: --quality LIMIT=VALUE."
        )
