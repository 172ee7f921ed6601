"""A score given to the wrong patients: the control that shows what guidance does when it means nothing."""

import numpy as np
from numpy.typing import NDArray

from clef_ray.registry import SCORES
from clef_ray.scores import Covariates, Score, ScoreResult


class Permuted:
    """Another score, permuted over patients: the distribution over patients stays, the link to their ECGs goes.

    base: name of the score (at its defaults); seed: chooses the permutation, None: the run's own seed (0 outside a run). It depends on the seed and the set of patients only,
    not on the order of the rows. All records of a patient get one value, that of the middle record (by value) of the patient
    it was drawn from, so that records of one patient agree as they nearly do in the base.
    """

    def __init__(self, base: str = "score2", seed: int | None = None) -> None:
        self.base: Score = SCORES.get(base, "score permuted, option base")()
        self.seed = seed

    @property
    def fields(self) -> tuple[str, ...]:
        """Those of the base."""
        return self.base.fields

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """The base's result with patients exchanged."""
        result = self.base(covariates, patients_N)
        patients, patient_N, records = np.unique(patients_N, return_inverse=True, return_counts=True)
        by_value = np.lexsort((result.valid_N, result.observed_N, result.value_N, patient_N))
        middle = by_value[np.cumsum(records) - records + (records - 1) // 2]
        donor = np.random.default_rng(self.seed or 0).permutation(len(patients))
        source_N = middle[donor][patient_N]
        return ScoreResult(result.value_N[source_N], result.observed_N[source_N], result.valid_N[source_N])
