"""The read plan: which records make up which global batch of an epoch. A pure function of (records, seed, epoch).

Each worker reads its slice of every batch, so neither the number of workers nor the order in which data arrive changes a batch. Records are
shuffled in windows of whole row groups: row groups are permuted, taken WINDOW at a time, and the records of a window are permuted. A corpus
that fits into one window is simply shuffled; a larger one is read in large sequential pieces.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import ConfigError
from clef_ray.randomness import fold

#: Row groups of 50 records shuffled together: 3,200 records, 384 MB of raw 12-lead 500 Hz signals.
WINDOW = 64

#: Batches that are mixed with each other at least, where batches are stratified: with fewer records to a stratum, chance is left little to do.
MIXED = 4


@dataclass(frozen=True)
class ReadPlan:
    """rows: the training records' positions in the corpus; groups: the row group each of them lies in (same length); batch: global.

    risk: one number per record (NaN unknown, same length) by which batches are stratified: the batches of a window are made of the same
    records as without it, but each takes one record from each of `batch` equal strata of their risk, the unknown ones last. None: shuffled.
    """

    rows: NDArray[np.int64]
    groups: NDArray[np.int64]
    batch: int
    seed: int
    risk: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if len(self.rows) < self.batch:
            raise ConfigError(
                f"optimiser.batch {self.batch} is larger than the {len(self.rows)} training records; "
                "choose a smaller batch or more data"
            )

    @property
    def steps(self) -> int:
        """Batches per epoch; the records that do not fill a last batch wait for another epoch's shuffle."""
        return len(self.rows) // self.batch

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The epoch's records in the order in which windows are read."""
        at_N, _ = self._shuffled(epoch)
        order_N: NDArray[np.int64] = self.rows[at_N]
        return order_N

    def batches(self, epoch: int) -> NDArray[np.int64]:
        """[steps, batch] positions in the corpus."""
        at_N, window_N = self._shuffled(epoch)
        at_SB = at_N[: self.steps * self.batch].reshape(self.steps, self.batch)
        if self.risk is not None:
            rng = np.random.Generator(np.random.Philox(fold("strata", self.seed, epoch)))
            last_S = window_N[self.batch - 1 :: self.batch][: self.steps]
            parts = np.split(at_SB, _edges(last_S))
            at_SB = np.concatenate([_mix(part, self.risk[part], rng) for part in parts])
        batches_SB: NDArray[np.int64] = self.rows[at_SB]
        return batches_SB

    def _shuffled(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indices into `rows` in reading order, and the window of each."""
        shuffled, rng = self._shuffled_groups(epoch)
        rank = np.empty(int(shuffled.max()) + 1, dtype=np.int64)
        rank[shuffled] = np.arange(len(shuffled)) // WINDOW
        sorted_N = np.argsort(self.rows)  # a record's random number is its own, however the rows are listed
        window_N = rank[self.groups[sorted_N]]
        order_N = np.lexsort((rng.random(len(self.rows)), window_N))
        return sorted_N[order_N], window_N[order_N]

    def ends(self, epoch: int) -> NDArray[np.int64]:
        """How many of the epoch's records have been read at the end of each window; those that fill no batch are not read.

        Cheap, unlike the order itself. Where batches are stratified, the last records of a window may come a few batches later.
        """
        groups, records = self._group_sizes
        shuffled, _ = self._shuffled_groups(epoch)
        read = np.cumsum(records[np.searchsorted(groups, shuffled)])
        ends: NDArray[np.int64] = np.append(read[WINDOW - 1 :: WINDOW], read[-1])
        return np.unique(np.minimum(ends, self.steps * self.batch))

    @cached_property
    def _group_sizes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.unique(self.groups, return_counts=True)

    def _shuffled_groups(self, epoch: int) -> tuple[NDArray[np.int64], np.random.Generator]:
        """The row groups in the order in which they are read, and the generator that draws the records' order next."""
        rng = np.random.Generator(np.random.Philox(fold("plan", self.seed, epoch)))
        return rng.permutation(self._group_sizes[0]), rng

    def slices(self, epoch: int, rank: int, world_size: int) -> Iterator[NDArray[np.int64]]:
        """The share of each batch that one worker reads, in order."""
        if self.batch % world_size:
            raise ConfigError(f"optimiser.batch {self.batch} cannot be shared evenly by {world_size} workers")
        share = self.batch // world_size
        for batch in self.batches(epoch):
            yield batch[rank * share : (rank + 1) * share]


def _edges(window_S: NDArray[np.int64]) -> list[int]:
    """Where to cut the epoch's batches into runs that are mixed: at the ends of windows, each run of at least MIXED batches."""
    edges = [0]
    for end in [*(np.flatnonzero(np.diff(window_S)) + 1).tolist(), len(window_S)]:
        if end - edges[-1] >= MIXED:
            edges.append(end)
    return edges[1:-1]  # what is left at the end joins the last run


def _mix(
    at_SB: NDArray[np.int64], risk_SB: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """The same records dealt anew: sorted by risk and cut into B strata of S, of which every batch takes one record each.

    A batch's records are shuffled: a worker's slice of it, or the part that a queue keeps, has no preferred risk.
    """
    steps, batch = at_SB.shape
    risk_N, unknown_N = np.nan_to_num(risk_SB.ravel()), np.isnan(risk_SB.ravel())
    by_risk = np.lexsort((rng.random(risk_N.size), risk_N, unknown_N))
    strata_BS = at_SB.ravel()[by_risk].reshape(batch, steps)
    return rng.permuted(rng.permuted(strata_BS, axis=1).T, axis=1)
