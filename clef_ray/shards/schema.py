"""The columns of a part, and how signals become bytes (the way back: decode.py)."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clef_ray.datasets import COVARIATES
from clef_ray.signal.signature import BYTES as SIGNATURE

#: Raised when columns are added (2: six covariates; 3: targets and signature) or one changes its meaning; a newer version's are refused.
SCHEMA_VERSION = 3

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
    @property
    def targets(self) -> Mapping[str, str]: ...


def canonical(value: Any) -> bytes:
    """JSON that is the same for equal values: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def table_columns(shape: Shape) -> list[str]:
    """Every column of a dataset's table, in the order they are stored."""
    labels, targets = (f"label_{name}" for name in shape.label_sets), (f"target_{n}" for n in shape.targets)
    return ["record", "patient", "fold", *COVARIATES, *labels, *targets]


def part_schema(shape: Shape) -> pa.Schema:
    """The Arrow schema of a part. fs, leads, label sets and targets stand in its metadata, so that a part explains itself."""
    per_lead = pa.list_(pa.float32(), len(shape.leads))
    kinds = {"record": pa.string(), "patient": pa.string(), "fold": pa.int8()}
    kinds |= dict.fromkeys(COVARIATES, pa.float64())
    kinds |= {f"label_{name}": pa.list_(pa.string()) for name in shape.label_sets}
    kinds |= {f"target_{name}": pa.float64() for name in shape.targets}
    kinds |= {"signature": pa.binary(SIGNATURE), "gain": per_lead, "baseline": per_lead}
    kinds |= {"signal": pa.binary(2 * len(shape.leads) * shape.samples)}
    about = {
        "schema_version": SCHEMA_VERSION,
        "fs": shape.fs,
        "samples": shape.samples,
        "leads": list(shape.leads),
        "label_sets": {name: list(classes) for name, classes in shape.label_sets.items()},
        "targets": dict(shape.targets),
    }
    return pa.schema(kinds.items(), metadata={"clef_ray": canonical(about)})


def encode(raw_NCT: NDArray[np.int16]) -> pa.FixedSizeBinaryArray:
    """Raw samples [N, leads, samples] as N fixed-size binary values: the same memory where it is contiguous."""
    width = 2 * raw_NCT.shape[1] * raw_NCT.shape[2]
    data = pa.py_buffer(np.ascontiguousarray(raw_NCT, dtype="<i2").reshape(-1))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(raw_NCT), [None, data])
