"""Linear probe: how much of a diagnosis a hyperplane finds in the frozen features (method.md §8)."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, logsumexp

from clef_ray.evaluate.inputs import check_features
from clef_ray.evaluate.modes._components import standardised
from clef_ray.evaluate.modes._logistic import Fit, path
from clef_ray.evaluate.modes._validation import best_of, shares
from clef_ray.evaluate.problem import Answer, Material, Problem
from clef_ray.tasks import Learnt

#: Inverse L2 strengths, strong to weak, so that each fit starts from the one before.
C_PATH = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def answer(problem: Problem, task: Learnt, material: Material) -> Answer:
    """L2 logistic regression on standardised features: one per class, or of exclusive classes one softmax with a weight vector for each.
    The strength, one for all classes, is the best on validation (`_validation.py`: macro AUROC; of exclusive classes macro F1). extras: `c`.

    A class without a positive, or without a negative, among the training records (of a small draw) gets the log odds of its share
    everywhere; the notes name it.
    """
    features_ND = check_features(material.features(task), material.table)
    x_ND = standardised(features_ND, problem.rows.train).astype(np.float32)
    positive_NK = problem.positives[problem.rows.train]
    learnt_K = _two_sided(positive_NK)
    if not learnt_K.any():
        constant_NK = np.tile(logit(shares(positive_NK)), (len(x_ND), 1))
        return Answer(constant_NK, {"c": C_PATH[0]}, _notes(problem, learnt_K))
    exclusive = problem.kind == "exclusive"
    fits = list(path(x_ND[problem.rows.train], positive_NK[:, learnt_K], C_PATH, exclusive=exclusive))
    validation_VD = x_ND[problem.rows.validation]
    best = best_of(problem, (_scores(fit, validation_VD, positive_NK, exclusive) for fit in fits))
    notes = _notes(problem, learnt_K, fits[best])
    return Answer(_scores(fits[best], x_ND, positive_NK, exclusive), {"c": C_PATH[best]}, notes)


def _two_sided(positive_NK: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which classes have positives and negatives, [K]."""
    return np.asarray(positive_NK.any(axis=0) & ~positive_NK.all(axis=0))


def _scores(
    fit: Fit, x_ND: NDArray[np.float32], positive_NK: NDArray[np.bool_], exclusive: bool
) -> NDArray[np.float64]:
    """Of all classes, [N, K]: those of the fit, and constant log odds of the others (softmax: against the fitted ones together)."""
    fitted_NL = fit.scores(x_ND)
    level_N1 = logsumexp(fitted_NL, axis=1, keepdims=True) if exclusive else np.zeros((len(x_ND), 1))
    score_NK: NDArray[np.float64] = level_N1 + logit(shares(positive_NK))
    score_NK[:, _two_sided(positive_NK)] = fitted_NL
    return score_NK


def _notes(problem: Problem, learnt_K: NDArray[np.bool_], fit: Fit | None = None) -> tuple[str, ...]:
    one_sided = [name for name, learnt in zip(problem.names, learnt_K, strict=True) if not learnt]
    notes = (
        [f"linear: positives or negatives only among the training records: {', '.join(one_sided)}"]
        if one_sided
        else []
    )
    if fit is not None and not fit.converged_K.all():
        notes.append(f"linear: {int((~fit.converged_K).sum())} classes did not converge")
    return tuple(notes)
