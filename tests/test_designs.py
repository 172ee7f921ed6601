"""Designs: what they promise of themselves, computed from the arms."""

import itertools
import math

import numpy as np
import pytest

from clef_ray.ablation import Ablation
from clef_ray.designs import GENERATORS, factorial, fractional, one_factor_at_a_time, resolution_of
from clef_ray.errors import ConfigError

KEYS = [
    "loss.alpha",
    "loss.negatives",
    "optimiser.lr",
    "views.lead",
    "views.noise_mv",
    "score",
    "loss.mask",
    "optimiser.batch",
]


def two_level(count):
    return {key: (f"low{n}", f"high{n}") for n, key in enumerate(KEYS[:count])}


def matrix(arms, factors):
    """[arms, factors], -1 for the low level and 1 for the high one."""
    return np.array([[2 * factors[key].index(arm.settings[key]) - 1 for key in factors] for arm in arms])


def confounded(x_AF):
    """The fewest factors whose product is constant over all arms: the resolution, by looking at every product."""
    factors = x_AF.shape[1]
    for size in range(1, factors + 1):
        for chosen in itertools.combinations(range(factors), size):
            if abs(x_AF[:, chosen].prod(axis=1).sum()) == len(x_AF):
                return size
    return math.inf


def test_factorial_is_every_combination_once():
    factors = {"loss.alpha": (0.0, 0.2, 1.0), "score": ("age", "score2")}
    arms = factorial(factors)
    assert [tuple(a.settings.values()) for a in arms] == list(itertools.product(*factors.values()))
    assert arms[1].name == "alpha=0.0 score=score2"


def test_one_factor_at_a_time_changes_one():
    factors = {"loss.alpha": (0.0, 0.2, 1.0), "score": ("age", "score2"), "loss.queue": (0,)}
    base = {"loss.alpha": 0.2, "score": "score2", "loss.queue": 0}
    arms = one_factor_at_a_time(base, factors)
    assert [a.name for a in arms] == ["base", "alpha=0.0", "alpha=1.0", "score=age"]
    for arm in arms[1:]:
        assert sum(arm.settings[key] != base[key] for key in base) == 1


@pytest.mark.parametrize("resolution", [3, 4, 5])
@pytest.mark.parametrize("count", range(1, 9))
def test_fractions_are_balanced_orthogonal_and_of_the_stated_resolution(count, resolution):
    factors = two_level(count)
    arms = fractional(factors, resolution)
    x_AF = matrix(arms, factors)
    assert (x_AF.sum(axis=0) == 0).all(), "a factor has one level more often"
    gram_FF = x_AF.T @ x_AF
    assert (gram_FF == len(arms) * np.eye(count)).all(), "two main effects are not orthogonal"
    assert confounded(x_AF) >= resolution
    assert len({a.name for a in arms}) == len(arms) == len({tuple(a.settings.values()) for a in arms})
    assert len(arms) <= 2**count
    assert {key: levels[1] for key, levels in factors.items()} in [a.settings for a in arms]


@pytest.mark.parametrize(("size", "words"), GENERATORS.items())
def test_the_tables_resolution_is_what_the_arms_have(size, words):
    """Against the published resolutions (Box, Hunter & Hunter 2005, table 6.22)."""
    published = {
        (3, 2): 3, (4, 3): 4, (5, 3): 3, (5, 4): 5, (6, 3): 3, (6, 4): 4, (6, 5): 6,
        (7, 3): 3, (7, 4): 4, (7, 6): 7, (8, 4): 4, (8, 6): 5,
    }  # fmt: skip
    assert resolution_of(size[1], words) == published[size]


@pytest.mark.parametrize(
    ("count", "resolution", "arms"),
    [
        (3, 3, 4),
        (4, 3, 8),
        (5, 3, 8),
        (7, 3, 8),
        (4, 4, 8),
        (6, 4, 16),
        (8, 4, 16),
        (5, 5, 16),
        (8, 5, 64),
        (7, 5, 64),
        (4, 5, 16),
        (2, 3, 4),
    ],
)
def test_the_smallest_fraction_is_taken(count, resolution, arms):
    assert len(fractional(two_level(count), resolution)) == arms


def test_names_are_unique_where_keys_end_alike():
    arms = factorial({"loss.mask": ("none",), "views.mask": (0, 1)})
    assert [a.name for a in arms] == ["loss.mask=none views.mask=0", "loss.mask=none views.mask=1"]


def test_an_ablation_takes_them():
    arms = fractional(two_level(5))
    Ablation(name="x", question="?", expect="!", arms=arms, base=arms[0].name, seeds=(0,))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: factorial({}), "at least one factor"),
        (lambda: factorial({"a": ()}), "factor a: at least 1 level"),
        (lambda: factorial({"a": (1, 1)}), "each once"),
        (lambda: fractional({"a": (0, 1, 2), "b": (0, 1)}), "factor a: 2 different levels"),
        (lambda: fractional(two_level(4), 6), "resolution 6: 3, 4 or 5"),
        (
            lambda: fractional({f"k{n}": (0, 1) for n in range(9)}),
            "9 factors: fractions are tabulated for at most 8",
        ),
        (lambda: one_factor_at_a_time({"a": 1}, {"a": (1, 2), "b": (1, 2)}), "each of a, b"),
    ],
)
def test_what_is_refused(call, says):
    with pytest.raises(ConfigError, match=says):
        call()
