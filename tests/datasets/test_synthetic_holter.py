"""The made-up recordings: the layout that CPSC 2020's task reads, and classes that two simple measurements of the signal tell apart."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from clef_ray.datasets import COVARIATES, UnreadableError, _cohort
from clef_ray.datasets._ecg_traits import draw_traits
from clef_ray.datasets.cpsc2020 import FOLDS
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.datasets.synthetic_holter import CLASSES, EARLY, SyntheticHolter, _rhythm
from clef_ray.errors import ConfigError
from clef_ray.evaluate.problem import refusal
from clef_ray.registry import DATASETS
from clef_ray.tasks.cpsc2020_beats import Cpsc2020Beats

FS = 400


class Said(NamedTuple):
    """What a manifest would say."""

    dataset: str
    leads: tuple
    label_sets: dict
    headline: str
    targets: dict


@pytest.fixture(scope="module")
def holter():
    return SyntheticHolter(per_record=5, seed=3)


@pytest.fixture(scope="module")
def table(holter):
    return holter.table().assign(label=lambda t: t["label_beat"].str[0])


@pytest.fixture(scope="module")
def signals(holter, table):
    return {row["record"]: holter.signal(row).millivolts()[0] for row in table.to_dict("records")}


def test_the_recordings_are_of_the_tasks_groups(table):
    groups = Cpsc2020Beats.groups
    assert set(CLASSES) == {name for names in groups.values() for name in names} == set(FOLDS)
    for group, names in groups.items():
        for name in names:
            held = set(table.loc[table["patient"] == name, "label"])
            assert held == set(CLASSES[name]) == {"N", *group}


def test_the_table_is_laid_out_as_cpsc2020s(holter, table):
    assert table["label_beat"].map(len).eq(1).all()
    counts = table.groupby("patient")["label"].value_counts()
    assert (counts == 5).all()
    assert len(table) == 5 * 18
    assert (table["fold"] == table["patient"].map(FOLDS)).all()
    start = table["record"].str.fullmatch(r"A\d\d-\d{8}") * table["record"].str[4:].astype(int)
    assert (start == table["start"]).all()
    assert (start.to_numpy() % holter.samples == 0).all()
    assert start.max() <= 86_400 * FS - holter.samples
    assert not table.duplicated("record").any()
    middle = (start + 2000) / 400
    premature = table["label"] != "N"
    assert (table["target_beat_time"].notna() == premature).all()
    assert (table["target_beat_time"] == middle)[premature].all()
    assert table[list(COVARIATES)].isna().all(axis=None)


def test_classes_come_mixed_over_the_day(table):
    """Contiguous time, of which the task takes a share, holds all classes."""
    both = table[table["patient"] == "A04"]["label"].tolist()
    runs = sum(a != b for a, b in pairwise(both))
    assert runs >= 5


def test_more_windows_are_other_places_of_the_same_day_and_the_windows_stay_as_they_are(holter, table):
    every, few = (SyntheticHolter(per_record=n, seed=3, seconds=120).table() for n in (0, 5))
    assert len(every) == 10 * 720
    both = every.merge(few, on="record", suffixes=("", "_few"))
    assert len(both) == len(few) == 5 * 18
    assert (both["label_beat"] == both["label_beat_few"]).all()
    row = table.iloc[5].to_dict()
    again = SyntheticHolter(per_record=0, seed=3).signal({"record": row["record"]})
    np.testing.assert_array_equal(again.raw_CT, holter.signal(row).raw_CT)


def test_people_differ_by_seed_by_recording_and_from_the_cohorts(holter):
    one, other = holter._people, SyntheticHolter(seed=4)._people
    lengths = [person.traits["pr"] for person in (*one.values(), *other.values())]
    assert len(set(lengths)) == 20
    assert SyntheticHolter(seed=3)._people["A07"].traits == one["A07"].traits
    cohort = Synthetic(patients=10, seed=3)
    ours = [person.traits["log_qrs"] for person in one.values()]
    theirs = []
    for k in range(10):
        person, labels = cohort._person(k)
        rng = _cohort.stream(3, k, _cohort.MORPHOLOGY)
        theirs.append(draw_traits(rng, person, labels, 1.0)["log_qrs"])
    assert not set(ours) & set(theirs)


def test_a_recording_looks_like_one_person(table, signals):
    """The same lead all day: peaks point one way and differ little in height."""
    for name in CLASSES:
        windows = [
            signals[r] for r in table.loc[(table["patient"] == name) & (table["label"] == "N"), "record"]
        ]
        height = np.array([np.quantile(mv_T - np.median(mv_T), 0.995) for mv_T in windows])
        assert height.std() < 0.25 * height.mean()


@pytest.mark.parametrize(("label", "widest"), [("S", 1.1), ("V", 1.0)])
def test_the_premature_beat_is_early_and_the_pause_is_the_classes(holter, label, widest):
    """V: interval before + after = two undisturbed ones, since the sinus goes on. S: less, since it begins anew."""
    person = holter._people["A04"]
    for seed in range(20):
        undisturbed = _rhythm(np.random.default_rng(seed), person, "N", 4000, 0.25)
        rhythm = _rhythm(np.random.default_rng(seed), person, label, 4000, 0.25)
        before = np.diff(undisturbed.onset_B)
        after = np.diff(rhythm.onset_B)
        changed = np.flatnonzero(~np.isclose(before, after))
        assert changed.tolist() == [changed[0], changed[0] + 1], "no other beat is disturbed"
        first = changed[0]
        low, high = EARLY[label]
        assert low <= after[first] / before[first] <= max(high, 0.331 / before[first])
        if label == "V":
            assert after[first : first + 2].sum() == pytest.approx(before[first : first + 2].sum())
            assert rhythm.ectopic_B.nonzero()[0].tolist() == [first + 1]
        else:
            assert 1 <= after[first + 1] / before[first + 1] <= widest
            assert not rhythm.ectopic_B.any()
            np.testing.assert_allclose(np.diff(rhythm.onset_B), rhythm.rr_B[1:])
        shape = person.premature if label == "V" else person.waves
        peak = rhythm.onset_B[first + 1] + shape.centre_K[3]
        assert peak == pytest.approx(5.0)
        assert rhythm.onset_B[0] < 0
        assert rhythm.onset_B[-1] > 10


def measured(mv_T):
    """(interval to the beat nearest the middle / median interval, width of that beat [s]), from the signal alone."""
    slope_T = np.abs(np.gradient(uniform_filter1d(mv_T, 9))) * FS
    # A wide beat's slope is smaller: the envelope of slope alone would miss it.
    energy_T = uniform_filter1d(slope_T, 49)
    peaks = find_peaks(energy_T, height=0.35 * np.quantile(energy_T, 0.98), distance=int(0.28 * FS))[0]
    k = int(np.argmin(np.abs(peaks - len(mv_T) // 2)))
    interval = peaks[k] - peaks[k - 1]
    around = slice(len(mv_T) // 2 - 60, len(mv_T) // 2 + 60)
    active = slope_T[around] > 0.25 * slope_T[around].max()
    return interval / np.median(np.diff(peaks)), float(active.sum() / FS)


def test_simple_measurements_tell_the_classes_apart(table, signals):
    found = pd.DataFrame([measured(signals[r]) for r in table["record"]], columns=["early", "width"])
    found["label"] = table["label"]
    early, width = found["early"] < 0.83, found["width"]
    premature = found["label"] != "N"
    assert (early == premature).mean() > 0.9
    wide = width[premature] > 0.09
    assert (wide == (found.loc[premature, "label"] == "V")).mean() > 0.9


def test_the_beat_of_a_premature_window_is_in_its_middle(table, signals):
    for label in ("S", "V"):
        windows = np.stack([signals[r] for r in table.loc[table["label"] == label, "record"]])
        strength_T = np.abs(windows - np.median(windows, axis=1, keepdims=True)).mean(axis=0)
        assert abs(int(strength_T.argmax()) - 2000) <= 0.04 * FS
        assert strength_T.max() > 1.5 * np.sort(strength_T)[-len(strength_T) // 10]


def test_the_task_takes_it_and_no_other_made_up_data(holter):
    task = Cpsc2020Beats()
    assert refusal(task, _facts("synthetic_holter", holter)) is None
    assert "asks about cpsc2020" in refusal(task, _facts("synthetic", Synthetic(patients=1)))
    assert "synthetic_holter" in DATASETS.names()


def _facts(name, dataset):
    return Said(name, dataset.leads, dataset.label_sets, dataset.headline, dataset.targets)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": -1}, "synthetic_holter.seed is -1; allowed is 0 or more"),
        ({"per_record": -2}, "synthetic_holter.per_record is -2"),
        ({"seconds": 0.2}, "synthetic_holter.seconds is 0.2"),
    ],
)
def test_options_outside_their_ranges_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        SyntheticHolter(**options)


@pytest.mark.parametrize("record", ["A11-00000000", "A04-00000001", "A04-34560000", "A04-4000", "A04"])
def test_a_record_that_is_none_is_refused(holter, record):
    with pytest.raises(UnreadableError, match="unknown record"):
        holter.signal({"record": record})
