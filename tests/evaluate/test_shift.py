"""The shift task: closed forms, known overlaps, and what it says where there is no shift."""

from math import erf

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import material
from scipy.linalg import sqrtm
from scipy.stats import kstest

from clef_ray.errors import ConfigError, DataError
from clef_ray.evaluate import shift as module
from clef_ray.evaluate.inputs import SELECTION
from clef_ray.evaluate.run import run_task
from clef_ray.evaluate.shift import frechet, relative_frechet, told_apart, within_folds_auroc
from clef_ray.tasks.shift import Shift

QUICK = Shift(permutations=19)


def records(count, per_patient=1):
    """Patient k in fold k % 10 + 1."""
    patient = np.repeat(np.arange(count), per_patient)
    return pd.DataFrame({"patient": [f"p{k:04d}" for k in patient], "fold": patient % 10 + 1})


def corpus(count, draw, *, by=0.0, dimensions=3, **options):
    z = np.random.default_rng(draw).normal(size=(count, dimensions))
    z[:, 0] += by
    return material(z, records(count), **options)


@settings(max_examples=30, deadline=None)
@given(*(st.floats(-3, 3) for _ in range(2)), *(st.floats(0.1, 3) for _ in range(2)))
def test_frechet_of_one_dimension(m, m2, s, s2):
    one = [np.array([m]), np.array([[s**2]]), np.array([m2]), np.array([[s2**2]])]
    assert frechet(*one) == pytest.approx((m - m2) ** 2 + (s - s2) ** 2, abs=1e-9)


def test_frechet_is_that_of_scipys_square_root():
    rng = np.random.default_rng(0)
    a, b = (np.cov(rng.normal(size=(12, 4)).T) for _ in range(2))
    mean, other = rng.normal(size=(2, 4))
    want = ((mean - other) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet(mean, a, other, b) == pytest.approx(want, rel=1e-9)
    assert frechet(mean, a, mean, a) == pytest.approx(0, abs=1e-9)
    flat = np.diag([1.0, 0, 0, 0])
    assert frechet(mean, flat, mean, 4 * flat) == pytest.approx(1)


def test_relative_frechet_of_samples():
    """Means 2 apart in one of two directions, variance 1 in either: 4 over a total variance of 1 + 1 + 1."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(1500, 2)), rng.normal(size=(1500, 2)) + np.array([2, 0])
    assert relative_frechet(x, y) == pytest.approx(4 / 3, rel=0.05)
    assert relative_frechet(50 * x, 50 * y) == pytest.approx(relative_frechet(x, y))
    assert np.isnan(relative_frechet(np.ones((9, 2)), np.ones((9, 2))))


@pytest.mark.parametrize("apart", [0.0, 1.0, 2.0])
def test_the_classifier_finds_what_is_to_be_found(apart):
    """Of N(0, 1) and N(d, 1) no score does better than Phi(d / sqrt 2)."""
    rng, n = np.random.default_rng(2), 800
    x, y = rng.normal(size=(n, 3)), rng.normal(size=(n, 3)) + np.array([apart, 0, 0])
    score, fold = told_apart(x, y, 0)
    auc = within_folds_auroc(score, np.arange(2 * n) >= n, fold, np.ones((1, 2 * n)))[0]
    assert auc == pytest.approx((1 + erf(apart / 2)) / 2, abs=0.035)


def test_the_classifier_does_not_learn_the_people_it_is_asked_about():
    """More dimensions than people: fitted on all it would tell them apart without fault."""
    rng = np.random.default_rng(3)
    aucs = []
    for seed in range(6):
        x, y = rng.normal(size=(2, 40, 100))
        score, fold = told_apart(x, y, seed)
        aucs.append(within_folds_auroc(score, np.arange(80) >= 40, fold, np.ones((1, 80)))[0])
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.08)


def test_only_people_of_one_fold_are_compared():
    """Two folds, by hand: the positive wins its one pair in the first and half of its two in the second, drawn twice there."""
    score, positive = np.array([5.0, 4, 1, 0, 2]), np.array([True, False, True, False, False])
    fold, weights = np.array([0, 0, 1, 1, 1]), np.array([[1.0, 1, 1, 1, 1], [1, 1, 2, 1, 1], [0, 1, 1, 1, 0]])
    assert within_folds_auroc(score, positive, fold, weights) == pytest.approx([2 / 3, 3 / 5, 1])


def test_a_shifted_corpus_is_far_and_home_is_not():
    home = corpus(300, 0)
    far = run_task(QUICK, corpus(300, 1, by=2, home=home))
    near = run_task(QUICK, corpus(300, 2, home=home))
    assert set(far.estimates) == {"shift/mmd2", "shift/coral", "shift/domain_auc"}
    assert set(far.extras) == {
        "shift/mmd2_p",
        "shift/frechet",
        "shift/frechet_null",
        "shift/n_test",
        "shift/n_patients",
    }
    assert far.estimates["shift/mmd2"].low > 0.1
    assert far.estimates["shift/domain_auc"].low > 0.85
    assert far.extras["shift/mmd2_p"] == 1 / 20
    assert far.extras["shift/frechet"] > 20 * far.extras["shift/frechet_null"]
    assert abs(near.estimates["shift/mmd2"].value) < 0.01
    assert near.extras["shift/frechet"] < 2 * near.extras["shift/frechet_null"]
    assert near.estimates["shift/domain_auc"].value == pytest.approx(0.5, abs=0.1)


def test_at_home_training_patients_are_compared_with_test_patients():
    z = np.random.default_rng(0).normal(size=(300, 3))
    table = records(300)
    z[table.fold == 10] += 3
    result = run_task(QUICK, material(z, table))
    assert result.extras["shift/n_test"] == 30
    assert result.estimates["shift/domain_auc"].value > 0.95


def test_choosing_patients_are_left_for_choosing():
    """All but fold 9 of another corpus; fold 9 alone where configurations are chosen."""
    home, table = corpus(400, 0), records(400)
    z = np.random.default_rng(1).normal(size=(400, 3))
    z[table.fold == 9] += 9
    assert run_task(QUICK, material(z, table, home=home)).estimates["shift/domain_auc"].value < 0.65
    chosen = run_task(QUICK, material(z, table, home=home, split=SELECTION))
    assert chosen.extras["shift/n_test"] == 40
    assert chosen.estimates["shift/domain_auc"].value > 0.95


def quickly(monkeypatch):
    monkeypatch.setattr(
        module, "told_apart", lambda x, y, seed: (np.zeros(2 * len(x)), np.zeros(2 * len(x), int))
    )
    monkeypatch.setattr(module, "relative_frechet", lambda x, y: 0.0)


def test_without_a_shift_p_is_uniform_and_the_interval_holds_0(monkeypatch):
    quickly(monkeypatch)
    p, holds = [], []
    for seed in range(80):
        result = run_task(QUICK, corpus(60, 2 * seed, home=corpus(60, 2 * seed + 1), n_boot=60, seed=seed))
        p.append(result.extras["shift/mmd2_p"])
        holds.append(result.estimates["shift/mmd2"].low <= 0 <= result.estimates["shift/mmd2"].high)
    assert kstest(np.array(p) - np.random.default_rng(0).random(80) / 20, "uniform").pvalue > 0.01
    assert np.mean(holds) > 0.9


def test_samples_are_of_equal_size_one_record_a_patient_and_capped(monkeypatch):
    quickly(monkeypatch)
    home = material(np.random.default_rng(0).normal(size=(300, 2)), records(150, 2))
    target = corpus(50, 1, dimensions=2, home=home)
    assert run_task(QUICK, target).extras["shift/n_test"] == 45
    monkeypatch.setattr(module, "MOST_PATIENTS", 21)
    assert run_task(QUICK, target).extras["shift/n_test"] == 21


def test_the_scale_of_the_embedding_does_not_matter():
    def result(scale):
        home = corpus(60, 0)
        z = corpus(60, 1, by=1).features(QUICK)
        big = material(scale * home.features(QUICK), home.table)
        return run_task(QUICK, material(scale * z, home.table, home=big))

    one, large = result(1), result(256)
    for name, estimate in one.estimates.items():
        assert large.estimates[name].value == pytest.approx(estimate.value, rel=1e-6), name
    for name, value in one.extras.items():
        assert large.extras[name] == pytest.approx(value), name


def test_resamples_of_the_two_samples_are_independent(monkeypatch):
    """The same patients on both sides, drawn alike, would cancel: home and target of one table must not move together."""
    quickly(monkeypatch)
    drawn = []
    compared = module._compared
    monkeypatch.setattr(module, "_compared", lambda *args: drawn.append(args[2:4]) or compared(*args))
    run_task(QUICK, corpus(60, 0, home=corpus(60, 1)))
    assert (drawn[0][0][1:] != drawn[0][1][1:]).any()


def test_a_collapsed_embedding_is_undefined():
    table = records(60)
    flat = material(np.full((60, 2), 0.1), table)
    result = run_task(QUICK, material(np.full((60, 2), 0.1), table, home=flat))
    assert np.isnan([result.estimates["shift/mmd2"].value, result.extras["shift/mmd2_p"]]).all()
    assert np.isnan([result.estimates["shift/coral"].value, result.extras["shift/frechet"]]).all()
    assert result.estimates["shift/domain_auc"].value == 0.5
    assert result.notes == ("undefined, because the embedding is constant: mmd2, coral",)


def test_too_few_patients_and_bad_features_are_named():
    few = run_task(QUICK, corpus(20, 0, home=corpus(60, 1)))
    assert few.skipped == "48 patients of pretraining and 18 judged ones; 20 are needed of either"
    with pytest.raises(DataError, match="60 of 60 feature rows"):
        run_task(QUICK, material(np.full((60, 2), np.nan), records(60), home=corpus(60, 1, dimensions=2)))
    with pytest.raises(ConfigError, match="permutations: 0 was given"):
        Shift(permutations=0)
