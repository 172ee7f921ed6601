"""CHA2DS2-VASc and CHA2DS2-VA by their definition."""

import itertools

import pytest
from people import PERSON, score_of

from clef_ray.scores.cha2ds2_va import Cha2ds2Va
from clef_ray.scores.cha2ds2_vasc import Cha2ds2Vasc

POINTS = {"heart_failure": 1, "hypertension": 1, "diabetes": 1, "stroke": 2, "vascular_disease": 1}
WELL = PERSON | dict.fromkeys(POINTS, 0.0)
MALE, FEMALE = {"sex": 0.0}, {"sex": 1.0}


@pytest.mark.parametrize(
    ("person", "points"),
    [
        ({"age": 40.0} | MALE, 0),
        ({"age": 40.0} | FEMALE, 1),
        ({"age": 65.0, "hypertension": 1.0} | MALE, 2),
        ({"age": 70.0, "hypertension": 1.0, "diabetes": 1.0} | FEMALE, 4),
        (dict.fromkeys(POINTS, 1.0) | {"age": 75.0} | FEMALE, 9),
    ],
)
def test_by_definition(person, points):
    assert score_of(Cha2ds2Vasc(), WELL | person).value_N.tolist() == [points]
    assert score_of(Cha2ds2Va(), WELL | person).value_N.tolist() == [points - person["sex"]]


@pytest.mark.parametrize(("age", "points"), [(64.9, 0), (65.0, 1), (74.9, 1), (75.0, 2), (110.0, 2)])
def test_ages_count_from_the_birthday(age, points):
    result = score_of(Cha2ds2Va(), WELL | {"age": age})
    assert result.value_N.tolist() == [points]
    assert result.valid_N.all()


def test_every_combination_of_diseases_is_their_sum():
    people = [dict(zip(POINTS, ill, strict=True)) for ill in itertools.product([0.0, 1.0], repeat=5)]
    expected = [sum(POINTS[item] for item, ill in person.items() if ill) for person in people]
    found = score_of(Cha2ds2Va(), [WELL | {"age": 50.0} | person for person in people])
    assert found.value_N.tolist() == expected
