"""What the SCORE2 family shares: four European risk regions, and the recalibration of a sex-specific model to each of them.

With the linear predictor x, a model's risk is p0 = 1 - S0^exp(x), and the region's p = 1 - exp(-exp(c1 + c2 ln(-ln(1 - p0)))).
Regions: Eur Heart J 2021;42:2439, doi 10.1093/eurheartj/ehab309, Supplementary Methods Table 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clef_ray.scores import Covariates
from clef_ray.scores._equation import below, check_choice

#: Risk region of the European Society of Cardiology.
Region = Literal["low", "moderate", "high", "very_high"]

#: (c1, c2) of men and of women.
Constants = tuple[tuple[float, float], tuple[float, float]]

#: SCORE2 and SCORE2-Diabetes hold until the 70th birthday, where SCORE2-OP begins.
AGES_40_TO_69 = (40.0, below(70.0))


@dataclass(frozen=True, slots=True)
class Calibration:
    """From linear predictor to risk. survival: at 10 years, of men and of women."""

    survival: tuple[float, float]
    regions: Mapping[Region, Constants]

    def percent(
        self, x_N: NDArray[np.float64], region: Region, woman_N: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The region's risk in percent, of the linear predictor x_N."""
        c1_N, c2_N = np.array(self.regions[region])[woman_N].T
        # ln(-ln(1 - p0)) = ln(-ln S0) + x, which does not underflow as p0 does
        log_hazard_N = np.log(-np.log(np.array(self.survival)))[woman_N] + x_N
        p_N: NDArray[np.float64] = -np.expm1(-np.exp(c1_N + c2_N * log_hazard_N))
        return 100 * p_N


#: SCORE2's, which SCORE2-Diabetes keeps.
SCORE2 = Calibration(
    survival=(0.9605, 0.9776),
    regions={
        "low": ((-0.5699, 0.7476), (-0.7380, 0.7019)),
        "moderate": ((-0.1565, 0.8009), (-0.3143, 0.7701)),
        "high": ((0.3207, 0.9360), (0.5710, 0.9369)),
        "very_high": ((0.5836, 0.8294), (0.9412, 0.8329)),
    },
)


def standardised(columns: Covariates) -> dict[str, NDArray[np.float64]]:
    """What SCORE2 and SCORE2-Diabetes are made of: numbers from 60 years, 120 mmHg, 6 and 1.3 mmol/L."""
    return {
        "age": (columns["age"] - 60) / 5,
        "smoker": columns["smoker"],
        "sbp": (columns["sbp"] - 120) / 20,
        "tc": columns["total_cholesterol"] - 6,
        "hdl": (columns["hdl"] - 1.3) / 0.5,
    }


def check_region(region: str, score: str) -> None:
    """ConfigError unless `region` is one of the four."""
    check_choice(region, get_args(Region), "region", score)
