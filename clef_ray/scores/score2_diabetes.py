"""SCORE2-Diabetes: 10-year risk of fatal and non-fatal cardiovascular disease in Europe, for people with type 2 diabetes."""

from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clef_ray.scores import Covariates, ScoreResult, take
from clef_ray.scores._equation import OutOfRange, check_out_of_range, evaluate, predictor, woman
from clef_ray.scores._score2 import AGES_40_TO_69, SCORE2, Region, check_region, standardised

#: Men, women; numbers as `standardised` and `_percent` count them. `diagnosis` is the age at it.
_TABLE = {
    "age": (0.5368, 0.6624),
    "smoker": (0.4774, 0.6139),
    "sbp": (0.1322, 0.1421),
    "diabetes": (0.6457, 0.8096),
    "tc": (0.1102, 0.1127),
    "hdl": (-0.1087, -0.1568),
    "age*smoker": (-0.0672, -0.1122),
    "age*sbp": (-0.0268, -0.0167),
    "age*diabetes": (-0.0983, -0.1272),
    "age*tc": (-0.0181, -0.02),
    "age*hdl": (0.0095, 0.0186),
    "diabetes*diagnosis": (-0.0998, -0.118),
    "hba1c": (0.0955, 0.1173),
    "egfr": (-0.0591, -0.064),
    "egfr*egfr": (0.0058, 0.0062),
    "age*hba1c": (-0.0134, -0.0196),
    "age*egfr": (0.0115, 0.0169),
}
_RANGES = {"age": AGES_40_TO_69}


class Score2Diabetes:
    """SCORE2-Diabetes in percent.

    region: risk region of the ESC (default moderate, see `score2`). out_of_range: ages outside 40-69 years; `clamp` takes the
    nearest age of the range, `nan` none, `extrapolate` the formula as it stands. `valid` is False for all three.

    Without diabetes the formula has a value, but it was derived for people with it: `valid` is False, and an age at diagnosis does
    not apply (it is not asked for and counts as observed).
    """

    source: ClassVar[str] = "Eur Heart J 2023;44:2544, doi 10.1093/eurheartj/ehad260"
    unit: ClassVar[str] = "% in 10 years"
    ages = (40.0, 69.0)
    fields = (
        "age",
        "sex",
        "smoker",
        "sbp",
        "total_cholesterol",
        "hdl",
        "diabetes",
        "diabetes_age",
        "hba1c",
        "egfr",
    )

    def __init__(self, region: Region = "moderate", out_of_range: OutOfRange = "clamp") -> None:
        check_region(region, "score2_diabetes")
        check_out_of_range(out_of_range, "score2_diabetes")
        self.region: Region = region
        self.out_of_range: OutOfRange = out_of_range

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: percent. Raises DataError for values in other units (see `take`)."""
        del patients_N
        columns, _ = take(covariates, self.fields)
        columns["diabetes_age"] = np.where(columns["diabetes"] == 0, 0.0, columns["diabetes_age"])
        formula = partial(_percent, region=self.region)
        result = evaluate("score2_diabetes", formula, columns, self.fields, _RANGES, self.out_of_range)
        return ScoreResult(result.value_N, result.observed_N, result.valid_N & (columns["diabetes"] == 1))


def _percent(columns: Covariates, region: Region) -> NDArray[np.float64]:
    woman_N = woman(columns)
    variables = standardised(columns) | {
        "diabetes": columns["diabetes"],
        "diagnosis": (columns["diabetes_age"] - 50) / 5,
        "hba1c": (columns["hba1c"] - 31) / 9.34,
        "egfr": (np.log(columns["egfr"]) - 4.5) / 0.15,
    }
    return SCORE2.percent(predictor(variables, _TABLE, woman_N), region, woman_N)
