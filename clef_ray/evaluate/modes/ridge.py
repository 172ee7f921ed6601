"""Ridge regression on frozen features, for values (method.md §8, closed-form ridge)."""

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from clef_ray.evaluate.inputs import check_features
from clef_ray.evaluate.problem import Answer, Material, Problem
from clef_ray.tasks import Learnt

#: L2 strengths per training record, weak to strong.
ALPHAS = tuple(10.0**k for k in range(-5, 3))


def answer(problem: Problem, task: Learnt, material: Material) -> Answer:
    """Standardised features; the strength is the one with the least mean absolute error on validation. extras: `alpha`."""
    features_ND = check_features(material.features(task), material.table)
    train_N, validation_N = problem.rows.train, problem.rows.validation
    x_ND = StandardScaler().fit(features_ND[train_N]).transform(features_ND)
    y_N = problem.truth_NK[:, 0]
    best, least, chosen_N = 0.0, np.inf, np.empty(0)
    for alpha in ALPHAS:
        fitted = Ridge(alpha * int(train_N.sum())).fit(x_ND[train_N], y_N[train_N])
        predicted_N = fitted.predict(x_ND)
        error = float(np.abs(predicted_N - y_N)[validation_N].mean())
        if error < least:
            best, least, chosen_N = alpha, error, predicted_N
    return Answer(chosen_N[:, None], {"alpha": best})
