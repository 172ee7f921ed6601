"""Ray Data between the shards and the training loop: the whole corpus once into memory, or a stream in the read plan's order.

A corpus that fits into the object store is read once per sweep and shared by all trials of a node without a copy ("resident"). A larger one
is streamed: every worker runs a small pipeline whose tasks each read one window of the plan (train/plan.py), decode only the records, leads
and samples this worker needs, and deliver them in order. Both deliver what is stored, in int16, so that both give the same batches.
"""

import logging
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import ray
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from ray.exceptions import RayTaskError

from clef_ray.augment import Batch, Choice, window
from clef_ray.cluster.capacity import live_nodes
from clef_ray.errors import CapacityError, ClefRayError
from clef_ray.shards import Corpus, Manifest, Stored, part_rows, read_rows, read_table
from clef_ray.shards.schema import Shape
from clef_ray.signal.filters import resampled_length
from clef_ray.train.plan import ReadPlan

#: Share of the object store a corpus may take and still be held whole.
HELD_SHARE = 0.5

#: Records in one of Ray Data's blocks, of 10 KB for each of the two leads: small enough that the first batch comes before the window is whole.
_BLOCK = 256


def set_up_data() -> None:
    """Ray Data in the order asked for, and silent: the command line shows progress of its own."""
    context = ray.data.DataContext.get_current()
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # after the import of ray.data, which sets it
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.raise_original_map_exception = True  # else it says that something failed, and no more


@dataclass(frozen=True)
class Reading:
    """How trials read their signals, and why, in words. leads: those that are resident, of which some may be for the tasks alone."""

    resident: bool
    leads: tuple[str, ...]
    line: str


def held_bytes(shape: Shape, records: int, fs: float, leads: tuple[str, ...]) -> int:
    """Memory of the corpus at the training rate: 2 bytes a sample, and gain and baseline of each lead. shape: a manifest or a dataset."""
    return records * len(leads) * (2 * resampled_length(shape.samples, shape.fs, fs) + 8)


def reading(shape: Shape, records: int, fs: float, seen: tuple[str, ...], judged: tuple[str, ...]) -> Reading:
    """Resident where the leads seen in training and those the tasks judge fit together into the object store of every node of the running
    cluster, else streaming, with the tasks' leads resident. CapacityError where not even these fit.
    """
    room = HELD_SHARE * min(node.get("object_store_memory", 0.0) for node in live_nodes().values())
    wanted = tuple(lead for lead in shape.leads if lead in {*seen, *judged})
    size, least = (held_bytes(shape, records, fs, leads) for leads in (wanted, judged))
    place = f"{HELD_SHARE:.0%} of the object store of each node, {gigabytes(room)}"
    if size <= room:
        line = f"signals: resident, {gigabytes(size)} of int16 in shared memory, once per node ({place})"
        return Reading(True, wanted, line)
    if least <= room:
        line = f"signals: streaming, {gigabytes(size)} of int16 do not fit into {place}; resident for the tasks alone, {gigabytes(least)}"
        return Reading(False, judged, line)
    raise CapacityError(
        f"the tasks' signals ({gigabytes(least)}) do not fit into {place}; "
        "add nodes, evaluate fewer leads, or lower signals.fs"
    )


def gigabytes(size: float) -> str:
    """A size in words."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _read_part(
    batch: dict[str, NDArray[Any]], folder: str, fs: float, leads: tuple[str, ...]
) -> dict[str, NDArray[Any]]:
    rows = np.arange(int(batch["start"][0]), int(batch["stop"][0]))
    return {"row": rows, **_columns(read_rows(folder, rows, fs, leads))}


def _columns(signals: Stored) -> dict[str, NDArray[Any]]:
    return {"raw": signals.raw_NKT, "gain": signals.gain_NK, "baseline": signals.baseline_NK}


def _signals(columns: Mapping[str, NDArray[Any]]) -> Stored:
    return Stored(columns["raw"], columns["gain"], columns["baseline"])


def materialise(folder: str, fs: float, leads: tuple[str, ...]) -> Corpus:
    """Read all shards through Ray Data, in parallel, into one Corpus in the memory of whoever calls."""
    set_up_data()
    manifest = Manifest.load(folder)
    spans = [{"start": int(rows[0]), "stop": int(rows[-1]) + 1} for rows in part_rows(manifest)]
    read = partial(_read_part, folder=folder, fs=fs, leads=leads)
    parts = ray.data.from_items(spans, override_num_blocks=len(spans)).map_batches(read, batch_size=1)
    signals: Stored | None = None
    for batch in parts.iter_batches(batch_size=None, batch_format="numpy"):
        part = _signals(batch)
        if signals is None:
            signals = Stored.empty(manifest.records, *part.raw_NKT.shape[1:])
        signals.put(batch["row"], part)
    assert signals is not None, "a manifest has at least one record"
    return Corpus(signals, read_table(folder), fs, leads, manifest)


def held(folder: str, fs: float, leads: tuple[str, ...]) -> ray.ObjectRef[Corpus]:
    """The corpus in the object store. It is put together in a process of its own, which ends: the one that asks needs no memory for the signals,
    and where the node that holds them is lost, Ray reads them again. DataError, StorageError: a part is damaged, or gone.
    """
    task = ray.remote(num_cpus=0, num_returns=2, max_calls=1)(_held)
    error, found = task.remote(folder, fs, leads)
    told = ray.get(error)  # waits: no trial may take the CPUs that the shards are read with
    if told is not None:
        raise told
    return found


def _held(folder: str, fs: float, leads: tuple[str, ...]) -> tuple[ClefRayError | None, Corpus | None]:
    """What went wrong, and the corpus; an error raised here would arrive wrapped in Ray's own."""
    try:
        return None, materialise(folder, fs, leads)
    except ClefRayError as error:
        return (error.cause if isinstance(error, RayTaskError) else error), None


@dataclass(frozen=True)
class _WindowReader:
    """Reads what one worker needs of one window of the plan; travels to Ray Data's tasks, where each unpickles its own.

    name: two of the same name are the same reader, so that a process that reads several windows of an epoch orders the records once.
    """

    plan: ReadPlan = field(compare=False)
    rank: int
    world_size: int
    choose: Choice = field(compare=False)
    folder: str
    fs: float
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def tasks(self, epochs: range) -> list[dict[str, int]]:
        """The worker's records of all epochs, cut where windows end: each row group is read once an epoch."""
        return [
            {"epoch": epoch, "first": first, "last": last}
            for epoch in epochs
            for first, last in pairwise([0, *self._ends(epoch)])
        ]

    def _ends(self, epoch: int) -> list[int]:
        """How many of its records the worker has read at the end of each window."""
        share = self.plan.batch // self.world_size
        steps, rest = np.divmod(self.plan.ends(epoch), self.plan.batch)
        own = steps * share + np.clip(rest - self.rank * share, 0, share)
        return [int(end) for end in np.unique(own[own > 0])]

    def read(self, batch: dict[str, NDArray[Any]]) -> Iterator[dict[str, NDArray[Any]]]:
        epoch = int(batch["epoch"][0])
        rows = _epoch_rows(self, epoch)[int(batch["first"][0]) : int(batch["last"][0])]
        lead = self.choose.lead(epoch, rows)
        signals = read_rows(self.folder, rows, self.fs, self.choose.leads, lead)
        samples = signals.raw_NKT.shape[-1]
        width, start = window(self.choose.signals, samples), self.choose.start(epoch, rows, samples)
        raw = sliding_window_view(signals.raw_NKT, width, axis=-1)[np.arange(len(rows)), :, start]
        columns = {"row": rows, "lead": lead, **_columns(replace(signals, raw_NKT=raw))}
        for first in range(0, len(rows), _BLOCK):
            yield {name: column[first : first + _BLOCK] for name, column in columns.items()}


@lru_cache(maxsize=1)
def _epoch_rows(reader: _WindowReader, epoch: int) -> NDArray[np.int64]:
    """The worker's records of one epoch, in order."""
    return np.concatenate(list(reader.plan.slices(epoch, reader.rank, reader.world_size)))


class RayFeed:
    """Streams signals from shards through Ray Data in the read plan's order (a Feed, see train/feed.py)."""

    def __init__(self, folder: str, fs: float, leads: tuple[str, ...]) -> None:
        self.folder, self.fs, self.leads = folder, fs, leads

    def stream(
        self, plan: ReadPlan, epochs: range, rank: int, world_size: int, choose: Choice
    ) -> Iterator[Batch]:
        reader = _WindowReader(plan, rank, world_size, choose, self.folder, self.fs)
        if not (tasks := reader.tasks(epochs)):
            return
        set_up_data()
        # The workers of a trial hold the CPUs they were given; reading must not wait for others (nothing may hang in PENDING).
        records = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map_batches(
            reader.read, batch_size=1, num_cpus=0, concurrency=2
        )
        share = plan.batch // world_size
        for found in records.iter_batches(batch_size=share, batch_format="numpy", prefetch_batches=2):
            columns = {name: np.require(column, requirements=["C", "W"]) for name, column in found.items()}
            scale = (torch.from_numpy(columns[name]) for name in ("raw", "gain", "baseline"))
            yield Batch(columns["row"], columns["lead"], *scale)
