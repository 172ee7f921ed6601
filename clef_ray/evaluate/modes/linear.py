"""Linear probe: how much of a diagnosis a hyperplane finds in the frozen features (method.md §8)."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from clef_ray.evaluate.inputs import check_features
from clef_ray.evaluate.problem import Answer, Material, Problem
from clef_ray.evaluate.statistics import weighted_auroc
from clef_ray.tasks import Learnt

#: Inverse L2 strengths, strong to weak, so that each fit starts from the one before.
C_PATH = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def answer(problem: Problem, task: Learnt, material: Material) -> Answer:
    """One L2 logistic regression per class on standardised features; the strength, one for all classes, is the one with the best
    macro AUROC on validation. extras: `c`.
    """
    features_ND = check_features(material.features(task), material.table)
    scores_CNK = _regularisation_path(features_ND, problem.positives, problem.rows.train)
    validation_N = problem.rows.validation
    best = _best_on_validation(scores_CNK[:, validation_N], problem.positives[validation_N])
    return Answer(scores_CNK[best], {"c": C_PATH[best]})


def _regularisation_path(
    features_ND: NDArray[np.float64], positive_NK: NDArray[np.bool_], train_N: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Log odds of all records under every strength of C_PATH, [len(C_PATH), N, K]; only training records are fitted."""
    scaler = StandardScaler().fit(features_ND[train_N])
    x_ND = scaler.transform(features_ND)
    scores_CNK = np.empty((len(C_PATH), *positive_NK.shape))
    for k, positive_N in enumerate(positive_NK.T):
        model = LogisticRegression(solver="lbfgs", warm_start=True, max_iter=1000)
        for c, strength in enumerate(C_PATH):
            model.set_params(C=strength).fit(x_ND[train_N], positive_N[train_N])
            scores_CNK[c, :, k] = model.decision_function(x_ND)
    return scores_CNK


def _best_on_validation(scores_CNK: NDArray[np.float64], positive_NK: NDArray[np.bool_]) -> int:
    once = np.ones((1, len(positive_NK)))
    macro = [
        np.mean([weighted_auroc(s, p, once)[0] for s, p in zip(score_NK.T, positive_NK.T, strict=True)])
        for score_NK in scores_CNK
    ]
    return int(np.argmax(macro))
