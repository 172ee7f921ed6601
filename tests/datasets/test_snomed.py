"""What headers say in comments: both styles, unknown and impossible values, codes with superfluous commas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts._challenge import told, write_challenge

from clef_ray.datasets._snomed import Comments, fields, labels_of

VOCABULARY = {"B": ("2", "22"), "A": ("1",), "C": ("3",)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("headers")
    headers = {
        "A0001": told(74, "Male", "1,2"),
        "A0002": told("NaN", "Female", "22,,2,", "# "),
        "A0003": told(300, "Unknown", ""),
        "A0004": told("-1", "F", " 3 , 3"),
        "A0005": told("seventy", "male", "9"),
    }
    for record, comments in headers.items():
        write_challenge(root / record, comments, length=10)
    (root / "A0006.hea").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def comments(folder):
    return Comments.read(folder, [f"A000{i}" for i in range(1, 8)])


def test_ages_that_are_unknown_or_cannot_be_are_nan_and_only_the_latter_are_counted(comments):
    ages, impossible = comments.ages()
    np.testing.assert_array_equal(ages, [74.0, *[np.nan] * 6])
    assert impossible == 2, "300 and -1"


def test_sexes_are_0_for_male_1_for_female(comments):
    np.testing.assert_array_equal(comments.sexes(), [0, 1, np.nan, 1, 0, np.nan, np.nan])


def test_codes_come_once_each_and_never_empty(comments):
    assert comments.codes() == [["1", "2"], ["22", "2"], [], ["3"], ["9"], [], []]


def test_headers_that_cannot_be_read_are_counted_and_say_nothing(comments):
    assert comments.unreadable == 2, "an empty one, and one that is not there"
    assert comments.fields_N[5] == comments.fields_N[6] == {}


def test_the_digest_tells_a_changed_comment(folder, comments, tmp_path):
    write_challenge(tmp_path / "A0001", told(75, "Male", "1,2"), length=10)
    assert Comments.read(tmp_path, ["A0001"]).digest != Comments.read(folder, ["A0001"]).digest
    assert Comments.read(folder, [f"A000{i}" for i in range(1, 8)]).digest == comments.digest


def test_the_first_of_two_equal_fields_counts():
    assert fields(["age: 81", "Date: a:b", "no colon", "Age: 12"]) == {"age": "81", "date": "a:b"}


def test_labels_are_in_the_vocabularys_order_and_equal_codes_merge():
    assert labels_of([["3", "1", "22", "2"], ["9"], []], VOCABULARY).tolist() == [["B", "A", "C"], None, None]


@given(st.lists(st.sampled_from(["1", "2", "22", "3", "8", "9"])))
def test_labels_hold_exactly_the_classes_whose_codes_occur(codes):
    found = labels_of([codes], VOCABULARY)[0] or []
    assert set(found) == {name for name, meant in VOCABULARY.items() if set(meant) & set(codes)}
    assert found == [name for name in VOCABULARY if name in found]
