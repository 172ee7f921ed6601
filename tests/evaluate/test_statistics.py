"""Weighted rank statistics against other libraries and against the physically repeated sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from clef_ray.evaluate.statistics import (
    LONG,
    RUN,
    correlation,
    pair_weights,
    partial_correlation,
    patient_pairs,
    rank_covariance,
    weighted_auroc,
    weighted_spearman,
)


def explicit_auroc(score, positive):
    """Every positive against every negative, ties one half."""
    wins = [(p > n) + 0.5 * (p == n) for p in score[positive] for n in score[~positive]]
    return np.mean(wins) if wins else np.nan


def explicit_spearman(x, y):
    """Pearson's correlation of mid-ranks; NaN where one is constant."""
    rx, ry = rankdata(x), rankdata(y)
    if np.ptp(rx) == 0 or np.ptp(ry) == 0:
        return np.nan
    return np.corrcoef(rx, ry)[0, 1]


@st.composite
def weighted_samples(draw, size=12):
    """Few distinct values, so that ties are the rule, and integer weights with zeros."""
    n = draw(st.integers(3, size))
    column = st.lists(st.integers(0, 4), min_size=n, max_size=n)
    x, y, w = (np.array(draw(column), dtype=float) for _ in range(3))
    return x, y, w


def test_unit_weights_give_the_libraries_statistics():
    rng = np.random.default_rng(0)
    score, other = rng.normal(size=(2, 200)).round(1)
    positive = rng.random(200) < 0.3
    once = np.ones((1, 200))
    assert weighted_auroc(score, positive, once)[0] == pytest.approx(
        roc_auc_score(positive, score), abs=1e-12
    )
    assert weighted_spearman(score, other, once)[0] == pytest.approx(
        spearmanr(score, other).statistic, abs=1e-12
    )


@given(weighted_samples())
@settings(deadline=None)
def test_integer_weights_are_repetitions(sample):
    x, y, w = sample
    positive = y > 2
    again = np.repeat(np.arange(len(x)), w.astype(int))
    weights = np.stack([w, np.ones(len(w))])
    if w.sum() > 0:
        got = weighted_spearman(x, y, weights)
        np.testing.assert_allclose(
            got, [explicit_spearman(x[again], y[again]), explicit_spearman(x, y)], atol=1e-12
        )
    want = [explicit_auroc(x[again], positive[again]), explicit_auroc(x, positive)]
    np.testing.assert_allclose(weighted_auroc(x, positive, weights), want, atol=1e-12)


def test_auroc_of_many_weightings_does_not_depend_on_the_chunk():
    rng = np.random.default_rng(1)
    score, positive = rng.integers(0, 9, 40).astype(float), rng.random(40) < 0.4
    weights = rng.integers(0, 3, (300, 40)).astype(float)
    one_by_one = np.concatenate([weighted_auroc(score, positive, w[None]) for w in weights])
    np.testing.assert_array_equal(weighted_auroc(score, positive, weights), one_by_one)


@given(weighted_samples(), st.lists(st.sampled_from("abcde"), min_size=12, max_size=12))
@settings(deadline=None)
def test_pair_spearman_is_that_of_the_pairs_of_the_repeated_records(sample, names):
    """Records repeated, all pairs listed, those of one patient (also a record with its own copy) struck out."""
    x, y, w = sample
    patient = np.array(names[: len(x)])
    i, j = patient_pairs(patient, 10**6, 0)
    again = np.repeat(np.arange(len(x)), w.astype(int))
    pairs = [(a, b) for k, a in enumerate(again) for b in again[k + 1 :] if patient[a] != patient[b]]
    if not pairs:
        return
    a, b = np.array(pairs).T
    want = explicit_spearman(np.abs(x[a] - x[b]), np.abs(y[a] - y[b]))
    distances = [np.abs(x[i] - x[j]), np.abs(y[i] - y[j])]
    got = correlation(rank_covariance(distances, pair_weights(w[None], i, j)), 0, 1)
    np.testing.assert_allclose(got[0], want, atol=1e-12)


def test_partial_correlation_is_that_of_regression_residuals():
    rng = np.random.default_rng(2)
    age, sex = rng.normal(size=60), rng.integers(0, 2, 60).astype(float)
    x, y = age + rng.normal(size=60), age + sex + rng.normal(size=60)
    ranks = [rankdata(v) for v in (x, y, age, sex)]
    design = np.column_stack([np.ones(60), ranks[2], ranks[3]])
    rx, ry = (r - design @ np.linalg.lstsq(design, r, rcond=None)[0] for r in ranks[:2])
    covariance = rank_covariance([x, y, age, sex], np.ones((1, 60)))
    got = partial_correlation(covariance, 0, 1, (2, 3), least_residual=0.01)
    assert got[0] == pytest.approx(np.corrcoef(rx, ry)[0, 1], abs=1e-12)


def test_partial_correlation_ignores_a_constant_covariate_and_refuses_a_determining_one():
    rng = np.random.default_rng(3)
    x, y, age = rng.normal(size=(3, 50))
    constant = np.zeros(50)
    once = np.ones((1, 50))
    alone = partial_correlation(rank_covariance([x, y, age], once), 0, 1, (2,), least_residual=0.01)
    both = partial_correlation(
        rank_covariance([x, y, age, constant], once), 0, 1, (2, 3), least_residual=0.01
    )
    np.testing.assert_allclose(both, alone, atol=1e-12)
    determined = partial_correlation(
        rank_covariance([x, np.exp(age), age], once), 0, 1, (2,), least_residual=0.01
    )
    assert np.isnan(determined[0])
    nearly = np.argsort(np.argsort(age)).astype(float)
    nearly[np.argsort(age)[[20, 21]]] = nearly[np.argsort(age)[[21, 20]]]
    covariance = rank_covariance([x, nearly, age], once)
    assert np.isnan(partial_correlation(covariance, 0, 1, (2,), least_residual=0.01)[0])
    assert np.isfinite(partial_correlation(covariance, 0, 1, (2,), least_residual=1e-6)[0])


def test_partial_correlation_is_stable_with_three_controls_that_nearly_agree():
    """Controls that differ in two neighbouring ranks of 300: as exact as a QR of the residuals, which no covariance enters."""
    rng = np.random.default_rng(4)
    age, sex = rng.normal(size=300), rng.integers(0, 2, 300).astype(float)
    x, y = age + rng.normal(size=300), age + sex + rng.normal(size=300)
    nearly = rankdata(age)
    swapped = np.argsort(age)[[150, 151]]
    nearly[swapped] = nearly[swapped[::-1]]
    ranks = [rankdata(v) for v in (x, y, age, sex, nearly)]
    basis = np.linalg.qr(np.column_stack([np.ones(300), *ranks[2:]]))[0]
    rx, ry = (r - basis @ (basis.T @ r) for r in ranks[:2])
    covariance = rank_covariance([x, y, age, sex, nearly], np.ones((1, 300)))
    got = partial_correlation(covariance, 0, 1, (2, 3, 4), least_residual=0.01)
    assert got[0] == pytest.approx(np.corrcoef(rx, ry)[0, 1], abs=1e-8)


def test_constant_variables_have_no_correlation():
    assert np.isnan(weighted_spearman(np.ones(9), np.arange(9.0), np.ones((2, 9)))).all()


def test_sampled_pairs_are_distinct_seeded_and_uniform():
    patient = np.array([f"p{k}" for k in range(40)])
    i, j = patient_pairs(patient, 200, 5)
    assert (i < j).all()
    assert len(set(zip(i.tolist(), j.tolist(), strict=True))) == 200
    np.testing.assert_array_equal(patient_pairs(patient, 200, 5)[0], i)
    counts = np.zeros((40, 40))
    for seed in range(400):
        counts[patient_pairs(patient, 200, seed)] += 1
    inclusion = counts[np.triu_indices(40, 1)] / 400
    assert counts[np.tril_indices(40)].sum() == 0
    expected = 200 / 780
    assert abs(inclusion.mean() - expected) < 1e-12
    assert np.abs(inclusion - expected).max() < 5 * np.sqrt(expected * (1 - expected) / 400)


def test_all_pairs_leave_out_those_of_one_patient():
    i, j = patient_pairs(np.array(["a", "b", "a", "c"]), 100, 0)
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == {(0, 1), (1, 2), (0, 3), (1, 3), (2, 3)}


@pytest.mark.parametrize("count", [3, LONG - 1, LONG, LONG + RUN + 5])
def test_ranks_of_few_and_of_many_values_are_those_of_the_repeated_sample(count):
    """Ranked at once or in runs, whole or not; with ties, and with records that were not drawn."""
    rng = np.random.default_rng(count)
    x = np.append(np.arange(count), rng.integers(0, count, 200)).astype(float)
    y = rng.permutation(x).round(-1)
    weights = rng.poisson(1, (2, len(x))).astype(float)
    got = rank_covariance([x, y], weights)
    for covariance, weight in zip(got, weights, strict=True):
        again = np.repeat(np.arange(len(x)), weight.astype(int))
        ranks = [(rankdata(v[again]) - 0.5) / len(again) - 0.5 for v in (x, y)]
        np.testing.assert_allclose(covariance, np.cov(ranks, bias=True), rtol=0, atol=1e-13)


def test_a_weighting_of_nobody_has_no_ranks():
    with np.errstate(invalid="ignore"):
        assert np.isnan(rank_covariance([np.arange(3.0), np.arange(3.0)], np.zeros((1, 3)))).all()
