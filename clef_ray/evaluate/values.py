"""How much? The metrics of a learner's predictions on the test patients, in the target's unit."""

import numpy as np
from numpy.typing import NDArray

from clef_ray.evaluate.bootstrap import Estimate, sample_and_resamples
from clef_ray.evaluate.modes import answers
from clef_ray.evaluate.problem import Answer, Material, Problem, value_problem
from clef_ray.evaluate.result import TaskResult
from clef_ray.evaluate.statistics import ratio
from clef_ray.tasks import Values


def values(task: Values, material: Material) -> TaskResult:
    """Estimates: `mae` in the target's unit; where several draws of training patients are learnt from, their mean. Extras: `n_test`, and what
    the learner chose.
    """
    problem = value_problem(task, material)
    test_N = problem.rows.test
    weights = sample_and_resamples(problem.patient_N[test_N], material.n_boot, material.seed)
    given = list(answers(problem, task, material))
    statistics = [statistics_of(problem, answer, weights) for answer in given]
    estimates = {name: Estimate.of(np.mean([s[name] for s in statistics], axis=0)) for name in statistics[0]}
    extras = {"n_test": float(test_N.sum())}
    extras |= {key: float(np.mean([answer.extras[key] for answer in given])) for key in given[0].extras}
    return TaskResult(estimates, extras, None, (*problem.notes, *given[0].notes))


def statistics_of(
    problem: Problem, answer: Answer, weights_BN: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Each metric under each weighting of the test records, [B]."""
    test_N = problem.rows.test
    error_N = answer.score_NK[test_N, 0] - problem.truth_NK[test_N, 0]
    return {"mae": ratio(weights_BN @ np.abs(error_N), weights_BN.sum(axis=1))}
