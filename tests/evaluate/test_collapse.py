"""When an embedding looks collapsed."""

import pytest

from clef_ray.evaluate.collapse import LEAST_RANK, LEAST_STD, collapse
from clef_ray.search import Stopping

RANK, STD = "embedding/effective_rank", "embedding/std"


@pytest.mark.parametrize(
    ("metrics", "why"),
    [
        ({}, None),
        ({"loss": 0.1, "valid/rsa": 0.0}, None),
        ({RANK: 2.0, STD: 0.01}, None),
        ({RANK: 1.994}, "effective rank of the embedding 1.99, below 2"),
        ({RANK: 9.0, STD: 0.0099}, "spread (embedding/std) of the embedding 0.0099, below 0.01"),
        ({RANK: 0.0, STD: 0.0}, "effective rank of the embedding 0.00, below 2"),
    ],
)
def test_near_one_direction_or_without_spread(metrics, why):
    assert collapse(metrics) == why


def test_a_sweep_stops_by_the_same_rank_unless_it_names_its_own():
    assert Stopping().collapse == LEAST_RANK
    assert collapse({RANK: 2.5}) is None
    assert collapse({RANK: 2.5}, 3) == "effective rank of the embedding 2.50, below 3"


def test_the_limits_lie_below_every_untrained_encoder_that_was_measured():
    """LSTM: 2.38 and 0.058, the least of six architectures on the synthetic cohort."""
    assert 1 < LEAST_RANK < 2.38
    assert 0 < LEAST_STD < 0.058
