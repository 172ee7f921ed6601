"""Beats, rhythms and windows of long recordings, by hand and against plain loops."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clef_ray.datasets import COVARIATES
from clef_ray.datasets._annotations import Annotations
from clef_ray.datasets._beats import (
    AAMI,
    beats,
    centred,
    generator,
    occurring,
    regular,
    rhythm_of,
    rhythms,
    some,
    window_table,
)


def marks(*rows):
    """(sample, symbol, note) -> Annotations."""
    return Annotations(
        sample_N=np.array([row[0] for row in rows], dtype=np.int64),
        symbol_N=np.array([row[1] for row in rows], dtype="<U1"),
        notes={i: row[2] for i, row in enumerate(rows) if row[2]},
    )


def test_the_aami_classes_are_those_of_the_standard():
    of = {label: "".join(sorted(s for s, c in AAMI.items() if c == label)) for label in "NSVFQ"}
    assert of == {"N": "LNRej", "S": "AJSa", "V": "EV", "F": "F", "Q": "/Qf"}


def test_beats_are_the_marks_that_have_a_class_each_sample_once():
    found = marks((5, "+", "(N"), (9, "L", ""), (9, "V", ""), (20, "~", ""), (31, "V", ""))
    sample_B, class_B = beats(found, AAMI)
    assert sample_B.tolist() == [9, 31]
    assert class_B.tolist() == ["N", "V"]
    assert beats(marks(), AAMI)[0].tolist() == []
    assert beats(marks((3, "~", "")), AAMI)[1].tolist() == []


def test_a_rhythm_lasts_to_its_end_the_next_one_or_the_end_of_the_recording():
    found = marks(
        (10, "+", "(N"),
        (40, "+", "(AFIB"),
        (40, "N", "a note"),
        (60, "+", ")"),
        (80, "+", "(AFL"),
        (90, "N", ""),
    )
    assert list(rhythms(found, 100)) == [(10, 40, "N"), (40, 60, "AFIB"), (80, 100, "AFL")]
    assert list(rhythms(marks((5, "+", ")"), (7, "+", "(N"), (7, "+", "(AFIB")), 9)) == [(7, 9, "AFIB")]


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [(10, 40, "N"), (10, 41, None), (9, 20, None), (45, 60, "AFIB"), (60, 70, None), (80, 300, "AFL")],
)
def test_a_window_has_a_rhythm_where_one_lasts_throughout(start, stop, expected):
    found = marks((10, "+", "(N"), (40, "+", "(AFIB"), (60, "+", ")"), (80, "+", "(AFL"))
    assert rhythm_of(found, start, stop) == expected


@given(
    beat_B=st.lists(st.integers(0, 99), unique=True, max_size=12).map(sorted),
    length=st.integers(1, 100),
    window=st.integers(1, 40),
)
def test_windows_lie_within_the_recording_and_the_beat_in_their_middle(beat_B, length, window):
    starts = centred(np.array(beat_B, dtype=np.int64), length, window).tolist()
    for beat, start in zip(beat_B, starts, strict=True):
        fits = beat - window // 2 >= 0 and beat - window // 2 + window <= length
        assert (start == beat - window // 2) if fits else (start == -1)
    side_by_side = regular(length, window).tolist()
    assert side_by_side == [i * window for i in range(length // window)]


@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from("NSV")), unique_by=lambda b: b[0]).map(sorted))
def test_occurring_classes_are_those_between_start_and_stop(found):
    sample_B = np.array([s for s, _ in found], dtype=np.int64)
    class_B = np.array([c for _, c in found], dtype="<U1")
    assert occurring(sample_B, class_B, 10, 30) == ({c for s, c in found if 10 <= s < 30} or None)


def test_a_draw_depends_on_seed_and_names_only():
    values = np.arange(100)
    first = some(generator(1, "a", "b"), values, 5)
    assert len(set(first.tolist())) == 5
    assert (np.diff(first) > 0).all()
    np.testing.assert_array_equal(first, some(generator(1, "a", "b"), values, 5))
    assert first.tolist() != some(generator(2, "a", "b"), values, 5).tolist()
    assert first.tolist() != some(generator(1, "a", "c"), values, 5).tolist()
    assert some(generator(1), values, 0) is values
    assert some(generator(1), values, 100) is values


def test_the_table_is_sorted_with_classes_in_order_and_unknown_covariates():
    rows = pd.DataFrame(
        {
            "recording": ["b", "a", "a"],
            "patient": "p",
            "fold": 1,
            "file": "f",
            "start": [7, 1000, 20],
            "age": [1.0, 2.0, 3.0],
            "label_beat": [{"V", "N"}, None, {"N"}],
        }
    )
    table = window_table(rows, 4, {"beat": ("N", "S", "V")})
    assert table["record"].tolist() == ["a-0020", "a-1000", "b-0007"]
    assert table["label_beat"].tolist() == [["N"], None, ["N", "V"]]
    assert table["age"].tolist() == [3.0, 2.0, 1.0]
    assert table[[name for name in COVARIATES if name != "age"]].isna().all(axis=None)
    assert "recording" not in table
