"""ACC/AHA Pooled Cohort Equations, 2013: 10-year risk of a first hard atherosclerotic event (heart attack, coronary death, stroke)."""

from functools import partial
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clef_ray.scores import MMOL_PER_MG, Covariates, ScoreResult
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

Race = Literal["white", "black", "field"]

#: White men, white women, black men, black women (Table A); numbers as `logarithmic` counts them, the constant is minus the mean.
_TABLE = {
    "age": (12.344, -29.799, 2.469, 17.114),
    "age*age": (0, 4.884, 0, 0),
    "tc": (11.853, 13.54, 0.302, 0.94),
    "age*tc": (-2.664, -3.114, 0, 0),
    "hdl": (-7.99, -13.578, -0.307, -18.92),
    "age*hdl": (1.769, 3.149, 0, 4.475),
    "treated": (1.797, 2.019, 1.916, 29.291),
    "age*treated": (0, 0, 0, -6.432),
    "untreated": (1.764, 1.957, 1.809, 27.82),
    "age*untreated": (0, 0, 0, -6.087),
    "smoker": (7.837, 7.574, 0.549, 0.691),
    "age*smoker": (-1.795, -1.665, 0, 0),
    "diabetes": (0.658, 0.661, 0.645, 0.874),
    "constant": (-61.18, 29.18, -19.54, -86.61),
}
_SURVIVAL = (0.9144, 0.9665, 0.8954, 0.9533)

#: Ages as in the guideline; the measurements as its risk estimator accepts them (mg/dL: TC 130-320, HDL 20-100).
_RANGES = {
    "age": (40.0, below(80.0)),
    "total_cholesterol": (130 * MMOL_PER_MG, 320 * MMOL_PER_MG),
    "hdl": (20 * MMOL_PER_MG, 100 * MMOL_PER_MG),
    "sbp": (90.0, 200.0),
}


class Pce:
    """The Pooled Cohort Equations in percent.

    race: whose equations. The guideline has them for white and for African American people, and takes the white ones for everybody
    else. `white` (default: few ECG cohorts record race, and a required field that nobody has makes every risk unknown), `black`, or
    `field`: as the covariate `black` says of each patient.
    out_of_range: ages outside 40-79 years, total cholesterol outside 130-320 and HDL outside 20-100 mg/dL, SBP outside 90-200 mmHg;
    `clamp` takes the nearest value of the range, `nan` none, `extrapolate` the formula as it stands. `valid` is False for all three.
    """

    source: ClassVar[str] = "Circulation 2014;129(25 Suppl 2):S49, doi 10.1161/01.cir.0000437741.48606.98"
    unit: ClassVar[str] = "% in 10 years"
    ages = (40.0, 79.0)

    def __init__(self, race: Race = "white", out_of_range: OutOfRange = "clamp") -> None:
        check_choice(race, get_args(Race), "race", "pce")
        check_out_of_range(out_of_range, "pce")
        self.race: Race = race
        self.out_of_range: OutOfRange = out_of_range

    @property
    def fields(self) -> tuple[str, ...]:
        """Race is among them where it is taken from the field."""
        always = ("age", "sex", "smoker", "sbp", "treated", "diabetes", "total_cholesterol", "hdl")
        return (*always, "black") if self.race == "field" else always

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: percent. Raises DataError for values in other units (see `take`)."""
        del patients_N
        formula = partial(_percent, race=self.race)
        return evaluate("pce", formula, covariates, self.fields, _RANGES, self.out_of_range)


def _percent(columns: Covariates, race: Race) -> NDArray[np.float64]:
    black_N = columns["black"] == 1 if race == "field" else race == "black"
    group_N = woman(columns) + 2 * np.asarray(black_N, dtype=np.int64)
    return cox_percent(predictor(logarithmic(columns), _TABLE, group_N), _SURVIVAL, group_N)
