"""Tests between arms and averages over tasks, against enumeration, SciPy, closed forms and numbers worked by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clef_ray.errors import DataError
from clef_ray.evaluate.bootstrap import paired_bootstrap
from clef_ray.evaluate.comparing import (
    bootstrap_p,
    effect_size,
    holm,
    improvement,
    interquartile_mean,
    power,
    seeds_needed,
    sign_flip_p,
    t_test_p,
)

FIVE = (0.013, 0.004, 0.021, -0.002, 0.011)
numbers = st.lists(st.integers(-50, 50).map(lambda k: k / 100), min_size=2, max_size=8)


def test_the_t_test_is_scipys():
    assert t_test_p(FIVE) == pytest.approx(stats.ttest_1samp(FIVE, 0).pvalue)
    assert math.isnan(t_test_p([0.1]))
    assert math.isnan(t_test_p([0.8 - 0.7, 0.9 - 0.8, 0.3 - 0.2])), (
        "equal but for rounding: no spread was seen"
    )
    assert t_test_p([0.0, 0.0]) == 1.0


@given(numbers)
@settings(max_examples=30)
def test_the_sign_flip_test_counts_every_pattern(values):
    """Oracle: all sign patterns one by one, in whole hundredths."""
    whole = [round(100 * v) for v in values]
    sums = [
        sum(s * v for s, v in zip(p, whole, strict=True))
        for p in itertools.product((1, -1), repeat=len(whole))
    ]
    assert sign_flip_p(values) == sum(abs(s) >= abs(sum(whole)) for s in sums) / len(sums)


def test_the_sign_flip_test_is_scipys_permutation_test_of_pairs():
    a, b = np.array(FIVE) + 0.5, np.full(5, 0.5)
    oracle = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(a - b) == pytest.approx(oracle.pvalue)


def test_few_seeds_cannot_have_a_small_p_of_the_sign_flip_test():
    assert [sign_flip_p([0.1] * n) for n in (1, 3, 5)] == [1.0, 0.25, 0.0625]
    assert math.isnan(sign_flip_p([]))


def test_many_seeds_are_tested_by_random_flips_that_agree_with_the_exact_test():
    values = np.random.default_rng(0).normal(0.3, 1, 13)
    exact = (np.array(list(itertools.product((1, -1), repeat=13))) @ values).__abs__() >= abs(
        values.sum()
    ) - 1e-12
    found = sign_flip_p(values)
    assert found == pytest.approx(exact.mean(), abs=0.02)
    assert found == sign_flip_p(values), "the same flips again"


def test_the_patients_p_is_twice_the_rarer_share_with_one_added():
    """100 replicates, 3 of them at or below 0: 2 * (3 + 1) / 101."""
    replicates = np.concatenate([[-0.1, -0.2, 0.0], np.linspace(0.01, 1, 97)])
    assert bootstrap_p(replicates) == pytest.approx(8 / 101)
    assert bootstrap_p(-replicates) == pytest.approx(8 / 101)
    assert bootstrap_p(np.append(replicates, np.nan)) == pytest.approx(8 / 101)
    assert bootstrap_p(np.zeros(9)) == 1.0
    assert math.isnan(bootstrap_p(np.full(3, np.nan)))


def test_where_no_resample_goes_beyond_zero_the_p_is_the_normal_tails_and_never_above_the_count():
    far = np.random.default_rng(0).normal(6, 1, 999)
    assert bootstrap_p(far) == bootstrap_p(-far) == pytest.approx(2 * stats.norm.sf(far.mean() / far.std()))
    near = np.r_[np.full(60, 0.01), np.full(39, 1.0)]
    assert 2 * stats.norm.sf(near.mean() / near.std()) > 0.02
    assert bootstrap_p(near) == pytest.approx(2 / 100)
    assert bootstrap_p(np.ones(99)) == 0.0


@given(st.floats(-3.5, 3.5), st.integers(0, 99))
@settings(max_examples=30)
def test_the_patients_p_agrees_with_their_interval(shift, seed):
    """An interval that excludes 0 has p below 0.05, but for the one that is added."""
    replicates = np.random.default_rng(seed).normal(shift, 1, 2000)
    low, high = paired_bootstrap([replicates], [np.zeros(2000)])
    if bootstrap_p(replicates) < 0.049:
        assert low > 0 or high < 0
    if low > 0 or high < 0:
        assert bootstrap_p(replicates) < 0.052


def test_holm_by_hand():
    """0.01 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1; a later one is never below an earlier one."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_what_was_not_tested_is_not_in_the_family():
    found = holm([0.02, float("nan"), 0.01])
    assert [found[0], found[2]] == pytest.approx([0.02, 0.02])
    assert math.isnan(found[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
@settings(max_examples=30)
def test_holm_rejects_what_its_stepping_down_rejects(values):
    """Oracle: Holm's own rule, from the smallest on until one is too large."""
    rejected, left = set(), sorted(range(len(values)), key=lambda k: values[k])
    while left and values[left[0]] <= 0.05 / len(left):
        rejected.add(left.pop(0))
    assert {k for k, p in enumerate(holm(values)) if p <= 0.05} == rejected or any(
        math.isclose(p, 0.05) for p in holm(values)
    )


@pytest.mark.parametrize(("seeds", "factor"), [(3, 0.5642), (5, 0.7979), (11, 0.9228)])
def test_the_effect_size_is_corrected_for_few_seeds(seeds, factor):
    """Hedges' factors for 2, 4 and 10 degrees of freedom."""
    values = np.random.default_rng(seeds).normal(1, 1, seeds)
    assert effect_size(values) == pytest.approx(factor * values.mean() / values.std(ddof=1), rel=1e-3)


def test_the_correction_takes_the_bias_away():
    """Mean over many samples of three seeds of a true effect of 1."""
    draws = np.random.default_rng(0).normal(1, 1, (2000, 5))
    assert np.mean([effect_size(d) for d in draws]) == pytest.approx(1.0, abs=0.05)
    assert math.isnan(effect_size([0.1, 0.2]))
    assert math.isnan(effect_size([0.1 + 0.2, 0.3, 0.3]))


@pytest.mark.parametrize(("effect", "seeds"), [(0.5, 34), (0.8, 15), (0.2, 199), (1.0, 10), (-0.5, 34)])
def test_the_seeds_needed_are_the_textbooks(effect, seeds):
    """G*Power's and Cohen's sample sizes of a paired two-sided t test at power 0.8 and alpha 0.05."""
    assert seeds_needed(effect) == seeds
    assert power(effect, seeds) >= 0.8 > power(effect, seeds - 1)


def test_the_power_is_what_simulation_finds():
    draws = np.random.default_rng(0).normal(0.9, 1, (20_000, 6))
    t = draws.mean(1) / (draws.std(1, ddof=1) / 6**0.5)
    assert power(0.9, 6) == pytest.approx(np.mean(np.abs(t) > stats.t.ppf(0.975, 5)), abs=0.012)


def test_no_number_of_seeds_is_told_where_none_would_do():
    assert seeds_needed(0.01) is None
    assert seeds_needed(float("nan")) is None
    assert seeds_needed(50.0) == 2


SCORES = np.array([[0.1, 0.5, 0.9], [0.2, 0.6, 0.8], [0.3, 0.4, 1.0], [0.0, 0.7, 0.55]])


def test_the_interquartile_mean_by_hand():
    """Twelve scores: without the three smallest (0, 0.1, 0.2) and the three largest (0.8, 0.9, 1.0)."""
    expected = (0.3 + 0.4 + 0.5 + 0.55 + 0.6 + 0.7) / 6
    found = interquartile_mean(SCORES, n_boot=50)
    assert found.value == pytest.approx(expected)
    assert found.low < expected < found.high


def test_the_probability_of_improvement_by_hand():
    """Task 1: 1 of 4 pairs won and 1 tied; task 2: all four won."""
    found = improvement(np.array([[0.5, 0.9], [0.1, 0.8]]), np.array([[0.5, 0.1], [0.6, 0.2]]), n_boot=20)
    assert found.value == pytest.approx((0.125 + 1) / 2)
    swapped = improvement(np.array([[0.5, 0.1], [0.6, 0.2]]), np.array([[0.5, 0.9], [0.1, 0.8]]), n_boot=20)
    assert swapped.value == pytest.approx(1 - found.value)


def test_seeds_are_drawn_with_all_their_tasks():
    """Replicates against a plain loop over the same draws."""
    marked = np.arange(4)[:, None] + 100.0 * np.arange(3)
    drawn = np.random.default_rng(7).integers(4, size=(30, 4))
    expected = [sum(sorted(v for s in draw for v in marked[s])[3:9]) / 6 for draw in drawn]
    found = interquartile_mean(marked, n_boot=30, seed=7)
    assert found.replicates == pytest.approx(np.array(expected))


def test_both_arms_are_resampled():
    one = np.full((3, 2), 0.5)
    other = np.array([[0.4, 0.4], [0.5, 0.5], [0.6, 0.6]])
    assert improvement(one, other, n_boot=200).low < 0.3
    assert improvement(other, one, n_boot=200).low < 0.3


def test_a_task_that_an_arm_lacks_cannot_be_averaged():
    with pytest.raises(DataError, match=r"shape \(2, 2\) and 1 that are missing"):
        interquartile_mean(np.array([[1, np.nan], [1, 2]]))
    with pytest.raises(DataError, match="the arms have 2 and 3 tasks"):
        improvement(np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(DataError, match=r"shape \(0, 2\)"):
        interquartile_mean(np.ones((0, 2)))
