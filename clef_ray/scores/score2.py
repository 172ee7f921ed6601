"""SCORE2, continued by SCORE2-OP: 10-year risk of fatal and non-fatal cardiovascular disease in Europe, for people without diabetes."""

from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import ConfigError
from clef_ray.scores import Covariates, ScoreResult, take
from clef_ray.scores._equation import OutOfRange, check_out_of_range, evaluate, predictor, woman
from clef_ray.scores._score2 import AGES_40_TO_69, SCORE2, Region, check_region, standardised
from clef_ray.scores.score2_op import Score2Op

#: Men, women; numbers as `standardised` counts them (the article's diabetes terms are 0 for the people it is for).
_TABLE = {
    "age": (0.3742, 0.4648),
    "smoker": (0.6012, 0.7744),
    "sbp": (0.2777, 0.3131),
    "tc": (0.1458, 0.1002),
    "hdl": (-0.2698, -0.2606),
    "age*smoker": (-0.0755, -0.1088),
    "age*sbp": (-0.0255, -0.0277),
    "age*tc": (-0.0281, -0.0226),
    "age*hdl": (0.0426, 0.0613),
}
_RANGES = {"age": AGES_40_TO_69}


class Score2:
    """SCORE2, and SCORE2-OP for older people, in percent.

    region: risk region of the ESC (default moderate, the middle of the published four for cohorts of mixed origin).
    op_from: age [years] from which SCORE2-OP is used, as the 2021 ESC guideline does from 70; None: SCORE2 for all.
    out_of_range: ages outside 40-69 (SCORE2) or 70-89 (SCORE2-OP). `clamp`: the risk at the nearest age of the range (default: an
    ECG cohort is younger and older than the equations, and a patient without a risk teaches nothing); `nan`: unknown;
    `extrapolate`: the formula as it stands (warns; below 40 years the order of the regions inverts). `valid` is False for all three.
    """

    source: ClassVar[str] = (
        "Eur Heart J 2021;42:2439, doi 10.1093/eurheartj/ehab309; from 70 years Eur Heart J 2021;42:2455, doi 10.1093/eurheartj/ehab312"
    )
    unit: ClassVar[str] = "% in 10 years"
    fields = ("age", "sex", "smoker", "sbp", "total_cholesterol", "hdl")

    def __init__(
        self,
        region: Region = "moderate",
        op_from: float | None = 70.0,
        out_of_range: OutOfRange = "clamp",
    ) -> None:
        check_region(region, "score2")
        check_out_of_range(out_of_range, "score2")
        if op_from is not None and not 40 <= op_from <= 90:
            raise ConfigError(
                f"score2.op_from: {op_from:g} given; allowed is None or an age from 40 to 90 years"
            )
        self.region: Region = region
        self.op_from = op_from
        self.out_of_range: OutOfRange = out_of_range

    @property
    def ages(self) -> tuple[float, float]:
        """40 to 69 years, or to 89 with SCORE2-OP."""
        return (40.0, 69.0 if self.op_from is None else Score2Op.ages[1])

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: percent. Raises DataError for values in other units (see `take`)."""
        columns, observed_N = take(covariates, self.fields)
        formula = partial(_percent, region=self.region)
        if self.op_from is None:
            return evaluate("score2", formula, columns, self.fields, _RANGES, self.out_of_range)
        older_N = columns["age"] >= self.op_from
        younger = {field: x_N[~older_N] for field, x_N in columns.items()}
        older = {field: x_N[older_N] for field, x_N in columns.items()}
        value_N, valid_N = np.empty(older_N.shape), np.empty(older_N.shape, dtype=np.bool_)
        for rows_N, result in (
            (~older_N, evaluate("score2", formula, younger, self.fields, _RANGES, self.out_of_range)),
            (older_N, Score2Op(self.region, self.out_of_range)(older, patients_N[older_N])),
        ):
            value_N[rows_N], valid_N[rows_N] = result.value_N, result.valid_N
        return ScoreResult(value_N, observed_N, valid_N)


def _percent(columns: Covariates, region: Region) -> NDArray[np.float64]:
    woman_N = woman(columns)
    return SCORE2.percent(predictor(standardised(columns), _TABLE, woman_N), region, woman_N)
