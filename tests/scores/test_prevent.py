"""PREVENT against the published example, an unvectorised transcription, and what its signs promise."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import anyone, change, cohort, score_of

from clef_ray.scores.prevent import Prevent

OUTCOMES = ("cvd", "ascvd", "hf")

# Coefficients in the order of the supplement: CVD and ASCVD age, non-HDL, HDL, SBP < 110, SBP >= 110, diabetes, smoking, eGFR < 60, eGFR >= 60,
# treated, statin, treated x SBP, statin x non-HDL, age x (non-HDL, HDL, SBP, diabetes, smoking, eGFR < 60), constant.
LIPID = {
    (
        "cvd",
        1,
    ): ".7939329 .0305239 -.1606857 -.2394003 .3600781 .8667604 .5360739 .6045917 .0433769 .3151672 -.1477655 -.0663612 .1197879 "
    "-.0819715 .0306769 -.0946348 -.27057 -.078715 -.1637806 -3.307728",
    (
        "cvd",
        0,
    ): ".7688528 .0736174 -.0954431 -.4347345 .3362658 .7692857 .4386871 .5378979 .0164827 .288879 -.1337349 -.0475924 .150273 "
    "-.0517874 .0191169 -.1049477 -.2251948 -.0895067 -.1543702 -3.031168",
    (
        "ascvd",
        1,
    ): ".719883 .1176967 -.151185 -.0835358 .3592852 .8348585 .4831078 .4864619 .0397779 .2265309 -.0592374 -.0395762 .0844423 "
    "-.0567839 .0325692 -.1035985 -.2417542 -.0791142 -.1671492 -3.819975",
    (
        "ascvd",
        0,
    ): ".7099847 .1658663 -.1144285 -.2837212 .3239977 .7189597 .3956973 .3690075 .0203619 .2036522 -.0865581 -.0322916 .114563 "
    "-.0300005 .0232747 -.0927024 -.2018525 -.0970527 -.1217081 -3.500655",
}
# Heart failure: age, SBP < 110, SBP >= 110, diabetes, smoking, BMI < 30, BMI >= 30, eGFR < 60, eGFR >= 60, treated, treated x SBP,
# age x (SBP, diabetes, smoking, BMI >= 30, eGFR < 60), constant.
WEIGHT = {
    1: ".8998235 -.4559771 .3576505 1.038346 .583916 -.0072294 .2997706 .7451638 .0557087 .3534442 -.0981511 -.0946663 -.3581041 -.1159453 "
    "-.003878 -.1884289 -4.310409",
    0: ".8972642 -.6811466 .3634461 .923776 .5023736 -.0485841 .3726929 .6926917 .0251827 .2980922 -.0497731 -.1289201 -.3040924 -.1401688 "
    ".0068126 -.1797778 -3.946391",
}


def transcription(p, outcome):
    """One person, with lipids in mg/dL and splines by branches, as the supplement writes them."""
    tc, hdl = p["total_cholesterol"] / 0.02586, p["hdl"] / 0.02586
    a = (p["age"] - 55) / 10
    n, h = (tc - hdl) * 0.02586 - 3.5, (hdl * 0.02586 - 1.3) / 0.3
    s1, s2 = ((p["sbp"] - 110) / 20, -1.0) if p["sbp"] < 110 else (0.0, (p["sbp"] - 130) / 20)
    g1, g2 = ((p["egfr"] - 60) / -15, 2.0) if p["egfr"] < 60 else (0.0, (p["egfr"] - 90) / -15)
    b1, b2 = ((p["bmi"] - 25) / 5, 0.0) if p["bmi"] < 30 else (1.0, (p["bmi"] - 30) / 5)
    d, k, drug, statin = p["diabetes"], p["smoker"], p["treated"], p["statin"]
    if outcome == "hf":
        terms = [a, s1, s2, d, k, b1, b2, g1, g2, drug, drug * s2, a * s2, a * d, a * k, a * b2, a * g1, 1]
        beta = WEIGHT[p["sex"]]
    else:
        terms = [a, n, h, s1, s2, d, k, g1, g2, drug, statin, drug * s2, statin * n]
        terms += [a * n, a * h, a * s2, a * d, a * k, a * g1, 1]
        beta = LIPID[outcome, p["sex"]]
    x = sum(float(b) * t for b, t in zip(beta.split(), terms, strict=True))
    return 100 * math.exp(x) / (1 + math.exp(x))


@pytest.mark.parametrize(("outcome", "expected"), [("cvd", 14.7), ("ascvd", 9.2), ("hf", 8.1)])
def test_published_woman_of_50(outcome, expected):
    """SBP 160 treated, total cholesterol 200 and HDL 45 mg/dL, no statin, diabetes, no smoker, eGFR 90, BMI 35."""
    person = {
        "age": 50.0,
        "sex": 1.0,
        "sbp": 160.0,
        "treated": 1.0,
        "statin": 0.0,
        "diabetes": 1.0,
        "smoker": 0.0,
    }
    person |= {"total_cholesterol": 200 * 0.02586, "hdl": 45 * 0.02586, "egfr": 90.0, "bmi": 35.0}
    result = score_of(Prevent(outcome), person)
    assert round(float(result.value_N[0]), 1) == expected
    assert result.valid_N[0]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_equals_the_transcription(outcome):
    people = cohort((30, 79), n=600)
    result = score_of(Prevent(outcome), people)
    assert result.value_N == pytest.approx([transcription(p, outcome) for p in people], rel=1e-9)
    assert result.valid_N.all()
    assert {(p["sbp"] < 110, p["egfr"] < 60, p["bmi"] < 30, p["statin"], p["sex"]) for p in people} >= {
        (s, g, b, t, w) for s in (True, False) for g in (True, False) for b in (True, False) for t in (0, 1) for w in (0, 1)
    }  # fmt: skip


def test_every_outcome_asks_for_what_it_uses():
    assert "bmi" in Prevent("hf").fields
    assert not {"total_cholesterol", "hdl", "statin"} & set(Prevent("hf").fields)
    for outcome in ("cvd", "ascvd"):
        assert {"total_cholesterol", "hdl", "statin"} < set(Prevent(outcome).fields)
        assert "bmi" not in Prevent(outcome).fields


@given(anyone(30, 79), st.sampled_from(OUTCOMES), st.sampled_from(["smoker", "diabetes", "treated"]))
def test_rises_with_every_risk_factor(person, outcome, factor):
    assert change(Prevent(outcome), person | {factor: 0.0}, **{factor: 1.0}) > 0


@given(anyone(30, 79), st.sampled_from(OUTCOMES), st.floats(110, 190))
def test_rises_with_pressure_from_110(person, outcome, sbp):
    assert change(Prevent(outcome), person | {"sbp": sbp}, sbp=sbp + 10) > 0


@given(anyone(30, 79), st.sampled_from(OUTCOMES), st.floats(15, 140))
def test_falls_with_kidney_function(person, outcome, egfr):
    assert change(Prevent(outcome), person | {"egfr": egfr}, egfr=egfr + 10) < 0


@given(anyone(30, 79), st.sampled_from(["cvd", "ascvd"]), st.floats(0.55, 2.2))
def test_falls_with_hdl(person, outcome, hdl):
    assert change(Prevent(outcome), person | {"hdl": hdl}, hdl=hdl + 0.3) < 0


@given(anyone(30, 58), st.sampled_from(["cvd", "ascvd"]), st.floats(3.4, 7.2))
def test_rises_with_cholesterol_until_58(person, outcome, tc):
    """Later the published equation falls: for women over 58.7 and men over 69.2 years without a statin."""
    assert change(Prevent(outcome), person | {"total_cholesterol": tc}, total_cholesterol=tc + 1) > 0


@given(anyone(30, 79), st.floats(30, 37))
def test_heart_failure_rises_with_weight_from_30(person, bmi):
    assert change(Prevent("hf"), person | {"bmi": bmi}, bmi=bmi + 2) > 0
