"""Rank statistics under record weights, exact with ties, for many weightings of the same records at once.

A patient bootstrap weights each record by how often its patient was drawn. Scores do not move between resamples, so records are
sorted once, and each resample costs a cumulative sum. With integer weights every function here equals the textbook statistic of
the physically repeated sample.

Shape letters: N records, P observations (records or pairs of records), B weightings, V variables.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

#: Below this centred rank variance (ranks lie in -1/2..1/2) a variable is constant and has no rank correlation.
CONSTANT = 1e-12

#: Weightings handled at once by `weighted_rankings`; bounds its memory at a few times CHUNK x N numbers.
CHUNK = 128

#: Below this, single precision holds every integer and its half.
LARGEST_EXACT = 2**23

#: A variable with LONG distinct values or more is ranked in runs of RUN (both measured).
LONG = 4096
RUN = 32

#: Pairs whose embeddings are gathered at once; bounds memory.
PAIR_CHUNK = 8192


class Ranking(NamedTuple):
    """How well scores put the positives of each class first, per weighting and class [B, K], each in 0..1.

    auroc: P(score of a positive > score of a negative), ties counting 1/2 (Hanley & McNeil 1982); NaN without a positive or a negative.
    average_precision: sum over thresholds of (rise of recall) x precision, records of equal score entering together (no interpolation);
    NaN without a positive.
    """

    auroc: NDArray[np.float64]
    average_precision: NDArray[np.float64]


def weighted_rankings(
    score_NK: NDArray[np.float64], positive_NK: NDArray[np.bool_], weights_BN: NDArray[np.float64]
) -> Ranking:
    """Both statistics of each class under each weighting. Weights are at least 0, and taken CHUNK at a time."""
    sorted_K = [_Sorted(s, p) for s, p in zip(score_NK.T, positive_NK.T, strict=True)]
    result = Ranking(*np.full((2, len(weights_BN), len(sorted_K)), np.nan))
    for start in range(0, len(weights_BN), CHUNK):
        rows = slice(start, start + CHUNK)
        weights_NC = upright(weights_BN[rows])
        for k, scores in enumerate(sorted_K):
            result.auroc[rows, k], result.average_precision[rows, k] = scores.ranking(weights_NC)
    return result


def weighted_auroc(
    score_N: NDArray[np.float64], positive_N: NDArray[np.bool_], weights_BN: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`Ranking.auroc` of one class, [B]."""
    return weighted_rankings(score_N[:, None], positive_N[:, None], weights_BN).auroc[:, 0]


class _Sorted:
    """One class's records by falling score, in G groups that each end with some equally high positives.

    Only positives need to know how many negatives are above them. So each negative is added to the first group of positives that is not
    above it, which a product with a sparse matrix [G, N] does for many weightings at once, and what is left for every positive is
    a cumulative sum over G.
    """

    def __init__(self, score_N: NDArray[np.float64], positive_N: NDArray[np.bool_]) -> None:
        level_N = np.unique(-score_N, return_inverse=True)[1]
        level_G = np.unique(level_N[positive_N])
        group_N = np.searchsorted(level_G, level_N)
        # Negatives below every positive belong to no group.
        counted_N = ~positive_N & (group_N < len(level_G))
        tied_N = counted_N.copy()
        tied_N[counted_N] = level_G[group_N[counted_N]] == level_N[counted_N]
        self.positives = _sums(group_N, positive_N, len(level_G))
        self.negatives = _sums(group_N, counted_N, len(level_G))
        self.tied = _sums(group_N, tied_N, len(level_G)) if tied_N.any() else None

    def ranking(self, weights_NC: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(auroc [C], average precision [C]) under each column of weights."""
        positive_GC = self.positives @ weights_NC
        false_GC = self.negatives @ weights_NC
        true_GC = positive_GC.copy()
        accumulate(false_GC)
        accumulate(true_GC)
        positive_C = positive_GC.sum(axis=0, dtype=np.float64)
        negative_C = weights_NC.sum(axis=0, dtype=np.float64) - positive_C
        precision_GC = ratio(true_GC.astype(np.float64), true_GC + false_GC)
        # A group that nothing was drawn from has no precision of its own where nothing was drawn from above it either.
        rise_C = np.einsum("gc,gc->c", positive_GC, np.nan_to_num(precision_GC, copy=False), dtype=np.float64)
        if self.tied is not None:
            false_GC -= (self.tied @ weights_NC) / 2
        losses_C = np.einsum("gc,gc->c", positive_GC, false_GC, dtype=np.float64)
        return 1 - ratio(losses_C, positive_C * negative_C), ratio(rise_C, positive_C)


def _sums(group_N: NDArray[np.intp], chosen_N: NDArray[np.bool_], groups: int) -> sparse.csr_array:
    """The matrix [groups, N] whose product with weights is each group's weight of the chosen records."""
    (record_M,) = np.nonzero(chosen_N)
    ones_M = np.ones(len(record_M), dtype=np.float32)
    return sparse.csr_array((ones_M, (group_N[record_M], record_M)), shape=(groups, len(chosen_N)))


def accumulate(sum_GC: NDArray[np.floating]) -> None:
    """Cumulative sums down the columns, in place. numpy's own takes the columns one after the other, which is several times as slow."""
    block = max(isqrt(len(sum_GC)), 1)
    whole = len(sum_GC) - len(sum_GC) % block
    blocks_GC = sum_GC[:whole].reshape(-1, block, sum_GC.shape[1])
    for k in range(1, block):
        blocks_GC[:, k] += blocks_GC[:, k - 1]
    for k in range(1, len(blocks_GC)):
        blocks_GC[k] += blocks_GC[k - 1, -1]
    for k in range(whole, len(sum_GC)):
        sum_GC[k] += sum_GC[k - 1]


def upright(weights_CN: NDArray[np.floating]) -> NDArray[np.floating]:
    """Weights as contiguous columns [N, C]; in single precision, which takes half the time, where no sum of them can be rounded."""
    weights_NC = np.ascontiguousarray(weights_CN.T, dtype=np.float32)
    exact = np.array_equal(weights_NC.T, weights_CN) and np.array_equal(weights_NC, np.rint(weights_NC))
    if exact and weights_CN.sum(axis=1).max(initial=0) < LARGEST_EXACT:
        return weights_NC
    return np.ascontiguousarray(weights_CN.T, dtype=np.float64)


def rank_covariance(
    values: Sequence[NDArray[np.float64]], weights: Iterable[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Weighted covariance of the weighted mid-ranks of several variables, [B, V, V].

    values: V arrays [P]; weights: one array [P] per weighting, taken one at a time, so pair weights never lie in memory together.
    A mid-rank is (weight below + half the weight of the tie group) / total; its weighted mean is exactly 1/2, which is taken off.
    """
    levels = [_Levels(value_P) for value_P in values]
    ranks_VP = np.empty((len(values), len(values[0])))
    covariances = []
    for weight_P in weights:
        # What was not drawn adds nothing: of pairs of resampled patients that is 3 in 5.
        (drawn_M,) = np.nonzero(weight_P != 0)
        weight_M, ranks_VM = weight_P[drawn_M], ranks_VP[:, : len(drawn_M)]
        for rank_M, level in zip(ranks_VM, levels, strict=True):
            level.ranks(drawn_M, weight_M, out=rank_M)
        covariances.append((ranks_VM * weight_M) @ ranks_VM.T / weight_M.sum() ** 3)
    return np.array(covariances)


class _Levels:
    """The distinct values of one variable (levels) in ascending runs of RUN, which are the columns of an array [RUN, runs].

    A cumulative sum over one long row waits for every addition before it begins the next. Over many runs at once it does not, and what is
    left is a sum over the runs. Few levels are runs of one.
    """

    def __init__(self, value_P: NDArray[np.float64]) -> None:
        level_P = np.unique(value_P, return_inverse=True)[1]
        count = int(level_P.max(initial=0)) + 1
        length = RUN if count >= LONG else 1
        self.shape = (length, -(-count // length))
        self.place_P = level_P % length * self.shape[1] + level_P // length

    def ranks(
        self, drawn_M: NDArray[np.intp], weight_M: NDArray[np.float64], out: NDArray[np.float64]
    ) -> None:
        """The drawn observations' mid-ranks times the total weight, less its half, [M]."""
        place_M = self.place_P[drawn_M]
        half_LR = np.bincount(place_M, weight_M / 2, minlength=self.shape[0] * self.shape[1])
        # Of no observation at all, numpy counts in integers.
        half_LR = half_LR.reshape(self.shape).astype(np.float64, copy=False)
        below_R = np.zeros(self.shape[1])
        for half_R in half_LR:
            through_R = below_R + half_R
            np.add(below_R, through_R, out=half_R)
            below_R = through_R
        sum_R = np.cumsum(below_R)
        half_LR += 2 * (sum_R - below_R) - sum_R[-1]
        np.take(half_LR, place_M, out=out, mode="clip")


def correlation(covariance_BVV: NDArray[np.float64], a: int, b: int) -> NDArray[np.float64]:
    """Correlation of variables a and b, [B]; of rank covariances it is Spearman's. NaN where either is constant."""
    variance_a, variance_b = covariance_BVV[:, a, a], covariance_BVV[:, b, b]
    varies = (variance_a > CONSTANT) & (variance_b > CONSTANT)
    return ratio(covariance_BVV[:, a, b], np.sqrt(np.where(varies, variance_a * variance_b, 0)))


def partial_correlation(
    covariance_BVV: NDArray[np.float64], a: int, b: int, given: Sequence[int], *, least_residual: float
) -> NDArray[np.float64]:
    """Correlation of a and b after the linear part of the `given` variables is taken out of both, [B].

    NaN where less than the share `least_residual` of either variance is left: then the given variables determine it, and what
    remains is rounding, not information.
    """
    pair, given = [a, b], list(given)
    cross_B2G = covariance_BVV[:, pair][:, :, given]
    # The pseudo-inverse lets a constant covariate (one sex only) explain nothing instead of failing.
    inverse_BGG = np.linalg.pinv(covariance_BVV[:, given][:, :, given], rcond=1e-10, hermitian=True)
    whole_B22 = covariance_BVV[:, pair][:, :, pair]
    residual_B22 = whole_B22 - cross_B2G @ inverse_BGG @ cross_B2G.transpose(0, 2, 1)
    left = np.ones(len(whole_B22), dtype=bool)
    for k in (0, 1):
        left &= residual_B22[:, k, k] > least_residual * np.maximum(whole_B22[:, k, k], CONSTANT)
    return np.where(left, correlation(residual_B22, 0, 1), np.nan)


def weighted_spearman(
    x_N: NDArray[np.float64], y_N: NDArray[np.float64], weights_BN: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Spearman's rank correlation under each weighting, [B], in -1..1; NaN where x or y is constant."""
    return correlation(rank_covariance([x_N, y_N], weights_BN), 0, 1)


def cosine_distances(
    z_ND: NDArray[np.float64], i_P: NDArray[np.intp], j_P: NDArray[np.intp]
) -> NDArray[np.float64]:
    """1 - cos(z_i, z_j) of each pair, [P], in 0..2; 1 from a zero vector. Rounded, so that equal embeddings tie and noise is not ranked."""
    norm_N1 = np.linalg.norm(z_ND, axis=1, keepdims=True)
    unit_ND = z_ND / np.where(norm_N1 > 0, norm_N1, 1)
    cosine_P = np.empty(len(i_P))
    for start in range(0, len(i_P), PAIR_CHUNK):
        part = slice(start, start + PAIR_CHUNK)
        cosine_P[part] = np.einsum("pd,pd->p", unit_ND[i_P[part]], unit_ND[j_P[part]])
    return np.asarray(np.round(1 - cosine_P, 12))


def differences(
    value_N: NDArray[np.float64], i_P: NDArray[np.intp], j_P: NDArray[np.intp]
) -> NDArray[np.float64]:
    """|v_i - v_j| of each pair, [P], rounded so that equal differences tie."""
    return np.asarray(np.round(np.abs(value_N[i_P] - value_N[j_P]), 9))


def patient_pairs(
    patient_N: NDArray[np.str_], most: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs i < j of records of *different* patients, two index arrays [P]: all of them, or a seeded uniform sample of about `most`.

    A patient is never paired with itself: such pairs are alike in signal and in risk alike, and a bootstrap that made them (by
    drawing a patient twice) would lift a null correlation above zero (method.md §8). Sampling pairs keeps every patient, so an
    incomplete U-statistic loses little precision: the pairs that share a patient say much the same.
    """
    _, code_N = np.unique(patient_N, return_inverse=True)
    total = len(patient_N) * (len(patient_N) - 1) // 2
    if total <= most:
        index_P = np.arange(total)
    else:
        index_P = np.sort(np.random.default_rng(seed).choice(total, most, replace=False, shuffle=False))
    # Pair (i, j), i < j, has the index j (j - 1) / 2 + i.
    j_P = ((1 + np.sqrt(1 + 8 * index_P.astype(np.float64))) / 2).astype(np.intp)
    i_P = index_P - j_P * (j_P - 1) // 2
    different = code_N[i_P] != code_N[j_P]
    return i_P[different], j_P[different]


def pair_weights(
    weights_BN: NDArray[np.float64], i_P: NDArray[np.intp], j_P: NDArray[np.intp]
) -> Iterator[NDArray[np.float64]]:
    """The weight w_i w_j of every pair, one weighting at a time: as often as the pair occurs among the repeated records."""
    for weight_N in weights_BN:
        yield weight_N[i_P] * weight_N[j_P]


def ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quotient; NaN, without a warning, where the denominator is 0."""
    quotient = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient
