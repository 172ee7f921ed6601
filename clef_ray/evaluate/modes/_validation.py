"""What learners choose their settings by: how good scores are on the validation records. Test records are never looked at here."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from clef_ray.evaluate.problem import Problem
from clef_ray.evaluate.statistics import weighted_auroc


def goodness(problem: Problem, score_VK: NDArray[np.float64]) -> float:
    """Of the validation records' scores, higher is better: macro AUROC; of exclusive classes the mean log likelihood, since a ranking within
    each class does not tell whether the right one comes first; of values the mean absolute error with a minus sign.
    """
    truth_VK = problem.truth_NK[problem.rows.validation]
    if problem.kind == "values":
        return -float(np.abs(score_VK - truth_VK).mean())
    if problem.kind == "exclusive":
        return float(log_softmax(score_VK, axis=1)[truth_VK == 1].mean())
    once = np.ones((1, len(score_VK)))
    pairs = zip(score_VK.T, truth_VK.T == 1, strict=True)
    return float(np.mean([weighted_auroc(score_V, positive_V, once)[0] for score_V, positive_V in pairs]))


def shares(positive_NK: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each class among records, [K], kept off 0 and 1 by half a record on either side."""
    return np.asarray((positive_NK.sum(axis=0) + 0.5) / (len(positive_NK) + 1))
