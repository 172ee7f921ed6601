"""SCORE2-Diabetes against the published examples, an unvectorised transcription, and what its signs promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import PERSON, anyone, change, cohort, score_of

from clef_ray.scores.score2_diabetes import Score2Diabetes

REGIONS = ("low", "moderate", "high", "very_high")
CONSTANTS = {
    ("low", 0): (-0.5699, 0.7476),
    ("moderate", 0): (-0.1565, 0.8009),
    ("high", 0): (0.3207, 0.9360),
    ("very_high", 0): (0.5836, 0.8294),
    ("low", 1): (-0.7380, 0.7019),
    ("moderate", 1): (-0.3143, 0.7701),
    ("high", 1): (0.5710, 0.9369),
    ("very_high", 1): (0.9412, 0.8329),
}
#: A non-smoker of 60 with diabetes since 60, the article's example.
EXAMPLE = PERSON | {"age": 60.0, "smoker": 0.0, "sbp": 140.0, "total_cholesterol": 5.5, "hdl": 1.3}
EXAMPLE |= {"diabetes": 1.0, "diabetes_age": 60.0, "hba1c": 50.0, "egfr": 90.0}


def transcription(p, region):
    """One person, in the guideline's two steps."""
    a, s = (p["age"] - 60) / 5, (p["sbp"] - 120) / 20
    t, h, k, d = p["total_cholesterol"] - 6, (p["hdl"] - 1.3) / 0.5, p["smoker"], p["diabetes"]
    g, e = (p["hba1c"] - 31) / 9.34, (math.log(p["egfr"]) - 4.5) / 0.15
    q = (p["diabetes_age"] - 50) / 5 if d else 0.0
    if p["sex"] == 0:
        x = 0.5368 * a + 0.4774 * k + 0.1322 * s + 0.6457 * d + 0.1102 * t - 0.1087 * h
        x += -0.0672 * a * k - 0.0268 * a * s - 0.0983 * a * d - 0.0181 * a * t + 0.0095 * a * h
        x += -0.0998 * q + 0.0955 * g - 0.0591 * e + 0.0058 * e * e - 0.0134 * g * a + 0.0115 * e * a
        survival = 0.9605
    else:
        x = 0.6624 * a + 0.6139 * k + 0.1421 * s + 0.8096 * d + 0.1127 * t - 0.1568 * h
        x += -0.1122 * a * k - 0.0167 * a * s - 0.1272 * a * d - 0.0200 * a * t + 0.0186 * a * h
        x += -0.118 * q + 0.1173 * g - 0.0640 * e + 0.0062 * e * e - 0.0196 * g * a + 0.0169 * e * a
        survival = 0.9776
    c1, c2 = CONSTANTS[region, p["sex"]]
    uncalibrated = 1 - survival ** math.exp(x)
    return 100 * (1 - math.exp(-math.exp(c1 + c2 * math.log(-math.log(1 - uncalibrated)))))


@pytest.mark.parametrize(
    ("region", "man", "woman"),
    [("low", 8.4, 6.1), ("moderate", 11.0, 7.6), ("high", 12.5, 11.1), ("very_high", 20.3, 20.6)],
)
def test_published_person_of_60(region, man, woman):
    result = score_of(Score2Diabetes(region), [EXAMPLE | {"sex": 0.0}, EXAMPLE | {"sex": 1.0}])
    assert result.value_N.round(1).tolist() == [man, woman]
    assert result.valid_N.all()


def test_published_man_with_poor_control():
    """The abstract's second case: HbA1c 70 mmol/mol, eGFR 60, diabetes since 50."""
    person = EXAMPLE | {"sex": 0.0, "hba1c": 70.0, "egfr": 60.0, "diabetes_age": 50.0}
    assert round(float(score_of(Score2Diabetes("moderate"), person).value_N[0])) == 17


@pytest.mark.parametrize("region", REGIONS)
def test_equals_the_transcription(region):
    people = cohort((40, 69.9))
    result = score_of(Score2Diabetes(region), people)
    assert result.value_N == pytest.approx([transcription(p, region) for p in people], rel=1e-9)
    assert result.valid_N.tolist() == [p["diabetes"] == 1 for p in people]


def test_without_diabetes_no_age_at_diagnosis_is_asked_for():
    """It does not apply, so it is not missing; but the equation was not derived for such people."""
    healthy = EXAMPLE | {"diabetes": 0.0, "diabetes_age": np.nan}
    result = score_of(Score2Diabetes(), [healthy, healthy | {"diabetes_age": 30.0}])
    assert result.value_N == pytest.approx([transcription(healthy, "moderate")] * 2, rel=1e-9)
    assert result.observed_N.tolist() == [10, 10]
    assert not result.valid_N.any()


def test_an_unknown_diabetes_is_neither():
    result = score_of(Score2Diabetes(), [EXAMPLE | {"diabetes": np.nan, "diabetes_age": np.nan}])
    assert np.isnan(result.value_N[0])
    assert result.observed_N.tolist() == [8]


@given(anyone(40, 69.9), st.sampled_from(REGIONS))
def test_rises_with_every_risk_factor(person, region):
    score, person = Score2Diabetes(region), person | {"diabetes": 1.0}
    assert change(score, person | {"smoker": 0.0}, smoker=1.0) > 0
    for field, more in (("sbp", 10), ("total_cholesterol", 0.5), ("hba1c", 10)):
        assert change(score, person, **{field: person[field] + more}) > 0


@given(anyone(40, 69.9), st.sampled_from(REGIONS), st.floats(16, 90))
def test_falls_with_hdl_kidney_function_and_a_later_diagnosis(person, region, egfr):
    """Of kidney function up to 100: beyond 130 the published parabola turns."""
    score, person = Score2Diabetes(region), person | {"diabetes": 1.0, "egfr": egfr}
    for field, more in (("hdl", 0.3), ("egfr", 10), ("diabetes_age", 5)):
        assert change(score, person, **{field: person[field] + more}) < 0
