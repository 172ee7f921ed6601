"""Ingestion of 12 leads x 5,000 samples in WFDB format 16: records per second and core, the cost of each stage, and the memory it takes.

Ours: everything from the header to a part that lies on the disk (fsync), with quality checks, signature, Parquet and hash. Plain: reading
alone, by the package wfdb. Limit: the same bytes read and written, fsync included, nothing else. The files are synthetic, written
beforehand, and so in the page cache.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import wfdb

from clef_ray.bench.measure import Figure, added_memory, in_process, threads
from clef_ray.datasets import COVARIATES, LEADS, Signal, Source
from clef_ray.datasets._wfdb import read_header, read_wfdb
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.sections import Quality
from clef_ray.shards import ingest_local, write_part
from clef_ray.shards.manifest import digest
from clef_ray.signal.quality import hints, problem
from clef_ray.signal.signature import signature
from clef_ray.store import Store

#: Records per second and core that are asked for, and by how much the memory of many records may exceed that of few.
ASKED, FLAT = 1500.0, 1.25

NOTE = (
    "Ingest: ours = read, check, sign, encode, hash and write one part; plain = wfdb.rdrecord alone; limit = the bytes of the same files "
    "read and written. One thread, 12 leads x 5,000 samples, format 16."
)

#: What one part is called.
PART = "part-00000.parquet"


@dataclass(frozen=True)
class Sizes:
    """records: of one part; plain: that wfdb reads; few, many: whose memory is compared."""

    records: int
    plain: int
    rounds: int
    few: int
    many: int


@dataclass(frozen=True)
class Corpus:
    """`count` records from the `files` WFDB files in `root`. Once the files are used up they come again, each time moved on in time."""

    root: str
    files: int
    count: int

    signature: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[Source] = Source("", "open", None, None, "made by the benchmark")
    covariates: ClassVar[tuple[str, ...]] = ()
    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {"superclass": ("NORM",)}
    targets: ClassVar[Mapping[str, str]] = {}
    headline: ClassVar[str] = "superclass"
    citation: ClassVar[str] = ""
    licence: ClassVar[str] = ""
    fs: ClassVar[float] = 500.0
    samples: ClassVar[int] = 5000
    leads: ClassVar[tuple[str, ...]] = LEADS
    pad: ClassVar[bool] = False

    def parameters(self) -> dict[str, Any]:
        return {"files": self.files, "count": self.count}

    def table(self) -> pd.DataFrame:
        names = [f"{n:07d}" for n in range(self.count)]
        fixed = {"fold": 1 + np.arange(self.count) % 10, **dict.fromkeys(COVARIATES, np.nan)}
        table = pd.DataFrame({"record": names, "patient": names, **fixed})
        table["label_superclass"] = pd.Series([None] * self.count, dtype=object)
        table["file"] = [f"{n % self.files:05d}" for n in range(self.count)]
        table["shift"] = np.arange(self.count) // self.files * 47
        return table

    def signal(self, row: Mapping[str, Any]) -> Signal:
        found = read_wfdb(Path(self.root, row["file"]))
        if row["shift"]:
            raw_CT = np.roll(found.raw_CT, row["shift"], axis=1)
            found = Signal(raw_CT, found.fs, found.leads, found.gain_C, found.baseline_C)
        return found


def write_files(folder: Path, count: int) -> None:
    """Records of the synthetic cohort as WFDB files, 16 bit."""
    cohort = Synthetic(patients=count, records_per_patient=1)
    for n, row in enumerate(cohort.table().to_dict("records")):
        found = cohort.signal({str(key): value for key, value in row.items()})
        scale = zip(found.leads, found.gain_C.tolist(), found.baseline_C.tolist(), found.raw_CT, strict=True)
        lines = [f"{n:05d} {len(found.leads)} {found.fs:g} {found.raw_CT.shape[1]}"]
        lines += [
            f"{n:05d}.dat 16 {gain}({baseline:.0f})/mV 16 0 {raw_T[0]} {int(raw_T.sum(dtype=np.int64)) % 65536} 0 {lead}"
            for lead, gain, baseline, raw_T in scale
        ]
        (folder / f"{n:05d}.hea").write_text("\n".join(lines) + "\n")
        (folder / f"{n:05d}.dat").write_bytes(np.ascontiguousarray(found.raw_CT.T, dtype="<i2").tobytes())


def ingest(sizes: Sizes, say: Callable[[str], None]) -> list[Figure]:
    """Records per second against wfdb and the machine's limit, microseconds of each stage, and peak memory."""
    with tempfile.TemporaryDirectory(prefix="clef-ray-bench-") as scratch:
        (raw := Path(scratch, "wfdb")).mkdir()
        say("files")
        write_files(raw, sizes.records)
        say("records per second, and stages")
        with threads(1):
            each = turns(_sides(raw, scratch, sizes), sizes.rounds)
        say(f"memory of {sizes.few:,} and {sizes.many:,} records")
        return [*_whole(each), *_stages(each), _memory(raw, scratch, sizes)]


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds per record of one turn of a side: on the clock, and of the processor."""

    wall: float
    cpu: float


def turns(sides: Mapping[str, Callable[[], int]], rounds: int) -> dict[str, list[Turn]]:
    """What each side took in each round; within a round the sides take turns. A side returns how many records it handled.

    Each runs once beforehand, unmeasured.
    """
    found: dict[str, list[Turn]] = {name: [] for name in sides}
    for side in sides.values():
        side()
    for _ in range(rounds):
        for name, side in sides.items():
            wall, cpu = time.perf_counter(), time.process_time()
            count = side()
            found[name].append(
                Turn((time.perf_counter() - wall) / count, (time.process_time() - cpu) / count)
            )
    return found


def _sides(raw: Path, scratch: str, sizes: Sizes) -> dict[str, Callable[[], int]]:
    """The whole, the alternatives, and each stage by itself over all records."""
    corpus = Corpus(str(raw), sizes.records, sizes.records)
    rows, store, quality = corpus.table(), Store(f"{scratch}/ours"), Quality()
    write_part(corpus, rows, store, PART)
    data, paths = store.read_bytes(PART), [raw / name for name in rows["file"]]
    signals = [read_wfdb(path) for path in paths]

    def limit() -> int:
        with Path(scratch, "limit").open("wb") as out:
            out.writelines(path.with_suffix(".dat").read_bytes() for path in paths)
            out.flush()
            os.fsync(out.fileno())
        return len(paths)

    def over(stage: Callable[[Any], object], items: Sequence[Any]) -> Callable[[], int]:
        def side() -> int:
            for item in items:  # nothing is kept: fresh memory costs more than some stages
                stage(item)
            return len(paths)

        return side

    return {
        "ours": lambda: write_part(corpus, rows, store, PART).part.records,
        "plain": lambda: len([wfdb.rdrecord(str(path), physical=False) for path in paths[: sizes.plain]]),
        "limit": limit,
        "header": over(read_header, paths),
        "samples and checksum": over(read_wfdb, paths),
        "quality": over(lambda found: (problem(found, quality), hints(found, quality)), signals),
        "signature": over(signature, signals),
        "hash": over(digest, [data]),
        "write": over(lambda part: store.write_bytes("copy", part), [data]),
    }


def _whole(each: Mapping[str, list[Turn]]) -> list[Figure]:
    """By the processor's time, which other work on the machine leaves as it is, and by the clock, which knows of waiting for the disk."""
    figures = []
    for by, asked in (("cpu", ASKED), ("wall", None)):
        rate = {name: [1 / getattr(turn, by) for turn in each[name]] for name in ("ours", "plain", "limit")}
        ours, plain, limit = (median(found) for found in rate.values())
        single = [a / b for a, b in zip(rate["ours"], rate["plain"], strict=True)]
        figures.append(
            Figure(
                name="ingest, per second of a core" if by == "cpu" else "ingest, 1 thread, by the clock",
                unit="records/s",
                ours=ours,
                plain=plain,
                ratio=ours / plain,
                spread=(min(single), max(single)),
                limit=limit,
                target="" if asked is None else f">= {asked:,.0f}",
                met=None if asked is None else ours >= asked,
                note=NOTE,
            )
        )
    return figures


def _stages(each: Mapping[str, list[Turn]]) -> list[Figure]:
    cpu = {name: median(turn.cpu for turn in found) * 1e6 for name, found in each.items()}
    whole = cpu.pop("ours")
    stages = {name: found for name, found in cpu.items() if name not in ("plain", "limit")}
    stages["samples and checksum"] -= stages["header"]
    stages["encoding and the rest"] = whole - sum(stages.values())
    note = "Stages: the processor's time of each by itself over all records; the rest is the whole less the others."
    return [Figure(f"ingest: {name}", "us/record", found, note=note) for name, found in stages.items()]


def _memory(raw: Path, scratch: str, sizes: Sizes) -> Figure:
    few, many = (
        in_process(_added, str(raw), sizes.records, count, f"{scratch}/memory-{count}") / 2**20
        for count in (sizes.few, sizes.many)
    )
    return Figure(
        f"ingest, memory of {sizes.many:,} records",
        "MiB",
        many,
        limit=few,
        target=f"<= {FLAT:g}x",
        met=many <= FLAT * few,
        note=f"Memory: what an ingestion adds to a process's resident size at its largest; limit = that of {sizes.few:,} records.",
    )


def _added(raw: str, files: int, count: int, out: str) -> int:
    return added_memory(
        lambda: ingest_local(Corpus(raw, files, count), out, quality=Quality(duplicates="keep"))
    )
