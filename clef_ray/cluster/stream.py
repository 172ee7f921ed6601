"""Ray Data between the shards and the training loop: the whole corpus once into memory, or a stream in the read plan's order.

A corpus that fits into the object store is read once per sweep and shared by all trials without a copy. A larger one is streamed: every
worker runs a small pipeline whose tasks each read one window of the plan (train/plan.py), decode only the records and leads this worker
needs, and deliver them in order, so that both ways give the same batches.
"""

import logging
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from torch import Tensor

from clef_ray.augment import LeadChoice
from clef_ray.cluster.capacity import live_nodes
from clef_ray.shards import Corpus, Manifest, read_rows, read_table
from clef_ray.train.plan import WINDOW, ReadPlan

#: Share of the object store a corpus may take and still be held whole.
HELD_SHARE = 0.5


def set_up_data() -> None:
    """Ray Data in the order asked for, and silent: the command line shows progress of its own."""
    context = ray.data.DataContext.get_current()
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # after the import of ray.data, which sets it
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def held_bytes(manifest: Manifest, fs: float, leads: tuple[str, ...]) -> int:
    """Memory of the corpus at the training rate, float32."""
    return int(manifest.records * len(leads) * round(manifest.samples * fs / manifest.fs) * 4)


def fits(manifest: Manifest, fs: float, leads: tuple[str, ...]) -> bool:
    """Whether the corpus can be held in the object store of every node of the running cluster."""
    # The corpus lies whole in the store of every node that runs a trial.
    store = min(node.get("object_store_memory", 0.0) for node in live_nodes().values())
    return held_bytes(manifest, fs, leads) <= HELD_SHARE * store


def _read_part(
    batch: dict[str, NDArray[Any]], folder: str, fs: float, leads: tuple[str, ...]
) -> dict[str, NDArray[Any]]:
    rows = np.arange(int(batch["start"][0]), int(batch["stop"][0]))
    return {"row": rows, "x": read_rows(folder, rows, fs, leads)}


def materialise(folder: str, fs: float, leads: tuple[str, ...]) -> Corpus:
    """Read all shards through Ray Data, in parallel, into one Corpus."""
    set_up_data()
    manifest = Manifest.load(folder)
    edges = np.cumsum([0, *(part.records for part in manifest.parts)]).tolist()
    spans = [{"start": start, "stop": stop} for start, stop in pairwise(edges)]
    read = partial(_read_part, folder=folder, fs=fs, leads=leads)
    parts = ray.data.from_items(spans, override_num_blocks=len(spans)).map_batches(read, batch_size=1)
    signals: NDArray[np.float32] | None = None
    for batch in parts.iter_batches(batch_size=None, batch_format="numpy"):
        if signals is None:
            signals = np.empty((manifest.records, *batch["x"].shape[1:]), dtype=np.float32)
        signals[batch["row"]] = batch["x"]
    assert signals is not None, "a manifest has at least one part"
    return Corpus(signals, read_table(folder), fs, leads, manifest)


def _windows(plan: ReadPlan, epochs: range) -> list[dict[str, int]]:
    """The plan cut into tasks: whole steps, about one window of records each."""
    steps = max(WINDOW * 50 // plan.batch, 1)
    return [
        {"epoch": epoch, "first": first, "last": min(first + steps, plan.steps)}
        for epoch in epochs
        for first in range(0, plan.steps, steps)
    ]


def _read_window(
    batch: dict[str, NDArray[Any]],
    plan: ReadPlan,
    rank: int,
    world_size: int,
    choose: LeadChoice,
    folder: str,
    fs: float,
) -> Iterator[dict[str, NDArray[Any]]]:
    first, last = int(batch["first"][0]), int(batch["last"][0])
    epoch = int(batch["epoch"][0])
    slices = list(plan.slices(epoch, rank, world_size))[first:last]
    rows = np.concatenate(slices)
    x = read_rows(folder, rows, fs, choose.leads, choose(epoch, rows))
    for i, rows in enumerate(slices):
        yield {"x": x[i * len(rows) : (i + 1) * len(rows)]}


class RayFeed:
    """Streams signals from shards through Ray Data in the read plan's order (a Feed, see train/loop.py)."""

    def __init__(self, folder: str, fs: float, leads: tuple[str, ...]) -> None:
        self.folder, self.fs, self.leads = folder, fs, leads

    def stream(
        self, plan: ReadPlan, epochs: range, rank: int, world_size: int, choose: LeadChoice
    ) -> Iterator[Tensor]:
        windows = _windows(plan, epochs)
        if not windows:
            return
        set_up_data()
        read = partial(
            _read_window,
            plan=plan,
            rank=rank,
            world_size=world_size,
            choose=choose,
            folder=self.folder,
            fs=self.fs,
        )
        # The workers of a trial hold the CPUs they were given; reading must not wait for others (nothing may hang in PENDING).
        records = ray.data.from_items(windows, override_num_blocks=len(windows)).map_batches(
            read, batch_size=1, num_cpus=0, concurrency=2
        )
        share = plan.batch // world_size
        for batch in records.iter_batches(batch_size=share, batch_format="numpy", prefetch_batches=2):
            yield torch.from_numpy(np.ascontiguousarray(batch["x"]))
