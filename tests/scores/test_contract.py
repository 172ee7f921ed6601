"""What every score keeps, at every value of its options: shapes, NaN for unknown, ranges, and refusals. A new score is covered by itself."""

import math
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import PERSON, cohort, score_of

from clef_ray.datasets import COVARIATES
from clef_ray.errors import ConfigError, DataError
from clef_ray.registry import SCORES
from clef_ray.scores import FIELDS, contradictions, fit, implausible, risk, take

NAN = np.nan


def choices(name):
    """Options of a score that are a choice from a list."""
    schema = SCORES.schema(name)
    return {key: get_args(p.annotation) for key, p in schema.items() if get_origin(p.annotation) is Literal}


#: (name, options): the defaults, and each other value of each choice.
VARIANTS = [(name, {}) for name in SCORES.names()] + [
    (name, {key: value})
    for name in SCORES.names()
    for key, values in choices(name).items()
    for value in values
    if value != SCORES.schema(name)[key].default
]
VARIANTS += [
    ("score2", {"op_from": None}),
    ("permuted", {"base": "age_sex"}),
    ("permuted", {"base": "pce:race=field"}),
]

every_score = pytest.mark.parametrize(
    ("name", "options"),
    VARIANTS,
    ids=[f"{n}{':' if o else ''}{','.join(map(str, o.values()))}" for n, o in VARIANTS],
)


def build(name, options):
    return SCORES.get(name)(**options)


def persons_of(score):
    """PERSON, at an age every range of the score includes."""
    low, high = score.ages or (0.0, 120.0)
    return PERSON | {"age": float(np.clip(PERSON["age"], low, high))}


@every_score
def test_says_what_it_is(name, options):
    score = build(name, options)
    assert set(score.fields) <= set(FIELDS)
    assert len(set(score.fields)) == len(score.fields)
    assert score.unit
    assert "doi" in score.source or score.source == "control"
    assert score.ages is None or 0 <= score.ages[0] < score.ages[1] <= 120


@every_score
@pytest.mark.filterwarnings("ignore:.*extrapolated")
def test_one_row_per_record(name, options):
    """Of N records as of none."""
    score = build(name, options)
    for people in (cohort((0, 120), n=40), []):
        n = len(people)
        columns = {field: np.array([p[field] for p in people]) for field in PERSON}
        result = score(columns, np.array([f"p{i}" for i in range(n)], dtype=np.str_))
        assert result.value_N.shape in ((n,), (n, 2))
        assert result.observed_N.shape == result.valid_N.shape == (n,)
        assert (result.value_N.dtype, result.valid_N.dtype) == (np.float64, np.bool_)
        assert np.issubdtype(result.observed_N.dtype, np.integer)
        assert (result.observed_N == len(score.fields)).all()


@every_score
def test_a_complete_person_in_the_range_has_a_valid_score(name, options):
    score = build(name, options)
    result = score_of(score, persons_of(score))
    assert np.isfinite(result.value_N).all()
    assert result.valid_N.tolist() == [True]
    assert result.observed_N.tolist() == [len(score.fields)]


@every_score
def test_an_unknown_field_gives_an_unknown_score(name, options):
    """Never that of a man, of the untreated, of the healthy: each field by itself."""
    score = build(name, options)
    for field in score.fields:
        result = score_of(score, persons_of(score) | {field: NAN})
        assert np.isnan(result.value_N).all(), field
        assert result.valid_N.tolist() == [False], field
        assert result.observed_N.tolist() == [len(score.fields) - 1], field


@every_score
def test_fields_that_are_not_declared_are_not_read(name, options):
    score = build(name, options)
    person = persons_of(score)
    others = {field: NAN for field in PERSON if field not in score.fields}
    np.testing.assert_array_equal(score_of(score, person | others).value_N, score_of(score, person).value_N)
    columns = {field: np.array([person[field]]) for field in score.fields}
    assert score(columns, np.array(["a"])).valid_N.all()


@every_score
@pytest.mark.filterwarnings("ignore:.*extrapolated")
def test_the_input_is_left_alone(name, options):
    score = build(name, options)
    columns = {field: np.array([p[field] for p in cohort((0, 120), n=30)]) for field in PERSON}
    before = {field: x.copy() for field, x in columns.items()}
    score(columns, np.arange(30).astype(str))
    for field, x in columns.items():
        np.testing.assert_array_equal(x, before[field])


@pytest.mark.parametrize("name", [name for name in SCORES.names() if name != "permuted"])
def test_a_result_follows_its_row(name):
    score = build(name, {})
    people = cohort((20, 95), n=50)
    together, alone = score_of(score, people), [score_of(score, person) for person in people]
    np.testing.assert_array_equal(together.value_N, np.concatenate([one.value_N for one in alone]))
    np.testing.assert_array_equal(together.valid_N, np.concatenate([one.valid_N for one in alone]))


@every_score
def test_another_unit_is_refused(name, options):
    """With the field, how many, one value, the range and the unit."""
    score = build(name, options)
    for field in score.fields:
        wrong = 0.5 if FIELDS[field].binary else FIELDS[field].high * 10 + 1
        with pytest.raises(DataError, match=rf"^{field}: 1 of 2 values.*such as {wrong:g};") as error:
            score_of(score, [persons_of(score), persons_of(score) | {field: wrong}])
        allowed = "0 or 1" if FIELDS[field].binary else f"{FIELDS[field].low:g} to {FIELDS[field].high:g}"
        assert allowed in str(error.value)
        assert FIELDS[field].unit in str(error.value)


@pytest.mark.parametrize("name", [name for name in SCORES.names() if choices(name)])
def test_a_choice_that_is_none_is_refused(name):
    for key, allowed in choices(name).items():
        with pytest.raises(ConfigError, match=name) as error:
            SCORES.get(name)(**{key: "nonsense"})
        assert all(value in str(error.value) for value in allowed)


@every_score
def test_as_a_risk_it_is_complete_or_unknown(name, options):
    score = build(name, options)
    person = persons_of(score)
    for field in score.fields:
        columns = {f: np.array([NAN if f == field else person[f]]) for f in PERSON}
        found = risk(score, columns, np.array(["a"]), fit("none", columns, score.fields))
        assert found.completeness_N.tolist() == [0.0]
    columns = {f: np.array([x]) for f, x in person.items()}
    found = risk(score, columns, np.array(["a"]), fit("none", columns, score.fields))
    assert found.completeness_N.tolist() == [1.0]


def test_the_vocabulary_is_what_datasets_store():
    """And the findings, which are counted from the labels."""
    assert set(FIELDS) == {*COVARIATES, "findings"} == set(PERSON)


# ranges

MG = 0.02586
AGES = {
    "score2": (40, 89), "score2_op": (70, 89), "score2_diabetes": (40, 69), "framingham": (30, 74), "pce": (40, 79), "prevent": (30, 79)
}  # fmt: skip
LIPIDS = [("total_cholesterol", 130 * MG, 320 * MG), ("hdl", 20 * MG, 100 * MG), ("sbp", 90, 200)]
#: (name, options, field, lowest, highest) as published, ages until the next birthday; SCORE2's own ages stand in test_score2.
AGED = [*((name, {}) for name in AGES), ("framingham", {"version": "bmi"}), ("prevent", {"outcome": "hf"})]
EDGES = [(name, options, "age", AGES[name][0], np.nextafter(AGES[name][1] + 1, 0)) for name, options in AGED]
EDGES += [("pce", {}, *edge) for edge in LIPIDS]
EDGES += [
    ("prevent", {"outcome": o}, *edge) for o in ("cvd", "ascvd") for edge in [*LIPIDS, ("egfr", 15, 150)]
]
EDGES += [("prevent", {"outcome": "hf"}, *edge) for edge in (("sbp", 90, 200), ("egfr", 15, 150))]
EDGES += [("prevent", {"outcome": "hf"}, "bmi", 18.5, np.nextafter(40, 0))]

every_edge = pytest.mark.parametrize(("name", "options", "field", "low", "high"), EDGES)


def around(score, field, low, high):
    """Below, at and above the lowest value; below, at and above the highest one."""
    values = [low * 0.99, low, low * 1.01, high * 0.99, high, high * 1.01]
    return [persons_of(score) | {field: float(value)} for value in values]


@pytest.mark.parametrize(("name", "ages"), AGES.items())
def test_ages_are_those_published(name, ages):
    assert SCORES.get(name)().ages == ages


@pytest.mark.parametrize(("name", "options"), AGED)
def test_the_last_year_lasts_until_the_next_birthday(name, options):
    """Half a year after the last birthday of the range nobody is older than it, nor taken for younger than they are."""
    score, oldest = build(name, options), AGES[name][1]
    last, half, next_one = (persons_of(score) | {"age": oldest + years} for years in (0.0, 0.5, 1.0))
    result = score_of(score, [last, half, next_one])
    assert result.valid_N.tolist() == [True, True, False]
    assert result.value_N[0] != result.value_N[1] != result.value_N[2], "not clamped before the birthday"
    strict = score_of(build(name, options | {"out_of_range": "nan"}), [last, half, next_one])
    assert np.isnan(strict.value_N).tolist() == [False, False, True]


def test_a_range_is_told_as_it_ends():
    with pytest.warns(
        UserWarning, match=r"\(age 30 to under 80, sbp 90 to 200, egfr 15 to 150, bmi 18.5 to under 40\)"
    ):
        score_of(build("prevent", {"outcome": "hf", "out_of_range": "extrapolate"}), {"age": 20.0})


@every_edge
def test_clamp_gives_the_nearest_value_and_marks_it(name, options, field, low, high):
    score = build(name, options)
    result = score_of(score, around(score, field, low, high))
    assert result.valid_N.tolist() == [False, True, True, True, True, False]
    assert result.value_N[0] == result.value_N[1] != result.value_N[2]
    assert result.value_N[5] == result.value_N[4] != result.value_N[3]


@every_edge
def test_nan_leaves_values_outside_unknown(name, options, field, low, high):
    score = build(name, options | {"out_of_range": "nan"})
    result = score_of(score, around(score, field, low, high))
    assert np.isnan(result.value_N).tolist() == [True, False, False, False, False, True]
    assert result.valid_N.tolist() == [False, True, True, True, True, False]
    assert (result.observed_N == len(score.fields)).all()


@every_edge
def test_extrapolate_follows_the_formula_and_warns(name, options, field, low, high):
    """The curve goes on where it left the range: a little outside, a little different."""
    score = build(name, options | {"out_of_range": "extrapolate"})
    with pytest.warns(UserWarning, match=rf"{name}.*extrapolated for [12] of \d records.*{field}"):
        result = score_of(score, around(score, field, low, high))
    inside = score_of(build(name, options), around(score, field, low, high))
    assert result.valid_N.tolist() == inside.valid_N.tolist()
    np.testing.assert_array_equal(result.value_N[1:5], inside.value_N[1:5])
    for out, at, within in ((0, 1, 2), (5, 4, 3)):
        assert np.isfinite(result.value_N[out])
        assert result.value_N[out] != result.value_N[at]
        slope = (result.value_N[out] - result.value_N[at]) / (result.value_N[at] - result.value_N[within])
        assert 0.2 < slope < 5


@pytest.mark.parametrize("name", AGES)
def test_the_youngest_and_the_oldest_get_a_number_or_none_but_no_error(name):
    """An age of 0, whose logarithm is infinite, is a patient like any other."""
    with pytest.warns(UserWarning, match="extrapolated"):
        result = score_of(build(name, {"out_of_range": "extrapolate"}), [{"age": 0.0}, {"age": 120.0}])
    assert not result.valid_N.any()
    assert ((result.value_N >= 0) & (result.value_N <= 100) | np.isnan(result.value_N)).all()


# what no one person can be


#: Pairs of values that one person can have, and that none can.
PAIRS = {
    ("hdl", "total_cholesterol"): ([(1.2, 5.6)], [(4.0, 4.0), (5.6, 1.2)]),
    ("diabetes_age", "age"): ([(25.0, 62.0), (62.0, 62.0)], [(62.5, 62.0), (70.0, 62.0)]),
}
BOTH = [(n, o, pair) for n, o in VARIANTS for pair in PAIRS if set(pair) <= set(build(n, o).fields)]


@pytest.mark.parametrize(("name", "options", "pair"), BOTH)
def test_a_contradiction_keeps_its_score_but_is_not_valid(name, options, pair):
    """Swapped columns are one; clamped, lest HDL beyond the range of `pce` and `prevent` leave no score to keep."""
    score = build(name, options | ({} if name == "permuted" else {"out_of_range": "clamp"}))
    for values, possible in zip(PAIRS[pair], (True, False), strict=True):
        people = [persons_of(score) | dict(zip(pair, value, strict=True)) for value in values]
        result = score_of(score, people)
        assert np.isfinite(result.value_N).all()
        assert result.valid_N.tolist() == [possible] * len(values)
        assert result.observed_N.tolist() == [len(score.fields)] * len(values)


def test_every_score_of_such_a_pair_is_covered():
    assert {name for name, _, _ in BOTH} >= {*AGES, "permuted"}


@pytest.mark.parametrize("name", ["score2", "score2_op", "framingham"])
def test_the_contradiction_alone_is_not_valid(name):
    """Scores without a range of HDL: just below the total it is valid, at it not."""
    score = build(name, {})
    people = [persons_of(score) | {"hdl": hdl, "total_cholesterol": 4.0} for hdl in (3.999, 4.0)]
    assert score_of(score, people).valid_N.tolist() == [True, False]


def test_a_contradiction_with_the_unknown_is_none():
    columns = {
        "hdl": np.array([NAN, 1.2, NAN]),
        "total_cholesterol": np.array([5.0, NAN, NAN]),
        "age": np.ones(3),
    }
    found = contradictions(columns)
    assert list(found) == ["hdl is not below total_cholesterol"]
    assert not np.any(list(found.values()))


# units that are mistaken for ours


@pytest.mark.parametrize(
    ("name", "field", "value", "hint"),
    [
        ("score2", "total_cholesterol", 213.0, "mg/dL x 0.02586"),
        ("score2", "hdl", 50.0, "mg/dL x 0.02586"),
        ("pce", "total_cholesterol", 213.0, "mg/dL x 0.02586"),
        ("score2_diabetes", "hba1c", 7.1, "- 2.15"),
        ("prevent", "sbp", 16.5, "mmHg"),
        ("age", "age", 18250.0, "years"),
        ("sex", "sex", 2.0, "0 male, 1 female"),
        ("prevent", "egfr", np.inf, "mL/min"),
        ("framingham", "sbp", -np.inf, "mmHg"),
    ],
)
def test_a_mistaken_unit_is_told_how_to_convert(name, field, value, hint):
    with pytest.raises(DataError, match=rf"^{field}: 1 of 1 values") as error:
        score_of(SCORES.get(name)(), {field: value})
    assert hint in str(error.value)


@given(st.sampled_from(sorted(FIELDS)), st.floats() | st.floats(-10, 400) | st.sampled_from([0.0, 1.0, 0.5]))
def test_what_scores_refuse_is_what_is_implausible(field, value):
    bounds = FIELDS[field]
    unknown = math.isnan(value)
    plausible = value in (0, 1) if bounds.binary else bounds.low <= value <= bounds.high
    values = np.array([value])
    assert implausible(field, values).tolist() == [not (unknown or plausible)]
    if unknown or plausible:
        assert take({field: values}, (field,))[1].tolist() == [not unknown]
    else:
        with pytest.raises(DataError, match=f"^{field}: 1 of 1"):
            take({field: values}, (field,))
