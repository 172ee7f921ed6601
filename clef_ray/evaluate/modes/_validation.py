"""What learners choose their settings by: how good scores are on the validation records. Test records are never looked at here."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.metrics import f1_score

from clef_ray.evaluate.problem import Problem
from clef_ray.evaluate.statistics import weighted_auroc


def best_of(problem: Problem, answers: Iterable[NDArray[np.float64]]) -> int:
    """Which of several scores of the validation records is best, the first of equals."""
    good = [goodness(problem, score_VK) for score_VK in answers]
    return max(range(len(good)), key=good.__getitem__)


def goodness(problem: Problem, score_VK: NDArray[np.float64]) -> tuple[float, float]:
    """Of the validation records' scores, higher is better, and what decides between equals: macro AUROC; of values the mean absolute error
    with a minus sign; of exclusive classes macro F1, then the mean log likelihood. Ranking within each class does not tell whether
    the right one comes first, and likelihood alone, where most records are of one class, favours calling all of them that.
    """
    truth_VK = problem.truth_NK[problem.rows.validation]
    if problem.kind == "values":
        return -float(np.abs(score_VK - truth_VK).mean()), 0.0
    if problem.kind == "exclusive":
        called_V, true_V = score_VK.argmax(axis=1), truth_VK.argmax(axis=1)
        likelihood = log_softmax(score_VK, axis=1)[truth_VK == 1].mean()
        return float(f1_score(true_V, called_V, average="macro")), float(likelihood)
    once = np.ones((1, len(score_VK)))
    pairs = zip(score_VK.T, truth_VK.T == 1, strict=True)
    return float(
        np.mean([weighted_auroc(score_V, positive_V, once)[0] for score_V, positive_V in pairs])
    ), 0.0


def shares(positive_NK: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each class among records, [K], kept off 0 and 1 by half a record on either side."""
    return np.asarray((positive_NK.sum(axis=0) + 0.5) / (len(positive_NK) + 1))
