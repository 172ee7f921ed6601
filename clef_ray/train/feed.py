"""Feeds: where a worker's batches come from. Whatever the feed, the same plan gives the same batches, bit for bit.

resident   the whole corpus in memory, in int16; shared by all trials of a node (`ResidentFeed`), or on the GPU of a trial that has one alone
streaming  read from the shards as training goes on, where the corpus does not fit (`clef_ray.cluster.stream.RayFeed`)
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from clef_ray.augment import Batch, Choice, window
from clef_ray.errors import TrainingError
from clef_ray.shards import Stored
from clef_ray.train.plan import ReadPlan

#: Share of a GPU's free memory that a corpus may take and still be held there; the rest is the training's.
DEVICE_SHARE = 0.4

#: Records moved to a device at once.
_PIECE = 1024


class Feed(Protocol):
    """Delivers a worker's share of every batch of the plan, in order. leads: those its batches' leads are positions in."""

    leads: tuple[str, ...]

    def stream(
        self, plan: ReadPlan, epochs: range, rank: int, world_size: int, choose: Choice
    ) -> Iterator[Batch]:
        """One batch per step: of each record of this worker's slice the leads and the window that its two views show."""
        ...


class ResidentFeed:
    """Signals that are in memory already: this process's, Ray's object store, or a GPU's."""

    def __init__(self, signals: Stored, leads: tuple[str, ...], device: torch.device | None = None) -> None:
        """device: where the samples are moved to, all at once; None: they stay where they are."""
        self.signals, self.leads = signals, leads
        self._raw_NCT = None if device is None else _moved(signals.raw_NKT, device)

    def stream(
        self, plan: ReadPlan, epochs: range, rank: int, world_size: int, choose: Choice
    ) -> Iterator[Batch]:
        for epoch in epochs:
            rows_Sb = np.stack(list(plan.slices(epoch, rank, world_size)))
            # Drawn for the whole epoch: that costs little more than for one batch, where it takes longer than reading the samples.
            lead_R2, start_R = self._drawn(epoch, rows_Sb.ravel(), choose)
            drawn = lead_R2.reshape(*rows_Sb.shape, 2), start_R.reshape(rows_Sb.shape)
            for rows, lead_b2, start_b in zip(rows_Sb, *drawn, strict=True):
                yield self._batch(rows, lead_b2, start_b, choose)

    def batch(self, epoch: int, rows: NDArray[np.int64], choose: Choice) -> Batch:
        """The records at positions `rows`."""
        return self._batch(rows, *self._drawn(epoch, rows, choose), choose)

    def _drawn(
        self, epoch: int, rows: NDArray[np.int64], choose: Choice
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return choose.lead(epoch, rows), choose.start(epoch, rows, self.signals.raw_NKT.shape[-1])

    def _batch(
        self, rows: NDArray[np.int64], lead_b2: NDArray[np.int64], start_b: NDArray[np.int64], choose: Choice
    ) -> Batch:
        at, start_b1 = (rows[:, None], lead_b2), start_b[:, None]
        width = window(choose.signals, self.signals.raw_NKT.shape[-1])
        if self._raw_NCT is None:
            raw_b2T = torch.from_numpy(
                sliding_window_view(self.signals.raw_NKT, width, axis=-1)[*at, start_b1]
            )
        else:
            device = self._raw_NCT.device
            raw_b2T = self._raw_NCT.unfold(-1, width, 1)[
                tuple(torch.from_numpy(i).to(device) for i in (*at, start_b1))
            ]
        scale = (torch.from_numpy(x[at]) for x in (self.signals.gain_NK, self.signals.baseline_NK))
        return Batch(rows, lead_b2, raw_b2T, *scale)


def _moved(raw_NCT: NDArray[np.int16], device: torch.device) -> Tensor:
    """A copy on a device, made in pieces: what Ray's object store holds may not be lent to torch, which could write to it."""
    moved = torch.empty(raw_NCT.shape, dtype=torch.int16, device=device)
    for first in range(0, len(raw_NCT), _PIECE):
        piece = slice(first, first + _PIECE)
        moved[piece] = torch.from_numpy(raw_NCT[piece].copy())
    return moved


def resident(signals: Stored, leads: tuple[str, ...], device: torch.device, *, alone: bool) -> ResidentFeed:
    """Signals in memory, moved to `device` where that is a GPU that this training has for itself (`alone`) and they fit into DEVICE_SHARE of
    what is free there.
    """
    if device.type == "cuda" and alone:
        free, _ = torch.cuda.mem_get_info(device)
        if signals.raw_NKT.nbytes <= DEVICE_SHARE * free:
            return ResidentFeed(signals, leads, device)
    return ResidentFeed(signals, leads)


def ahead(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """The batches, on `device`. For a GPU the next one is made, in pinned memory, while the present one is trained on."""
    if device.type == "cuda":
        batches = _one_ahead(
            batch.pinned() if batch.raw_b2T.device.type == "cpu" else batch for batch in batches
        )
    for batch in batches:
        yield batch.to(device)


def _one_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same, each made in a thread of its own while the one before is in use; what goes wrong there is raised here."""
    with ThreadPoolExecutor(1, thread_name_prefix="feed") as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def order_of(batches_SB: NDArray[np.int64]) -> float:
    """The epoch's order as a number: 32 bits of the hash of every record's position, in the order of training. Equal orders are equal
    numbers, whatever the workers.

    A metric rather than a text, so that two runs can be compared in a table; 32 bits, so that it is shown to its last digit.
    """
    content = np.ascontiguousarray(batches_SB, dtype="<i8").tobytes()
    return float(int.from_bytes(hashlib.sha256(content).digest()[:4], "big"))


def check_fed(batch: Batch, wanted_b: NDArray[np.int64], epoch: int, step: int) -> None:
    """TrainingError unless the batch holds the records that the plan says."""
    if not np.array_equal(batch.rows_b, wanted_b):
        wrong = "other" if len(batch) == len(wanted_b) else f"{len(batch)} instead of {len(wanted_b)}"
        raise TrainingError(
            f"epoch {epoch + 1}, step {step + 1}: the feed delivered {wrong} records than the plan says"
        )
