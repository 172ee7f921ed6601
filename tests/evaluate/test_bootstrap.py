"""Resampled patients and intervals over seeds."""

import numpy as np
import pytest
from scipy import stats

from clef_ray.errors import DataError
from clef_ray.evaluate.bootstrap import (
    Estimate,
    paired_bootstrap,
    sample_and_resamples,
    seed_interval,
)

PATIENTS = np.array(["b", "a", "c", "a", "d", "b"])


def test_a_patients_records_are_drawn_together_and_patients_as_often_as_there_are():
    weights = sample_and_resamples(PATIENTS, 500, 1)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 5])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 3])
    first = np.unique(PATIENTS, return_index=True)[1]
    np.testing.assert_array_equal(weights[:, first].sum(axis=1), 4)


def test_multiplicities_are_multinomial():
    """Mean 1, variance 1 - 1/n, covariance -1/n for n patients."""
    weights = sample_and_resamples(np.array(list("abcde")), 40_000, 0)[1:]
    np.testing.assert_allclose(np.cov(weights.T), np.eye(5) - 0.2, atol=0.03)
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.02)


def test_resamples_depend_on_the_patients_and_the_seed_only():
    weights = sample_and_resamples(PATIENTS, 50, 3)
    order = np.array([4, 0, 2, 1, 3])
    np.testing.assert_array_equal(sample_and_resamples(PATIENTS[order], 50, 3), weights[:, order])
    assert (sample_and_resamples(PATIENTS, 50, 4) != weights).any()


def test_the_bootstrap_of_a_mean_has_its_standard_error():
    rng = np.random.default_rng(0)
    patients = np.array([f"p{k}" for k in range(200)])
    values = rng.normal(size=200)
    weights = sample_and_resamples(patients, 4000, 0)
    estimate = Estimate.of(weights @ values / weights.sum(axis=1))
    error = values.std() / np.sqrt(200)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.replicates.std() == pytest.approx(error, rel=0.05)
    assert estimate.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert estimate.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_an_undefined_metric_has_no_interval_and_undefined_resamples_are_left_out():
    nothing = Estimate.of(np.array([np.nan, 0.5, 0.6]))
    assert np.isnan([nothing.value, nothing.low, nothing.high, *nothing.replicates]).all()
    some = Estimate.of(np.array([0.5, 0.4, np.nan, 0.6]))
    assert 0.4 <= some.low < some.high <= 0.6


def test_seed_interval_is_the_t_interval():
    values = [0.71, 0.74, 0.70, 0.78]
    mean, sd, low, high = seed_interval([*values, float("nan")])
    want = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (mean, sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (low, high) == pytest.approx(want)


def test_one_seed_has_a_mean_and_no_interval():
    mean, *rest = seed_interval([0.7])
    assert mean == 0.7
    assert np.isnan(rest).all()
    assert np.isnan(seed_interval([])).all()


def test_seeds_that_tie_have_no_interval():
    """An interval without width would exclude 0 by itself."""
    mean, sd, low, high = seed_interval([0.8 - 0.7, 0.9 - 0.8, 0.3 - 0.2])
    assert (mean, sd) == pytest.approx((0.1, 0))
    assert np.isnan([low, high]).all()
    assert np.isfinite(seed_interval([0.1, 0.1, 0.1 + 1e-9])).all()


def test_pairing_removes_the_luck_that_two_arms_share():
    rng = np.random.default_rng(0)
    luck = rng.normal(size=1000)
    b = [luck, luck + 0.1]
    a = [r + 0.02 + 0.001 * rng.normal(size=1000) for r in b]
    low, high = paired_bootstrap(a, b)
    assert 0.018 < low < 0.02 < high < 0.022
    assert paired_bootstrap(b, a) == pytest.approx((-high, -low))


def test_replicates_that_do_not_pair_are_refused():
    with pytest.raises(DataError, match="do not pair"):
        paired_bootstrap([np.zeros(5)], [np.zeros(6)])
    with pytest.raises(DataError, match="do not pair"):
        paired_bootstrap([np.zeros(5)], [])
