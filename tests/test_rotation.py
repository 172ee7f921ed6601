"""A rotation: which folds serve what, and the mean over them against a plain loop."""

import math
from dataclasses import replace

import numpy as np
import pytest

from clef_ray import rotation
from clef_ray.ablation import Ablation, Arm, Outcome, plan
from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.evaluate.inputs import FOLDS, OFFICIAL, ROTATION, SPLITS
from clef_ray.evaluate.result import TaskResult

TINY = Ablation(
    "tiny", "?", "?", (Arm("a", {"method": "simclr"}), Arm("b", {"method": "random"})), "b", (0, 1)
)


def whole(*folds):
    return replace(plan(TINY, "data"), rotation=folds)


def test_each_fold_is_once_the_test_once_validation_and_eight_times_trained_on():
    splits = [SPLITS[ROTATION[fold]] for fold in FOLDS]
    assert [s.test for s in splits] == [(fold,) for fold in FOLDS]
    assert sorted(s.validation for s in splits) == [(fold,) for fold in FOLDS]
    for fold, split in zip(FOLDS, splits, strict=True):
        assert split.validation == (fold - 1 or 10,)
        assert sorted((*split.train, *split.validation, *split.test)) == list(FOLDS)
    assert SPLITS[ROTATION[10]] == OFFICIAL, "the official split is one of the ten"


def test_the_plan_of_a_fold_trains_and_judges_by_it_and_is_a_run_of_its_own():
    both = whole(3, 10)
    third, last = rotation.at(both, 3), rotation.at(both, 10)
    assert (third.split, third.rotation) == ("test-3", ())
    assert (third.dealt, both.dealt) == ("test-3", "each of folds 3, 10 once")
    assert {t.run.train_folds for t in third.trials} == {(1, 4, 5, 6, 7, 8, 9, 10)}
    assert len({p.fingerprint() for p in (both, third, last, plan(TINY, "data"))}) == 3
    assert last.fingerprint() == plan(TINY, "data").fingerprint(), "fold 10 is the ablation itself"


def result(fold, seed, n_boot=50):
    rng = np.random.default_rng([fold, seed])
    estimates = {
        "probe/auroc": Estimate.of(rng.random(1 + n_boot)),
        f"only/{fold}": Estimate.of(rng.random(1 + n_boot)),
    }
    counts = {"beats/n_test/f1": float(fold), "n_patients": 10.0}
    return TaskResult(estimates, {"coverage": float(fold), **counts}, notes=("alike", f"fold {fold}"))


def outcomes_of(both):
    return {
        fold: [
            Outcome(
                t,
                "COMPLETE",
                {"probe": result(fold, t.seed)},
                seconds={"wall": fold},
                cost={"flops": 2.0 * fold},
            )
            for t in rotation.at(both, fold).trials
        ]
        for fold in both.rotation
    }


def test_an_outcome_is_the_mean_over_the_folds():
    both = whole(2, 5, 9)
    found = rotation.averaged(both, outcomes_of(both))
    assert [(o.trial.arm.name, o.trial.seed) for o in found] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    values = [result(fold, 1).estimates["probe/auroc"].value for fold in (2, 5, 9)]
    (one,) = (o for o in found if (o.trial.arm.name, o.trial.seed) == ("a", 1))
    assert one.results["probe"].estimates["probe/auroc"].value == pytest.approx(sum(values) / 3)
    assert list(one.results["probe"].estimates) == ["probe/auroc"], "what every fold has"
    counted = {"beats/n_test/f1": 16, "n_patients": 30}
    assert one.results["probe"].extras == {"coverage": pytest.approx(16 / 3), **counted}, (
        "who was judged, of all"
    )
    assert one.results["probe"].notes == ("alike", "fold 2", "fold 5", "fold 9")
    assert (one.seconds, one.cost) == ({"wall": pytest.approx(16 / 3)}, {"flops": pytest.approx(32 / 3)})


def test_its_interval_is_that_of_independent_folds_and_pairs_encoders_by_patient():
    """The same resamples in every fold: the deviation must fall with the square root of their number, and a difference keep none of it."""
    both = whole(*FOLDS)
    noise_B = np.random.default_rng(0).normal(0.8, 0.02, 2001)
    by_fold = {
        fold: [
            Outcome(t, "COMPLETE", {"p": TaskResult({"p/auroc": Estimate.of(noise_B + (t.arm.name == "a"))})})
            for t in rotation.at(both, fold).trials
        ]
        for fold in FOLDS
    }
    a, _, b, _ = (o.results["p"].estimates["p/auroc"] for o in rotation.averaged(both, by_fold))
    assert a.replicates.std() == pytest.approx(0.02 / math.sqrt(10), rel=0.1)
    np.testing.assert_allclose(a.replicates - b.replicates, 1.0)


def test_what_failed_in_one_fold_failed_and_what_is_not_there_is_left_out():
    both = whole(1, 2)
    by_fold = outcomes_of(both)
    by_fold[2][0] = replace(by_fold[2][0], state="FAILED", reason="it diverged", results={})
    by_fold[1].pop(3)
    found = rotation.averaged(both, by_fold)
    assert [(o.trial.arm.name, o.trial.seed, o.state) for o in found] == [
        ("a", 0, "FAILED"),
        ("a", 1, "COMPLETE"),
        ("b", 0, "COMPLETE"),
    ]
    assert found[0].reason == "fold 2: it diverged"


def test_a_task_that_one_fold_skips_is_skipped():
    both = whole(1, 2)
    by_fold = outcomes_of(both)
    by_fold[2] = [replace(o, results={"probe": TaskResult(skipped="one class")}) for o in by_fold[2]]
    found = rotation.averaged(both, by_fold)
    assert {o.results["probe"].skipped for o in found} == {"fold 2: one class"}
    assert not any(o.results["probe"].estimates for o in found)
