"""The Pooled Cohort Equations against the published example, an unvectorised transcription, and what their signs promise."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import anyone, change, cohort, score_of

from clef_ray.scores.pce import Pce

RACES = ("white", "black")


def transcription(p, race):
    """One person, lipids in mg/dL, one published equation per branch."""
    age, sbp = math.log(p["age"]), math.log(p["sbp"])
    tc, hdl = math.log(p["total_cholesterol"] / 0.02586), math.log(p["hdl"] / 0.02586)
    drug, k, d = p["treated"] == 1, p["smoker"], p["diabetes"]
    if race == "white" and p["sex"] == 1:
        x = -29.799 * age + 4.884 * age**2 + 13.540 * tc - 3.114 * age * tc - 13.578 * hdl + 3.149 * age * hdl
        x += (2.019 if drug else 1.957) * sbp + 7.574 * k - 1.665 * age * k + 0.661 * d
        mean, survival = -29.18, 0.9665
    elif p["sex"] == 1:
        x = 17.114 * age + 0.940 * tc - 18.920 * hdl + 4.475 * age * hdl + 0.691 * k + 0.874 * d
        x += (29.291 - 6.432 * age) * sbp if drug else (27.820 - 6.087 * age) * sbp
        mean, survival = 86.61, 0.9533
    elif race == "white":
        x = 12.344 * age + 11.853 * tc - 2.664 * age * tc - 7.990 * hdl + 1.769 * age * hdl
        x += (1.797 if drug else 1.764) * sbp + 7.837 * k - 1.795 * age * k + 0.658 * d
        mean, survival = 61.18, 0.9144
    else:
        x = 2.469 * age + 0.302 * tc - 0.307 * hdl + (1.916 if drug else 1.809) * sbp + 0.549 * k + 0.645 * d
        mean, survival = 19.54, 0.8954
    return 100 * (1 - survival ** math.exp(x - mean))


@pytest.mark.parametrize(("race", "man", "woman"), [("white", 5.38, 2.05), ("black", 6.07, 3.03)])
def test_published_person_of_55(race, man, woman):
    """Total cholesterol 213, HDL 50 mg/dL, SBP 120 untreated, no smoker, no diabetes (the article prints 5.3 for the white man)."""
    person = {"age": 55.0, "total_cholesterol": 213 * 0.02586, "hdl": 50 * 0.02586, "sbp": 120.0}
    person |= {"treated": 0.0, "smoker": 0.0, "diabetes": 0.0}
    result = score_of(Pce(race), [person | {"sex": 0.0}, person | {"sex": 1.0}])
    assert result.value_N.round(2).tolist() == [man, woman]
    assert result.valid_N.all()


@pytest.mark.parametrize("race", RACES)
def test_equals_the_transcription(race):
    people = cohort((40, 79))
    result = score_of(Pce(race), people)
    assert result.value_N == pytest.approx([transcription(p, race) for p in people], rel=1e-9)
    assert result.valid_N.all()


def test_race_can_come_from_the_patient():
    people = cohort((40, 79))
    result = score_of(Pce("field"), people)
    expected = [transcription(p, "black" if p["black"] else "white") for p in people]
    assert result.value_N == pytest.approx(expected, rel=1e-9)
    assert "black" in Pce("field").fields
    assert "black" not in Pce().fields


@given(anyone(40, 78), st.sampled_from(RACES), st.sampled_from(["smoker", "diabetes"]))
def test_rises_with_smoking_and_diabetes(person, race, factor):
    """Smoking only up to 78: over 78.7 the equation of white men has it protect."""
    assert change(Pce(race), person | {factor: 0.0}, **{factor: 1.0}) > 0


@given(anyone(40, 79), st.sampled_from(RACES), st.floats(90, 190))
def test_rises_with_pressure(person, race, sbp):
    assert change(Pce(race), person | {"sbp": sbp}, sbp=sbp + 10) > 0


@given(anyone(40, 76.9), st.sampled_from(RACES), st.floats(3.4, 7.2))
def test_rises_with_cholesterol_until_77(person, race, tc):
    assert change(Pce(race), person | {"total_cholesterol": tc}, total_cholesterol=tc + 1) > 0


@given(anyone(40, 68), st.sampled_from(RACES), st.floats(0.55, 2.2))
def test_falls_with_hdl_until_68(person, race, hdl):
    """Over 68.6 (black) and 74.6 years (white) the equations of women have HDL harm."""
    assert change(Pce(race), person | {"hdl": hdl}, hdl=hdl + 0.3) < 0
