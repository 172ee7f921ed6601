"""AHA PREVENT base equations, 2023: 10-year risk of cardiovascular disease, of its atherosclerotic part, and of heart failure."""

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
    evaluate,
    predictor,
    woman,
)

Outcome = Literal["cvd", "ascvd", "hf"]

#: CVD of men and of women, ASCVD of men and of women; numbers as `_percent` counts them.
_LIPIDS = {
    "age": (0.7688528, 0.7939329, 0.7099847, 0.719883),
    "nonhdl": (0.0736174, 0.0305239, 0.1658663, 0.1176967),
    "hdl": (-0.0954431, -0.1606857, -0.1144285, -0.151185),
    "low_sbp": (-0.4347345, -0.2394003, -0.2837212, -0.0835358),
    "high_sbp": (0.3362658, 0.3600781, 0.3239977, 0.3592852),
    "diabetes": (0.7692857, 0.8667604, 0.7189597, 0.8348585),
    "smoker": (0.4386871, 0.5360739, 0.3956973, 0.4831078),
    "low_egfr": (0.5378979, 0.6045917, 0.3690075, 0.4864619),
    "high_egfr": (0.0164827, 0.0433769, 0.0203619, 0.0397779),
    "treated": (0.288879, 0.3151672, 0.2036522, 0.2265309),
    "statin": (-0.1337349, -0.1477655, -0.0865581, -0.0592374),
    "high_sbp*treated": (-0.0475924, -0.0663612, -0.0322916, -0.0395762),
    "nonhdl*statin": (0.150273, 0.1197879, 0.114563, 0.0844423),
    "age*nonhdl": (-0.0517874, -0.0819715, -0.0300005, -0.0567839),
    "age*hdl": (0.0191169, 0.0306769, 0.0232747, 0.0325692),
    "age*high_sbp": (-0.1049477, -0.0946348, -0.0927024, -0.1035985),
    "age*diabetes": (-0.2251948, -0.27057, -0.2018525, -0.2417542),
    "age*smoker": (-0.0895067, -0.078715, -0.0970527, -0.0791142),
    "age*low_egfr": (-0.1543702, -0.1637806, -0.1217081, -0.1671492),
    "constant": (-3.031168, -3.307728, -3.500655, -3.819975),
}
#: Heart failure of men and of women.
_WEIGHT = {
    "age": (0.8972642, 0.8998235),
    "low_sbp": (-0.6811466, -0.4559771),
    "high_sbp": (0.3634461, 0.3576505),
    "diabetes": (0.923776, 1.038346),
    "smoker": (0.5023736, 0.583916),
    "low_bmi": (-0.0485841, -0.0072294),
    "high_bmi": (0.3726929, 0.2997706),
    "low_egfr": (0.6926917, 0.7451638),
    "high_egfr": (0.0251827, 0.0557087),
    "treated": (0.2980922, 0.3534442),
    "high_sbp*treated": (-0.0497731, -0.0981511),
    "age*high_sbp": (-0.1289201, -0.0946663),
    "age*diabetes": (-0.3040924, -0.3581041),
    "age*smoker": (-0.1401688, -0.1159453),
    "age*high_bmi": (0.0068126, -0.003878),
    "age*low_egfr": (-0.1797778, -0.1884289),
    "constant": (-3.946391, -4.310409),
}

#: The inputs the equations are published for; of them an outcome has those of its fields.
_RANGES = {
    "age": (30.0, below(80.0)),
    "sbp": (90.0, 200.0),
    "egfr": (15.0, 150.0),
    "total_cholesterol": (130 * MMOL_PER_MG, 320 * MMOL_PER_MG),
    "hdl": (20 * MMOL_PER_MG, 100 * MMOL_PER_MG),
    "bmi": (18.5, below(40.0)),
}


class Prevent:
    """PREVENT (base model) in percent.

    outcome: `cvd`, all of it (default: the article's main outcome), its parts `ascvd`, heart attack and stroke, and `hf`, heart failure.
    The two parts are equations of their own and do not add up to the whole. Lipids and statin enter cvd and ascvd, body mass index hf.
    out_of_range: outside 30-79 years, SBP 90-200 mmHg, eGFR 15-150, total cholesterol 130-320 and HDL 20-100 mg/dL, BMI 18.5 to under 40;
    `clamp` takes the nearest value of the range, `nan` none, `extrapolate` the formula as it stands. `valid` is False for all three.
    """

    source: ClassVar[str] = "Circulation 2024;149:430, doi 10.1161/CIRCULATIONAHA.123.067626"
    unit: ClassVar[str] = "% in 10 years"
    ages = (30.0, 79.0)

    def __init__(self, outcome: Outcome = "cvd", out_of_range: OutOfRange = "clamp") -> None:
        check_choice(outcome, get_args(Outcome), "outcome", "prevent")
        check_out_of_range(out_of_range, "prevent")
        self.outcome: Outcome = outcome
        self.out_of_range: OutOfRange = out_of_range

    @property
    def fields(self) -> tuple[str, ...]:
        """Those the outcome's equation has."""
        always = ("age", "sex", "smoker", "sbp", "treated", "diabetes", "egfr")
        return (*always, "bmi") if self.outcome == "hf" else (*always, "total_cholesterol", "hdl", "statin")

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: percent. Raises DataError for values in other units (see `take`)."""
        del patients_N
        formula = partial(_percent, outcome=self.outcome)
        ranges = {field: _RANGES[field] for field in self.fields if field in _RANGES}
        return evaluate("prevent", formula, covariates, self.fields, ranges, self.out_of_range)


def _percent(columns: Covariates, outcome: Outcome) -> NDArray[np.float64]:
    sbp, egfr = columns["sbp"], columns["egfr"]
    variables = {
        "age": (columns["age"] - 55) / 10,
        "low_sbp": (np.minimum(sbp, 110) - 110) / 20,
        "high_sbp": (np.maximum(sbp, 110) - 130) / 20,
        "low_egfr": (np.minimum(egfr, 60) - 60) / -15,
        "high_egfr": (np.maximum(egfr, 60) - 90) / -15,
        **{field: columns[field] for field in ("diabetes", "smoker", "treated")},
    }
    woman_N = woman(columns)
    if outcome == "hf":
        variables["low_bmi"] = (np.minimum(columns["bmi"], 30) - 25) / 5
        variables["high_bmi"] = (np.maximum(columns["bmi"], 30) - 30) / 5
        x_N = predictor(variables, _WEIGHT, woman_N)
    else:
        variables["nonhdl"] = columns["total_cholesterol"] - columns["hdl"] - 3.5
        variables["hdl"] = (columns["hdl"] - 1.3) / 0.3
        variables["statin"] = columns["statin"]
        x_N = predictor(variables, _LIPIDS, woman_N + 2 * (outcome == "ascvd"))
    return 100 / (1 + np.exp(-x_N))
