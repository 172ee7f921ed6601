"""The columns of a part, and the way back from stored bytes to millivolts."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clef_ray.datasets import COVARIATES, INVALID_SAMPLE

#: Raised when columns are added (2: six covariates) or one changes its meaning; shards of a newer version are refused.
SCHEMA_VERSION = 2

#: Records per row group, the smallest piece that is read: 6 MB of 12 leads x 5,000 samples.
ROW_GROUP = 50


class Shape(Protocol):
    """What all records of a dataset share; a `Dataset` and a `Manifest` both say it."""

    @property
    def fs(self) -> float: ...
    @property
    def samples(self) -> int: ...
    @property
    def leads(self) -> tuple[str, ...]: ...
    @property
    def label_sets(self) -> Mapping[str, tuple[str, ...]]: ...


def canonical(value: Any) -> bytes:
    """JSON that is the same for equal values: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def table_columns(shape: Shape) -> list[str]:
    """Every column but the signal's, in the order they are stored."""
    return ["record", "patient", "fold", *COVARIATES, *(f"label_{name}" for name in shape.label_sets)]


def part_schema(shape: Shape) -> pa.Schema:
    """The Arrow schema of a part. fs, leads and label sets stand in its metadata, so that a part explains itself."""
    per_lead = pa.list_(pa.float32(), len(shape.leads))
    kinds = {"record": pa.string(), "patient": pa.string(), "fold": pa.int8()}
    kinds |= dict.fromkeys(COVARIATES, pa.float64())
    kinds |= {f"label_{name}": pa.list_(pa.string()) for name in shape.label_sets}
    kinds |= {"gain": per_lead, "baseline": per_lead}
    kinds |= {"signal": pa.binary(2 * len(shape.leads) * shape.samples)}
    about = {
        "schema_version": SCHEMA_VERSION,
        "fs": shape.fs,
        "samples": shape.samples,
        "leads": list(shape.leads),
        "label_sets": {name: list(classes) for name, classes in shape.label_sets.items()},
    }
    return pa.schema(kinds.items(), metadata={"clef_ray": canonical(about)})


def encode(raw_NCT: NDArray[np.int16]) -> pa.FixedSizeBinaryArray:
    """Raw samples [N, leads, samples] as N fixed-size binary values."""
    width = 2 * raw_NCT.shape[1] * raw_NCT.shape[2]
    data = pa.py_buffer(np.ascontiguousarray(raw_NCT, dtype="<i2").tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(raw_NCT), [None, data])


def decode(
    table: pa.Table | pa.RecordBatch, shape: Shape, pick_NK: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """The `signal`, `gain` and `baseline` columns -> float32 mV [records, leads, samples].

    pick_NK: of each record only these leads, as positions in `shape.leads`, in this order -> [records, K, samples].
    Invalid samples (at most signal.quality.MAX_INVALID_SHARE of a lead, the rest was quarantined) are interpolated linearly within their
    lead, and at the ends take the nearest valid value.
    """
    if pick_NK is None:
        pick_NK = np.tile(np.arange(len(shape.leads)), (table.num_rows, 1))
    mv_NKT = np.empty((*pick_NK.shape, shape.samples), dtype=np.float32)
    start = 0
    for batch in table.to_batches() if isinstance(table, pa.Table) else [table]:
        raw_NCT = _raw(batch.column("signal"), shape)
        baseline_NC, gain_NC = (
            batch.column(name).flatten().to_numpy().reshape(-1, len(shape.leads))
            for name in ("baseline", "gain")
        )
        for n, pick_K in enumerate(pick_NK[start : start + batch.num_rows]):
            # Record by record, which stays in the processor's cache: twice as fast as all at once.
            raw_KT = raw_NCT[n, pick_K]
            out_KT = mv_NKT[start + n]
            np.subtract(raw_KT, baseline_NC[n, pick_K, None], out=out_KT)
            out_KT /= gain_NC[n, pick_K, None]
            _interpolate(out_KT, raw_KT)
        start += batch.num_rows
    return mv_NKT


def _raw(column: pa.FixedSizeBinaryArray, shape: Shape) -> NDArray[np.int16]:
    """A view of the column's buffer [n, leads, samples]; no copy. A sliced column starts somewhere in its buffer."""
    size = len(shape.leads) * shape.samples
    flat = np.frombuffer(
        column.buffers()[1], dtype="<i2", count=len(column) * size, offset=column.offset * size * 2
    )
    return flat.reshape(len(column), len(shape.leads), shape.samples)


def _interpolate(mv_KT: NDArray[np.float32], raw_KT: NDArray[np.int16]) -> None:
    # Almost no lead has an invalid sample, and INVALID_SAMPLE is the smallest int16: the minimum tells.
    for k in np.flatnonzero(raw_KT.min(axis=1) == INVALID_SAMPLE):
        bad = raw_KT[k] == INVALID_SAMPLE
        mv_KT[k, bad] = np.interp(np.flatnonzero(bad), np.flatnonzero(~bad), mv_KT[k, ~bad])
