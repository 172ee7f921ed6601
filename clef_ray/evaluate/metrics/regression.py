"""How far predicted values are from true ones, under record weights.

Shape letters: N records, B weightings, C weightings at once.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clef_ray.evaluate.statistics import CHUNK, CONSTANT, accumulate, correlation, ratio, upright

Numbers = NDArray[np.float64]

_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")

#: Criterion 1 of AAMI/ESH/ISO 81060-2 for the error: mean and standard deviation at most [mmHg], from so many people at least.
AAMI_MEAN, AAMI_SD, AAMI_PEOPLE = 5.0, 8.0, 85

#: The British Hypertension Society's grades (O'Brien et al. 1993): errors within 5, 10 and 15 mmHg, of at least so many % of measurements.
BHS_LIMITS = (5, 10, 15)
BHS_GRADES = {"A": (60, 85, 95), "B": (50, 75, 90), "C": (40, 65, 85)}


def errors(predicted_N: Numbers, true_N: Numbers, weights_BN: Numbers) -> dict[str, Numbers]:
    """Of error = predicted - true, each [B] in the values' unit: `mae`, `rmse`, `bias` (its mean) and `sd_error` (about that mean, n - 1)."""
    error_N, total_B = predicted_N - true_N, weights_BN.sum(axis=1)
    bias_B = ratio(weights_BN @ error_N, total_B)
    # About the sample's own mean first: then little is lost in the difference of two large numbers.
    centre = error_N.mean()
    about_B = weights_BN @ (error_N - centre) ** 2 - total_B * (bias_B - centre) ** 2
    return {
        "mae": ratio(weights_BN @ np.abs(error_N), total_B),
        "rmse": np.sqrt(ratio(weights_BN @ error_N**2, total_B)),
        "bias": bias_B,
        "sd_error": np.sqrt(np.maximum(ratio(about_B, np.maximum(total_B - 1, 0)), 0)),
    }


def r_squared(predicted_N: Numbers, true_N: Numbers, weights_BN: Numbers) -> Numbers:
    """1 - sum of squared errors / sum of squared distances of the true values from their mean, [B], at most 1 and below 0 for predictions
    worse than that mean; NaN where the true values are all the same.
    """
    error_B = ratio(weights_BN @ ((predicted_N - true_N) / _scale(true_N)) ** 2, weights_BN.sum(axis=1))
    variance_B = _covariance(true_N, true_N, weights_BN)[:, 1, 1]
    return 1 - ratio(error_B, np.where(variance_B > CONSTANT, variance_B, 0))


def pearson(x_N: Numbers, y_N: Numbers, weights_BN: Numbers) -> Numbers:
    """Pearson's correlation, [B]; NaN where x or y is constant."""
    return correlation(_covariance(x_N, y_N, weights_BN), 0, 1)


def kendall(x_N: Numbers, y_N: Numbers, weights_BN: Numbers) -> Numbers:
    """Kendall's tau-b, [B]: (concordant - discordant pairs) / sqrt(pairs that differ in x x pairs that differ in y); NaN where x or y is constant.

    Exact for all weightings, in O(N log N) each: a record's copies among themselves tie in both and cancel. Pairs are counted bit by bit of
    the rank of x: those whose ranks first differ in a bit lie in one block of ranks, on either side of its middle. Sorted by y within
    blocks, a cumulative sum of the lower sides says what each record of an upper side is above and below of.
    """
    rank_x_N, rank_y_N = (np.unique(value_N, return_inverse=True)[1] for value_N in (x_N, y_N))
    tau = [
        _kendall(rank_x_N, rank_y_N, upright(weights_BN[start : start + CHUNK]))
        for start in range(0, len(weights_BN), CHUNK)
    ]
    return np.concatenate(tau)


def _kendall(x_N: NDArray[np.intp], y_N: NDArray[np.intp], weights_NC: NDArray[np.floating]) -> Numbers:
    surplus_C = np.zeros(weights_NC.shape[1])
    for bit in range(int(x_N.max(initial=0)).bit_length()):
        surplus_C += _surplus(x_N >> (bit + 1), (x_N >> bit) % 2 == 1, y_N, weights_NC)
    return ratio(surplus_C, np.sqrt(_differing(x_N, weights_NC) * _differing(y_N, weights_NC)))


def _surplus(
    block_N: NDArray[np.intp],
    upper_N: NDArray[np.bool_],
    y_N: NDArray[np.intp],
    weights_NC: NDArray[np.floating],
) -> Numbers:
    """Concordant less discordant pairs of one upper and one lower record of the same block, [C]."""
    key_N = block_N * (int(y_N.max()) + 1) + y_N
    order = np.argsort(key_N, kind="stable")
    lower, upper = order[~upper_N[order]], order[upper_N[order]]
    below_LC = np.concatenate([np.zeros_like(weights_NC[:1]), weights_NC[lower]])
    accumulate(below_LC)
    before, through = (np.searchsorted(key_N[lower], key_N[upper], side) for side in _SIDES)
    start, end = (np.searchsorted(block_N[lower], block_N[upper], side) for side in _SIDES)
    # What is lower in y less what is higher: (before - start) - (end - through).
    net_UC = below_LC[before] - below_LC[start]
    net_UC -= below_LC[end] - below_LC[through]
    return np.asarray(np.einsum("uc,uc->c", weights_NC[upper], net_UC, dtype=np.float64))


def _differing(rank_N: NDArray[np.intp], weights_NC: NDArray[np.floating]) -> Numbers:
    """Pairs of records with different ranks, [C]."""
    order = np.argsort(rank_N, kind="stable")
    first = np.flatnonzero(np.diff(rank_N[order], prepend=-1))
    equal_GC = np.add.reduceat(weights_NC[order].astype(np.float64), first, axis=0)
    return np.asarray((equal_GC.sum(axis=0) ** 2 - (equal_GC**2).sum(axis=0)) / 2)


def within(predicted_N: Numbers, true_N: Numbers, weights_BN: Numbers) -> dict[str, Numbers]:
    """`bhs_5`, `bhs_10`, `bhs_15`: % of records whose error is at most so many mmHg, [B]."""
    error_N, total_B = np.abs(predicted_N - true_N), weights_BN.sum(axis=1)
    return {f"bhs_{limit}": 100 * ratio(weights_BN @ (error_N <= limit), total_B) for limit in BHS_LIMITS}


def bhs_grade(shares: tuple[float, ...]) -> str:
    """A, B, C, or D for worse, from the % within 5, 10 and 15 mmHg: all three must be reached."""
    for grade, needed in BHS_GRADES.items():
        if all(share >= least for share, least in zip(shares, needed, strict=True)):
            return grade
    return "D"


def aami_passes(bias: float, sd: float) -> bool:
    """Whether mean and standard deviation of the error [mmHg] keep to criterion 1."""
    return abs(bias) <= AAMI_MEAN and sd <= AAMI_SD


def _scale(value_N: Numbers) -> float:
    """The standard deviation; 1 for equal values, whose own may be a rounding error."""
    return float(value_N.std()) if np.ptp(value_N) > 0 else 1.0


def _covariance(x_N: Numbers, y_N: Numbers, weights_BN: Numbers) -> Numbers:
    """Covariance of x and y in units of their standard deviations in the sample, [B, 2, 2]."""
    scaled = [(value_N - value_N.mean()) / _scale(value_N) for value_N in (x_N, y_N)]
    total_B = weights_BN.sum(axis=1)
    product_B4 = np.stack([ratio(weights_BN @ (a * b), total_B) for a in scaled for b in scaled], axis=1)
    mean_B2 = np.stack([ratio(weights_BN @ a, total_B) for a in scaled], axis=1)
    return np.asarray(product_B4.reshape(-1, 2, 2) - mean_B2[:, :, None] * mean_B2[:, None])
