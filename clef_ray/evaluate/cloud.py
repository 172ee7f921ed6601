"""Measures of a cloud of embeddings, each under many weightings of its people at once; geometry.py says what they are called and mean.

Shape letters: N records, P people (one record each), Q patients with several records, D dimensions, B weightings.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from clef_ray.evaluate.kernels import Floats, centred, pair_counts, pair_means, pair_sums, without_diagonal
from clef_ray.evaluate.statistics import ratio

#: Parts of the pairs by risk difference.
TENTHS = 10


def unit(z_ND: Floats) -> Floats:
    """Each row brought to length 1; a row of zeros stays."""
    norm_N1 = np.linalg.norm(z_ND, axis=1, keepdims=True)
    return np.asarray(z_ND / np.where(norm_N1 > 0, norm_N1, 1))


def participation_ratio(x_ND: Floats) -> float:
    """How many directions share the variance, 1..D: (sum of the covariance's eigenvalues)^2 / sum of their squares; NaN for equal rows."""
    variance = np.linalg.svd(centred(x_ND), compute_uv=False) ** 2
    return float(variance.sum() ** 2 / (variance**2).sum()) if variance.any() else float("nan")


def cloud(cosine_PP: Floats, weights_BP: Floats) -> dict[str, Floats]:
    """`mean_cosine` and `uniformity` of unit vectors, from their cosines with a zero diagonal, per weighting [B]."""
    potential_PP = without_diagonal(np.exp(-4 * (1 - cosine_PP)))
    uniformity_B = np.log(pair_means(potential_PP, weights_BP))
    return {"mean_cosine": pair_means(cosine_PP, weights_BP), "uniformity": uniformity_B}


def alignment(u_ND: Floats, patient_N: NDArray[np.str_]) -> Floats:
    """Mean |u - v|^2 over the pairs of records of each patient who has several, one number per such patient in sorted order."""
    names, code_N, count_Q = np.unique(patient_N, return_inverse=True, return_counts=True)
    total_QD = np.zeros((len(names), u_ND.shape[1]))
    np.add.at(total_QD, code_N, u_ND)
    length_Q = np.bincount(code_N, (u_ND**2).sum(axis=1), len(names))
    # Over ordered pairs the squares add up to 2 n sum |u|^2 - 2 |sum u|^2.
    squares_Q = 2 * count_Q * length_Q - 2 * (total_QD**2).sum(axis=1)
    several_Q = count_Q > 1
    return np.asarray((squares_Q / np.maximum(count_Q * (count_Q - 1), 1))[several_Q])


def tenths(value_NN: Floats) -> NDArray[np.int64]:
    """In which tenth of the pairs i != j each pair's value lies, 0..9, equal values together; -1 on the diagonal, [N, N]."""
    i_P, j_P = np.triu_indices(len(value_NN), 1)
    rank_P = rankdata(value_NN[i_P, j_P])
    tenth_NN = np.full(value_NN.shape, -1)
    tenth_NN[i_P, j_P] = tenth_NN[j_P, i_P] = np.floor(TENTHS * (rank_P - 0.5) / len(rank_P)).astype(np.int64)
    return tenth_NN


def means_by_tenth(value_PP: Floats, tenth_PP: NDArray[np.int64], weights_BP: Floats) -> dict[int, Floats]:
    """Mean value of the pairs in each tenth that has pairs (ties may leave one empty), by its number, per weighting [B]."""
    means = {}
    for k in np.unique(tenth_PP[tenth_PP >= 0]):
        in_tenth_PP = (tenth_PP == k).astype(np.float64)
        means[int(k)] = ratio(
            pair_sums(value_PP * in_tenth_PP, weights_BP), pair_sums(in_tenth_PP, weights_BP)
        )
    return means


def cluster(distance_PP: Floats, member_P: NDArray[np.bool_], weights_BP: Floats) -> tuple[Floats, Floats]:
    """(class_ratio, silhouette) of the members, from distances with a zero diagonal, per weighting, [B] each.

    NaN where a weighting has fewer than two different members or nobody else, or where all distances are 0.
    """
    inside_BP, outside_BP = weights_BP * member_P, weights_BP * ~member_P
    to_own_BP, to_others_BP = inside_BP @ distance_PP, outside_BP @ distance_PP
    within_B = ratio((inside_BP * to_own_BP).sum(axis=1), pair_counts(inside_BP))
    count_B1, others_B1 = inside_BP.sum(axis=1, keepdims=True), outside_BP.sum(axis=1, keepdims=True)
    across_B = ratio((inside_BP * to_others_BP).sum(axis=1), (count_B1 * others_B1)[:, 0])
    a_BP = ratio(to_own_BP, count_B1 - inside_BP)
    b_BP = ratio(to_others_BP, np.broadcast_to(others_B1, to_others_BP.shape))
    s_BP = np.where(inside_BP > 0, ratio(b_BP - a_BP, np.maximum(a_BP, b_BP)), 0)
    return ratio(within_B, across_B), ratio((inside_BP * s_BP).sum(axis=1), count_B1[:, 0])
