"""Which of some classes? The metrics of a learner's answer on the test patients."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clef_ray.evaluate.bootstrap import Estimate, sample_and_resamples
from clef_ray.evaluate.modes import answers
from clef_ray.evaluate.problem import Answer, Material, Problem, class_problem
from clef_ray.evaluate.result import TaskResult
from clef_ray.evaluate.statistics import weighted_auroc, weighted_f1
from clef_ray.tasks import Classes


def classes(task: Classes, material: Material) -> TaskResult:
    """Estimates: `auroc` and `f1` (macro over the judged classes), `auroc/<CLASS>`; where several draws of training patients are learnt
    from, their mean. Thresholds of F1 come from validation; the test records are looked at once. Extras: `classes`, `n_test`, and what the
    learner chose.
    """
    problem = class_problem(task, material)
    test_N = problem.rows.test
    weights = sample_and_resamples(problem.patient_N[test_N], material.n_boot, material.seed)
    given = list(answers(problem, task, material))
    statistics = [statistics_of(problem, answer, weights) for answer in given]
    estimates = {name: Estimate.of(np.mean([s[name] for s in statistics], axis=0)) for name in statistics[0]}
    extras = {"classes": float(len(problem.names)), "n_test": float(test_N.sum())}
    extras |= {key: float(np.mean([answer.extras[key] for answer in given])) for key in given[0].extras}
    return TaskResult(estimates, extras, None, (*problem.notes, *given[0].notes))


def statistics_of(
    problem: Problem, answer: Answer, weights_BN: NDArray[np.float64]
) -> Mapping[str, NDArray[np.float64]]:
    """Each metric under each weighting of the test records, [B]."""
    rows, auroc, f1 = problem.rows, [], []
    for score_N, positive_N in zip(answer.score_NK.T, problem.positives.T, strict=True):
        threshold = best_threshold(score_N[rows.validation], positive_N[rows.validation])
        auroc.append(weighted_auroc(score_N[rows.test], positive_N[rows.test], weights_BN))
        f1.append(weighted_f1(score_N[rows.test] >= threshold, positive_N[rows.test], weights_BN))
    each = {f"auroc/{name}": values for name, values in zip(problem.names, auroc, strict=True)}
    return {"auroc": macro(auroc), "f1": macro(f1), **each}


def best_threshold(score_N: NDArray[np.float64], positive_N: NDArray[np.bool_]) -> float:
    """The score t with the highest F1 of `score >= t`; the lowest of equals."""
    thresholds, ordered = np.unique(score_N), np.sort(score_N)
    predicted = len(ordered) - np.searchsorted(ordered, thresholds)
    hits = positive_N.sum() - np.searchsorted(np.sort(score_N[positive_N]), thresholds)
    return float(thresholds[np.argmax(2 * hits / (predicted + positive_N.sum()))])


def macro(statistics: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean over classes per weighting, [B]. A resample without a positive of some class is judged on the classes it has."""
    stacked_KB = np.array(statistics)
    present_KB = np.isfinite(stacked_KB)
    count_B = present_KB.sum(axis=0)
    total_B = np.where(present_KB, stacked_KB, 0).sum(axis=0)
    return np.where(count_B > 0, total_B / np.maximum(count_B, 1), np.nan)
