"""Age as a score: the control that asks what a risk score adds to the birthday in it."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clef_ray.scores import Covariates, ScoreResult, take


class Age:
    """Age in years, in the place of a risk."""

    source: ClassVar[str] = "control"
    unit: ClassVar[str] = "years"
    ages = None
    fields = ("age",)

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: years."""
        del patients_N
        columns, observed_N = take(covariates, self.fields)
        return ScoreResult(columns["age"], observed_N, observed_N == 1)
