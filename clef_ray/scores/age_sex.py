"""Age and sex as a score: the control that asks what a clinical score adds to what is known of nearly every patient."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clef_ray.scores import Covariates, ScoreResult, take

#: Centre and spread of age [years] and of sex in an adult clinical ECG cohort of as many women as men, rounded. Constants, not fitted:
#: a fit would let the value of one patient depend on the others. Only the ratio of the spreads matters to a distance.
_CENTRE = (60.0, 0.5)
_SPREAD = (15.0, 0.5)


class AgeSex:
    """Standardised age and sex, a point in the plane; the risk difference of two patients is their distance.

    The two sexes lie 2 apart, as do 30 years of age. No single number could say that a man and a woman of one age differ without
    saying which of them is at higher risk.
    """

    source: ClassVar[str] = "control"
    unit: ClassVar[str] = "standard deviations"
    ages = None
    fields = ("age", "sex")

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: [N, 2], (age - 60) / 15 and (sex - 0.5) / 0.5; both NaN where either is unknown."""
        del patients_N
        columns, observed_N = take(covariates, self.fields)
        point_N2 = (np.stack([columns["age"], columns["sex"]], axis=-1) - _CENTRE) / _SPREAD
        complete_N = observed_N == len(self.fields)
        return ScoreResult(np.where(complete_N[:, None], point_N2, np.nan), observed_N, complete_N)
