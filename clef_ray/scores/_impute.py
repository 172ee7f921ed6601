"""Missing fields of a score. Never age or sex: a guess there would be a guess of most of the risk."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clef_ray.registry import unknown

Imputation = Literal["centre", "none"]

#: SCORE2's own centring values (Eur Heart J 2021;42:2439, its reference person): a filled field then contributes nothing to the risk.
CENTRE = {"sbp": 120.0, "total_cholesterol": 6.0, "hdl": 1.3, "smoker": 0.0}


def impute(
    covariates: Mapping[str, NDArray[np.float64]], policy: Imputation
) -> Mapping[str, NDArray[np.float64]]:
    """Covariates with unknown (NaN) values filled.

    `centre`: a non-smoker with SBP 120 mmHg, total cholesterol 6.0 and HDL 1.3 mmol/L. `none`: as given.
    """
    if policy == "none":
        return covariates
    if policy != "centre":
        raise unknown("imputation", policy, ("centre", "none"))
    return {name: np.where(np.isnan(x_N), CENTRE.get(name, np.nan), x_N) for name, x_N in covariates.items()}
