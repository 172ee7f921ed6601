"""How much? The metrics of a learner's predictions on the test patients, in the target's unit."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clef_ray.evaluate.bootstrap import Estimate, sample_and_resamples
from clef_ray.evaluate.metrics import regression as metric
from clef_ray.evaluate.metrics.calibration import binned_curve
from clef_ray.evaluate.modes import answers, over_draws
from clef_ray.evaluate.problem import Answer, Material, Problem, value_problem
from clef_ray.evaluate.result import Curve, TaskResult, estimated
from clef_ray.evaluate.statistics import weighted_spearman
from clef_ray.tasks import Values


def values(task: Values, material: Material) -> TaskResult:
    """What a learner's predictions are worth on the test records; where several draws of training patients are learnt from, the draws' mean.

    Estimates: `mae`, `rmse`, `bias` (mean of predicted - true) and `sd_error` in the target's unit; `r2`, `pearson`, `spearman`, `kendall`
    (tau-b). Of blood pressure (in mmHg) also `bhs_5`, `bhs_10`, `bhs_15`: % of errors within so many mmHg. Extras: `n_test`,
    `n_patients`, what the learner chose, the spread of `mae` over several draws (`over_draws`); of blood pressure `aami_pass` (1 or 0) and `bhs_grade` (1 for A to 4 for D). Curves: `true_by_predicted` (of the first draw).
    """
    problem = value_problem(task, material)
    test_N = problem.rows.test
    patient_N = problem.patient_N[test_N]
    weights_BN = sample_and_resamples(patient_N, material.n_boot, material.seed)
    given = list(answers(problem, task, material))
    statistics = [statistics_of(problem, answer, weights_BN) for answer in given]
    means = {name: np.mean([s[name] for s in statistics], axis=0) for name in statistics[0]}
    estimates, undefined = estimated(means, patient_N)
    extras = problem.judged
    extras |= {key: float(np.mean([answer.extras[key] for answer in given])) for key in given[0].extras}
    extras |= over_draws(statistics, ("mae",))
    notes = (
        *problem.notes,
        *dict.fromkeys(note for answer in given for note in answer.notes),
        *undefined,
    )
    if problem.unit == "mmHg":
        extras |= _verdicts(estimates)
        notes += _about_blood_pressure(len(np.unique(patient_N)))
    curves = {"true_by_predicted": true_by_predicted(problem, given[0], weights_BN)}
    return TaskResult(estimates, extras, None, notes, curves)


def statistics_of(
    problem: Problem, answer: Answer, weights_BN: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Each metric under each weighting of the test records, [B]."""
    test_N = problem.rows.test
    predicted_N, true_N = answer.score_NK[test_N, 0], problem.truth_NK[test_N, 0]
    statistics = metric.errors(predicted_N, true_N, weights_BN)
    statistics |= {
        "r2": metric.r_squared(predicted_N, true_N, weights_BN),
        "pearson": metric.pearson(predicted_N, true_N, weights_BN),
        "spearman": weighted_spearman(predicted_N, true_N, weights_BN),
        "kendall": metric.kendall(predicted_N, true_N, weights_BN),
    }
    if problem.unit == "mmHg":
        statistics |= metric.within(predicted_N, true_N, weights_BN)
    return statistics


def true_by_predicted(problem: Problem, answer: Answer, weights_BN: NDArray[np.float64]) -> Curve:
    """Mean true value by mean predicted value of the test records, in bins: on the diagonal where predictions are right on average."""
    test_N = problem.rows.test
    of = f"{problem.names[0]} [{problem.unit}]" if problem.unit else problem.names[0]
    return binned_curve(
        answer.score_NK[test_N],
        problem.truth_NK[test_N],
        problem.patient_N[test_N],
        weights_BN,
        f"predicted {of}",
        f"true {of}",
    )


def _verdicts(estimates: Mapping[str, Estimate]) -> dict[str, float]:
    shares = tuple(estimates[f"bhs_{limit}"].value for limit in metric.BHS_LIMITS)
    return {
        "aami_pass": float(metric.aami_passes(estimates["bias"].value, estimates["sd_error"].value)),
        "bhs_grade": float("ABCD".index(metric.bhs_grade(shares)) + 1),
    }


def _about_blood_pressure(people: int) -> tuple[str, ...]:
    if people >= metric.AAMI_PEOPLE:
        return ()
    return (f"aami_pass, bhs_grade: {people} test patients, the standards ask for {metric.AAMI_PEOPLE}",)
