"""Sex as a score: the control for guidance that tells men from women and nothing else."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clef_ray.scores import Covariates, ScoreResult, take


class Sex:
    """Sex, 0 male and 1 female, in the place of a risk: patients of one sex are equal, those of two as different as can be."""

    source: ClassVar[str] = "control"
    unit: ClassVar[str] = "0 male, 1 female"
    ages = None
    fields = ("sex",)

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: 0 or 1."""
        del patients_N
        columns, observed_N = take(covariates, self.fields)
        return ScoreResult(columns["sex"], observed_N, observed_N == 1)
