"""What is filled for an unknown value: by which policy, learned from whom, and what is never filled."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clef_ray.errors import ConfigError, DataError
from clef_ray.registry import SCORES
from clef_ray.scores import FIELDS, Imputation, fit, risk
from clef_ray.scores._impute import CENTRE
from clef_ray.scores.score2 import Score2

NAN = np.nan
NEVER = ("age", "sex", "black", "findings")
POLICIES = get_args(Imputation)
LEARNERS = ("median", "age_sex_median", "iterative")
ALL = tuple(FIELDS)


def people(records=80, seed=0, missing=0.3):
    """Every field of random people, some values unknown."""
    rng = np.random.default_rng(seed)
    columns = {}
    for name, field in FIELDS.items():
        drawn = rng.integers(0, 2, records) if field.binary else rng.uniform(field.low, field.high, records)
        columns[name] = np.where(rng.random(records) < missing, NAN, drawn.astype(float))
    columns["age"] = np.where(np.isnan(columns["age"]), NAN, rng.uniform(30, 90, records))
    return columns


def same(a, b):
    return all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)


@pytest.mark.parametrize("policy", POLICIES)
def test_known_values_the_input_and_what_is_never_guessed_stay(policy):
    columns = people()
    before = {name: x.copy() for name, x in columns.items()}
    filled = fit(policy, columns, ALL)(columns)
    assert same(columns, before)
    assert list(filled) == list(columns)
    for name, x in columns.items():
        known = ~np.isnan(x)
        np.testing.assert_array_equal(filled[name][known], x[known])
        assert np.isnan(filled[name]).sum() == ((~known).sum() if policy == "none" or name in NEVER else 0)


@pytest.mark.parametrize("policy", LEARNERS)
def test_what_is_filled_is_possible(policy):
    filled = fit(policy, people(), ALL)(people(seed=1))
    for name in set(ALL) - set(NEVER):
        assert (filled[name] >= FIELDS[name].low).all()
        assert (filled[name] <= FIELDS[name].high).all()
        if FIELDS[name].binary:
            assert np.isin(filled[name], (0, 1)).all(), name


@pytest.mark.parametrize("policy", POLICIES)
def test_only_what_it_was_fitted_on_is_learned(policy):
    """Other people's values may be anything: the same unknown person gets the same guess."""
    fitted = fit(policy, people(), ALL)
    nobody = {name: np.array([55.0 if name == "age" else 1.0 if name == "sex" else NAN]) for name in ALL}
    alone = fitted(nobody)
    for seed in (1, 2):
        others = people(seed=seed)
        together = fitted({name: np.append(x, nobody[name]) for name, x in others.items()})
        for name in ALL:
            # A product of one row and of many may round differently.
            np.testing.assert_allclose(together[name][-1:], alone[name], rtol=1e-12)
    if policy in LEARNERS:
        elsewhere = fit(policy, people(seed=3), ALL)(nobody)
        assert elsewhere["sbp"] != alone["sbp"], "and it is learned indeed"


@pytest.mark.parametrize("policy", ["centre", "median"])
def test_only_the_scores_fields_are_filled(policy):
    columns = people()
    filled = fit(policy, columns, ("age", "sbp"))(columns)
    assert not np.isnan(filled["sbp"]).any()
    assert same({n: filled[n] for n in ALL if n != "sbp"}, {n: columns[n] for n in ALL if n != "sbp"})


def test_centre_fills_every_field_but_those_never_filled():
    assert set(CENTRE) == set(ALL) - set(NEVER)
    for name, value in CENTRE.items():
        assert FIELDS[name].low <= value <= FIELDS[name].high


@pytest.mark.parametrize("score", [s for s in SCORES.names() if s not in ("acute", "constant")])
def test_centre_makes_every_score_of_a_known_age_and_sex_known(score):
    made = SCORES.get(score)()
    unknown = {name: np.array([NAN]) for name in ALL} | {"age": np.array([61.0]), "sex": np.array([0.0])}
    found = risk(made, unknown, np.array(["a"]), fit("centre", unknown, made.fields))
    assert not np.isnan(found.value_N).any()


@given(
    st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=1, max_size=9).filter(lambda x: 0.0 in x or 1.0 in x)
)
def test_the_median_of_yes_and_no_is_the_lower_one(values):
    """By sorting: of an even number of values, the one below the middle."""
    known = sorted(x for x in values if not np.isnan(x))
    filled = fit("median", {"smoker": np.array([*values, NAN])}, ("smoker",))({"smoker": np.array([NAN])})
    assert filled["smoker"][0] == known[(len(known) - 1) // 2]


def test_the_median_of_numbers_is_the_usual_one():
    columns = {"sbp": np.array([110.0, NAN, 150.0, 120.0, 160.0])}
    assert fit("median", columns, ("sbp",))(columns)["sbp"].tolist() == [110, 135, 150, 120, 160]


def brute_force(columns, field, row):
    """age_sex_median of one row, by the words of its description."""

    def of(rows):
        known = [columns[field][i] for i in rows if not np.isnan(columns[field][i])]
        if not known:
            return None
        known.sort()
        middle = known[(len(known) - 1) // 2], known[len(known) // 2]
        return middle[0] if FIELDS[field].binary else sum(middle) / 2

    everyone = range(len(columns["age"]))
    age, sex = columns["age"][row], columns["sex"][row]
    if np.isnan(age) or np.isnan(sex):
        return of(everyone)
    own = [i for i in everyone if columns["sex"][i] == sex]
    decade = [i for i in own if columns["age"][i] // 10 == age // 10]
    return next(guess for guess in (of(decade), of(own), of(everyone)) if guess is not None)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([5, 20, 60]), st.floats(0, 0.8))
def test_age_sex_median_by_hand(seed, records, missing):
    columns = people(records, seed, missing)
    columns["smoker"][0], columns["sbp"][0] = 1.0, 130.0
    filled = fit("age_sex_median", columns, ("smoker", "sbp"))(columns)
    for field in ("smoker", "sbp"):
        for row in np.flatnonzero(np.isnan(columns[field])):
            assert filled[field][row] == pytest.approx(brute_force(columns, field, row))


def test_iterative_finds_a_relation_that_is_there():
    """SBP is 100 + age in women and 10 lower in men: regressed, not a mean."""
    rng = np.random.default_rng(0)
    age, sex = rng.uniform(40, 80, 300), rng.integers(0, 2, 300).astype(float)
    sbp = 90 + age + 10 * sex
    gone = rng.random(300) < 0.5
    columns = {"age": age, "sex": sex, "sbp": np.where(gone, NAN, sbp), "smoker": np.where(gone, NAN, sex)}
    filled = fit("iterative", columns, ("age", "sex", "sbp", "smoker"))(columns)
    np.testing.assert_allclose(filled["sbp"][gone], sbp[gone], atol=0.5)
    np.testing.assert_array_equal(filled["smoker"][gone], sex[gone])


def test_the_age_at_diagnosis_does_not_feed_back_into_the_other_fields():
    """It is unknown of almost everybody, so its guesses are made of the others and nothing is made of them."""
    columns = people(200)
    columns["diabetes_age"][8:] = NAN
    columns["diabetes_age"][:8] = np.linspace(20, 110, 8)
    fields = ("sbp", "hba1c", "diabetes")
    without = fit("iterative", columns, fields)(columns)
    with_onset = fit("iterative", columns, (*fields, "diabetes_age"))(columns)
    assert same({n: without[n] for n in fields}, {n: with_onset[n] for n in fields})
    assert not np.isnan(with_onset["diabetes_age"]).any()


def test_an_age_at_diagnosis_beyond_life_is_cut():
    """Learned at 40 to 80 years, where it is 3 x age - 120, and asked for at 20 and at 110."""
    age = np.linspace(40, 80, 30)
    columns = {"age": age, "sex": np.arange(30) % 2.0, "diabetes_age": 3 * age - 120}
    nobody = {"age": np.array([20.0, 60.0, 110.0]), "sex": np.zeros(3), "diabetes_age": np.full(3, NAN)}
    filled = fit("iterative", columns, ("diabetes_age",))(nobody)["diabetes_age"]
    assert filled == pytest.approx([0, 60, 120], abs=0.5)


@pytest.mark.parametrize("policy", LEARNERS)
def test_nothing_to_learn_from_is_told_with_the_field(policy):
    columns = people() | {"hdl": np.full(80, NAN)}
    with pytest.raises(DataError, match=r"'hdl'.*unknown in all 80 records"):
        fit(policy, columns, Score2.fields)
    fit(policy, columns, ("age", "sbp"))  # a field that the score does not need may be unknown
    del columns["hdl"]
    with pytest.raises(DataError, match="'hdl' is needed by the imputation but absent"):
        fit(policy, columns, Score2.fields)


def test_an_unknown_policy_gets_the_near_match():
    with pytest.raises(ConfigError, match=r"unknown imputation 'center'.*Did you mean 'centre'"):
        fit("center", people(), ALL)


@pytest.mark.parametrize("policy", POLICIES)
def test_no_record_at_all_is_filled_with_nothing(policy):
    columns = people()
    none = {name: x[:0] for name, x in columns.items()}
    assert all(x.shape == (0,) for x in fit(policy, columns, ALL)(none).values())
