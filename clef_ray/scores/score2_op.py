"""SCORE2-OP: 10-year risk of fatal and non-fatal cardiovascular disease in Europe from 70 years on, for people without diabetes."""

from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clef_ray.scores import Covariates, ScoreResult
from clef_ray.scores._equation import OutOfRange, below, check_out_of_range, evaluate, predictor, woman
from clef_ray.scores._score2 import Calibration, Region, check_region

#: Men, women; numbers as `_percent` counts them, the constant is minus the article's mean (its diabetes terms are 0 for the people
#: it is for).
_TABLE = {
    "age": (0.0634, 0.0789),
    "smoker": (0.3524, 0.4921),
    "sbp": (0.0094, 0.0102),
    "tc": (0.085, 0.0605),
    "hdl": (-0.3564, -0.304),
    "age*smoker": (-0.0247, -0.0255),
    "age*sbp": (-0.0005, -0.0004),
    "age*tc": (0.0073, -0.0009),
    "age*hdl": (0.0091, 0.0154),
    "constant": (-0.0929, -0.229),
}
_CALIBRATION = Calibration(
    survival=(0.7576, 0.8082),
    regions={
        "low": ((-0.34, 1.19), (-0.52, 1.01)),
        "moderate": ((0.01, 1.25), (-0.10, 1.10)),
        "high": ((0.08, 1.15), (0.38, 1.09)),
        "very_high": ((0.05, 0.70), (0.38, 0.69)),
    },
)
_RANGES = {"age": (70.0, below(90.0))}


class Score2Op:
    """SCORE2-OP alone, in percent; `score2` joins it to SCORE2.

    region: risk region of the ESC (default moderate, see `score2`). out_of_range: ages outside 70-89 years; `clamp` takes the
    nearest age of the range, `nan` none, `extrapolate` the formula as it stands. `valid` is False for all three.
    """

    source: ClassVar[str] = "Eur Heart J 2021;42:2455, doi 10.1093/eurheartj/ehab312"
    unit: ClassVar[str] = "% in 10 years"
    ages = (70.0, 89.0)
    fields = ("age", "sex", "smoker", "sbp", "total_cholesterol", "hdl")

    def __init__(self, region: Region = "moderate", out_of_range: OutOfRange = "clamp") -> None:
        check_region(region, "score2_op")
        check_out_of_range(out_of_range, "score2_op")
        self.region: Region = region
        self.out_of_range: OutOfRange = out_of_range

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: percent. Raises DataError for values in other units (see `take`)."""
        del patients_N
        formula = partial(_percent, region=self.region)
        return evaluate("score2_op", formula, covariates, self.fields, _RANGES, self.out_of_range)


def _percent(columns: Covariates, region: Region) -> NDArray[np.float64]:
    variables = {
        "age": columns["age"] - 73,
        "smoker": columns["smoker"],
        "sbp": columns["sbp"] - 150,
        "tc": columns["total_cholesterol"] - 6,
        "hdl": columns["hdl"] - 1.4,
    }
    woman_N = woman(columns)
    return _CALIBRATION.percent(predictor(variables, _TABLE, woman_N), region, woman_N)
