"""CHA2DS2-VASc: stroke risk points of a patient with atrial fibrillation."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clef_ray.scores import Covariates, ScoreResult, take
from clef_ray.scores.cha2ds2_va import Cha2ds2Va


class Cha2ds2Vasc:
    """CHA2DS2-VASc, 0 to 9 points: CHA2DS2-VA (which see) and one point for women."""

    source: ClassVar[str] = "Chest 2010;137:263, doi 10.1378/chest.09-1584"
    unit: ClassVar[str] = "points"
    ages = None
    fields = (*Cha2ds2Va.fields, "sex")

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: points. Raises DataError for values in other units (see `take`)."""
        columns, observed_N = take(covariates, self.fields)
        value_N = Cha2ds2Va()(columns, patients_N).value_N + columns["sex"]
        return ScoreResult(value_N, observed_N, ~np.isnan(value_N))
