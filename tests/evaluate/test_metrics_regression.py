"""Errors, R2, correlations and the criteria for blood pressure: against numpy, scipy and scikit-learn on the repeated records."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from clef_ray.evaluate.metrics import regression as m


def sample(seed, records=50):
    rng = np.random.default_rng(seed)
    true = rng.normal(130, 15, records)
    weights = np.stack([np.ones(records), rng.integers(0, 4, records)]).astype(float)
    return true + rng.normal(3, 8, records), true, weights


@pytest.mark.parametrize("offset", [0, 1e6])
def test_all_measures_are_those_of_the_repeated_records(offset):
    predicted, true, weights = sample(0)
    predicted, true = predicted + offset, true + offset
    got = m.errors(predicted, true, weights)
    for b, w in enumerate(weights):
        again = np.repeat(np.arange(len(w)), w.astype(int))
        p, t = predicted[again], true[again]
        assert got["mae"][b] == pytest.approx(mean_absolute_error(t, p))
        assert got["rmse"][b] == pytest.approx(root_mean_squared_error(t, p))
        assert got["bias"][b] == pytest.approx(np.mean(p - t))
        assert got["sd_error"][b] == pytest.approx(np.std(p - t, ddof=1))
        assert m.r_squared(predicted, true, weights)[b] == pytest.approx(r2_score(t, p), rel=1e-6)
        assert m.pearson(predicted, true, weights)[b] == pytest.approx(
            stats.pearsonr(p, t).statistic, rel=1e-6
        )
        assert m.kendall(predicted, true, weights)[b] == pytest.approx(stats.kendalltau(p, t).statistic)


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 2, st.integers(0, 3)), min_size=2, max_size=14))
@settings(deadline=None, max_examples=30)
def test_kendall_with_ties_is_scipys_of_the_repeated_records(rows):
    x, y, w = np.array(rows, dtype=float).T
    again = np.repeat(np.arange(len(x)), w.astype(int))
    want = stats.kendalltau(x[again], y[again]).statistic if len(again) > 1 else np.nan
    np.testing.assert_allclose(m.kendall(x, y, w[None])[0], want, atol=1e-12)


def test_kendall_is_the_same_in_any_chunk_and_of_many_values():
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 90, (2, 300)).astype(float)
    weights = rng.integers(0, 3, (140, 300)).astype(float)
    got = m.kendall(x, y, weights)
    for b in (0, 127, 128, 139):
        again = np.repeat(np.arange(300), weights[b].astype(int))
        assert got[b] == pytest.approx(stats.kendalltau(x[again], y[again]).statistic, abs=1e-12)


def test_what_is_constant_has_no_correlation_and_no_share_explained():
    # The mean of three times 0.1 is not 0.1: a standard deviation of rounding errors.
    x, flat = np.arange(3.0), np.full(3, 0.1)
    weights = np.array([[1, 1, 1], [3, 0, 0], [0, 0, 0]], float)
    assert flat.std() > 0
    for statistic in (m.pearson, m.kendall):
        assert np.isnan(statistic(flat, x, weights)).all()
        assert np.isnan(statistic(x, flat, weights)).all()
        np.testing.assert_array_equal(np.isnan(statistic(x, x, weights)), [False, True, True])
    assert np.isnan(m.r_squared(x, flat, weights)).all()
    np.testing.assert_allclose(m.r_squared(flat + 0.9, x, weights), [0, np.nan, np.nan], atol=1e-12)
    got = m.errors(x, flat, weights)
    np.testing.assert_array_equal(np.isnan(got["mae"]), [False, False, True])
    # One record three times: its error varies by nothing. Once: by nothing that can be known.
    assert got["sd_error"][1] == pytest.approx(0, abs=1e-7)
    assert np.isnan(m.errors(x, flat, np.eye(3)[:1])["sd_error"][0])


def test_shares_within_are_of_the_absolute_error_with_its_limits():
    predicted, true = np.array([105.0, 95, 110, 89, 115.1]), np.full(5, 100.0)
    got = m.within(predicted, true, np.array([[1.0] * 5, [0, 0, 0, 0, 2]]))
    assert {k: v.tolist() for k, v in got.items()} == {"bhs_5": [40, 0], "bhs_10": [60, 0], "bhs_15": [80, 0]}


@pytest.mark.parametrize(
    ("shares", "grade"),
    [
        ((60, 85, 95), "A"),
        ((99, 99, 94.9), "B"),
        ((50, 75, 90), "B"),
        ((49.9, 100, 100), "C"),
        ((40, 65, 85), "C"),
        ((100, 64.9, 100), "D"),
    ],
)
def test_a_grade_needs_all_three_shares(shares, grade):
    assert m.bhs_grade(shares) == grade


@pytest.mark.parametrize(
    ("bias", "sd", "passes"),
    [(5, 8, True), (-5, 8, True), (5.01, 1, False), (-5.01, 1, False), (0, 8.01, False), (np.nan, 1, False)],
)
def test_the_criterion_bounds_mean_and_spread(bias, sd, passes):
    assert m.aami_passes(bias, sd) is passes
