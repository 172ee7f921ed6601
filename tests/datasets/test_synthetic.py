"""The synthetic cohort as a dataset: contract, lead physics, determinism, links from covariates to the ECG, missingness."""

import hashlib
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from clef_ray.datasets import COVARIATES, LEADS, UnreadableError, _cohort, _ecg_noise, _ecg_traits, synthetic
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import ConfigError
from clef_ray.registry import DATASETS
from clef_ray.scores import FIELDS

DELETABLE = [name for name in COVARIATES if name not in ("age", "sex", "diabetes_age")]


@pytest.fixture(scope="module")
def table():
    return Synthetic(patients=3000).table()


@pytest.fixture(scope="module")
def many_people():
    return Synthetic(patients=15000, records_per_patient=1.0).table()


def first_rows(cohort, count):
    return cohort.table().head(count).to_dict("records")


# --- contract ---------------------------------------------------------------------------------------------------------------------


def test_table_has_the_datasets_columns(table):
    assert list(table.columns) == ["record", "patient", "fold", *COVARIATES, "label_diagnosis"]
    assert table["record"].is_unique
    assert table["record"].is_monotonic_increasing
    assert table["patient"].nunique() == 3000
    assert (table[list(COVARIATES)].dtypes == "float64").all()
    always = [name for name in COVARIATES if name != "diabetes_age"]
    assert table[always].notna().all(axis=None)
    assert (table["diabetes_age"].notna() == (table["diabetes"] == 1)).all(), (
        "it does not apply to the others"
    )
    assert table.loc[0, "record"] == "p000000-1"


def test_labels_are_in_the_vocabulary_and_norm_stands_alone(table):
    vocabulary = Synthetic.label_sets[Synthetic.headline]
    assert set(table["label_diagnosis"].explode()) == set(vocabulary)
    for names in table["label_diagnosis"]:
        assert names == sorted(names, key=vocabulary.index)
        assert names == ["NORM"] or "NORM" not in names
    assert (table["label_diagnosis"].map(len) > 1).any()


def test_every_class_is_common_enough_to_be_learned(table):
    share = table["label_diagnosis"].explode().value_counts() / len(table)
    assert share.min() > 0.02
    assert 0.4 < share["NORM"] < 0.7


def test_no_patient_is_in_two_folds_and_folds_are_about_equal(table):
    assert table[["patient", "fold"]].drop_duplicates()["patient"].is_unique
    per_fold = table.drop_duplicates("patient")["fold"].value_counts()
    assert sorted(per_fold.index) == list(range(1, 11))
    assert per_fold.between(230, 370).all()  # 300 each, four standard deviations


@pytest.mark.parametrize("mean", [1.0, 1.3, 3.0])
def test_records_per_patient(mean):
    per_patient = Synthetic(patients=2000, records_per_patient=mean).table().groupby("patient").size()
    assert per_patient.min() >= 1
    assert per_patient.mean() == pytest.approx(mean, abs=0.12)


def test_signal_is_ten_seconds_of_twelve_leads():
    cohort = Synthetic(patients=3)
    signal = cohort.signal(first_rows(cohort, 1)[0])
    assert signal.raw_CT.shape == (12, cohort.samples) == (12, 5000)
    assert signal.raw_CT.dtype == np.int16
    assert (signal.fs, signal.leads) == (cohort.fs, cohort.leads) == (500.0, LEADS)
    assert np.abs(signal.millivolts()).max() < 6


def test_options_come_from_the_registry_and_describe_the_content():
    options = DATASETS.options("synthetic", {"patients": "20", "missing": "mar", "missing_rate": "0.3"})
    cohort = DATASETS.get("synthetic")(**options)
    assert cohort.parameters() == {**options, "generator_version": synthetic.GENERATOR_VERSION}
    assert pickle.loads(pickle.dumps(cohort)) == cohort


@pytest.mark.parametrize(
    "options",
    [
        {"patients": 0},
        {"seed": -1},
        {"effect": -0.5},
        {"effect": float("nan")},
        {"missing": "often"},
        {"missing": "mcar", "missing_rate": 1.5},
        {"missing_rate": 0.2},
        {"records_per_patient": 0.5},
        {"noise": -1},
        {"common_age": 20},
        {"prevalence": 0},
        {"device": "watch"},
    ],
)
def test_options_outside_their_range_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options.keys() - {"missing"}), "missing")):
        Synthetic(**options)


@pytest.mark.parametrize("record", ["p000003-1", "p000001", "x", "p000001-0"])
def test_unknown_records_are_unreadable(record):
    with pytest.raises(UnreadableError, match="unknown record"):
        Synthetic(patients=3).signal({"record": record})


# --- physics ----------------------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**9), noise=st.floats(0, 3))
def test_einthoven_and_goldberger_hold_to_rounding(seed, noise):
    cohort = Synthetic(patients=1, seed=seed, noise=noise)
    i, ii, iii, avr, avl, avf = cohort.signal({"record": "p000000-1"}).raw_CT[:6].astype(int)
    assert np.array_equal(ii, i + iii)
    for lead, exact in ((avr, -(i + ii) / 2), (avl, (i - iii) / 2), (avf, (ii + iii) / 2)):
        assert np.abs(lead - exact).max() <= 0.5


def test_noise_scales_and_vanishes():
    rough = [
        Synthetic(patients=1, noise=n).signal({"record": "p000000-1"}).millivolts() for n in (0.0, 1.0, 2.0)
    ]
    once, twice = rough[1] - rough[0], rough[2] - rough[0]
    assert 0.005 < once.std() < 0.3
    np.testing.assert_allclose(twice, 2 * once, atol=0.0041)  # each limb lead is rounded up to three times
    high = np.abs(np.fft.rfft(once[1])) ** 2
    hz = np.fft.rfftfreq(5000, 1 / 500)
    assert high[hz > 180].sum() < 0.01 * high[hz > 15].sum()  # the recorder's bandwidth ends at 150 Hz


# --- determinism ------------------------------------------------------------------------------------------------------------------


def test_a_patient_does_not_depend_on_the_cohorts_size_or_on_order():
    small, large = Synthetic(patients=5, seed=4), Synthetic(patients=50, seed=4)
    rows = first_rows(small, 5)
    assert large.table().head(len(small.table())).equals(small.table())
    backwards = {row["record"]: large.signal(row).raw_CT for row in reversed(rows)}
    for row in rows:
        assert np.array_equal(small.signal(row).raw_CT, backwards[row["record"]])


def test_seeds_patients_and_visits_differ_but_visits_share_the_patient():
    def beat_of(record, seed=0):
        return Synthetic(patients=9, seed=seed, noise=0).signal({"record": record}).raw_CT

    assert not np.array_equal(beat_of("p000000-1"), beat_of("p000000-1", seed=1))
    assert not np.array_equal(beat_of("p000000-1"), beat_of("p000001-1"))
    assert not np.array_equal(beat_of("p000000-1"), beat_of("p000000-2"))
    heights = np.array(
        [[np.percentile(beat_of(f"p00000{k}-{v}"), 99.5, axis=1) for v in (1, 2)] for k in range(9)]
    )
    within = np.abs(heights[:, 0] - heights[:, 1]).mean()
    between = np.abs(heights[1:, 0] - heights[:-1, 0]).mean()
    assert within < 0.5 * between


def test_covariates_do_not_depend_on_the_effect_or_the_noise(table):
    other = Synthetic(patients=3000, effect=0.0, noise=3.0).table()
    assert other[["record", "fold", *COVARIATES]].equals(table[["record", "fold", *COVARIATES]])


def test_the_cohort_of_version_1_is_still_there():
    """The covariates added since are drawn from a stream of their own: what was there stays as it was, to the bit."""
    cohort = Synthetic(patients=400)
    rows = cohort.table()
    first = rows[list(COVARIATES[:12])].to_numpy()
    digest = hashlib.sha256(first.tobytes())
    digest.update(str(rows[["record", "fold", "label_diagnosis"]].to_numpy().tolist()).encode())
    for row in rows.head(6).to_dict("records"):
        digest.update(cohort.signal(row).raw_CT.tobytes())
    assert digest.hexdigest().startswith("5fb7d5e9ec7a441ae71a")


# --- the past -----------------------------------------------------------------------------------------------------------------------


def test_values_of_the_cohort_are_plausible_and_yes_and_no_are_0_and_1(table):
    for name in COVARIATES:
        known = table[name].dropna()
        assert known.between(FIELDS[name].low, FIELDS[name].high).all(), name
        assert not FIELDS[name].binary or known.isin([0, 1]).all(), name


def test_hypertension_is_high_pressure_or_a_drug_against_it(table):
    assert ((table["hypertension"] == 1) == ((table["sbp"] >= 140) | (table["treated"] == 1))).all()


def test_diabetes_was_diagnosed_before_today(table):
    ill = table[table["diabetes"] == 1]
    assert (ill["diabetes_age"] <= ill["age"]).all()
    assert (ill["diabetes_age"] >= 20).all()
    assert (ill["age"] - ill["diabetes_age"]).mean() == pytest.approx(8, abs=1.5)


@pytest.mark.parametrize(
    ("illness", "low", "high", "published"),
    [
        ("heart_failure", 0.02, 0.08, {"smoker": np.log(1.59), "diabetes": np.log(1.85)}),
        ("stroke", 0.02, 0.08, {"age": 0.5, "sbp": 0.28, "smoker": 0.51, "diabetes": 0.34}),
        ("vascular_disease", 0.06, 0.15, {"smoker": np.log(2.87), "diabetes": np.log(2.37)}),
    ],
)
def test_illness_is_as_common_as_in_a_clinic_and_follows_its_causes(
    many_people, illness, low, high, published
):
    """A regression on all causes at once, per 10 years and 20 mmHg: the published log odds within three standard errors."""
    assert low < many_people[illness].mean() < high
    unit = {"age": 10, "sbp": 20, "smoker": 1, "diabetes": 1, "sex": 1}
    x = (many_people[list(unit)] / pd.Series(unit)).to_numpy()
    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(x, many_people[illness])
    p = fitted.predict_proba(x)[:, 1]
    x1 = np.column_stack([x, np.ones(len(x))])
    errors = np.sqrt(np.diag(np.linalg.inv((x1 * (p * (1 - p))[:, None]).T @ x1)))
    slopes = dict(zip(unit, zip(fitted.coef_[0], errors, strict=False), strict=True))
    for name, size in published.items():
        slope, error = slopes[name]
        assert slope == pytest.approx(size, abs=3 * error), name
        assert error < 0.15
    assert slopes["age"][0] > 0.3


def test_every_aspect_of_a_patient_has_a_stream_of_its_own():
    c = _cohort
    aspects = [c.COVARIATE, c.DIAGNOSIS, c.MORPHOLOGY, c.MISSING, c.FOLD, c.VISITS, c.HISTORY]
    records = [c.RECORD + visit for visit in range(1, synthetic.MOST_VISITS + 1)]
    assert len({*aspects, *records}) == len(aspects) + len(records)


def test_ancestry_is_independent_of_the_rest(table):
    people = table.drop_duplicates("patient")
    assert people["black"].mean() == pytest.approx(0.13, abs=0.025)
    assert abs(np.corrcoef(people["black"], people["age"])[0, 1]) < 0.08


# --- links ------------------------------------------------------------------------------------------------------------------------


def swap_people(monkeypatch):
    """Give every patient the covariates of an other one."""
    draw = _cohort.draw_covariates
    monkeypatch.setattr(
        _cohort, "draw_covariates", lambda seed, patient, age: draw(seed, patient + 1000, age)
    )


@pytest.mark.parametrize(("effect", "same"), [(0.0, True), (1.0, False)])
def test_without_effect_other_covariates_give_the_same_signals_and_labels(monkeypatch, effect, same):
    cohort = Synthetic(patients=12, effect=effect)
    rows = first_rows(cohort, 12)
    before = [cohort.signal(row).raw_CT for row in rows], [row["label_diagnosis"] for row in rows]
    swap_people(monkeypatch)
    after = (
        [cohort.signal(row).raw_CT for row in rows],
        [row["label_diagnosis"] for row in first_rows(cohort, 12)],
    )
    equal = [np.array_equal(a, b) for a, b in zip(before[0], after[0], strict=True)]
    assert all(equal) if same else not any(equal)
    assert (before[1] == after[1]) or not same


def rank_correlation(x, y):
    ranks = np.argsort(np.argsort(x)), np.argsort(np.argsort(y))
    return np.corrcoef(*ranks)[0, 1]


@pytest.mark.parametrize(("effect", "low", "high"), [(1.0, -0.7, -0.2), (0.0, -0.15, 0.15)])
def test_t_waves_flatten_with_age_only_where_effects_are_on(effect, low, high):
    cohort = Synthetic(patients=500, effect=effect, records_per_patient=1.0, noise=0.0)
    table = cohort.table()
    normal = table[table["label_diagnosis"].map(lambda names: names == ["NORM"])]
    lead = LEADS.index("V5")
    t_height = [np.percentile(cohort.signal(row).raw_CT[lead], 90) for row in normal.to_dict("records")]
    assert low < rank_correlation(normal["age"], t_height) < high


#: trait or diagnosis, covariate, sign of the documented effect
DIRECTIONS = [
    ("pr", "age", 1), ("axis", "age", -1), ("log_sdnn", "age", -1), ("log_t", "age", -1), ("qtc", "age", 1),
    ("qtc", "sex", 1), ("log_qrs", "sex", -1), ("qrs", "sex", -1), ("st", "sex", -1), ("log_t", "sex", -1),
    ("log_qrs", "sbp", 1), ("log_left_atrium", "sbp", 1), ("rate", "smoker", 1), ("p_axis", "smoker", 1),
    ("rate", "diabetes", 1), ("log_sdnn", "diabetes", -1), ("axis", "bmi", -1), ("log_qrs", "bmi", -1), ("qtc", "bmi", 1),
]  # fmt: skip


@pytest.mark.parametrize(("trait", "covariate", "sign"), DIRECTIONS)
def test_traits_move_in_the_documented_direction(trait, covariate, sign):
    average = {name: mean for name, (mean, _) in _cohort.SCALE.items()}
    more = average | {covariate: average[covariate] + _cohort.SCALE[covariate][1]}
    moved = {}
    for effect in (0.0, 1.0, 2.0):
        low, high = (
            _ecg_traits.draw_traits(np.random.default_rng(8), person, ("NORM",), effect)
            for person in (average, more)
        )
        moved[effect] = sign * (high[trait] - low[trait])
    assert moved[0.0] == 0
    assert 0 < moved[1.0] < moved[2.0]


def test_disease_follows_age_and_pressure_only_where_effects_are_on(table):
    def mean_of(cohort_table, name, covariate):
        people = cohort_table.drop_duplicates("patient")
        ill = people["label_diagnosis"].map(lambda names: name in names)
        return people.loc[ill, covariate].mean() - people.loc[~ill, covariate].mean()

    off = Synthetic(patients=3000, effect=0.0).table()
    for name, covariate, least in (
        ("AF", "age", 6),
        ("LBBB", "age", 6),
        ("LVH", "sbp", 5),
        ("STC", "sbp", 1),
    ):
        assert mean_of(table, name, covariate) > least
        assert abs(mean_of(off, name, covariate)) < 4


# --- missingness ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["mcar", "mar", "mnar"])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.7, 1.0])
def test_the_overall_missing_rate_is_as_asked(mechanism, rate):
    table = Synthetic(patients=1500, missing=mechanism, missing_rate=rate).table()
    assert table[DELETABLE].isna().mean(axis=None) == pytest.approx(rate, abs=0.02)
    assert table[["age", "sex"]].notna().all(axis=None)


def test_mechanisms_depend_on_what_they_say(table):
    missing = {
        mechanism: Synthetic(patients=3000, missing=mechanism, missing_rate=0.4).table()["sbp"].isna()
        for mechanism in ("mcar", "mar", "mnar")
    }

    def gap(mechanism, by):
        gone = missing[mechanism]
        return table.loc[gone, by].mean() - table.loc[~gone, by].mean()

    spread = table["sbp"].std(), table["age"].std()
    assert abs(gap("mcar", "sbp")) < 0.1 * spread[0]
    assert abs(gap("mcar", "age")) < 0.1 * spread[1]
    assert gap("mar", "age") > 0.25 * spread[1]
    assert gap("mnar", "sbp") > 0.4 * spread[0]
    assert gap("mnar", "sbp") > 2 * gap("mar", "sbp")
    older = table["age"].between(60, 65)  # at a given age, mar says nothing about the value
    gone = Synthetic(patients=3000, missing="mar", missing_rate=0.4).table()["sbp"].isna()
    assert (
        abs(table.loc[older & gone, "sbp"].mean() - table.loc[older & ~gone, "sbp"].mean()) < 0.35 * spread[0]
    )


def test_an_age_at_diagnosis_goes_missing_like_the_rest(table):
    people = table[table["diabetes"] == 1].index
    left = Synthetic(patients=3000, missing="mcar", missing_rate=0.4).table().loc[people, "diabetes_age"]
    assert left.isna().mean() == pytest.approx(0.4, abs=0.12)


def test_deletion_keeps_the_other_values_and_the_signals(table):
    deleted = Synthetic(patients=3000, missing="mnar", missing_rate=0.5).table()
    kept = deleted[DELETABLE].notna()
    assert deleted[DELETABLE].where(kept).equals(table[DELETABLE].where(kept))
    row = deleted.iloc[7].to_dict()
    whole, part = Synthetic(), Synthetic(missing="mnar", missing_rate=0.5)
    assert np.array_equal(whole.signal(row).raw_CT, part.signal(row).raw_CT)


# --- shift ------------------------------------------------------------------------------------------------------------------------


def test_another_common_age_makes_another_population():
    young, old = (Synthetic(patients=400, records_per_patient=1, common_age=a).table() for a in (40, 80))
    assert old["age"].mean() - young["age"].mean() == pytest.approx((80 - 40) / 3, abs=1.5), (
        "a triangle's mean"
    )
    assert old["age"].between(30, 90).all()
    assert old["sbp"].mean() > young["sbp"].mean()


def test_prevalence_multiplies_the_odds_of_every_diagnosis():
    """Where nothing else excludes it: AF is drawn first."""
    plain, often = (
        Synthetic(patients=3000, records_per_patient=1, effect=0, prevalence=p).table() for p in (1, 3)
    )
    shares = [np.mean(["AF" in labels for labels in t["label_diagnosis"]]) for t in (plain, often)]
    assert shares[0] == pytest.approx(0.05, abs=0.012)
    assert shares[1] == pytest.approx(3 * (0.05 / 0.95) / (1 + 3 * (0.05 / 0.95)), abs=0.02)
    pd.testing.assert_frame_equal(
        plain.drop(columns="label_diagnosis"), often.drop(columns="label_diagnosis")
    )


def test_a_wearable_keeps_the_person_and_changes_the_recording():
    clinical, wearable = (Synthetic(patients=30, noise=0, device=d) for d in ("clinical", "wearable"))
    pd.testing.assert_frame_equal(clinical.table(), wearable.table())
    rows = first_rows(clinical, 6)
    hertz = np.fft.rfftfreq(5000, 1 / 500)
    high = np.zeros(2)
    for row in rows:
        pair = [cohort.signal(row).millivolts()[1] for cohort in (clinical, wearable)]
        power = [np.abs(np.fft.rfft(x * np.hanning(5000))) ** 2 for x in pair]
        high += [p[(hertz > 50) & (hertz < 80)].sum() for p in power]
        assert np.corrcoef(*pair)[0, 1] > 0.5, "it is the same heart"
    assert high[1] < 0.3 * high[0], "second order from 40 Hz on"


def test_dry_electrodes_pick_up_three_times_the_noise():
    def noise(device):
        loud, silent = (
            Synthetic(patients=1, noise=n, device=device).signal({"record": "p000000-1"}).millivolts()
            for n in (1, 0)
        )
        return loud - silent

    expected = _ecg_noise.wearable(3 * noise("clinical"), 500.0)
    np.testing.assert_allclose(
        noise("wearable"), expected, atol=0.01
    )  # both are rounded to 1 uV, theirs three times
