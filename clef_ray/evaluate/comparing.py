"""Whether arms differ, and by how much: tests over seeds and over patients, their correction, effect sizes, and averages over tasks.

    differences over seeds --> t_test_p, sign_flip_p, effect_size --> seeds_needed
    bootstrap replicates of the difference --> bootstrap_p
    p values of a family --> holm
    scores [seeds, tasks] --> interquartile_mean, improvement

Few seeds are the rule here, and then a sign-flip test cannot be small: of n seeds its least p is 2 / 2^n, 0.25 of three, 0.0625 of five. A t
test can, since it believes that the seeds' differences are normal. Both are told.

Shape letters: S seeds (R: of the other arm), M tasks, B bootstrap replicates, K comparisons.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from clef_ray.errors import DataError
from clef_ray.evaluate.bootstrap import Estimate, alike

#: Chance of a difference where there is none that every test allows, and the chance of seeing one that a plan should have.
ALPHA, POWER = 0.05, 0.8

#: Above so many seeds a number of seeds that would be needed is no plan any more.
MOST_SEEDS = 1000

#: Up to so many seeds all 2^n sign patterns are looked at; beyond, so many random ones.
EXACT_SEEDS, FLIPS = 12, 9999


def t_test_p(differences: Sequence[float]) -> float:
    """Two-sided p of the paired t test over seeds; NaN for fewer than two, and for equal differences, whose spread is not known; 1 where
    all of them are 0.
    """
    values_S = np.asarray(differences, dtype=np.float64)
    if len(values_S) < 2:
        return float("nan")
    if alike(values_S):
        return float("nan") if values_S.any() else 1.0
    error = values_S.std(ddof=1) / np.sqrt(len(values_S))
    return float(2 * stats.t.sf(abs(values_S.mean()) / error, len(values_S) - 1))


def sign_flip_p(differences: Sequence[float], seed: int = 0) -> float:
    """Two-sided p of the paired permutation test: how often the mean is as far from 0 when each difference may have the other sign.

    Exact up to EXACT_SEEDS differences; beyond, of FLIPS random patterns and the one that was seen. NaN where there is none.
    """
    values_S = np.asarray(differences, dtype=np.float64)
    count = len(values_S)
    if not count:
        return float("nan")
    if exact := count <= EXACT_SEEDS:
        flipped = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    else:
        flipped = np.random.default_rng(seed).integers(2, size=(FLIPS, count))
    sums = np.abs((1 - 2 * flipped) @ values_S)
    # The same sum in another order of its parts must not count as a smaller one.
    extreme = int((sums >= abs(values_S.sum()) - 1e-12 * np.abs(values_S).sum()).sum())
    return extreme / 2**count if exact else (extreme + 1) / (FLIPS + 1)


def bootstrap_p(replicates_B: NDArray[np.float64]) -> float:
    """Two-sided p of a difference from its replicates over resampled patients: twice the share beyond 0 on the rarer side.

    One is added to count and number (Davison & Hinkley 1997, section 4.2). Where no replicate lies beyond 0 that alone would give every
    clear difference the same 2 / (B + 1), which times a family of 25 is no longer below ALPHA for B = 1000: there the tail of a normal
    distribution with their mean and deviation stands, where it is smaller. Undefined replicates are left out; NaN where all are.
    """
    finite = replicates_B[np.isfinite(replicates_B)]
    if not len(finite):
        return float("nan")
    rarer = min(int((finite <= 0).sum()), int((finite >= 0).sum()))
    counted = min(1.0, 2 * (rarer + 1) / (len(finite) + 1))
    if rarer:
        return counted
    if (sd := finite.std()) == 0:
        return 0.0  # every resample gives this one difference
    return min(counted, float(2 * stats.norm.sf(abs(finite.mean()) / sd)))


def holm(p_K: Sequence[float]) -> list[float]:
    """The p values of one family, corrected so that the chance of any false finding is as small as that of one (Holm 1979, step down).

    NaN stays NaN and does not count: what was not tested is not in the family.
    """
    values_K = np.asarray(p_K, dtype=np.float64)
    corrected_K = np.full(len(values_K), np.nan)
    tested = np.flatnonzero(np.isfinite(values_K))
    order = tested[np.argsort(values_K[tested], kind="stable")]
    times = np.arange(len(order), 0, -1)
    corrected_K[order] = np.minimum(1.0, np.maximum.accumulate(values_K[order] * times))
    return [float(p) for p in corrected_K]


def effect_size(differences: Sequence[float]) -> float:
    """Mean over standard deviation of the paired differences (Cohen's d_z), times Hedges' exact factor (Hedges 1981), without which few
    seeds make it too large: 0.56 for three, 0.80 for five. NaN for fewer than three seeds, or where the differences are all equal.
    """
    values_S = np.asarray(differences, dtype=np.float64)
    free = len(values_S) - 1
    if free < 2 or alike(values_S):
        return float("nan")
    factor = np.exp(special.gammaln(free / 2) - special.gammaln((free - 1) / 2)) / np.sqrt(free / 2)
    return float(factor * values_S.mean() / values_S.std(ddof=1))


def power(effect: float, seeds: int) -> float:
    """The chance that a two-sided paired t test at ALPHA over so many seeds shows an effect of this size (mean over sd); noncentral t.

    SciPy's distribution gives NaN far out: above a noncentrality of 30, where the chance is 0.98 at least, a larger one changes nothing, and
    above 5 an effect is not taken for one of the other sign, which happens less than once in a million.
    """
    free, shift = seeds - 1, min(30.0, abs(effect) * np.sqrt(seeds))
    edge = stats.t.ppf(1 - ALPHA / 2, free)
    wrong_way = stats.nct.cdf(-edge, free, shift) if shift < 5 else 0.0
    return float(stats.nct.sf(edge, free, shift) + wrong_way)


def seeds_needed(effect: float) -> int | None:
    """The fewest seeds, at least 2, of which `power` is POWER; None where these are more than MOST_SEEDS, or the effect is not known."""
    if not np.isfinite(effect) or power(effect, MOST_SEEDS) < POWER:
        return None
    low, high = 1, MOST_SEEDS  # power grows with the seeds: `low` is too few, `high` enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, middle) >= POWER else (middle, high)
    return high


def interquartile_mean(score_SM: NDArray[np.float64], n_boot: int = 2000, seed: int = 0) -> Estimate:
    """The mean of the middle half of all scores of one arm, with its interval over resampled seeds (Agarwal et al. 2021).

    The scores of all tasks must mean the same (all AUROC, say). Seeds are drawn once for all tasks, as it must be where one encoder is
    judged by all of them; the paper's stratified bootstrap draws them for each task by itself.
    """
    _require_finite(score_SM)
    resampled_BSM = _resampled(score_SM, n_boot, np.random.default_rng(seed))
    return Estimate.of(stats.trim_mean(resampled_BSM.reshape(len(resampled_BSM), -1), 0.25, axis=1))


def improvement(
    score_SM: NDArray[np.float64],
    other_RM: NDArray[np.float64],
    n_boot: int = 2000,
    seed: int = 0,
) -> Estimate:
    """The chance that a run of this arm has the higher score than one of the other in the same task, a tie counting one half, as the mean
    over tasks; with its interval over resampled seeds of both (Agarwal et al. 2021), drawn as in `interquartile_mean`.
    """
    _require_finite(score_SM, other_RM)
    rng = np.random.default_rng(seed)
    a_BSM, b_BRM = (_resampled(scores, n_boot, rng) for scores in (score_SM, other_RM))
    signs = np.sign(a_BSM[:, :, None] - b_BRM[:, None])
    return Estimate.of((1 + signs.mean(axis=(1, 2, 3))) / 2)


def _resampled(score_SM: NDArray[np.float64], n_boot: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The scores as they are and, below, with seeds drawn with replacement, [1 + n_boot, S, M]."""
    return np.concatenate(
        [score_SM[None], score_SM[rng.integers(len(score_SM), size=(n_boot, len(score_SM)))]]
    )


def _require_finite(*scores: NDArray[np.float64]) -> None:
    """DataError for what cannot be averaged over tasks."""
    for score_SM in scores:
        if score_SM.ndim != 2 or not score_SM.size or not np.isfinite(score_SM).all():
            raise DataError(
                f"scores over tasks have shape {score_SM.shape} and {int((~np.isfinite(score_SM)).sum())} that are missing; [seeds, tasks] "
                "with every task of every seed is needed"
            )
    if len({score_SM.shape[1] for score_SM in scores}) > 1:
        raise DataError(
            f"the arms have {' and '.join(str(s.shape[1]) for s in scores)} tasks; the same ones are needed"
        )
