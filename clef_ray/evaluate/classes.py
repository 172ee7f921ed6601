"""Which of some classes? The metrics of a learner's answer on the test patients."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clef_ray.evaluate.bootstrap import sample_and_resamples
from clef_ray.evaluate.metrics import calibration, challenge
from clef_ray.evaluate.metrics import classification as metric
from clef_ray.evaluate.modes import answers, over_draws
from clef_ray.evaluate.problem import Answer, Material, Problem, class_problem
from clef_ray.evaluate.result import Curve, TaskResult, estimated
from clef_ray.evaluate.statistics import weighted_rankings
from clef_ray.tasks import Classes


def classes(task: Classes, material: Material) -> TaskResult:
    """What a learner's answer is worth on the test records; where several draws of training patients are learnt from, the draws' mean.

    Of every set, macro over the judged classes unless said otherwise:
        auroc, auroc_weighted (by prevalence), auprc (average precision); auroc/<CLASS>
        f1, f1_micro (all decisions together), balanced_accuracy; f1/<CLASS>
        brier, ece (clef_ray.evaluate.metrics.calibration says how; ece's interval is moved to where its value is)
    Where classes are decided one by one, by the threshold that is best for that metric on validation (F1's for the first two):
        sensitivity, specificity; balanced_accuracy is the mean of the two; fmax; fbeta2, gbeta2 (as in the challenges)
    Of an exclusive set, where the most probable class is given: accuracy; balanced_accuracy is the mean sensitivity. Ranked is one class
    against the rest, by its probability.

    A class that a resample holds no positive of is left out of that resample's mean. The test records are looked at once: no threshold but
    fmax's, which is defined so, is chosen on them. Extras: `classes`, `classes_absent` (too rare to be judged),
    `n_test`, `n_patients`, what the learner chose, and the spread of `auroc` and `f1` over several draws (`over_draws`). Curves: `reliability` (of the first draw).
    """
    problem = class_problem(task, material)
    test_N = problem.rows.test
    weights_BN = sample_and_resamples(problem.patient_N[test_N], material.n_boot, material.seed)
    given = list(answers(problem, task, material))
    statistics = [statistics_of(problem, answer, weights_BN, task.scorer) for answer in given]
    means = {name: np.mean([s[name] for s in statistics], axis=0) for name in statistics[0]}
    estimates, undefined = estimated(means, problem.patient_N[test_N])
    extras = {
        "classes": float(len(problem.names)),
        "classes_absent": float(len(problem.left_out)),
        **problem.judged,
    }
    extras |= {key: float(np.mean([answer.extras[key] for answer in given])) for key in given[0].extras}
    extras |= over_draws(statistics, ("auroc", "f1"))
    curves = {"reliability": reliability(problem, given[0], weights_BN)}
    notes = (
        *problem.notes,
        *dict.fromkeys(note for answer in given for note in answer.notes),
        *undefined,
    )
    if task.scorer and problem.left_out:
        notes += (f"{task.scorer}: over {len(problem.names)} classes; the challenge's own is over all",)
    return TaskResult(estimates, extras, None, notes, curves)


def statistics_of(
    problem: Problem, answer: Answer, weights_BN: NDArray[np.float64], scorer: str = ""
) -> Mapping[str, NDArray[np.float64]]:
    """Each metric under each weighting of the test records, [B]. scorer: a function of metrics/challenge.py whose scores are added."""
    exclusive, test_N = problem.kind == "exclusive", problem.rows.test
    true_NK = problem.positives[test_N]
    odds_NK = calibration.log_odds(answer.score_NK[test_N], exclusive)
    given_NK = decisions(problem, answer, metric.f_beta)[test_N]
    ranking = weighted_rankings(odds_NK, true_NK, weights_BN)
    count = metric.counts(given_NK, true_NK, weights_BN)
    f1_BK = metric.f_beta(count.right, count.given, count.true)
    statistics = {
        "auroc": metric.macro(ranking.auroc),
        "auroc_weighted": metric.average(ranking.auroc, count.true),
        "auprc": metric.macro(ranking.average_precision),
        "f1": metric.macro(f1_BK),
        "f1_micro": metric.f_micro(count),
    }
    statistics |= _of_exclusive(count) if exclusive else _of_several(problem, answer, count, weights_BN)
    statistics |= _calibration(problem, answer, weights_BN)
    if scorer:
        statistics |= getattr(challenge, scorer)(given_NK, true_NK, problem.names, weights_BN)
    each = zip(problem.names, ranking.auroc.T, f1_BK.T, strict=True)
    for name, auroc_B, f1_B in each:
        statistics |= {f"auroc/{name}": auroc_B, f"f1/{name}": f1_B}
    return statistics


def decisions(problem: Problem, answer: Answer, merit: metric.Merit) -> NDArray[np.bool_]:
    """Which classes each record is given, [N, K]: of an exclusive set the most probable one, else those whose score reaches the threshold
    with the highest merit on validation.
    """
    score_NK = answer.score_NK
    if problem.kind == "exclusive":
        return np.asarray(score_NK.argmax(axis=1)[:, None] == np.arange(score_NK.shape[1]))
    validation_N = problem.rows.validation
    columns = zip(score_NK[validation_N].T, problem.positives[validation_N].T, strict=True)
    return np.asarray(score_NK >= [metric.best_threshold(s, true, merit) for s, true in columns])


def reliability(problem: Problem, answer: Answer, weights_BN: NDArray[np.float64]) -> Curve:
    """The curve of the test records."""
    exclusive, test_N = problem.kind == "exclusive", problem.rows.test
    probability_NK = calibration.probabilities(answer.score_NK[test_N], exclusive)
    return calibration.reliability(
        probability_NK, problem.positives[test_N], problem.patient_N[test_N], weights_BN, exclusive
    )


def _of_exclusive(count: metric.Counts) -> dict[str, NDArray[np.float64]]:
    return {
        "accuracy": count.right.sum(axis=1) / count.total[:, 0],
        "balanced_accuracy": metric.macro(metric.sensitivity(count)),
    }


def _of_several(
    problem: Problem, answer: Answer, count: metric.Counts, weights_BN: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    sensitivity_BK, specificity_BK = metric.sensitivity(count), metric.specificity(count)
    test_N = problem.rows.test
    true_NK = problem.positives[test_N]
    statistics = {
        "sensitivity": metric.macro(sensitivity_BK),
        "specificity": metric.macro(specificity_BK),
        "balanced_accuracy": metric.macro((sensitivity_BK + specificity_BK) / 2),
        "fmax": metric.fmax(calibration.probabilities(answer.score_NK[test_N], False), true_NK, weights_BN),
    }
    for name, merit in (("fbeta2", metric.f_beta_2), ("gbeta2", metric.g_beta_2)):
        given_NK = decisions(problem, answer, merit)[test_N]
        shared = metric.shared_counts(given_NK, true_NK, weights_BN)
        statistics[name] = metric.macro(merit(shared.right, shared.given, shared.true))
    return statistics


def _calibration(
    problem: Problem, answer: Answer, weights_BN: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    exclusive, test_N = problem.kind == "exclusive", problem.rows.test
    probability_NK = calibration.probabilities(answer.score_NK[test_N], exclusive)
    true_NK, bins = problem.positives[test_N], calibration.bin_count(problem.patient_N[test_N])
    error_B = calibration.calibration_error(probability_NK, true_NK, weights_BN, exclusive, bins)
    return {
        "brier": calibration.brier(probability_NK, true_NK, weights_BN, exclusive),
        "ece": calibration.recentred(error_B),
    }
