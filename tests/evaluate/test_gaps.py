"""One metric minus another of the same encoder."""

import numpy as np
import pytest

from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.evaluate.gaps import KEY, counts, minus, with_gaps
from clef_ray.evaluate.result import TaskResult


def estimate(value, sd, seed, n=4000):
    return Estimate.of(np.concatenate([[value], value + np.random.default_rng(seed).normal(0, sd, n)]))


def test_the_interval_of_a_difference_between_strangers_is_that_of_independent_normals():
    gap = minus(estimate(0.8, 0.03, 1), estimate(0.7, 0.04, 2))
    assert gap.value == pytest.approx(0.1)
    half = 1.96 * np.hypot(0.03, 0.04)
    assert (gap.low, gap.high) == pytest.approx((0.1 - half, 0.1 + half), abs=0.01)


def test_strangers_resampled_at_the_same_places_do_not_share_their_luck():
    """Taken as they are, equal replicates would cancel and leave no uncertainty at all."""
    one = estimate(0.8, 0.03, 1)
    gap = minus(one, one)
    assert gap.value == 0
    assert gap.high - gap.low == pytest.approx(2 * 1.96 * np.sqrt(2) * 0.03, rel=0.1)


def test_what_is_undefined_stays_so():
    assert np.isnan(minus(estimate(np.nan, 0.1, 1), estimate(0.7, 0.1, 2)).low)


def test_gaps_stand_beside_the_results_and_missing_ones_are_said():
    results = {
        "a": TaskResult({"a/auroc": estimate(0.9, 0.01, 1)}),
        "b": TaskResult({"b/auroc": estimate(0.6, 0.01, 2)}),
    }
    found = with_gaps({"gap/auroc": ("a/auroc", "b/auroc"), "gap/f1": ("a/f1", "b/auroc")}, results)
    assert {key: found[key] for key in results} == results
    assert found[KEY].estimates["gap/auroc"].value == pytest.approx(0.3)
    assert found[KEY].notes == ("gap/f1: there is no a/f1",)
    assert with_gaps({}, results) == results


def test_a_gap_is_known_on_as_many_as_its_smaller_side():
    """Gaps of one name's start have a number each."""
    results = {
        "a": TaskResult({"a/auroc": estimate(0.9, 0.01, 1)}, {"a/n_patients": 90.0}),
        "far/b": TaskResult(
            {f"far/b/{name}": estimate(0.6, 0.01, 2) for name in ("auroc", "rsa")},
            {"far/b/n_patients": 120.0, "far/b/n_test": 7.0},
        ),
        "c": TaskResult({"c/rsa": estimate(0.1, 0.01, 3)}),
    }
    gaps = {"gap/auroc": ("far/b/auroc", "a/auroc"), "gap/rsa": ("far/b/rsa", "c/rsa")}
    assert with_gaps(gaps, results)[KEY].extras == {"gap/n_patients/auroc": 90, "gap/n_patients/rsa": 120}
    alone = {"gap/none": ("c/rsa", "c/rsa")}
    assert with_gaps(alone, results)[KEY].extras == {}


def test_a_number_without_resamples_is_not_said_to_be_missing():
    results = {"a": TaskResult({"a/auroc": estimate(0.9, 0.01, 1)}, {"a/frechet": 3.0})}
    assert with_gaps({"g/x": ("a/frechet", "a/auroc")}, results)[KEY].notes == (
        "g/x: a/frechet has no resamples",
    )


def test_a_metrics_number_stands_beside_it_or_above_it():
    assert list(counts("far/probe/auroc/AF", "n")) == [
        "far/probe/auroc/n/AF",
        "far/probe/auroc/n",
        "far/probe/n",
        "far/n",
    ]
    assert list(counts("auroc", "n")) == []
