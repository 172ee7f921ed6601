"""Decisions per class, from counts of right ones under record weights, and the thresholds that make decisions of scores.

Shape letters: N records, K classes, B weightings.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clef_ray.evaluate.statistics import ratio

Numbers = NDArray[np.float64]

#: What a threshold is chosen by: (right, given, true) counts, each [T], to a merit [T].
Merit = Callable[[Numbers, Numbers, Numbers], Numbers]

#: Fmax looks at 0, 0.01, ..., 1, as the evaluation of protein function predictions does (Radivojac et al. 2013).
FMAX_THRESHOLDS = np.linspace(0, 1, 101)


class Counts(NamedTuple):
    """Under each weighting, of each class [B, K]: right, records that have it and were given it; given; true; and of all records, [B, 1]."""

    right: Numbers
    given: Numbers
    true: Numbers
    total: Numbers


def counts(given_NK: NDArray[np.bool_], true_NK: NDArray[np.bool_], weights_BN: Numbers) -> Counts:
    """The counts of what was given against what is true."""
    right_BK = weights_BN @ (given_NK & true_NK)
    return Counts(
        right_BK, weights_BN @ given_NK, weights_BN @ true_NK, weights_BN.sum(axis=1, keepdims=True)
    )


def shared_counts(given_NK: NDArray[np.bool_], true_NK: NDArray[np.bool_], weights_BN: Numbers) -> Counts:
    """Counts where a record with m classes counts 1/m in each of them, and one without any as one with one (Strodthoff et al. 2021 divide
    by 0 there: their records have at least one).
    """
    return counts(given_NK, true_NK, weights_BN / np.maximum(true_NK.sum(axis=1), 1))


def f_beta(right: Numbers, given: Numbers, true: Numbers, beta: float = 1.0) -> Numbers:
    """(1 + beta^2) TP / ((1 + beta^2) TP + FP + beta^2 FN), in 0..1; NaN where nothing is true."""
    f = ratio((1 + beta**2) * right, given + beta**2 * true)
    return np.where(true > 0, f, np.nan)


def f_beta_2(right: Numbers, given: Numbers, true: Numbers) -> Numbers:
    """`f_beta` with beta = 2, as the benchmark of CPSC2018 (ICBEB) and the challenge of 2020 take it: a miss weighs more than a false alarm."""
    return f_beta(right, given, true, 2)


def g_beta_2(right: Numbers, given: Numbers, true: Numbers) -> Numbers:
    """TP / (TP + FP + 2 FN), their other measure, in 0..1; NaN where nothing is true. A Jaccard index whose misses count twice."""
    g = ratio(right, given + 2 * (true - right))
    return np.where(true > 0, g, np.nan)


def f_micro(count: Counts) -> Numbers:
    """F1 of all decisions about all classes together, [B]."""
    return f_beta(count.right.sum(axis=1), count.given.sum(axis=1), count.true.sum(axis=1))


def sensitivity(count: Counts) -> Numbers:
    """Which share of those that have the class were given it, [B, K]; NaN where nobody has it."""
    return ratio(count.right, count.true)


def specificity(count: Counts) -> Numbers:
    """Which share of those that do not have the class were not given it, [B, K]; NaN where everybody has it."""
    without_BK = count.total - count.true
    return ratio(without_BK - (count.given - count.right), without_BK)


def macro(statistic_BK: Numbers) -> Numbers:
    """Mean over classes per weighting, [B]. A resample without a positive of some class is judged on the classes it has."""
    return average(statistic_BK, np.ones_like(statistic_BK))


def average(statistic_BK: Numbers, share_BK: Numbers) -> Numbers:
    """Mean over the classes whose statistic is defined, weighted by `share_BK`, [B]; NaN where none is."""
    present_BK = np.isfinite(statistic_BK)
    total_B = np.where(present_BK, statistic_BK * share_BK, 0).sum(axis=1)
    return ratio(total_B, np.where(present_BK, share_BK, 0).sum(axis=1))


def fmax(probability_NK: Numbers, true_NK: NDArray[np.bool_], weights_BN: Numbers) -> Numbers:
    """The highest F1, over one threshold for all classes, of precision and recall averaged over records, [B] (Radivojac et al. 2013; the
    benchmark of PTB-XL, Strodthoff et al. 2021, reports it, on how many thresholds could not be confirmed).

    At a threshold t a record is given the classes with probability >= t. Precision is the mean over records that are given any class;
    recall over records that have any. The threshold is chosen on the records that are judged, in each resample anew: so the metric is
    defined, and so it flatters a little. NaN where no record has a class.
    """
    have_N = true_NK.sum(axis=1)
    shape = (len(true_NK), len(FMAX_THRESHOLDS))
    precision_NT, any_NT, recall_NT = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for t, threshold in enumerate(FMAX_THRESHOLDS):
        given_NK = probability_NK >= threshold
        given_N, right_N = given_NK.sum(axis=1), (given_NK & true_NK).sum(axis=1)
        precision_NT[:, t] = right_N / np.maximum(given_N, 1)
        any_NT[:, t] = given_N > 0
        recall_NT[:, t] = right_N / np.maximum(have_N, 1)
    precision_BT = ratio(weights_BN @ precision_NT, weights_BN @ any_NT)
    recall_BT = ratio(weights_BN @ recall_NT, (weights_BN @ (have_N > 0))[:, None] + np.zeros((1, shape[1])))
    # Nothing right: an F1 of 0. No threshold but the highest can lack a precision, for at 0 every record is given every class.
    f_BT = ratio(2 * precision_BT * recall_BT, np.maximum(precision_BT + recall_BT, np.finfo(float).tiny))
    best_B = np.where(np.isnan(f_BT), -np.inf, f_BT).max(axis=1)
    return np.where(np.isfinite(best_B), best_B, np.nan)


def best_threshold(score_N: Numbers, true_N: NDArray[np.bool_], merit: Merit = f_beta) -> float:
    """The score t with the highest merit of the decision `score >= t`; the lowest of equals. At least one record must have the class."""
    thresholds_T, ordered_N = np.unique(score_N), np.sort(score_N)
    given_T = len(ordered_N) - np.searchsorted(ordered_N, thresholds_T)
    true = int(true_N.sum())
    right_T = true - np.searchsorted(np.sort(score_N[true_N]), thresholds_T)
    merit_T = merit(right_T.astype(float), given_T.astype(float), np.full(len(thresholds_T), float(true)))
    return float(thresholds_T[np.argmax(merit_T)])
