"""A learner's answer about classes, as named metrics. The answers are made here: no learner is fitted but in one test."""

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from made import material
from scipy.special import expit, softmax
from sklearn import metrics as sk

from clef_ray.evaluate import classes as module
from clef_ray.evaluate.inputs import OFFICIAL
from clef_ray.evaluate.problem import Answer, class_problem
from clef_ray.evaluate.result import TaskResult
from clef_ray.evaluate.run import run_task
from clef_ray.tasks import Classes

SETS = {"several": ("A", "B", "C"), "one": ("N", "A", "O", "~")}


@dataclass(frozen=True, kw_only=True)
class Several(Classes):
    labels: ClassVar[str] = "several"


@dataclass(frozen=True, kw_only=True)
class One(Classes):
    labels: ClassVar[str] = "one"
    exclusive: ClassVar[bool] = True
    scorer: ClassVar[str] = "cinc2017"


@pytest.fixture
def cohort(corpus, monkeypatch):
    """cohort(task, answers): 300 patients with two records each, and their result where the learner gives these answers."""
    table = corpus(300, records=2)
    rng = np.random.default_rng(1)
    several = rng.random((600, 3)) < [0.5, 0.2, 0.1]
    table["label_several"] = [[n for n, has in zip("ABC", row, strict=True) if has] for row in several]
    table["label_one"] = [[SETS["one"][k]] for k in rng.choice(4, 600, p=[0.4, 0.3, 0.2, 0.1])]

    def judge(task, *given):
        monkeypatch.setattr(module, "answers", lambda problem, task, material: iter(given))
        there = material(np.zeros((600, 1)), table, label_sets=SETS)
        return class_problem(task, there), run_task(task, there), OFFICIAL.rows(table)

    return judge


def score_of(seed, classes):
    return np.random.default_rng(seed).normal(size=(600, classes))


def noisy(problem_truth, seed):
    return 1.5 * problem_truth + score_of(seed, problem_truth.shape[1])


def test_classes_decided_one_by_one(cohort):
    problem, _, rows = cohort(Several(), Answer(score_of(0, 3)))
    score = noisy(problem.truth_NK, 2)
    _, result, _ = cohort(Several(), Answer(score, {"c": 0.1}, ("a note",)))
    value = {name.removeprefix(f"{Several().prefix}/"): e.value for name, e in result.estimates.items()}
    macro = {"auroc", "auroc_weighted", "auprc", "f1", "f1_micro", "balanced_accuracy", "brier", "ece"}
    macro |= {"sensitivity", "specificity", "fmax", "fbeta2", "gbeta2"}
    assert set(value) == macro | {f"{name}/{c}" for name in ("auroc", "f1") for c in "ABC"}

    t, s = problem.positives[rows.test], score[rows.test]
    validation, has = score[rows.validation], problem.positives[rows.validation]
    cut = [
        max(np.sort(v), key=lambda c, v=v, h=h: (h & (v >= c)).sum() / (h.sum() + (v >= c).sum()))
        for v, h in zip(validation.T, has.T, strict=True)
    ]
    g = s >= cut
    assert value["auroc"] == pytest.approx(sk.roc_auc_score(t, s))
    assert value["auroc_weighted"] == pytest.approx(sk.roc_auc_score(t, s, average="weighted"))
    assert value["auprc"] == pytest.approx(sk.average_precision_score(t, s))
    assert value["f1"] == pytest.approx(sk.f1_score(t, g, average="macro"))
    assert value["f1_micro"] == pytest.approx(sk.f1_score(t, g, average="micro"))
    assert value["f1/B"] == pytest.approx(sk.f1_score(t[:, 1], g[:, 1]))
    assert value["auroc/C"] == pytest.approx(sk.roc_auc_score(t[:, 2], s[:, 2]))
    assert value["sensitivity"] == pytest.approx(sk.recall_score(t, g, average="macro"))
    assert value["specificity"] == pytest.approx(sk.recall_score(~t, ~g, average="macro"))
    assert value["balanced_accuracy"] == pytest.approx((value["sensitivity"] + value["specificity"]) / 2)
    assert value["brier"] == pytest.approx(np.mean((expit(s) - t) ** 2))
    prefix = Several().prefix
    assert result.extras == {
        f"{prefix}/{k}": v
        for k, v in (("classes", 3), ("classes_absent", 0), ("n_test", 60), ("n_patients", 30), ("c", 0.1))
    }
    assert result.notes == ("a note",)
    for estimate in result.estimates.values():
        assert len(estimate.replicates) == 20
        assert estimate.low <= estimate.value <= estimate.high
    curve = result.curves[f"{prefix}/reliability"]
    assert curve.n.sum() == 3 * 60
    assert (curve.x * curve.n).sum() == pytest.approx(expit(s).sum())


def test_f_and_g_have_thresholds_of_their_own_from_validation(cohort):
    problem, _, rows = cohort(Several(), Answer(score_of(0, 3)))
    score = noisy(problem.truth_NK, 3)
    _, result, _ = cohort(Several(), Answer(score))
    truth = problem.positives
    want = {"fbeta2": [], "gbeta2": []}
    share = 1 / np.maximum(truth[rows.test].sum(axis=1), 1)
    for k in range(3):

        def value(name, cut, part, w, k=k):
            g, t = score[part, k] >= cut, truth[part, k]
            tp, fp, fn = ((a * w).sum() for a in (g & t, g & ~t, ~g & t))
            return tp / (tp + fp + 2 * fn) if name == "gbeta2" else 5 * tp / (5 * tp + fp + 4 * fn)

        for name, values in want.items():
            cuts = np.sort(score[rows.validation, k])
            cut = max(cuts, key=lambda c, n=name: value(n, c, rows.validation, 1.0))
            values.append(value(name, cut, rows.test, share))
    for name, values in want.items():
        assert result.estimates[f"{Several().prefix}/{name}"].value == pytest.approx(np.mean(values))


def test_test_records_choose_no_threshold(cohort):
    """The truth of the test records turned round moves none of the decisions, so F1 of all records given the class is of the same cut."""
    problem, _, rows = cohort(Several(), Answer(score_of(0, 3)))
    answer = Answer(noisy(problem.truth_NK, 4))
    before = module.decisions(problem, answer, module.metric.f_beta)
    problem.truth_NK[rows.test] = 1 - problem.truth_NK[rows.test]
    np.testing.assert_array_equal(module.decisions(problem, answer, module.metric.f_beta), before)


def test_exclusive_classes_go_to_the_most_probable(cohort):
    problem, _, rows = cohort(One(), Answer(score_of(0, 4)))
    # A number that all of a record's logits have in common says nothing; ranked by bare logits it would.
    score = noisy(problem.truth_NK, 5) + 9 * score_of(6, 1)
    _, result, _ = cohort(One(), Answer(score))
    value = {name.removeprefix(f"{One().prefix}/"): e.value for name, e in result.estimates.items()}
    names = {
        "auroc",
        "auroc_weighted",
        "auprc",
        "f1",
        "f1_micro",
        "accuracy",
        "balanced_accuracy",
        "brier",
        "ece",
    }
    names |= {f"{name}/{c}" for name in ("auroc", "f1") for c in SETS["one"]}
    assert set(value) == names | {"cinc2017", "cinc2017_noise"}
    t, p = problem.truth_NK[rows.test].argmax(axis=1), softmax(score[rows.test], axis=1)
    g = p.argmax(axis=1)
    assert value["auroc"] == pytest.approx(sk.roc_auc_score(t, p, multi_class="ovr"))
    assert value["auroc_weighted"] == pytest.approx(
        sk.roc_auc_score(t, p, multi_class="ovr", average="weighted")
    )
    assert value["f1"] == pytest.approx(sk.f1_score(t, g, average="macro"))
    assert value["accuracy"] == value["f1_micro"] == pytest.approx(sk.accuracy_score(t, g))
    assert value["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(t, g))
    assert value["brier"] == pytest.approx(np.mean(((np.eye(4)[t] - p) ** 2).sum(axis=1)))
    assert value["cinc2017"] == pytest.approx(sk.f1_score(t, g, average=None)[:3].mean())
    assert result.curves[f"{One().prefix}/reliability"].n.sum() == 60


def test_draws_are_averaged(cohort):
    problem, _, _ = cohort(Several(), Answer(score_of(0, 3)))
    given = [Answer(noisy(problem.truth_NK, seed), {"k": seed}) for seed in (7, 8)]
    alone = [cohort(Several(), answer)[1] for answer in given]
    _, both, _ = cohort(Several(), *given)
    for name, estimate in both.estimates.items():
        assert estimate.value == pytest.approx(np.mean([r.estimates[name].value for r in alone]))
        np.testing.assert_allclose(
            estimate.replicates, np.mean([r.estimates[name].replicates for r in alone], axis=0)
        )
    assert both.extras[f"{Several().prefix}/k"] == 7.5


def test_absent_classes_are_counted(corpus):
    table = corpus(200)
    features = np.random.default_rng(0).normal(size=(200, 3))
    table["label_several"] = [["A"] if x > 0 else [] for x in features[:, 0]]
    result = run_task(Several(), material(features, table, label_sets=SETS))
    prefix = Several().prefix
    assert result.extras[f"{prefix}/classes"] == 1
    assert result.extras[f"{prefix}/classes_absent"] == 2
    assert result.estimates[f"{prefix}/auroc"].value > 0.95


def test_classes_that_resamples_lack_are_said(corpus):
    """One test record has class A: in about a third of the resamples nobody has."""
    table = corpus(200)
    features = np.random.default_rng(0).normal(size=(200, 3))
    fold = table["fold"].to_numpy()
    has = (features[:, 0] > 0) & (fold != 10)
    has[np.argmax(fold == 10)] = True
    table["label_several"] = [["A"] if h else [] for h in has]
    result = run_task(Several(), material(features, table, label_sets=SETS))
    missing = int(np.isnan(result.estimates[f"{Several().prefix}/f1/A"].replicates).sum())
    assert 0 < missing < 20
    (note,) = (n for n in result.notes if n.startswith("undefined in some resamples"))
    assert f"f1/A ({missing})" in note


def test_curves_survive_storage_and_files_without_any_are_read(cohort):
    problem, _, _ = cohort(Several(), Answer(score_of(0, 3)))
    _, result, _ = cohort(Several(), Answer(noisy(problem.truth_NK, 2)))
    again = TaskResult.from_bytes(result.to_bytes())
    assert list(again.curves) == list(result.curves)
    for name, curve in result.curves.items():
        other = again.curves[name]
        assert (other.x_label, other.y_label) == (curve.x_label, curve.y_label)
        for field in ("x", "y", "low", "high", "n"):
            np.testing.assert_array_equal(getattr(other, field), getattr(curve, field))
    curve = result.curves[f"{Several().prefix}/reliability"]
    two = TaskResult(curves={"a": curve, "b": type(curve)("x", "y", *np.arange(10.0).reshape(5, 2))})
    np.testing.assert_array_equal(TaskResult.from_bytes(two.to_bytes()).curves["b"].n, [8, 9])
    assert TaskResult.from_bytes(TaskResult().to_bytes()).curves == {}


def test_a_file_from_before_curves_is_read():
    with np.load(io.BytesIO(TaskResult({}, {"n": 1.0}, "why").to_bytes())) as file:
        old = {name: file[name] for name in file.files if not name.startswith("curve_")}
    buffer = io.BytesIO()
    np.savez(buffer, **old)
    again = TaskResult.from_bytes(buffer.getvalue())
    assert (again.extras, again.skipped, again.curves) == ({"n": 1.0}, "why", {})
