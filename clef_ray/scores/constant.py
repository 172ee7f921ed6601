"""One value for everybody: the control in which guidance has nothing to say and only the loss around it remains."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clef_ray.scores import Covariates, ScoreResult


class Constant:
    """The same risk for every patient, known of everybody: all pairs are equally different."""

    source: ClassVar[str] = "control"
    unit: ClassVar[str] = "none"
    ages = None
    fields: tuple[str, ...] = ()

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: 1."""
        del covariates
        records = len(patients_N)
        return ScoreResult(np.ones(records), np.zeros(records, np.int64), np.ones(records, np.bool_))
