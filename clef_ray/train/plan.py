"""The read plan: which records make up which global batch of an epoch. A pure function of (records, seed, epoch).

Each worker reads its slice of every batch, so neither the number of workers nor the order in which data arrive changes a batch. Records are
shuffled in windows of whole row groups: row groups are permuted, taken WINDOW at a time, and the records of a window are permuted. A corpus
that fits into one window is simply shuffled; a larger one is read in large sequential pieces.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import ConfigError
from clef_ray.randomness import fold

#: Row groups of 50 records shuffled together: 3,200 records, 384 MB of raw 12-lead 500 Hz signals.
WINDOW = 64


@dataclass(frozen=True)
class ReadPlan:
    """rows: the training records' positions in the corpus; groups: the row group each of them lies in (same length); batch: global."""

    rows: NDArray[np.int64]
    groups: NDArray[np.int64]
    batch: int
    seed: int

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
        """The epoch's records in reading order."""
        rng = np.random.Generator(np.random.Philox(fold("plan", self.seed, epoch)))
        shuffled = rng.permutation(np.unique(self.groups))
        rank = np.empty(int(shuffled.max()) + 1, dtype=np.int64)
        rank[shuffled] = np.arange(len(shuffled)) // WINDOW
        return self.rows[np.lexsort((rng.random(len(self.rows)), rank[self.groups]))]

    def batches(self, epoch: int) -> NDArray[np.int64]:
        """[steps, batch] positions in the corpus."""
        return self.order(epoch)[: self.steps * self.batch].reshape(self.steps, self.batch)

    def slices(self, epoch: int, rank: int, world_size: int) -> Iterator[NDArray[np.int64]]:
        """The share of each batch that one worker reads, in order."""
        if self.batch % world_size:
            raise ConfigError(f"optimiser.batch {self.batch} cannot be shared evenly by {world_size} workers")
        share = self.batch // world_size
        for batch in self.batches(epoch):
            yield batch[rank * share : (rank + 1) * share]
