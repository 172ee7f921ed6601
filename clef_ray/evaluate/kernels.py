"""Means over pairs of different people, for many weightings of the people at once, and what is made of them: CKA, MMD, CORAL.

A patient bootstrap counts how often each person was drawn. All here are means of some m(i, j) over pairs i != j, so that a person who was
drawn twice is not paired with itself; under every weighting such a mean costs one product with the matrix of m.

Centred kernels keep the centre of the sample while people are resampled. To first order that changes nothing, for their rows sum to 0:
what moving the centre adds to a sum over pairs is a product with these sums.

Shape letters: N, M people, S both samples together, D dimensions, B weightings.
"""

import numpy as np
from numpy.typing import NDArray

from clef_ray.evaluate.statistics import ratio

Floats = NDArray[np.float64]

#: The bandwidths of `rbf`, as multiples of the median squared distance.
BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)

#: A sample that varies less than this share of its length is constant: what is left is rounding.
CONSTANT = 1e-9


def pair_sums(m_NN: Floats, weights_BN: Floats) -> Floats:
    """Sum over i, j of w_i w_j m(i, j), per weighting [B]; the diagonal of m must be 0."""
    return np.asarray(((weights_BN @ m_NN) * weights_BN).sum(axis=1))


def pair_counts(weights_BN: Floats) -> Floats:
    """How many pairs of different people a weighting has, sum over i != j of w_i w_j, [B]."""
    return np.asarray(weights_BN.sum(axis=1) ** 2 - (weights_BN**2).sum(axis=1))


def pair_means(m_NN: Floats, weights_BN: Floats) -> Floats:
    """Mean of m over pairs of different people, [B]; NaN where a weighting has fewer than two."""
    return ratio(pair_sums(m_NN, weights_BN), pair_counts(weights_BN))


def cross_means(m_NM: Floats, first_BN: Floats, second_BM: Floats) -> Floats:
    """Mean of m over pairs of one person of either sample, [B]; NaN where one of them is empty."""
    sums_B = ((first_BN @ m_NM) * second_BM).sum(axis=1)
    return ratio(sums_B, first_BN.sum(axis=1) * second_BM.sum(axis=1))


def without_diagonal(m_NN: Floats) -> Floats:
    """The same with zeros on its diagonal."""
    kept = m_NN.copy()
    np.fill_diagonal(kept, 0)
    return kept


def squared_distances(x_ND: Floats) -> Floats:
    """Squared Euclidean distance of every two rows, [N, N], never below 0."""
    x_ND = centred(x_ND)
    length_N = (x_ND**2).sum(axis=1)
    d_NN = length_N[:, None] + length_N - 2 * (x_ND @ x_ND.T)
    return without_diagonal(np.maximum(d_NN, 0))


def rbf(squared_SS: Floats) -> Floats:
    """Mean of five Gaussian kernels exp(-d^2 / (2 f m)), f in BANDWIDTHS, m the median of d^2 over different rows (Gretton et al. 2012,
    JMLR 13:723, section 8, take its root as the width); zeros on the diagonal, [S, S]. All NaN where the median distance is 0.
    """
    median = np.median(squared_SS[np.triu_indices(len(squared_SS), 1)])
    if median == 0:
        return np.full_like(squared_SS, np.nan)
    kernel = np.zeros_like(squared_SS)
    for factor in BANDWIDTHS:
        kernel += np.exp(squared_SS / (-2 * factor * median))
    kernel /= len(BANDWIDTHS)
    np.fill_diagonal(kernel, 0)
    return kernel


def mmd2(kernel_SS: Floats, first_BN: Floats, second_BM: Floats) -> Floats:
    """Squared maximum mean discrepancy of the first N of S people from the M others, per weighting of either, [B].

    The unbiased estimate (Gretton et al. 2012, equation 3): below 0 about half the time where both come from one distribution. With
    `rbf` it is at most 2.
    """
    n = first_BN.shape[1]
    own = pair_means(kernel_SS[:n, :n], first_BN) + pair_means(kernel_SS[n:, n:], second_BM)
    return own - 2 * cross_means(kernel_SS[:n, n:], first_BN, second_BM)


def mmd2_permuted(kernel_SS: Floats, n: int, permutations: int, rng: np.random.Generator) -> Floats:
    """`mmd2` of n people drawn from all S from the others, [permutations]: what it is where the two samples are one."""
    chosen_BS = np.zeros((permutations, len(kernel_SS)))
    for row_S in chosen_BS:
        row_S[rng.permutation(len(row_S))[:n]] = 1
    degree_B = chosen_BS @ kernel_SS.sum(axis=1)
    inside_B = pair_sums(kernel_SS, chosen_BS)
    outside_B = kernel_SS.sum() - 2 * degree_B + inside_B
    m = len(kernel_SS) - n
    across_B = (degree_B - inside_B) / (n * m)
    return np.asarray(inside_B / (n * (n - 1)) + outside_B / (m * (m - 1)) - 2 * across_B)


def centred(x_ND: Floats) -> Floats:
    """Each column less its mean; zeros where the rows differ by rounding only."""
    moved_ND = x_ND - x_ND.mean(axis=0)
    return moved_ND if np.linalg.norm(moved_ND) > CONSTANT * np.linalg.norm(x_ND) else np.zeros_like(moved_ND)


def u_centred(gram_NN: Floats) -> Floats:
    """A Gram matrix whose rows sum to 0 without their diagonal, which is 0 (Szekely & Rizzo 2014, Ann Statist 42:2382). N >= 4.

    The sum of products of two of them over N (N - 3) is the unbiased estimate of HSIC (Song et al. 2012, JMLR 13:1393); of one with
    itself and x x', of the squared Frobenius norm of the covariance of x.
    """
    n = len(gram_NN)
    off_NN = without_diagonal(gram_NN)
    row_N = off_NN.sum(axis=1) / (n - 2)
    return without_diagonal(off_NN - row_N[:, None] - row_N + off_NN.sum() / ((n - 1) * (n - 2)))


def linear_cka(x_ND: Floats, y_ND: Floats, weights_BN: Floats) -> Floats:
    """How alike two representations of the same people are, whatever the rotation and scale of either, per weighting [B].

    Linear centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414) with unbiased HSIC, as Nguyen et al. 2021 (arXiv
    2010.15327): about 0 for unrelated ones even with more dimensions than people, where the plain estimate is near 1; 1 for equal
    ones. Row n of both is person n, each person once. NaN where either is constant.
    """
    x_NN, y_NN = (u_centred(centred_ND @ centred_ND.T) for centred_ND in (centred(x_ND), centred(y_ND)))
    own = pair_sums(x_NN**2, weights_BN) * pair_sums(y_NN**2, weights_BN)
    return ratio(pair_sums(x_NN * y_NN, weights_BN), np.sqrt(own))


def coral(x_ND: Floats, y_MD: Floats, first_BN: Floats, second_BM: Floats) -> Floats:
    """|C_x - C_y|^2 / (|C_x|^2 + |C_y|^2) of two samples' covariances (Frobenius norms), per weighting of either, [B].

    The numerator is 4 D^2 times the CORAL loss (Sun & Saenko 2016, arXiv 1607.01719), unbiased here: around 0, so at times below, for
    one distribution; 1 where the two vary in different directions. Free of the scale that both share. NaN where both are constant.
    """
    x_ND, y_MD = centred(x_ND), centred(y_MD)
    own_B = np.zeros(len(first_BN))
    for z_ND, weights_BN in ((x_ND, first_BN), (y_MD, second_BM)):
        n = len(z_ND)
        own_B = own_B + pair_means(u_centred(z_ND @ z_ND.T) ** 2, weights_BN) * (n - 1) / (n - 3)
    lost = (1 - 1 / len(x_ND)) * (1 - 1 / len(y_MD))  # what two centres take from the expectation
    return 1 - ratio(2 * cross_means((x_ND @ y_MD.T) ** 2, first_BN, second_BM) / lost, own_B)
