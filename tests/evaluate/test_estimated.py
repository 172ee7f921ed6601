"""What resampling few patients, and drawing few to learn from, may say."""

import numpy as np
import pytest

from clef_ray.evaluate.bootstrap import sample_and_resamples
from clef_ray.evaluate.modes import over_draws
from clef_ray.evaluate.result import LEAST_UNITS, estimated


def means(units, seed=0):
    values = np.random.default_rng(seed).normal(size=len(units))
    weights = sample_and_resamples(units, 50, 0)
    return values, {"mean": (weights @ values) / weights.sum(axis=1)}


@pytest.mark.parametrize("count", [1, LEAST_UNITS - 1])
def test_few_patients_give_a_value_and_no_interval(count):
    units = np.repeat([f"p{k}" for k in range(count)], 30)
    values, statistics = means(units)
    estimates, notes = estimated(statistics, units, "recordings")
    assert estimates["mean"].value == pytest.approx(values.mean())
    assert np.isnan([estimates["mean"].low, estimates["mean"].high]).all()
    assert np.isnan(estimates["mean"].replicates).all()
    assert notes == (f"no intervals: {count} recordings are judged, {LEAST_UNITS} are needed",)


def test_enough_patients_give_an_interval():
    units = np.array([f"p{k}" for k in range(LEAST_UNITS)])
    estimates, notes = estimated(means(units)[1], units)
    assert estimates["mean"].low < estimates["mean"].value < estimates["mean"].high
    assert notes == ()


def test_what_is_undefined_is_said_of_many_patients_and_of_few():
    for count, said in ((LEAST_UNITS, 1), (1, 2)):
        units = np.array([f"p{k}" for k in range(count)])
        _, notes = estimated({"nothing": np.full(51, np.nan)}, units)
        assert len(notes) == said
        assert notes[-1] == "undefined on these records: nothing"


def test_the_spread_over_draws_is_of_the_values_alone():
    """Three draws with 1, 2 and 6 on the sample itself: mean 3, squares 4 + 1 + 9, over 2. Student's t of 2 degrees at 97.5 % is 4.3027."""
    draws = [{"f1": np.array([v, 100.0 * v]), "mae": np.ones(2)} for v in (1, 2, 6)]
    half = 4.30265273 * np.sqrt(7) / np.sqrt(3)
    assert over_draws(draws, ("f1", "mae")) == {
        "f1_sd_draws": pytest.approx(np.sqrt(7)),
        "f1_low_draws": pytest.approx(3 - half),
        "f1_high_draws": pytest.approx(3 + half),
        "mae_sd_draws": 0,
    }
    assert over_draws(draws[:1], ("f1",)) == {}
