"""One part: read the signals, set aside what cannot be used, write the rest."""

import json
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clef_ray.datasets import MISSING_FILE, Dataset, Signal, UnreadableError
from clef_ray.shards.manifest import Part, digest
from clef_ray.shards.schema import ROW_GROUP, encode, part_schema, table_columns
from clef_ray.signal.quality import problem
from clef_ray.store import Store


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that cannot be used: `reason` is the class it is counted under, `detail` says more."""

    record: str
    patient: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class PartSummary:
    """What came of one part; stored beside it (`part-00000.json`) once the part is complete."""

    part: Part
    quarantined: tuple[Quarantined, ...]

    @property
    def lacks_files(self) -> bool:
        """Whether a record was set aside only because its file was not there."""
        return any(row.reason == MISSING_FILE for row in self.quarantined)

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def load(cls, store: Store, file: str) -> "PartSummary":
        data = json.loads(store.read_bytes(sidecar(file)))
        return cls(Part(**data["part"]), tuple(Quarantined(**row) for row in data["quarantined"]))


def sidecar(file: str) -> str:
    """The name of a part's summary."""
    return str(PurePosixPath(file).with_suffix(".json"))


def write_part(dataset: Dataset, rows: pd.DataFrame, store: Store, file: str) -> PartSummary:
    """Write the records of `rows` (of `dataset.table()`) as `file`, then its summary. The same rows give the same bytes.

    A record that cannot be read or fails a check of `signal.quality` goes into the summary's quarantine instead.
    """
    usable: list[Signal] = []
    quarantined: list[Quarantined] = []
    keep = np.zeros(len(rows), dtype=bool)
    for i, row in enumerate(cast(list[dict[str, Any]], rows.to_dict("records"))):
        try:
            usable.append(_checked(dataset, dataset.signal(row)))
            keep[i] = True
        except UnreadableError as error:
            quarantined.append(Quarantined(row["record"], row["patient"], error.reason, error.detail))
    data = _parquet(_table(dataset, rows[keep], usable))
    store.write_bytes(file, data)
    part = Part(file, len(usable), digest(data), -(-len(usable) // ROW_GROUP))
    summary = PartSummary(part, tuple(quarantined))
    store.write_bytes(sidecar(file), summary.to_bytes())
    return summary


def _checked(dataset: Dataset, signal: Signal) -> Signal:
    if signal.leads != dataset.leads:
        raise UnreadableError("leads", f"{', '.join(signal.leads)} instead of {', '.join(dataset.leads)}")
    if signal.fs != dataset.fs or signal.raw_CT.shape != (len(dataset.leads), dataset.samples):
        found, wanted = signal.raw_CT.shape[-1], dataset.samples
        raise UnreadableError(
            "length", f"{found} samples at {signal.fs:g} Hz instead of {wanted} at {dataset.fs:g} Hz"
        )
    if not (np.isfinite(signal.gain_C) & (signal.gain_C > 0)).all():
        raise UnreadableError("gain", "not a positive number of raw units per mV")
    if found_problem := problem(signal.millivolts(), signal.leads):
        raise UnreadableError(*found_problem)
    return signal


def _table(dataset: Dataset, rows: pd.DataFrame, signals: list[Signal]) -> pa.Table:
    schema = part_schema(dataset)
    shape = (0, len(dataset.leads), dataset.samples)
    raw_NCT = np.stack([s.raw_CT for s in signals]) if signals else np.empty(shape, dtype=np.int16)
    columns: dict[str, Any] = {
        name: pa.array(rows[name].tolist(), type=schema.field(name).type, from_pandas=False)
        for name in table_columns(dataset)
    }
    columns["gain"] = _per_lead([s.gain_C for s in signals], len(dataset.leads))
    columns["baseline"] = _per_lead([s.baseline_C for s in signals], len(dataset.leads))
    columns["signal"] = encode(raw_NCT)
    return pa.table(columns, schema=schema)


def _per_lead(values: list[NDArray[np.float32]], leads: int) -> pa.FixedSizeListArray:
    flat = np.concatenate(values) if values else np.empty(0, dtype=np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat, type=pa.float32()), leads)


def _parquet(table: pa.Table) -> pa.Buffer:
    """Plain pages: reading is then a copy of memory, and there is nothing to gain from a dictionary of signals."""
    sink = pa.BufferOutputStream()
    statistics = [name for name in table.column_names if name not in ("signal", "gain", "baseline")]
    pq.write_table(
        table,
        sink,
        row_group_size=ROW_GROUP,
        compression="none",
        use_dictionary=False,
        write_statistics=statistics,
    )
    return sink.getvalue()
