"""Nested, stratified draws of training patients."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import material

from clef_ray.evaluate.inputs import Rows
from clef_ray.evaluate.modes.draws import training_sets
from clef_ray.evaluate.problem import Problem
from clef_ray.tasks import Values
from clef_ray.tasks.diagnosis import Diagnosis

FRACTIONS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.99)


@dataclass(frozen=True, kw_only=True)
class HowMuch(Values):
    target: ClassVar[str] = "y"
    unit: ClassVar[str] = "mV"


def posed(truth, patient, train=None, kind="multilabel"):
    train = np.ones(len(truth), dtype=bool) if train is None else train
    truth = np.asarray(truth, dtype=float)
    names = tuple(f"C{k}" for k in range(truth.shape[1]))
    return Problem(kind, names, truth, Rows(train, ~train, ~train), np.asarray(patient, dtype=str))


def drawn(problem, task=None, *, seed=0, dimensions=2, table=None, **options):
    table = pd.DataFrame(index=range(len(problem.truth_NK))) if table is None else table
    features = np.zeros((len(table), dimensions))
    return list(training_sets(problem, task or Diagnosis(**options), material(features, table, seed=seed)))


def of_one_class(sizes, seed=0):
    """So many patients of each class, one record each, shuffled."""
    label = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    return posed(np.eye(len(sizes))[label], [f"p{n}" for n in range(len(label))], kind="exclusive")


@pytest.fixture
def cohort():
    """300 patients of 1 to 4 records, five classes from half of the records to 2 %, a third of all records for testing."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(300), rng.integers(1, 5, 300))
    truth = rng.random((len(patient), 5)) < [0.5, 0.3, 0.2, 0.05, 0.02]
    return posed(truth, [f"p{n}" for n in patient], patient % 3 > 0)


def test_all_patients_are_one_draw(cohort):
    (only,) = drawn(cohort, draws=7)
    np.testing.assert_array_equal(only, cohort.rows.train)


@pytest.mark.parametrize("limit", [{"fraction": 0.1}, {"shots": 2}])
def test_as_many_draws_as_asked_each_another_of_whole_training_patients(cohort, limit):
    masks = drawn(cohort, draws=4, **limit)
    assert len({mask.tobytes() for mask in masks}) == len(masks) == 4
    for mask in masks:
        chosen = set(cohort.patient_N[mask])
        np.testing.assert_array_equal(mask, np.isin(cohort.patient_N, sorted(chosen)))
        assert not (mask & ~cohort.rows.train).any()


def test_the_number_of_patients_is_the_share(cohort):
    for fraction in FRACTIONS:
        for mask in drawn(cohort, fraction=fraction, draws=2):
            assert len(set(cohort.patient_N[mask])) == max(1, round(fraction * 200))


@pytest.mark.parametrize(("option", "ascending"), [("fraction", FRACTIONS), ("shots", (1, 5, 10, 50))])
def test_a_smaller_draw_lies_within_a_larger(cohort, option, ascending):
    each = [drawn(cohort, draws=3, **{option: value}) for value in ascending]
    for smaller, larger in pairwise(each):
        for a, b in zip(smaller, larger, strict=True):
            assert not (a & ~b).any()
            assert a.sum() < b.sum()


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
@settings(max_examples=30, deadline=None)
def test_of_every_class_its_share_rounded_down(sizes, fraction, seed):
    problem = of_one_class(sizes)
    wanted = max(1, round(fraction * sum(sizes)))
    # What is due by the rounded number of patients, which may be a little less than by the share.
    for mask in drawn(problem, fraction=fraction, draws=2, seed=seed):
        counts = problem.truth_NK[mask].sum(axis=0)
        assert counts.sum() == wanted
        for count, size in zip(counts, sizes, strict=True):
            assert count >= wanted * size // sum(sizes)


def test_every_class_that_can_be_expected_is_there():
    problem = of_one_class([1000, 600, 240, 100, 60])
    for mask in drawn(problem, fraction=0.01):
        assert problem.truth_NK[mask].sum(axis=0).tolist() == [11, 6, 2, 1, 0]
    for mask in drawn(problem, fraction=0.05):
        assert problem.truth_NK[mask].sum(axis=0).tolist() == [50, 30, 12, 5, 3]


def test_of_classes_that_are_due_together_the_rarest_is_first():
    problem = of_one_class([4, 2])
    for mask in drawn(problem, fraction=1 / 3):
        assert problem.truth_NK[mask].sum(axis=0).tolist() == [1, 1]


def test_where_patients_have_several_classes_their_shares_are_kept_too(cohort):
    train = cohort.rows.train
    had = [len(set(cohort.patient_N[train & (cohort.truth_NK[:, k] == 1)])) for k in range(5)]
    for mask in drawn(cohort, fraction=0.25):
        for k, total in enumerate(had):
            have = len(set(cohort.patient_N[mask & (cohort.truth_NK[:, k] == 1)]))
            assert total // 4 - 2 <= have <= 1.4 * total / 4 + 2


def test_patients_without_a_class_have_their_share():
    truth = np.zeros((400, 1))
    truth[:40] = 1
    problem = posed(truth, np.arange(400))
    assert {int(truth[mask].sum()) for mask in drawn(problem, fraction=0.1)} == {4}


def test_shots_are_patients_of_every_class_and_of_none():
    problem = of_one_class([50, 20, 3])
    for mask in drawn(problem, shots=5):
        assert problem.truth_NK[mask].sum(axis=0).tolist() == [5, 5, 3]
    truth = np.zeros((100, 1))
    truth[:30] = 1
    for mask in drawn(posed(truth, np.arange(100)), shots=10):
        assert (truth[mask].sum(), (1 - truth[mask]).sum()) == (10, 10)


def test_draws_depend_on_patients_classes_and_seed_only(cohort):
    before = drawn(cohort, fraction=0.1)
    for a, b in zip(before, drawn(cohort, fraction=0.1, dimensions=9, mode="knn"), strict=True):
        np.testing.assert_array_equal(a, b)
    order = np.random.default_rng(1).permutation(len(cohort.truth_NK))
    rows = Rows(*(part[order] for part in cohort.rows))
    shuffled = Problem("multilabel", cohort.names, cohort.truth_NK[order], rows, cohort.patient_N[order])
    for a, b in zip(before, drawn(shuffled, fraction=0.1), strict=True):
        np.testing.assert_array_equal(a[order], b)
    assert any((a != b).any() for a, b in zip(before, drawn(cohort, fraction=0.1, seed=1), strict=True))


def test_labels_of_test_records_do_not_matter(cohort):
    truth = cohort.truth_NK.copy()
    truth[~cohort.rows.train] = 1
    other = posed(truth, cohort.patient_N, cohort.rows.train)
    for a, b in zip(drawn(cohort, fraction=0.1), drawn(other, fraction=0.1), strict=True):
        np.testing.assert_array_equal(a, b)


def test_values_are_drawn_from_every_tenth():
    value = np.random.default_rng(0).normal(size=500) ** 3
    problem = posed(value[:, None], np.arange(500), kind="values")
    tenth = np.argsort(np.argsort(value)) // 50
    for mask in drawn(problem, HowMuch(fraction=0.1)):
        assert np.bincount(tenth[mask], minlength=10).tolist() == [5] * 10
    few = [tenth[mask] for mask in drawn(problem, HowMuch(fraction=0.006, draws=40))]
    assert {len(set(bins)) for bins in few} == {3}
    assert set(np.concatenate(few)) == set(range(10))


def test_bins_that_have_one_more_are_not_always_the_same():
    value = np.arange(105.0)
    problem = posed(value[:, None], np.arange(105), kind="values")
    few = np.concatenate([value[mask] for mask in drawn(problem, HowMuch(fraction=0.02, draws=40))])
    assert set((few // 10.5).astype(int)) == set(range(10))


def test_equal_values_are_drawn_by_chance():
    problem = posed(np.ones((100, 1)), np.arange(100), kind="values")
    masks = drawn(problem, HowMuch(fraction=0.1))
    assert {int(mask.sum()) for mask in masks} == {10}
    assert len({mask.tobytes() for mask in masks}) == 5


@pytest.fixture
def recordings():
    """Six recordings of 40 windows, in no order of rows; the time is known of one window in four."""
    rng = np.random.default_rng(0)
    start = np.concatenate([np.sort(rng.choice(9000, 40, replace=False)) for _ in range(6)])
    patient = np.repeat([f"A{k:02d}" for k in range(6)], 40)
    table = pd.DataFrame(
        {
            "record": [f"{p}-{s:05d}" for p, s in zip(patient, start, strict=True)],
            "patient": patient,
            "position": np.tile(np.arange(40), 6),
            "target_beat_time": np.where(rng.random(240) < 0.25, start / 400, np.nan),
        }
    )
    table = table.sample(frac=1, random_state=0).reset_index(drop=True)
    truth = np.eye(3)[rng.integers(0, 3, 240)]
    return table, posed(truth, table["patient"], (table["patient"] != "A05").to_numpy(), kind="exclusive")


def test_few_patients_in_long_recordings_give_runs_of_time(recordings):
    table, problem = recordings
    before = [np.zeros(240, dtype=bool)] * 5
    for fraction, windows in ((0.001, 1), (0.1, 4), (0.25, 10), (0.5, 20), (0.9, 36)):
        masks = drawn(problem, table=table, fraction=fraction)
        for mask, smaller in zip(masks, before, strict=True):
            assert not (smaller & ~mask).any()
            for patient, rows in table.groupby("patient"):
                positions = sorted(rows["position"][mask[rows.index]])
                if patient == "A05":
                    assert positions == []
                else:
                    assert positions == list(range(positions[0], positions[0] + windows))
        before = masks
    assert len({mask.tobytes() for mask in drawn(problem, table=table, fraction=0.1)}) == 5


def test_runs_of_time_are_for_few_patients_and_shares_only(recordings):
    table, problem = recordings
    for mask in drawn(problem, table=table.drop(columns="target_beat_time"), fraction=0.4):
        assert mask.sum() == 80
        assert len(set(problem.patient_N[mask])) == 2
    for mask in drawn(problem, table=table, shots=1):
        assert mask.sum() == 40
    many = posed(problem.truth_NK, [f"p{n // 12}" for n in range(240)])
    for mask in drawn(many, table=table, fraction=0.5):
        assert mask.sum() == 120
        assert len(set(many.patient_N[mask])) == 10
