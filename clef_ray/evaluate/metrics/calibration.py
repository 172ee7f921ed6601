"""Are probabilities right? Of records given 0.3, do three in ten have the class?

Bins are of equal mass: cut by the ranks of the judged records' own predictions, so that rare classes, whose probabilities are all small, fill
several of them too (Nixon et al. 2019; Roelofs et al. 2022 find less bias than with bins of equal width). Equal predictions share a bin.
The bins stay as they are in all resamples.

Shape letters: N records, K classes, B weightings, Q bins.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp, softmax

from clef_ray.evaluate.bootstrap import percentile_interval
from clef_ray.evaluate.result import Curve
from clef_ray.evaluate.statistics import ratio

Numbers = NDArray[np.float64]

#: Bins at most, as many as Guo et al. 2017 take; and patients per bin at least, on average: fewer patients make fewer bins.
MOST_BINS, PATIENTS_PER_BIN = 15, 10

#: A point of a curve stands for so many patients at least: it must not tell of one of them.
LEAST_PATIENTS = 5


def log_odds(score_NK: Numbers, exclusive: bool) -> Numbers:
    """The log odds of each class against all others together, [N, K]; of an exclusive set from its logits."""
    if not exclusive:
        return score_NK
    others_NK = np.empty_like(score_NK)
    for k in range(score_NK.shape[1]):
        others_NK[:, k] = logsumexp(np.delete(score_NK, k, axis=1), axis=1)
    return score_NK - others_NK


def probabilities(score_NK: Numbers, exclusive: bool) -> Numbers:
    """The sigmoid of log odds, or of an exclusive set the softmax of logits, [N, K]."""
    return np.asarray(softmax(score_NK, axis=1) if exclusive else expit(score_NK))


def brier(
    probability_NK: Numbers, true_NK: NDArray[np.bool_], weights_BN: Numbers, exclusive: bool
) -> Numbers:
    """Mean squared difference of probability and truth, [B] (Brier 1950). Of classes that are decided one by one the mean over them, 0..1; of an
    exclusive set the sum over them, 0..2, as Brier has it.
    """
    square_NK = (probability_NK - true_NK) ** 2
    square_N = square_NK.sum(axis=1) if exclusive else square_NK.mean(axis=1)
    return ratio(weights_BN @ square_N, weights_BN.sum(axis=1))


def calibration_error(
    probability_NK: Numbers, true_NK: NDArray[np.bool_], weights_BN: Numbers, exclusive: bool, bins: int
) -> Numbers:
    """Expected calibration error (Guo et al. 2017), [B], 0..1: the mean over records of |mean probability - observed share| of their bin.

    Of classes that are decided one by one the mean over all of them; of an exclusive set it is about the most probable class alone. What
    chance does to small bins only adds: it is not 0 for right probabilities, and larger in a resample than in the sample (`recentred`).
    """
    given_NF, right_NF = _top(probability_NK, true_NK) if exclusive else (probability_NK, true_NK)
    total_B = weights_BN.sum(axis=1)
    errors = []
    for given_N, right_N in zip(given_NF.T, right_NF.T, strict=True):
        bin_N = equal_mass(given_N, bins)
        gap_BQ = weights_BN @ _spread(given_N - right_N, bin_N)
        errors.append(ratio(np.abs(gap_BQ).sum(axis=1), total_B))
    return np.asarray(np.mean(errors, axis=0))


def recentred(statistic_B: Numbers) -> Numbers:
    """The sample's own statistic, and the resamples' moved so that their mean is the sample's, then cut off at 0.

    A resample holds the sample's chance twice, once from drawing the sample and once from drawing it again. A statistic that chance only
    adds to is larger in nearly all of them than in the sample, which their percentiles would then not even hold.
    """
    resamples = statistic_B[1:]
    defined = np.isfinite(resamples)
    if not defined.any():
        return statistic_B
    moved = resamples - resamples[defined].mean() + statistic_B[0]
    return np.concatenate([statistic_B[:1], np.maximum(moved, 0)])


def reliability(
    probability_NK: Numbers,
    true_NK: NDArray[np.bool_],
    patient_N: NDArray[np.str_],
    weights_BN: Numbers,
    exclusive: bool,
) -> Curve:
    """Observed share by mean probability: of all decisions on all classes together; of an exclusive set, of the most probable class alone."""
    given_NF, right_NF = _top(probability_NK, true_NK) if exclusive else (probability_NK, true_NK)
    what = "probability of the most probable class" if exclusive else "predicted probability"
    return binned_curve(given_NF, right_NF.astype(float), patient_N, weights_BN, what, "observed share")


def binned_curve(
    x_NF: Numbers, y_NF: Numbers, patient_N: NDArray[np.str_], weights_BN: Numbers, x_label: str, y_label: str
) -> Curve:
    """Mean y with its 95 % interval over patients by mean x, in bins of x of equal mass; each record has F pairs of both. n: pairs.

    Bins of fewer than LEAST_PATIENTS patients are left out.
    """
    bin_NF = equal_mass(x_NF, bin_count(patient_N))
    x, y, low, high, n = [], [], [], [], []
    for q in np.unique(bin_NF):
        inside_NF = bin_NF == q
        if len(np.unique(patient_N[inside_NF.any(axis=1)])) < LEAST_PATIENTS:
            continue
        sum_B = weights_BN @ np.where(inside_NF, y_NF, 0).sum(axis=1)
        mean_B = ratio(sum_B, weights_BN @ inside_NF.sum(axis=1))
        interval = percentile_interval(mean_B[1:])
        x.append(x_NF[inside_NF].mean())
        y.append(mean_B[0])
        low.append(interval[0])
        high.append(interval[1])
        n.append(inside_NF.sum())
    return Curve(x_label, y_label, *(np.array(column, dtype=np.float64) for column in (x, y, low, high, n)))


def bin_count(patient_N: NDArray[np.str_]) -> int:
    """How many bins so many patients are enough for."""
    return int(np.clip(len(np.unique(patient_N)) // PATIENTS_PER_BIN, 1, MOST_BINS))


def equal_mass(value: Numbers, bins: int) -> NDArray[np.intp]:
    """The bin of each value, 0..bins - 1, in the same shape. Some may be empty where values are equal."""
    below = np.searchsorted(np.sort(value, axis=None), value, side="left")
    return np.asarray(below * bins // value.size)


def _top(probability_NK: Numbers, true_NK: NDArray[np.bool_]) -> tuple[Numbers, NDArray[np.bool_]]:
    """The most probable class's probability and whether it is the true one, [N, 1] each."""
    best_N1 = probability_NK.argmax(axis=1)[:, None]
    return np.take_along_axis(probability_NK, best_N1, 1), np.take_along_axis(true_NK, best_N1, 1)


def _spread(value_N: Numbers, bin_N: NDArray[np.intp]) -> Numbers:
    """Each value in the column of its bin, [N, Q]."""
    value_NQ = np.zeros((len(value_N), int(bin_N.max()) + 1))
    value_NQ[np.arange(len(value_N)), bin_N] = value_N
    return value_NQ
