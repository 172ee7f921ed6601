"""One part: read the signals, set aside what cannot be used, write the rest."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clef_ray.datasets import MISSING_FILE, Dataset, Signal, UnreadableError
from clef_ray.errors import DataError
from clef_ray.sections import Filters, Quality
from clef_ray.shards.fit import CHANGES, fit
from clef_ray.shards.manifest import Part, digest
from clef_ray.shards.schema import ROW_GROUP, encode, part_schema, table_columns
from clef_ray.signal.quality import hints, problem
from clef_ray.signal.signature import signature
from clef_ray.store import Store

#: Bytes from which on a page is ended: more than any row group has. Rows end one only from 20,000 on.
_PAGE = 1 << 30


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that cannot be used: `reason` is the class it is counted under, `detail` says more."""

    record: str
    patient: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class PartSummary:
    """What came of one part; stored beside it (`part-00000.json`) once the part is complete.

    fitted: how many of its records needed each of `fit.CHANGES`; hints: how many look odd, by `signal.quality.hints`. Both count a record
    also where it is set aside later as a duplicate.
    """

    part: Part
    quarantined: tuple[Quarantined, ...]
    fitted: Mapping[str, int]
    hints: Mapping[str, int]

    @property
    def lacks_files(self) -> bool:
        """Whether a record was set aside only because its file was not there."""
        return any(row.reason == MISSING_FILE for row in self.quarantined)

    def save(self, store: Store) -> None:
        store.write_bytes(sidecar(self.part.file), json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def load(cls, store: Store, file: str) -> "PartSummary":
        """DataError: damaged."""
        try:
            data = json.loads(store.read_bytes(sidecar(file)))
            quarantined = tuple(Quarantined(**row) for row in data["quarantined"])
            return cls(Part(**data["part"]), quarantined, data["fitted"], data["hints"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{store.path(sidecar(file))} is damaged: {error}") from error


def sidecar(file: str) -> str:
    """The name of a part's summary."""
    return str(PurePosixPath(file).with_suffix(".json"))


def write_part(
    dataset: Dataset,
    rows: pd.DataFrame,
    store: Store,
    file: str,
    quality: Quality = Quality(),  # noqa: B008 - frozen
    filters: Filters = Filters(),  # noqa: B008 - frozen
) -> PartSummary:
    """Write the records of `rows` (of `dataset.table()`) as `file`, then its summary. The same rows give the same bytes.

    A record that cannot be read, does not fit the dataset's shape or fails a check of `signal.quality` goes into the summary's quarantine
    instead. DataError: the dataset's folder is gone.
    """
    block = _Block(dataset, len(rows))
    quarantined: list[Quarantined] = []
    fitted, odd = Counter(dict.fromkeys(CHANGES, 0)), Counter[str]()

    def check(window: Signal) -> None:
        if found := problem(window, quality):
            raise UnreadableError(*found)

    for i, row in enumerate(cast(list[dict[str, Any]], rows.to_dict("records"))):
        try:
            done = fit(dataset.signal(row), dataset, filters, check)
        except UnreadableError as error:
            if error.reason == MISSING_FILE:
                _require_folder(dataset)
            quarantined.append(Quarantined(row["record"], row["patient"], error.reason, error.detail))
            continue
        block.add(i, done.signal)
        fitted.update(done.changes)
        odd.update(hints(done.signal, quality))
    part = save_part(store, file, block.table(dataset, rows))
    summary = PartSummary(part, tuple(quarantined), dict(fitted), dict(sorted(odd.items())))
    summary.save(store)
    return summary


def save_part(store: Store, file: str, table: pa.Table) -> Part:
    """Write a part's table. Its summary comes after it: without one, a part is not there."""
    data = _parquet(table)
    store.write_bytes(file, data)
    return Part(file, len(table), digest(data), -(-len(table) // ROW_GROUP), len(data))


class _Block:
    """The records of one part, side by side in memory as they will lie in the file."""

    def __init__(self, dataset: Dataset, rows: int) -> None:
        leads = len(dataset.leads)
        self._raw_NCT = np.empty((rows, leads, dataset.samples), dtype="<i2")
        self._gain_NC, self._baseline_NC = np.empty((2, rows, leads), dtype=np.float32)
        self._signatures: list[bytes] = []
        self._rows: list[int] = []

    def add(self, row: int, signal: Signal) -> None:
        n = len(self._rows)
        self._raw_NCT[n], self._gain_NC[n], self._baseline_NC[n] = (
            signal.raw_CT,
            signal.gain_C,
            signal.baseline_C,
        )
        self._signatures.append(signature(signal))
        self._rows.append(row)

    def table(self, dataset: Dataset, rows: pd.DataFrame) -> pa.Table:
        schema, n = part_schema(dataset), len(self._rows)
        kept = rows.iloc[self._rows]
        columns: dict[str, Any] = {
            name: pa.array(kept[name].tolist(), type=schema.field(name).type, from_pandas=False)
            for name in table_columns(dataset)
        }
        columns["signature"] = pa.array(self._signatures, type=schema.field("signature").type)
        columns["gain"], columns["baseline"] = _per_lead(self._gain_NC[:n]), _per_lead(self._baseline_NC[:n])
        columns["signal"] = encode(self._raw_NCT[:n])
        return pa.table(columns, schema=schema)


def _per_lead(values_NC: NDArray[np.float32]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(
        pa.array(values_NC.ravel(), type=pa.float32()), values_NC.shape[1]
    )


def _require_folder(dataset: Dataset) -> None:
    """A record's file is missing: DataError where all files are, so that a disk that was taken away does not empty the shards."""
    root = getattr(dataset, "root", None)  # datasets that are read from a folder have one
    if root is None:
        return
    try:
        gone = not any(Path(root).iterdir())
    except OSError:
        gone = True
    if gone:
        raise DataError(
            f"{type(dataset).__name__}: the folder {root} is gone or empty, though it was there at the start. Nothing was set aside for it: "
            "the parts that are complete are kept; once the folder is back, start the same command again and it goes on"
        )


def _parquet(table: pa.Table) -> pa.Buffer:
    """Plain pages, one per column and row group: the signals then lie in the file as they lie in memory, and groups.py reads them there.

    There is nothing to gain from a dictionary of signals.
    """
    # Room for whatever the pages and their descriptions take, in one piece: a buffer that grows is copied again and again, which costs as
    # much as all the checks. Memory that is not written to is not taken.
    chunks = table.num_columns * (1 + len(table) // ROW_GROUP)
    room = pa.allocate_buffer(2 * table.nbytes + (1 << 20) + (chunks << 10))
    sink = pa.FixedSizeBufferWriter(room)
    statistics = [n for n in table.column_names if n not in ("signature", "signal", "gain", "baseline")]
    pq.write_table(
        table,
        sink,
        row_group_size=ROW_GROUP,
        compression="none",
        use_dictionary=False,
        data_page_size=_PAGE,
        write_statistics=statistics,
    )
    return room.slice(0, sink.tell())
