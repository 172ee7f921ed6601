"""CHA2DS2-VA: stroke risk points of a patient with atrial fibrillation, without the point for women."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clef_ray.scores import Covariates, ScoreResult, take


class Cha2ds2Va:
    """CHA2DS2-VA, 0 to 8 points: the 2024 ESC guideline's form of CHA2DS2-VASc.

    Made for atrial fibrillation; for other patients it is a count of cardiovascular disease and age. It has no age range. A missing
    item leaves the points unknown: read as absent, it would make the least examined patient the healthiest one.
    """

    source: ClassVar[str] = "Eur Heart J 2024;45:3314, doi 10.1093/eurheartj/ehae176"
    unit: ClassVar[str] = "points"
    ages = None
    fields = ("age", "heart_failure", "hypertension", "diabetes", "stroke", "vascular_disease")

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: points. Raises DataError for values in other units (see `take`)."""
        del patients_N
        columns, observed_N = take(covariates, self.fields)
        age_N = columns["age"]
        value_N = np.where(age_N >= 75, 2.0, np.where(age_N >= 65, 1.0, 0.0)) + 2 * columns["stroke"]
        for item in ("heart_failure", "hypertension", "diabetes", "vascular_disease"):
            value_N = value_N + columns[item]
        complete_N = observed_N == len(self.fields)
        return ScoreResult(np.where(complete_N, value_N, np.nan), observed_N, complete_N)
