"""SCORE2 and SCORE2-OP against the published examples, at the edges of their range, and against an unvectorised transcription."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from people import change, cohort, score_of

from clef_ray.errors import ConfigError, DataError
from clef_ray.scores import take
from clef_ray.scores.score2 import Score2
from clef_ray.scores.score2_op import Score2Op

REGIONS = ("low", "moderate", "high", "very_high")
PERSON = {"age": 50.0, "sex": 0.0, "smoker": 1.0, "sbp": 140.0, "total_cholesterol": 6.3, "hdl": 1.4}


def score(people, **options):
    """One result for a list of people (dicts), or for one."""
    people = people if isinstance(people, list) else [people]
    columns = {name: np.array([p[name] for p in people]) for name in PERSON}
    return Score2(**options)(columns, np.arange(len(people)).astype(str))


# published examples: SCORE2 Supplementary Table 4 and abstract; SCORE2-OP Supplementary Table 3


@pytest.mark.parametrize(
    ("region", "man", "woman"),
    [("low", 6.3, 4.3), ("moderate", 8.1, 5.2), ("high", 8.8, 7.1), ("very_high", 15.1, 14.1)],
)
def test_published_smoker_of_50(region, man, woman):
    result = score([PERSON, PERSON | {"sex": 1.0}], region=region)
    assert np.round(result.value_N, 1).tolist() == [man, woman]
    assert result.valid_N.all()


@pytest.mark.parametrize(("region", "man", "woman"), [("low", 5.9, 4.2), ("very_high", 14.0, 13.7)])
def test_published_abstract(region, man, woman):
    person = PERSON | {"total_cholesterol": 5.5, "hdl": 1.3}
    value_N = score([person, person | {"sex": 1.0}], region=region).value_N
    assert value_N == pytest.approx([man, woman], abs=0.051)  # 14.05 is printed as 14.0


@pytest.mark.parametrize(
    ("sex", "smoker", "sbp", "tc", "hdl", "expected"),
    [
        (0, 1, 140, 5.5, 1.3, 18.6),
        (1, 1, 140, 5.5, 1.3, 15.2),
        (0, 0, 140, 5.5, 1.3, 13.3),
        (1, 0, 110, 5.0, 2.0, 6.1),
    ],
)
def test_published_older_people(sex, smoker, sbp, tc, hdl, expected):
    person = {"age": 75.0, "sex": sex, "smoker": smoker, "sbp": sbp, "total_cholesterol": tc, "hdl": hdl}
    result = score(person, region="low")
    assert round(float(result.value_N[0]), 1) == expected
    assert result.valid_N[0]


def test_jump_at_70():
    person = {"sex": 0.0, "smoker": 0.0, "sbp": 140.0, "total_cholesterol": 5.5, "hdl": 1.3}
    value_N = score([person | {"age": a} for a in (69.9, 70.0)], region="low").value_N
    assert np.round(value_N, 2).tolist() == [9.72, 9.33]


#: (c1, c2) of SCORE2 and of SCORE2-OP, men and women.
RECALIBRATION = {
    "low": ((-0.5699, 0.7476), (-0.7380, 0.7019), (-0.34, 1.19), (-0.52, 1.01)),
    "moderate": ((-0.1565, 0.8009), (-0.3143, 0.7701), (0.01, 1.25), (-0.10, 1.10)),
    "high": ((0.3207, 0.9360), (0.5710, 0.9369), (0.08, 1.15), (0.38, 1.09)),
    "very_high": ((0.5836, 0.8294), (0.9412, 0.8329), (0.05, 0.70), (0.38, 0.69)),
}


def transcription(p, region, *, op):
    """SCORE2 or SCORE2-OP of one person, written out in the guideline's two steps."""
    smoker = p["smoker"]
    if op:
        a, s, t, h = p["age"] - 73, p["sbp"] - 150, p["total_cholesterol"] - 6, p["hdl"] - 1.4
    else:
        a, s = (p["age"] - 60) / 5, (p["sbp"] - 120) / 20
        t, h = p["total_cholesterol"] - 6, (p["hdl"] - 1.3) / 0.5
    if p["sex"] == 0 and not op:
        x = 0.3742 * a + 0.6012 * smoker + 0.2777 * s + 0.1458 * t - 0.2698 * h
        x += -0.0755 * a * smoker - 0.0255 * a * s - 0.0281 * a * t + 0.0426 * a * h
        survival = 0.9605
    elif not op:
        x = 0.4648 * a + 0.7744 * smoker + 0.3131 * s + 0.1002 * t - 0.2606 * h
        x += -0.1088 * a * smoker - 0.0277 * a * s - 0.0226 * a * t + 0.0613 * a * h
        survival = 0.9776
    elif p["sex"] == 0:
        x = 0.0634 * a + 0.3524 * smoker + 0.0094 * s + 0.0850 * t - 0.3564 * h
        x += -0.0247 * a * smoker - 0.0005 * a * s + 0.0073 * a * t + 0.0091 * a * h - 0.0929
        survival = 0.7576
    else:
        x = 0.0789 * a + 0.4921 * smoker + 0.0102 * s + 0.0605 * t - 0.3040 * h
        x += -0.0255 * a * smoker - 0.0004 * a * s - 0.0009 * a * t + 0.0154 * a * h - 0.229
        survival = 0.8082
    c1, c2 = RECALIBRATION[region][int(p["sex"]) + 2 * op]
    uncalibrated = 1 - survival ** math.exp(x)
    return 100 * (1 - math.exp(-math.exp(c1 + c2 * math.log(-math.log(1 - uncalibrated)))))


people = st.fixed_dictionaries(
    {
        "age": st.floats(40, 69.9),
        "sex": st.sampled_from([0.0, 1.0]),
        "smoker": st.sampled_from([0.0, 1.0]),
        "sbp": st.floats(90, 200),
        "total_cholesterol": st.floats(3, 9),
        "hdl": st.floats(0.6, 2.5),
    }
)


@pytest.mark.parametrize("region", REGIONS)
def test_equals_the_transcription(region):
    """In one cohort the younger have SCORE2 and the older SCORE2-OP, each in their row."""
    group = cohort((40, 89))
    expected = [transcription(p, region, op=p["age"] >= 70) for p in group]
    result = score(group, region=region)
    assert result.value_N == pytest.approx(expected, rel=1e-9)
    assert result.valid_N.all()
    assert result.observed_N.tolist() == [6] * len(group)


@pytest.mark.parametrize("region", REGIONS)
def test_op_alone_equals_the_transcription(region):
    group = cohort((70, 89))
    result = score_of(Score2Op(region), group)
    assert result.value_N == pytest.approx([transcription(p, region, op=True) for p in group], rel=1e-9)
    assert result.valid_N.all()


def test_op_alone_has_no_younger_people():
    result = score_of(Score2Op("low"), [PERSON | {"age": a} for a in (50.0, 69.9, 70.0)])
    assert result.valid_N.tolist() == [False, False, True]
    assert result.value_N[0] == result.value_N[1] == result.value_N[2]


@given(people, st.sampled_from(REGIONS), st.sampled_from(["age", "sbp", "smoker", "total_cholesterol"]))
def test_monotone_in_every_risk_factor(person, region, factor):
    """Within 40 to 69 years the published equation rises with each of these (it drops at 70, to SCORE2-OP)."""
    worse = dict(person)
    worse[factor] = {
        "age": min(person["age"] + 3, 69.9),
        "sbp": person["sbp"] + 10,
        "smoker": 1.0,
        "total_cholesterol": person["total_cholesterol"] + 1,
    }[factor]
    better, worse_value = score([person, worse], region=region).value_N
    assert worse_value >= better - 1e-12


@given(people, st.floats(70, 87), st.sampled_from(REGIONS), st.sampled_from([Score2, Score2Op]))
def test_monotone_in_measurements_and_smoking_of_older_people(person, age, region, score):
    """SCORE2-OP has smoking protect men over 87.3 years."""
    person = person | {"age": age}
    assert change(score(region), person | {"smoker": 0.0}, smoker=1.0) > 0
    assert change(score(region), person, sbp=person["sbp"] + 10) > 0
    assert change(score(region), person, total_cholesterol=person["total_cholesterol"] + 1) > 0
    assert change(score(region), person, hdl=person["hdl"] + 0.3) < 0


@given(people, st.sampled_from(REGIONS))
def test_hdl_protects(person, region):
    assume(person["hdl"] < 2.2)
    less, more = score([person, person | {"hdl": person["hdl"] + 0.3}], region=region).value_N
    assert more <= less + 1e-12


@given(
    people | st.fixed_dictionaries({**{k: st.just(v) for k, v in PERSON.items()}, "age": st.floats(70, 89)}),
    st.sampled_from(REGIONS),
)
def test_a_risk_is_a_percentage(person, region):
    assert 0 < score(person, region=region).value_N[0] < 100


@pytest.mark.parametrize("field", PERSON)
@pytest.mark.parametrize("age", [50.0, 75.0])
def test_an_unknown_field_gives_an_unknown_risk(field, age):
    """Never the risk of 0, and never that of a man."""
    result = score([PERSON | {"age": age}, PERSON | {"age": age, field: np.nan}])
    assert np.isfinite(result.value_N[0])
    assert np.isnan(result.value_N[1])
    assert result.observed_N.tolist() == [6, 5]
    assert result.valid_N.tolist() == [True, False]


# the range


def ages(values, **options):
    return score([PERSON | {"age": a} for a in values], **options)


def test_clamp_gives_the_nearest_age_and_marks_it():
    result = ages([18, 39.9, 40, 69.9, 70, np.nextafter(90, 0), 95])
    assert result.valid_N.tolist() == [False, False, True, True, True, True, False]
    assert result.value_N[0] == result.value_N[1] == result.value_N[2]
    assert result.value_N[6] == result.value_N[5]


def test_nan_leaves_ages_outside_unknown():
    result = ages([39.9, 40, 89.9, 90], out_of_range="nan")
    assert np.isnan(result.value_N).tolist() == [True, False, False, True]
    assert result.valid_N.tolist() == [False, True, True, False]
    assert result.observed_N.tolist() == [6] * 4


def test_extrapolate_warns_and_follows_the_formula():
    with pytest.warns(UserWarning, match="1 of 2 records"):
        result = ages([30, 50], out_of_range="extrapolate")
    expected = transcription(PERSON | {"age": 30.0}, "moderate", op=False)
    assert result.value_N[0] == pytest.approx(expected, rel=1e-9)
    assert result.valid_N.tolist() == [False, True]


def test_op_from_chooses_the_age_of_the_change():
    """At 65 SCORE2-OP stands at the edge of its own range: 70."""
    result = ages([64.9, 65, 70, 71], op_from=65.0)
    assert result.valid_N.tolist() == [True, False, True, True]
    assert result.value_N[1] == result.value_N[2] == transcription_at(70)
    assert result.value_N[3] == transcription_at(71)


def transcription_at(age):
    return pytest.approx(transcription(PERSON | {"age": float(age)}, "moderate", op=True), rel=1e-9)


def test_without_op_older_people_have_the_risk_of_69():
    result = ages([69.9999, 70, 75], op_from=None)
    assert result.valid_N.tolist() == [True, False, False]
    assert result.value_N[1] == result.value_N[2] == pytest.approx(result.value_N[0], rel=1e-4)


# wrong input


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [
        ("total_cholesterol", 213.0, "mg/dL"),
        ("hdl", 50.0, "mg/dL"),
        ("sbp", 16.5, "mmHg"),
        ("age", 18250.0, "years"),
        ("sex", 2.0, "0 male, 1 female"),
        ("smoker", 0.5, "0 or 1"),
        ("sbp", np.inf, "mmHg"),
    ],
)
def test_wrong_units_are_refused_with_an_example(field, value, hint):
    with pytest.raises(DataError, match=rf"{field}: 1 of 2 values.*{hint}.*such as {value:g};"):
        score([PERSON, PERSON | {field: value}])


def test_the_example_of_a_wrong_unit_is_nobody_in_particular():
    """The middle one of them, whatever the order of the rows; no row is named."""
    wrong = [PERSON | {"total_cholesterol": tc} for tc in (250.0, 190.0, 210.0)]
    messages = []
    for rows in (wrong, wrong[::-1]):
        with pytest.raises(DataError, match=r"3 of 4 values.*such as 210;") as error:
            score([PERSON, *rows])
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_absent_column_is_named():
    with pytest.raises(DataError, match=r"'hdl'.*absent.*age"):
        take({"age": np.array([50.0])}, ("age", "hdl"))


@pytest.mark.parametrize("options", [{"region": "middle"}, {"out_of_range": "drop"}, {"op_from": 20.0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match="score2"):
        Score2(**options)
