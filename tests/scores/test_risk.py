"""Imputation, completeness and the controls."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clef_ray.errors import ConfigError
from clef_ray.scores import fit, risk
from clef_ray.scores.age import Age
from clef_ray.scores.permuted import Permuted
from clef_ray.scores.score2 import Score2

NAN = np.nan


def cohort(records=60, seed=0, missing=0.2):
    """Covariates of records of 20 patients, some unknown."""
    rng = np.random.default_rng(seed)
    columns = {
        "age": rng.uniform(30, 90, records),
        "sex": rng.integers(0, 2, records).astype(float),
        "smoker": rng.integers(0, 2, records).astype(float),
        "sbp": rng.uniform(100, 180, records),
        "total_cholesterol": rng.uniform(4, 8, records),
        "hdl": rng.uniform(0.8, 2.0, records),
    }
    columns = {name: np.where(rng.random(records) < missing, NAN, x) for name, x in columns.items()}
    return columns, np.array([f"p{i}" for i in rng.integers(0, 20, records)])


def scored(score, columns, patients, policy="centre"):
    """The risk, with an imputation fitted on the very records."""
    return risk(score, columns, patients, fit(policy, columns, score.fields))


def test_centre_is_the_reference_person():
    """Only age and sex known, as in PTB-XL: the risk of a non-smoker at 120/6.0/1.3, of which a third was observed."""
    unknown = {name: np.array([NAN]) for name in ("smoker", "sbp", "total_cholesterol", "hdl")}
    person = {"age": np.array([55.0]), "sex": np.array([1.0])}
    given = person | {
        "smoker": np.zeros(1),
        "sbp": np.array([120.0]),
        "total_cholesterol": np.array([6.0]),
        "hdl": np.array([1.3]),
    }
    found = scored(Score2(), person | unknown, np.array(["a"]))
    assert found.value_N[0] == scored(Score2(), given, np.array(["a"]), "none").value_N[0]
    assert found.completeness_N[0] == pytest.approx(2 / 6)
    assert found.valid_N[0]


@pytest.mark.parametrize("field", ["age", "sex"])
def test_age_and_sex_are_never_filled(field):
    columns, patients = cohort(missing=0)
    columns[field][3] = NAN
    found = scored(Score2(), columns, patients)
    assert np.isnan(found.value_N).nonzero()[0].tolist() == [3]
    assert found.completeness_N[3] == 0
    assert (np.delete(found.completeness_N, 3) == 1).all()
    assert not found.valid_N[3]


def test_without_imputation_any_gap_is_an_unknown_risk():
    columns, patients = cohort()
    found = scored(Score2(), columns, patients, "none")
    gap = np.any([np.isnan(x) for x in columns.values()], axis=0)
    assert (np.isnan(found.value_N) == gap).all()
    assert (found.completeness_N == ~gap).all()


def test_completeness_counts_what_was_observed():
    columns, patients = cohort()
    found = scored(Score2(), columns, patients)
    known = np.mean([~np.isnan(x) for x in columns.values()], axis=0)
    base = np.isnan(columns["age"]) | np.isnan(columns["sex"])
    assert found.completeness_N == pytest.approx(np.where(base, 0, known))
    assert (np.isnan(found.value_N) == base).all()


def test_age_is_a_score():
    found = scored(Age(), {"age": np.array([61.0, NAN])}, np.array(["a", "b"]))
    np.testing.assert_array_equal(found.value_N, [61.0, NAN])
    assert found.completeness_N.tolist() == [1, 0]
    assert found.valid_N.tolist() == [True, False]


# the permuted control


def one_record_each(n=50, seed=0):
    columns, _ = cohort(n, seed)
    return columns, np.array([f"p{i:03d}" for i in range(n)])


def test_permuted_keeps_the_distribution_and_breaks_the_link():
    columns, patients = one_record_each(400)
    base = scored(Score2(), columns, patients)
    found = scored(Permuted(), columns, patients)
    rows = np.stack([base.value_N, base.completeness_N, base.valid_N], axis=1)
    moved = np.stack([found.value_N, found.completeness_N, found.valid_N], axis=1)
    order, moved_order = np.lexsort(rows.T), np.lexsort(moved.T)
    np.testing.assert_array_equal(
        rows[order], moved[moved_order]
    )  # value, completeness and validity move together
    known = ~np.isnan(base.value_N) & ~np.isnan(found.value_N)
    assert abs(np.corrcoef(base.value_N[known], found.value_N[known])[0, 1]) < 0.2


def test_permuted_gives_all_records_of_a_patient_one_value():
    columns, patients = cohort(200)
    found = scored(Permuted(), columns, patients)
    base = scored(Score2(), columns, patients).value_N
    values = [found.value_N[patients == p] for p in np.unique(patients)]
    assert all(len({repr(v) for v in own}) == 1 for own in values)
    for own in values:  # and it is the value of a record of some one patient
        assert np.isnan(own[0]) or own[0] in base


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 50))
def test_permuted_depends_on_seed_and_patients_not_on_order(order_seed, seed):
    columns, patients = cohort(40)
    order = np.random.default_rng(order_seed).permutation(40)
    here = scored(Permuted(seed=seed), columns, patients)
    there = scored(Permuted(seed=seed), {n: x[order] for n, x in columns.items()}, patients[order])
    np.testing.assert_array_equal(here.value_N[order], there.value_N)
    np.testing.assert_array_equal(here.completeness_N[order], there.completeness_N)


def test_permuted_seeds_differ():
    columns, patients = one_record_each()
    first, second = (scored(Permuted(seed=s), columns, patients).value_N for s in (0, 1))
    assert not np.array_equal(first, second, equal_nan=True)


def test_permuted_takes_any_base():
    assert Permuted("age").fields == ("age",)
    with pytest.raises(ConfigError, match="score2"):
        Permuted("scor2")
