"""Means over pairs of people: against loops over pairs, repeated people, and closed forms."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clef_ray.evaluate.bootstrap import sample_and_resamples
from clef_ray.evaluate.kernels import (
    BANDWIDTHS,
    centred,
    coral,
    cross_means,
    linear_cka,
    mmd2,
    mmd2_permuted,
    pair_means,
    rbf,
    squared_distances,
    u_centred,
    without_diagonal,
)


def ones(count):
    return np.ones((1, count))


def draws(count, n_boot=3, seed=0):
    return sample_and_resamples(np.arange(count).astype(str), n_boot, seed)[1:]


def of_repeated_people(m, weights):
    """Mean of m over pairs of different people among people repeated as the weights say."""
    people = np.repeat(np.arange(len(weights)), weights.astype(int))
    values = [m[i, j] for i in people for j in people if i != j]
    return np.mean(values)


def test_pair_means_are_those_of_the_repeated_people():
    rng = np.random.default_rng(0)
    m = without_diagonal(rng.normal(size=(9, 9)))
    weights = draws(9)
    want = [of_repeated_people(m, w) for w in weights]
    assert pair_means(m, weights) == pytest.approx(want, abs=1e-12)
    assert np.isnan(pair_means(m, 3 * np.eye(9)[:1])[0])


def test_cross_means_are_those_of_the_repeated_people():
    rng = np.random.default_rng(1)
    m, first, second = rng.normal(size=(5, 7)), draws(5), draws(7, seed=1)
    want = [
        np.repeat(np.repeat(m, a.astype(int), axis=0), b.astype(int), axis=1).mean()
        for a, b in zip(first, second, strict=True)
    ]
    assert cross_means(m, first, second) == pytest.approx(want, abs=1e-12)


def test_squared_distances_far_from_the_origin():
    x = np.random.default_rng(2).normal(size=(6, 3)) + 1e6
    want = [[((a - b) ** 2).sum() for b in x] for a in x]
    assert squared_distances(x) == pytest.approx(np.array(want), rel=1e-6)


def test_rbf_by_hand():
    """Three points at 0, 1, 3: squared distances 1, 4, 9, whose median is 4."""
    kernel = rbf(squared_distances(np.array([[0.0], [1.0], [3.0]])))
    want = np.mean([np.exp(-1 / (2 * 4 * f)) for f in (0.25, 0.5, 1, 2, 4)])
    assert kernel[0, 1] == pytest.approx(want, abs=1e-12)
    assert kernel[1, 2] == pytest.approx(np.mean([np.exp(-1 / (2 * f)) for f in (0.25, 0.5, 1, 2, 4)]))
    assert (np.diag(kernel) == 0).all()
    assert np.isnan(rbf(np.zeros((3, 3)))).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 8), st.integers(3, 8), st.integers(0, 1000))
def test_mmd_is_the_double_loop(n, m, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n + m, 2))
    kernel = rbf(squared_distances(x))
    own = [np.mean([kernel[i, j] for i, j in permutations(part, 2)]) for part in (range(n), range(n, n + m))]
    across = np.mean([kernel[i, j] for i in range(n) for j in range(n, n + m)])
    assert mmd2(kernel, ones(n), ones(m))[0] == pytest.approx(sum(own) - 2 * across, abs=1e-12)


def test_mmd_of_gaussians_is_the_closed_form():
    """Of N(0, 1) and N(d, 1) under exp(-(x - y)^2 / (2 v)): 2 sqrt(v / (v + 2)) (1 - exp(-d^2 / (2 (v + 2))))."""
    rng, d, n = np.random.default_rng(3), 1.5, 500
    squared = squared_distances(np.concatenate([rng.normal(size=n), d + rng.normal(size=n)])[:, None])
    median = np.median(squared[np.triu_indices(2 * n, 1)])
    widths = [f * median for f in BANDWIDTHS]
    want = np.mean([2 * np.sqrt(v / (v + 2)) * (1 - np.exp(-(d**2) / (2 * (v + 2)))) for v in widths])
    assert mmd2(rbf(squared), ones(n), ones(n))[0] == pytest.approx(want, rel=0.1)


def test_mmd_under_weights_is_that_of_the_repeated_people():
    rng = np.random.default_rng(4)
    kernel = rbf(squared_distances(rng.normal(size=(13, 2))))
    first, second = draws(6), draws(7, seed=1)
    got = mmd2(kernel, first, second)
    for k in range(3):
        a, b = first[k], second[k]
        own = of_repeated_people(kernel[:6, :6], a) + of_repeated_people(kernel[6:, 6:], b)
        across = np.repeat(np.repeat(kernel[:6, 6:], a.astype(int), 0), b.astype(int), 1).mean()
        assert got[k] == pytest.approx(own - 2 * across, abs=1e-12)


def test_permuted_mmd_divides_the_same_people():
    rng = np.random.default_rng(5)
    kernel = rbf(squared_distances(rng.normal(size=(7, 2))))
    got = mmd2_permuted(kernel, 3, 4, np.random.default_rng(9))
    again = np.random.default_rng(9)
    for value in got:
        order = again.permutation(7)
        rest = np.setdiff1d(np.arange(7), order[:3])
        people = np.concatenate([order[:3], rest])
        assert value == pytest.approx(mmd2(kernel[np.ix_(people, people)], ones(3), ones(4))[0], abs=1e-12)


def test_mmd_has_no_bias_where_both_are_one():
    values = []
    for seed in range(150):
        x = np.random.default_rng(seed).normal(size=(30, 4))
        values.append(mmd2(rbf(squared_distances(x)), ones(15), ones(15))[0])
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(150)


def test_u_centred_rows_sum_to_0():
    x = np.random.default_rng(6).normal(size=(8, 3)) + 4
    u = u_centred(x @ x.T)
    assert u.sum(axis=0) == pytest.approx(np.zeros(8), abs=1e-9)
    assert (np.diag(u) == 0).all()


def hsic1(k, l):  # noqa: E741
    """Song et al. 2012, equation 5, as it is written there."""
    n, k, l = len(k), without_diagonal(k), without_diagonal(l)  # noqa: E741
    one = np.ones(n)
    last = 2 / (n - 2) * (one @ k @ l @ one)
    return (np.trace(k @ l) + k.sum() * l.sum() / ((n - 1) * (n - 2)) - last) / (n * (n - 3))


def test_cka_is_made_of_songs_unbiased_hsic():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(12, 3)) + 2
    y = x[:, :2] @ rng.normal(size=(2, 5)) + rng.normal(size=(12, 5))
    k, l = x @ x.T, y @ y.T  # noqa: E741
    want = hsic1(k, l) / np.sqrt(hsic1(k, k) * hsic1(l, l))
    assert linear_cka(x, y, ones(12))[0] == pytest.approx(want, abs=1e-10)


def test_cka_of_many_people_is_kornbliths():
    """|Y'X|^2 / (|X'X| |Y'Y|) of centred columns, whose bias goes with the number of people."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(800, 3))
    y = np.column_stack([x[:, 0] + rng.normal(size=800), 2 * x[:, 1]])
    x0, y0 = x - x.mean(axis=0), y - y.mean(axis=0)
    norm = np.linalg.norm
    want = norm(y0.T @ x0) ** 2 / (norm(x0.T @ x0) * norm(y0.T @ y0))
    assert linear_cka(x, y, ones(800))[0] == pytest.approx(want, abs=0.01)


def test_cka_does_not_see_rotation_scale_or_place_and_is_0_for_strangers():
    rng = np.random.default_rng(9)
    x, rotation = rng.normal(size=(60, 4)), np.linalg.qr(rng.normal(size=(4, 4)))[0]
    assert linear_cka(x, 3 * x @ rotation + 5, ones(60))[0] == pytest.approx(1, abs=1e-9)
    strangers = [
        linear_cka(rng.normal(size=(40, 200)), rng.normal(size=(40, 200)), ones(40))[0] for _ in range(20)
    ]
    assert abs(np.mean(strangers)) < 0.02
    assert np.isnan(linear_cka(x, np.full((60, 3), 0.1), ones(60))[0])


def test_intervals_of_cka_are_as_wide_as_cka_varies():
    """Standard deviation over resamples against that over fresh people: what a fixed centre must not spoil."""

    def sample(seed, n=60):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(n, 3)) + 3
        return x, x + 1.5 * rng.normal(size=(n, 3))

    fresh = [linear_cka(*sample(seed), ones(60))[0] for seed in range(200)]
    inside = [linear_cka(*sample(seed), draws(60, 100, seed)).std() for seed in range(20)]
    assert np.mean(inside) == pytest.approx(np.std(fresh), rel=0.25)


def test_coral_of_known_covariances():
    """diag(1, 1) and diag(1, 4): |diff|^2 = 9, |C|^2 = 2 and 17, so 9 / 19."""
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(1500, 2)), rng.normal(size=(1400, 2)) * [1, 2] + 7
    assert coral(x, y, ones(1500), ones(1400))[0] == pytest.approx(9 / 19, abs=0.06)


def test_coral_has_no_bias_where_both_are_one_though_there_are_more_dimensions_than_people():
    values = []
    for seed in range(100):
        z = np.random.default_rng(seed).normal(size=(30, 40))
        values.append(coral(z[:15], z[15:], ones(15), ones(15))[0])
    assert abs(np.mean(values)) < 3.5 * np.std(values) / 10


def test_coral_by_covariance_matrices():
    """Against numpy's covariances, whose squared norms are put right by hand: tr over pairs of different people."""
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=(9, 3)) * [1, 2, 3], rng.normal(size=(8, 3))
    shared = np.trace(np.cov(x.T) @ np.cov(y.T))
    own = [hsic1(z @ z.T, z @ z.T) for z in (x, y)]
    want = (own[0] + own[1] - 2 * shared) / (own[0] + own[1])
    assert coral(x, y, ones(9), ones(8))[0] == pytest.approx(want, abs=1e-10)
    assert np.isnan(coral(np.full((9, 3), 0.1), np.full((8, 3), 0.1), ones(9), ones(8))[0])


def test_rounding_is_not_variance():
    assert (centred(np.full((7, 3), 0.1)) == 0).all()
    assert centred(np.array([[1.0], [3.0]])).tolist() == [[-1], [1]]
