"""The read plan of methods that compare two records of one patient (PCLR): the same plan over patients, each two records in a batch."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from clef_ray.errors import ConfigError
from clef_ray.randomness import fold, uniform
from clef_ray.train.plan import ReadPlan


@dataclass(frozen=True)
class PairPlan(ReadPlan):
    """A batch is pairs of records, the two of a pair next to each other: batch / 2 patients, none of them twice in an epoch.

    patients: codes of the records' patients (same length as `rows`), each with two records or more. Which two of a patient's records, and
    which of them comes first, is drawn anew in every epoch, all alike. Windows are of patients, who lie where their first record lies: a
    corpus in which a patient's records lie together streams as others do, in another each window touches more row groups. Where batches
    are stratified, it is by the risk of the patients' first records.
    """

    patients: NDArray[np.int64] = field(kw_only=True)

    @classmethod
    def of(
        cls,
        rows: NDArray[np.int64],
        groups: NDArray[np.int64],
        batch: int,
        seed: int,
        risk: NDArray[np.float64] | None,
        patients: NDArray[np.int64],
    ) -> "PairPlan":
        """The plan of those of the records whose patient has another one; a warning says how many patients are left out."""
        codes, of_N, records_P = np.unique(patients, return_inverse=True, return_counts=True)
        if alone := int((records_P == 1).sum()):
            warnings.warn(
                f"pairs of a patient's records: {alone} of the {len(codes)} training patients have one record and are left out",
                stacklevel=2,
            )
        kept_N = records_P[of_N] > 1
        risk = None if risk is None else risk[kept_N]
        return cls(rows[kept_N], groups[kept_N], batch, seed, risk, patients=patients[kept_N])

    def __post_init__(self) -> None:
        if self.batch % 2:
            raise ConfigError(
                f"optimiser.batch {self.batch}: the method takes pairs of records; an even number is needed"
            )
        if (several := len(np.unique(self.patients))) < self.batch // 2:
            raise ConfigError(
                f"optimiser.batch {self.batch} is pairs of records of {self.batch // 2} patients, but {several} training patients have "
                "two records or more; choose a smaller batch, more data, or a method that needs one record per patient"
            )

    @property
    def steps(self) -> int:
        """Batches per epoch; the patients who do not fill a last batch wait for another epoch's shuffle."""
        return self._of_patients.steps

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The epoch's records in the order in which windows are read."""
        return self._pairs(epoch)[self._of_patients.order(epoch)].ravel()

    def batches(self, epoch: int) -> NDArray[np.int64]:
        """[steps, batch] positions in the corpus: p0 r0, p0 r1, p1 r0, p1 r1, ..."""
        return self._pairs(epoch)[self._of_patients.batches(epoch)].reshape(self.steps, self.batch)

    def ends(self, epoch: int) -> NDArray[np.int64]:
        """As of every plan."""
        return 2 * self._of_patients.ends(epoch)

    def slices(self, epoch: int, rank: int, world_size: int) -> Iterator[NDArray[np.int64]]:
        """As of every plan. ConfigError where a pair would be shared by two workers."""
        if self.batch % (2 * world_size):
            raise ConfigError(
                f"optimiser.batch {self.batch} is {self.batch // 2} pairs of records, which cannot be shared evenly by {world_size} workers"
            )
        return super().slices(epoch, rank, world_size)

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Indices into `rows`, by patient and then by row; where each patient's begin; how many they are."""
        order_N = np.lexsort((self.rows, self.patients))
        _, begin_P, records_P = np.unique(self.patients[order_N], return_index=True, return_counts=True)
        return order_N, begin_P, records_P

    @cached_property
    def _of_patients(self) -> ReadPlan:
        """The plan in which each patient, numbered from 0, stands for a record."""
        order_N, begin_P, _ = self._sorted
        first_P = order_N[begin_P]
        risk = None if self.risk is None else self.risk[first_P]
        return ReadPlan(np.arange(len(first_P)), self.groups[first_P], self.batch // 2, self.seed, risk)

    def _pairs(self, epoch: int) -> NDArray[np.int64]:
        """[patients, 2] positions in the corpus: two different records of each."""
        order_N, begin_P, records_P = self._sorted
        rows_N = self.rows[order_N]
        drawn = uniform(
            fold("pairs", self.seed, epoch), torch.from_numpy(rows_N[begin_P]), torch.arange(2)[:, None]
        )
        one_P, other_P = (drawn.double().numpy() * (records_P - [[0], [1]])).astype(np.int64)
        other_P += other_P >= one_P
        found_P2: NDArray[np.int64] = rows_N[begin_P[:, None] + np.stack([one_P, other_P], axis=1)]
        return found_P2
