"""What many records cost before training starts: time and memory of reading the index and planning an epoch, without any signals.

The index (everything but the signals) is synthetic, in parts as ingestion writes them but for the signals' column. The process that starts a
sweep reads it and plans from it; what it needs beyond the index must not grow with the records.
"""

import gc
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from clef_ray.bench.measure import Figure, added_memory
from clef_ray.cluster.stream import held_bytes
from clef_ray.config import Run
from clef_ray.datasets import COVARIATES, LEADS
from clef_ray.shards import Manifest, read_table, row_groups
from clef_ray.shards.manifest import Part
from clef_ray.shards.schema import ROW_GROUP, SCHEMA_VERSION, part_schema, table_columns
from clef_ray.store import Store
from clef_ray.train.plan import WINDOW
from clef_ray.train.subjects import read_plan, subjects, training_rows

#: Records of a part.
PART = 2_000

#: What a process may need while it starts beyond what it keeps, as a share of that: a second copy of the index and no more.
MOST = 1.0

NOTE = (
    "Index: all but the signals of synthetic records, read and planned from as a sweep's first process does (one epoch, 80 % for training, SCORE2), "
    "in a fresh process; bytes per record are the growth from the smaller to the larger number, so that what it loads anyway is not in them."
)


@dataclass(frozen=True, slots=True)
class Start:
    """Of one start. read, plan: seconds; kept: bytes by which the process is larger afterwards; most: at its largest; tasks: windows of an epoch."""

    read: float
    plan: float
    kept: int
    most: int
    tasks: int


def index(records: tuple[int, int], say: Callable[[str], None]) -> list[Figure]:
    """Of so many records: start-up time, memory per record by the growth from the first number to the second, object-store use."""
    found = []
    for count in records:
        say(f"the index of {count:,} records")
        with tempfile.TemporaryDirectory(prefix="clef-ray-bench-") as folder:
            make(folder, count)
            with get_context("spawn").Pool(1) as alone:
                found.append(alone.apply(start, (folder,)))
    few, many = found
    kept, most = (
        (b - a) / (records[1] - records[0]) for a, b in ((few.kept, many.kept), (few.most, many.most))
    )
    name, shape = f"{records[1]:,} records", shape_of(records[1], ())
    held = [held_bytes(shape, records[1], shape.fs, LEADS[:n]) / 1e9 for n in (1, 12)]
    windows = f"{-(-records[1] // PART)} parts of {PART:,} records, {many.tasks} windows of {WINDOW * ROW_GROUP:,} records an epoch"
    stored = f"Object store: int16 of one lead (limit: all 12) at {shape.fs:g} Hz for 10 s, on every node where it fits; else streamed: {windows}."
    return [
        Figure(
            f"index of {name}: read",
            "s",
            many.read,
            plain=few.read,
            note=f"{NOTE} Plain: {records[0]:,} records.",
        ),
        Figure(f"index of {name}: scores and one epoch's plan", "s", many.plan, plain=few.plan, note=NOTE),
        Figure("index: kept in memory", "bytes/record", kept, note=NOTE),
        Figure(
            "index: at the start's largest",
            "bytes/record",
            most,
            limit=(1 + MOST) * kept,
            target=f"<= {1 + MOST:g}x kept",
            met=most <= (1 + MOST) * kept,
            note=NOTE,
        ),
        Figure(f"object store for {name}", "GB", held[0], limit=held[1], note=stored),
    ]


def shape_of(records: int, parts: tuple[Part, ...]) -> Manifest:
    """The manifest of such an index: 12 leads, 10 s at 500 Hz, one label set."""
    return Manifest(
        schema_version=SCHEMA_VERSION,
        dataset="made",
        parameters={},
        fs=500.0,
        samples=5000,
        leads=LEADS,
        label_sets={"superclass": ("NORM", "MI")},
        headline="superclass",
        records=records,
        patients=records,
        quarantined={},
        coverage={},
        parts=parts,
        fingerprint="0" * 64,
        citation="",
        licence="none",
    )


def make(folder: str, records: int) -> None:
    """Parts without signals, and their manifest; every record is another patient's."""
    store, rng, parts = Store(folder), np.random.default_rng(0), []
    empty = shape_of(records, ())
    names = table_columns(empty)
    schema = pa.schema([part_schema(empty).field(name) for name in names])
    for first in range(0, records, PART):
        count = min(PART, records - first)
        number = np.arange(first, first + count)
        columns = dict.fromkeys(COVARIATES, np.full(count, np.nan))
        columns |= {name: rng.integers(0, 2, count).astype(float) for name in ("sex", "smoker")}
        limits = {"age": (40, 69), "sbp": (100, 180), "total_cholesterol": (4, 8), "hdl": (0.8, 2)}
        columns |= {name: rng.uniform(*between, count) for name, between in limits.items()}
        given = {
            "record": [f"record-{n:09d}" for n in number],
            "patient": [f"patient-{n:09d}" for n in number],
            "fold": number % 10 + 1,
            "label_superclass": [["MI"] if n % 3 else ["NORM"] for n in number],
            **columns,
        }
        file = f"part-{first // PART:05d}.parquet"
        pq.write_table(
            pa.table({n: given[n] for n in names}, schema=schema),
            f"{folder}/{file}",
            row_group_size=ROW_GROUP,
        )
        parts.append(Part(file, count, "0" * 64, -(-count // ROW_GROUP)))
    shape_of(records, tuple(parts)).save(store)


def start(folder: str) -> Start:
    """What the first process of a sweep does before its first trial, but for the signals."""
    clock, held = [0.0, 0.0, 0.0], []

    def begin() -> None:
        clock[0] = time.perf_counter()
        manifest, table = Manifest.load(folder), read_table(folder)
        clock[1] = time.perf_counter()
        run = Run().canonical()
        plan = read_plan(run, subjects(run, table), training_rows(run, table), row_groups(manifest))
        plan.batches(0)
        clock[2] = time.perf_counter()
        held.append((manifest, table, plan))

    before = psutil.Process().memory_info().rss
    most = added_memory(begin)
    gc.collect()
    pa.default_memory_pool().release_unused()
    kept = psutil.Process().memory_info().rss - before
    tasks = len(held[0][2].ends(0))
    return Start(clock[1] - clock[0], clock[2] - clock[1], kept, most, tasks)
