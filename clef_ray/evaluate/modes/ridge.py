"""Ridge regression on frozen features, for values (method.md §8, closed-form ridge)."""

import numpy as np

from clef_ray.evaluate.inputs import check_features
from clef_ray.evaluate.modes._components import components, standardised
from clef_ray.evaluate.modes._validation import best_of
from clef_ray.evaluate.problem import Answer, Material, Problem
from clef_ray.tasks import Learnt

#: L2 strengths per training record, weak to strong.
ALPHAS = tuple(10.0**k for k in range(-5, 3))


def answer(problem: Problem, task: Learnt, material: Material) -> Answer:
    """Standardised features; the strength is the one with the least mean absolute error on validation, the weaker of equals.

    All strengths share one eigendecomposition: in the features' principal components the solution is a division (Hastie et al. 2009,
    The Elements of Statistical Learning, eq. 3.47). extras: `alpha`.
    """
    features_ND = check_features(material.features(task), material.table)
    train_N, validation_N = problem.rows.train, problem.rows.validation
    x_ND = standardised(features_ND, train_N)
    y_M = problem.truth_NK[train_N, 0]
    basis_DR, square_R = components(x_ND[train_N])
    z_NR = x_ND @ basis_DR
    moment_R = z_NR[train_N].T @ (y_M - y_M.mean())
    strengths_A = np.array(ALPHAS)[:, None] * len(y_M)
    score_NA = y_M.mean() + z_NR @ (moment_R / (square_R + strengths_A)).T
    best = best_of(problem, (score_V[:, None] for score_V in score_NA[validation_N].T))
    return Answer(score_NA[:, [best]], {"alpha": ALPHAS[best]})
