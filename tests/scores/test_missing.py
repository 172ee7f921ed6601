"""Values deleted on purpose: how many, whose, which, and the same ones every time."""

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clef_ray.datasets import COVARIATES
from clef_ray.errors import ConfigError
from clef_ray.scores import FIELDS, delete
from clef_ray.scores._missing import KEPT, SCALE, chance, deviation

MECHANISMS = ("mcar", "mar", "mnar")
LOST = tuple(name for name in FIELDS if name not in KEPT)


def cohort(records=6000, patients=4500, seed=0, age=(30, 90)):
    """Complete records; a patient's sex stays, what is measured changes from record to record."""
    rng = np.random.default_rng(seed)
    who = rng.integers(0, patients, records)
    columns = {"age": rng.uniform(*age, records), "sex": rng.integers(0, 2, patients)[who].astype(float)}
    for name in LOST:
        mean, unit = SCALE[name]
        drawn = rng.random(records) < mean if FIELDS[name].binary else rng.normal(mean, unit, records)
        columns[name] = drawn.astype(float)
    columns["findings"] = rng.integers(0, 4, records).astype(float)
    return columns, np.array([f"p{i}" for i in who])


def gone(columns, patients, mechanism, rate, seed=0):
    """[fields, records] True where a value of LOST was deleted."""
    left = delete(columns, patients, mechanism, rate, seed, tuple(FIELDS))
    return np.isnan([left[name] for name in LOST])


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("age", [(30, 90), (30, 50), (70, 90)])
def test_the_rate_is_as_asked_in_every_field_whatever_the_cohort(mechanism, rate, age):
    """Four standard deviations of a share of 6,000 records of 4,500 patients."""
    shares = gone(*cohort(age=age), mechanism, rate).mean(axis=1)
    assert shares == pytest.approx(np.full(len(LOST), rate), abs=4 * np.sqrt(rate * (1 - rate) / 3000) + 1e-9)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_age_sex_and_findings_stay_and_the_input_too(mechanism):
    columns, patients = cohort(200)
    before = {name: x.copy() for name, x in columns.items()}
    left = delete(columns, patients, mechanism, 0.9, 0, tuple(FIELDS))
    assert list(left) == list(columns)
    for name, x in columns.items():
        np.testing.assert_array_equal(x, before[name])
        kept = ~np.isnan(left[name])
        np.testing.assert_array_equal(left[name][kept], x[kept])
        assert kept.all() == (name in ("age", "sex", "findings"))


def test_only_the_fields_asked_for_are_touched():
    columns, patients = cohort(200)
    left = delete(columns, patients, "mcar", 1.0, 0, ("sbp", "age"))
    assert [name for name in columns if np.isnan(left[name]).any()] == ["sbp"]
    assert delete(columns, patients, "mcar", 1.0, 0, ("age",)) == columns
    assert delete(columns, patients, "none", 0.9, 0, LOST) is columns


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_all_records_of_a_patient_lose_the_same_fields(mechanism):
    columns, patients = cohort(600, patients=150)
    missing = gone(columns, patients, mechanism, 0.5)
    for patient in np.unique(patients):
        own = missing[:, patients == patient]
        assert (own == own[:, :1]).all()


@given(st.integers(0, 10**6), st.sampled_from(MECHANISMS))
def test_the_order_of_the_records_does_not_matter(order_seed, mechanism):
    columns, patients = cohort(120, patients=70)
    order = np.random.default_rng(order_seed).permutation(120)
    here = gone(columns, patients, mechanism, 0.5)
    there = gone({name: x[order] for name, x in columns.items()}, patients[order], mechanism, 0.5)
    np.testing.assert_array_equal(here[:, order], there)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_what_is_missing_at_one_rate_is_missing_at_a_higher_one(mechanism):
    columns, patients = cohort(2000)
    nested = [gone(columns, patients, mechanism, rate) for rate in (0.0, 0.1, 0.3, 0.5, 0.6, 0.9, 1.0)]
    for fewer, more in pairwise(nested):
        assert (more | ~fewer).all()
        assert more.sum() > fewer.sum()


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_chance_rises_with_the_rate_and_is_one(deviation, rate, other):
    low, high = sorted((rate, other))
    p, q = chance(low, np.array(deviation)), chance(high, np.array(deviation))
    assert 0 <= p <= q + 1e-12 <= 1 + 2e-12


def test_seeds_patients_and_fields_draw_for_themselves():
    """Shares of values gone in both of two, against the product; four standard deviations."""
    columns, patients = cohort(8000, patients=10**6)
    first, second = (gone(columns, patients, "mcar", 0.5, seed) for seed in (0, 1))
    assert (first & second).mean(axis=1) == pytest.approx(np.full(len(LOST), 0.25), abs=0.02)
    both = first.astype(float) @ first.T / first.shape[1]
    off_diagonal = both[~np.eye(len(LOST), dtype=bool)]
    assert off_diagonal == pytest.approx(np.full(off_diagonal.size, 0.25), abs=0.02)
    assert np.corrcoef(first[:, 1:].ravel(), first[:, :-1].ravel())[0, 1] == pytest.approx(0, abs=0.02)


def draw(seed, patient, field):
    """The documented number in [0, 1) in plain integers: SplitMix64's finaliser of the two digests."""
    x = 0
    for text in (f"{seed}\x1f{patient}", field):
        x ^= int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return (x ^ (x >> 31)) / 2**64


def test_the_draw_depends_on_seed_patient_and_field_as_documented():
    """And stays so: a change of it is another experiment under the same fingerprint."""
    columns, patients = cohort(300)
    missing = gone(columns, patients, "mcar", 0.4, seed=3)
    by_hand = [[draw(3, patient, field) < 0.4 for patient in patients] for field in LOST]
    np.testing.assert_array_equal(missing, by_hand)


def gap(values, missing):
    return (values[missing].mean() - values[~missing].mean()) / values.std()


def test_mechanisms_depend_on_what_they_say():
    columns, patients = cohort(patients=10**6)
    sbp = LOST.index("sbp")
    by = {mechanism: gone(columns, patients, mechanism, 0.5)[sbp] for mechanism in MECHANISMS}
    near = 4 * np.sqrt(4 / 6000)
    for name in ("age", "sex", "sbp"):
        assert gap(columns[name], by["mcar"]) == pytest.approx(0, abs=near)
    assert gap(columns["age"], by["mar"]) > 0.4
    assert gap(columns["sex"], by["mar"]) > 0.2
    assert gap(columns["sbp"], by["mar"]) == pytest.approx(0, abs=near)
    assert gap(columns["sbp"], by["mnar"]) > 0.4
    assert gap(columns["age"], by["mnar"]) == pytest.approx(0, abs=near)
    smokers = columns["smoker"] == 1
    for_smoker = gone(columns, patients, "mnar", 0.5)[LOST.index("smoker")]
    assert for_smoker[smokers].mean() > for_smoker[~smokers].mean() + 0.2


def test_what_is_unknown_makes_no_difference_to_others():
    """Unknown ages under mar and unknown values under mnar count as average; the known values still lose their share."""
    columns, patients = cohort()
    holes = np.random.default_rng(5).random(6000) < 0.4
    for mechanism, field in (("mar", "age"), ("mnar", "sbp")):
        given_ = columns | {field: np.where(holes, np.nan, columns[field])}
        left = delete(given_, patients, mechanism, 0.5, 0, ("sbp",))
        known = ~np.isnan(given_["sbp"])
        assert np.isnan(left["sbp"])[known].mean() == pytest.approx(0.5, abs=0.04)
    assert np.isfinite(deviation("mar", ("sbp",), np.full((1, 1), np.nan), np.nan, 1.0)).all()


def test_every_covariate_has_a_scale():
    assert set(SCALE) == set(COVARIATES)
    assert set(COVARIATES) == set(FIELDS) - {"findings"}


@pytest.mark.parametrize(("mechanism", "rate", "words"), [("mcra", 0.1, "Did you mean 'mcar'"), ("mcar", 1.1, "0 to 1"), ("mar", np.nan, "0 to 1")])  # fmt: skip
def test_what_is_not_allowed_is_told(mechanism, rate, words):
    columns, patients = cohort(10)
    with pytest.raises(ConfigError, match=words):
        delete(columns, patients, mechanism, rate, 0, LOST)


def test_no_records():
    columns, patients = cohort(10)
    left = delete({name: x[:0] for name, x in columns.items()}, patients[:0], "mar", 0.5, 0, LOST)
    assert all(x.shape == (0,) for x in left.values())
