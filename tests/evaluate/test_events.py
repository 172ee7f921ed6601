"""Marked and found beats: examples counted by hand, where the challenge's two scripts and strict counting differ; and a slow second matcher."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clef_ray.evaluate.metrics.events import SCORERS, Counts, official, revised, strict

#: marked, found [s] -> (met, false, missed) as official, revised, strict.
EXAMPLES = {
    "all found": ([1, 2, 3], [1, 2, 3], (3, 0, 0), (3, 0, 0), (3, 0, 0)),
    "within 150 ms, either side": ([1, 2], [0.85, 2.15], (2, 0, 0), (2, 0, 0), (2, 0, 0)),
    "a sample further": ([1, 2], [0.8475, 2.1525], (0, 0, 2), (0, 2, 2), (0, 2, 2)),
    "a stray costs nothing officially": ([1], [1, 5], (1, 0, 0), (1, 1, 0), (1, 1, 0)),
    "a second one near": ([1], [0.95, 1.05], (1, 1, 0), (1, 1, 0), (1, 1, 0)),
    "nothing is marked": ([], [1, 5], (0, 2, 0), (0, 2, 0), (0, 2, 0)),
    "nothing is found": ([1, 5], [], (0, 0, 2), (0, 0, 2), (0, 0, 2)),
    "neither": ([], [], (0, 0, 0), (0, 0, 0), (0, 0, 0)),
    "one found beat for two marked": ([1, 1.2], [1.1], (2, 0, 0), (2, -1, 0), (1, 0, 1)),
    "two for two, near to both": ([1, 1.1], [1.04, 1.06], (2, 2, 0), (2, 0, 0), (2, 0, 0)),
    "marked twice": ([1, 1, 4], [1], (1, 0, 1), (1, 0, 1), (1, 0, 1)),
    "the first must not take the only one of the next": (
        [1, 1.2],
        [1.1, 0.9],
        (2, 1, 0),
        (2, 0, 0),
        (2, 0, 0),
    ),
}


@pytest.mark.parametrize(("marked", "found", *SCORERS), EXAMPLES.values(), ids=EXAMPLES.keys())
def test_examples(marked, found, official, revised, strict):
    expected = {"official": official, "revised": revised, "strict": strict}
    for name, count in SCORERS.items():
        for order in (1, -1):
            assert count(np.array(marked[::order], float), np.array(found[::order], float)) == expected[name]


def test_a_missed_beat_costs_five_false_ones():
    assert Counts(met=7, false=3, missed=2).loss == 3 + 5 * 2


def test_the_loss_of_a_recording_with_strays_differs():
    marked, found = np.array([10.0, 20, 30]), np.array([10.0, 12, 14, 20.1, 20.12])
    # 10 and 20 are met, 30 is missed; 20.12 (or 20.1) is a second one near 20; 12 and 14 are strays.
    assert official(marked, found).loss == 1 + 5
    assert revised(marked, found).loss == 3 + 5
    assert strict(marked, found).loss == 3 + 5


def test_sixty_samples_at_400_hz_meet_at_any_time_of_day():
    sample = np.random.default_rng(0).integers(100, 34_000_000, 5000)
    for time in sample:
        marked = np.array([time / 400])
        assert strict(marked, np.array([(time + 60) / 400])).met == 1
        assert official(marked, np.array([(time - 60) / 400])).met == 1
    assert strict(marked, marked + 61 / 400).met == 0


grid = st.lists(st.integers(0, 400), max_size=7).map(lambda ticks: np.array(ticks, float) / 100)


def most_pairs(marked, found):
    """Every assignment tried."""
    marked = sorted(set(marked.tolist()))
    padded = [*found, *[np.inf] * max(len(marked) - len(found), 0)]
    return max(
        sum(abs(f - m) <= 0.15 + 1e-9 for m, f in zip(marked, order, strict=False))
        for order in permutations(padded, len(marked))
    )


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 80), max_size=5).map(lambda t: np.array(t, float) / 100),
    st.lists(st.integers(0, 80), max_size=6).map(lambda t: np.array(t, float) / 100),
)
def test_strict_makes_as_many_pairs_as_can_be(marked, found):
    counts = strict(marked, found)
    assert counts.met == most_pairs(marked, found)
    assert counts.met + counts.false == len(found)
    assert counts.met + counts.missed == len(np.unique(marked))


@settings(max_examples=30, deadline=None)
@given(grid, grid)
def test_official_and_revised_are_what_a_loop_over_marked_beats_counts(marked, found):
    met = false = missed = 0
    for beat in set(marked.tolist()):
        near = sum(abs(f - beat) <= 0.15 + 1e-9 for f in found)
        met, missed, false = met + (near > 0), missed + (near == 0), false + max(near - 1, 0)
    assert official(marked, found) == (met, false if len(marked) else len(found), missed)
    assert revised(marked, found) == (met, len(found) - met, missed)


apart = st.lists(st.integers(31, 200), max_size=8).map(lambda gaps: np.cumsum([0, *gaps]) / 100)


@settings(max_examples=30, deadline=None)
@given(apart, grid)
def test_strict_is_the_dearest_where_marked_beats_are_apart(marked, found):
    assert strict(marked, found).loss >= revised(marked, found).loss
    assert strict(marked, found).loss >= official(marked, found).loss


@settings(max_examples=30, deadline=None)
@given(apart, st.integers(-14, 14), st.lists(st.integers(0, 8), max_size=4, unique=True))
def test_a_perfect_answer_is_free_and_a_shift_below_the_window_changes_nothing(marked, shift, dropped):
    found = np.delete(marked, [k for k in dropped if k < len(marked)])
    for count in SCORERS.values():
        assert count(marked, marked).loss == 0
        assert count(marked, found + shift / 100) == count(marked, found)
