"""Framingham general cardiovascular disease, 2008: 10-year risk of coronary, cerebrovascular, peripheral disease or heart failure."""

from functools import partial
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clef_ray.scores import Covariates, ScoreResult
from clef_ray.scores._equation import (
    OutOfRange,
    below,
    check_choice,
    check_out_of_range,
    cox_percent,
    evaluate,
    logarithmic,
    predictor,
    woman,
)

Version = Literal["lipids", "bmi"]

#: Men, women; numbers as `logarithmic` counts them, the constant is minus the mean.
_LIPIDS = {
    "age": (3.06117, 2.32888),
    "tc": (1.1237, 1.20904),
    "hdl": (-0.93263, -0.70833),
    "untreated": (1.93303, 2.76157),
    "treated": (1.99881, 2.82263),
    "smoker": (0.65451, 0.52873),
    "diabetes": (0.57367, 0.69154),
    "constant": (-23.9802, -26.1931),
}
_BMI = {
    "age": (3.11296, 2.72107),
    "bmi": (0.79277, 0.51125),
    "untreated": (1.85508, 2.81291),
    "treated": (1.92672, 2.88267),
    "smoker": (0.70953, 0.61868),
    "diabetes": (0.5316, 0.77763),
    "constant": (-23.9388, -26.0145),
}
#: version -> its table, survivals at 10 years of men and of women.
_MODELS = {"lipids": (_LIPIDS, (0.88936, 0.95012)), "bmi": (_BMI, (0.88431, 0.94833))}
_RANGES = {"age": (30.0, below(75.0))}


class Framingham:
    """Framingham general CVD in percent.

    version: `lipids`, the article's main model, or `bmi`, its second one for places without a laboratory, in which the body mass
    index stands for both cholesterols. out_of_range: ages outside 30-74 years; `clamp` takes the nearest age of the range, `nan`
    none, `extrapolate` the formula as it stands. `valid` is False for all three.
    """

    source: ClassVar[str] = "Circulation 2008;117:743, doi 10.1161/CIRCULATIONAHA.107.699579"
    unit: ClassVar[str] = "% in 10 years"
    ages = (30.0, 74.0)

    def __init__(self, version: Version = "lipids", out_of_range: OutOfRange = "clamp") -> None:
        check_choice(version, get_args(Version), "version", "framingham")
        check_out_of_range(out_of_range, "framingham")
        self.version: Version = version
        self.out_of_range: OutOfRange = out_of_range

    @property
    def fields(self) -> tuple[str, ...]:
        """Cholesterols or body mass index, as the version asks."""
        measured = ("total_cholesterol", "hdl") if self.version == "lipids" else ("bmi",)
        return ("age", "sex", "smoker", "sbp", "treated", "diabetes", *measured)

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: percent. Raises DataError for values in other units (see `take`)."""
        del patients_N
        formula = partial(_percent, version=self.version)
        return evaluate("framingham", formula, covariates, self.fields, _RANGES, self.out_of_range)


def _percent(columns: Covariates, version: Version) -> NDArray[np.float64]:
    table, survival = _MODELS[version]
    woman_N, variables = woman(columns), logarithmic(columns)
    if version == "bmi":
        variables["bmi"] = np.log(columns["bmi"])
    return cox_percent(predictor(variables, table, woman_N), survival, woman_N)
