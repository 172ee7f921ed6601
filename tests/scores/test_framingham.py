"""Framingham 2008 against the published examples, an unvectorised transcription, and what its signs promise."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import anyone, change, cohort, score_of

from clef_ray.scores.framingham import Framingham

VERSIONS = ("lipids", "bmi")


def transcription(p, version):
    """One person, lipids in mg/dL, one published equation per branch."""
    age, sbp, drug = math.log(p["age"]), math.log(p["sbp"]), p["treated"] == 1
    k, d = p["smoker"], p["diabetes"]
    tc, hdl = math.log(p["total_cholesterol"] / 0.02586), math.log(p["hdl"] / 0.02586)
    bmi = math.log(p["bmi"])
    if version == "lipids" and p["sex"] == 1:
        x = 2.32888 * age + 1.20904 * tc - 0.70833 * hdl + (2.82263 if drug else 2.76157) * sbp
        x, survival = x + 0.52873 * k + 0.69154 * d - 26.1931, 0.95012
    elif version == "lipids":
        x = 3.06117 * age + 1.12370 * tc - 0.93263 * hdl + (1.99881 if drug else 1.93303) * sbp
        x, survival = x + 0.65451 * k + 0.57367 * d - 23.9802, 0.88936
    elif p["sex"] == 1:
        x = 2.72107 * age + 0.51125 * bmi + (2.88267 if drug else 2.81291) * sbp
        x, survival = x + 0.61868 * k + 0.77763 * d - 26.0145, 0.94833
    else:
        x = 3.11296 * age + 0.79277 * bmi + (1.92672 if drug else 1.85508) * sbp
        x, survival = x + 0.70953 * k + 0.53160 * d - 23.9388, 0.88431
    return 100 * (1 - survival ** math.exp(x))


def test_published_woman_of_61():
    """The article's first case: total cholesterol 180 and HDL 47 mg/dL, SBP 124 untreated, smoker."""
    person = {"age": 61.0, "sex": 1.0, "total_cholesterol": 180 * 0.02586, "hdl": 47 * 0.02586, "sbp": 124.0}
    result = score_of(Framingham(), person | {"treated": 0.0, "smoker": 1.0, "diabetes": 0.0})
    assert round(float(result.value_N[0]), 2) == 10.48
    assert result.valid_N[0]


def test_published_man_of_53():
    """The article's second case: total cholesterol 161 and HDL 55 mg/dL, SBP 125 treated, diabetes."""
    person = {"age": 53.0, "sex": 0.0, "total_cholesterol": 161 * 0.02586, "hdl": 55 * 0.02586, "sbp": 125.0}
    result = score_of(Framingham(), person | {"treated": 1.0, "smoker": 0.0, "diabetes": 1.0})
    assert round(float(result.value_N[0]), 2) == 15.62
    assert result.valid_N[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_equals_the_transcription(version):
    people = cohort((30, 74))
    result = score_of(Framingham(version), people)
    assert result.value_N == pytest.approx([transcription(p, version) for p in people], rel=1e-9)
    assert result.valid_N.all()


def test_a_version_asks_for_what_it_uses():
    assert "bmi" not in Framingham().fields
    assert not {"total_cholesterol", "hdl"} & set(Framingham("bmi").fields)


@given(anyone(30, 74), st.sampled_from(VERSIONS), st.sampled_from(["smoker", "diabetes", "treated"]))
def test_rises_with_every_risk_factor(person, version, factor):
    assert change(Framingham(version), person | {factor: 0.0}, **{factor: 1.0}) > 0


@given(anyone(30, 73), st.sampled_from(VERSIONS), st.sampled_from(["age", "sbp"]))
def test_rises_with_age_and_pressure(person, version, field):
    assert change(Framingham(version), person, **{field: person[field] + 1}) > 0


@given(anyone(30, 74))
def test_follows_the_lipids_or_the_weight(person):
    assert change(Framingham(), person, total_cholesterol=person["total_cholesterol"] + 0.5) > 0
    assert change(Framingham(), person, hdl=person["hdl"] + 0.2) < 0
    assert change(Framingham("bmi"), person, bmi=person["bmi"] + 1) > 0
