"""SCORE2 and SCORE2-OP: 10-year risk of fatal and non-fatal cardiovascular disease in Europe, for people without diabetes.

SCORE2 (40-69 years): Eur Heart J 2021;42:2439, doi 10.1093/eurheartj/ehab309, Supplementary Methods Table 2 and 4.
SCORE2-OP (70-89 years): Eur Heart J 2021;42:2455, doi 10.1093/eurheartj/ehab312.
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import ConfigError
from clef_ray.registry import unknown
from clef_ray.scores import Covariates, ScoreResult, take

Region = Literal["low", "moderate", "high", "very_high"]


@dataclass(frozen=True, slots=True)
class _Equation:
    """One of the two models. Rows: men, women. Columns of `beta`: a, smoker, s, t, h, a*smoker, a*s, a*t, a*h."""

    ages: tuple[float, float]
    centre: tuple[float, float, float, float]  # age [years], SBP [mmHg], total and HDL cholesterol [mmol/L]
    unit: tuple[float, float, float, float]
    beta: tuple[tuple[float, ...], tuple[float, ...]]
    survival: tuple[float, float]  # baseline at 10 years
    mean: tuple[float, float]  # of the linear predictor
    recalibration: dict[
        str, tuple[tuple[float, float], tuple[float, float]]
    ]  # region -> (c1, c2) of men, of women


_SCORE2 = _Equation(
    ages=(40.0, float(np.nextafter(70.0, 0.0))),  # up to the 70th birthday
    centre=(60.0, 120.0, 6.0, 1.3),
    unit=(5.0, 20.0, 1.0, 0.5),
    beta=(
        (0.3742, 0.6012, 0.2777, 0.1458, -0.2698, -0.0755, -0.0255, -0.0281, 0.0426),
        (0.4648, 0.7744, 0.3131, 0.1002, -0.2606, -0.1088, -0.0277, -0.0226, 0.0613),
    ),
    survival=(0.9605, 0.9776),
    mean=(0.0, 0.0),
    recalibration={
        "low": ((-0.5699, 0.7476), (-0.7380, 0.7019)),
        "moderate": ((-0.1565, 0.8009), (-0.3143, 0.7701)),
        "high": ((0.3207, 0.9360), (0.5710, 0.9369)),
        "very_high": ((0.5836, 0.8294), (0.9412, 0.8329)),
    },
)

_SCORE2_OP = _Equation(
    ages=(70.0, 89.0),
    centre=(73.0, 150.0, 6.0, 1.4),
    unit=(1.0, 1.0, 1.0, 1.0),
    beta=(
        (0.0634, 0.3524, 0.0094, 0.0850, -0.3564, -0.0247, -0.0005, 0.0073, 0.0091),
        (0.0789, 0.4921, 0.0102, 0.0605, -0.3040, -0.0255, -0.0004, -0.0009, 0.0154),
    ),
    survival=(0.7576, 0.8082),
    mean=(0.0929, 0.229),
    recalibration={
        "low": ((-0.34, 1.19), (-0.52, 1.01)),
        "moderate": ((0.01, 1.25), (-0.10, 1.10)),
        "high": ((0.08, 1.15), (0.38, 1.09)),
        "very_high": ((0.05, 0.70), (0.38, 0.69)),
    },
)


class Score2:
    """SCORE2, and SCORE2-OP for older people, in percent.

    region: risk region of the ESC (default moderate, the middle of the published four for cohorts of mixed origin).
    op_from: age [years] from which SCORE2-OP is used, as the 2021 ESC guideline does from 70; None: SCORE2 for all.
    out_of_range: ages outside 40-69 (SCORE2) or 70-89 (SCORE2-OP). `clamp`: the risk at the nearest age of the range; `nan`: unknown;
    `extrapolate`: the formula as it stands (warns: below 40 the order of the regions inverts). `valid` is False for all three.
    """

    fields = ("age", "sex", "smoker", "sbp", "total_cholesterol", "hdl")

    def __init__(
        self,
        region: Region = "moderate",
        op_from: float | None = 70.0,
        out_of_range: Literal["clamp", "nan", "extrapolate"] = "clamp",
    ) -> None:
        if region not in _SCORE2.recalibration:
            raise unknown("region", region, _SCORE2.recalibration, "score2")
        if out_of_range not in ("clamp", "nan", "extrapolate"):
            raise unknown("out_of_range", out_of_range, ("clamp", "nan", "extrapolate"), "score2")
        if op_from is not None and not 40 <= op_from <= 90:
            raise ConfigError(
                f"score2.op_from: {op_from:g} given; allowed is None or an age from 40 to 90 years"
            )
        self.region: Region = region
        self.op_from = op_from
        self.out_of_range = out_of_range

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: percent. Raises DataError for values in other units (see `take`)."""
        del patients_N
        columns, observed_N = take(covariates, self.fields)
        age_N = columns["age"]
        older_N = age_N >= (np.inf if self.op_from is None else self.op_from)
        value_N = 100 * np.where(older_N, self._risk(_SCORE2_OP, columns), self._risk(_SCORE2, columns))
        inside_N = np.where(older_N, _inside(_SCORE2_OP, age_N), _inside(_SCORE2, age_N))
        outside = int((~inside_N & ~np.isnan(value_N)).sum())
        if self.out_of_range == "extrapolate" and outside:
            warnings.warn(
                f"score2 extrapolates to {outside} of {age_N.size} records with ages outside the range it was derived for; "
                "below 40 years the order of the regions inverts",
                stacklevel=2,
            )
        return ScoreResult(value_N, observed_N, inside_N & ~np.isnan(value_N))

    def _risk(self, equation: _Equation, columns: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        age_N = self._age(equation, columns["age"])
        numbers = (age_N, columns["sbp"], columns["total_cholesterol"], columns["hdl"])
        a, s, t, h = ((x - c) / u for x, c, u in zip(numbers, equation.centre, equation.unit, strict=True))
        k = columns["smoker"]
        x_N9 = np.stack([a, k, s, t, h, a * k, a * s, a * t, a * h], axis=-1)
        woman_N = (columns["sex"] == 1).astype(np.int64)
        x_N = (x_N9 * np.array(equation.beta)[woman_N]).sum(axis=-1) - np.array(equation.mean)[woman_N]
        c1_N, c2_N = np.array(equation.recalibration[self.region])[woman_N].T
        # p = 1 - exp(-exp(c1 + c2 ln(-ln(1 - p0)))) with p0 = 1 - S0^exp(x), where ln(-ln(1 - p0)) = ln(-ln S0) + x
        log_hazard_N = np.log(-np.log(np.array(equation.survival)))[woman_N] + x_N
        p_N = -np.expm1(-np.exp(c1_N + c2_N * log_hazard_N))
        return np.where(np.isnan(columns["sex"]), np.nan, p_N)  # an unknown sex is neither

    def _age(self, equation: _Equation, age_N: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.out_of_range == "clamp":
            return np.clip(age_N, *equation.ages)
        if self.out_of_range == "nan":
            return np.where(_inside(equation, age_N), age_N, np.nan)
        return age_N


def _inside(equation: _Equation, age_N: NDArray[np.float64]) -> NDArray[np.bool_]:
    youngest, oldest = equation.ages
    inside_N: NDArray[np.bool_] = (age_N >= youngest) & (age_N <= oldest)
    return inside_N
