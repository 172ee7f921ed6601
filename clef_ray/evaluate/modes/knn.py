"""Nearest neighbours: how well the geometry of the frozen features answers with nothing fitted (method.md §8)."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from clef_ray.evaluate.inputs import check_features
from clef_ray.evaluate.modes._validation import best_of, shares
from clef_ray.evaluate.problem import Answer, Material, Problem
from clef_ray.tasks import Learnt

#: How many neighbours are tried.
NEIGHBOURS = (1, 5, 20, 200)

#: A neighbour weighs exp(cosine / TEMPERATURE), as in Wu et al. 2018 (Unsupervised Feature Learning via Non-Parametric Instance
#: Discrimination, section 3.4).
TEMPERATURE = 0.07

#: Similarities that lie in memory at once.
AT_ONCE = 16_000_000


def answer(problem: Problem, task: Learnt, material: Material) -> Answer:
    """The nearest training records by cosine vote, or of values give their mean, weighted by similarity. Their number, one for all classes, is
    the best on validation (`_validation.py`), the fewest of equals. extras: `k`.

    A class's share of the votes is mixed with its share of the training records, which counts as one more neighbour, as near as the
    nearest: so its log odds are finite, and as near to the base rate as few votes deserve. Neighbours are training records only, so no
    patient is its own neighbour where the split keeps patients apart. Records that are neither validation nor test: NaN.
    """
    unit_ND = _unit(check_features(material.features(task), material.table))
    train_N = problem.rows.train
    train_MD, truth_MK = unit_ND[train_N], problem.truth_NK[train_N]
    numbers = sorted({min(k, len(train_MD)) for k in NEIGHBOURS})
    score_ANK = np.full((len(numbers), *problem.truth_NK.shape), np.nan)
    asked = np.flatnonzero(problem.rows.validation | problem.rows.test)
    at_once = max(1, AT_ONCE // len(train_MD))
    for start in range(0, len(asked), at_once):
        some_C = asked[start : start + at_once]
        cosine_CJ, neighbour_CJ = _nearest(unit_ND[some_C], train_MD, numbers[-1])
        weight_CJ = np.exp((cosine_CJ - cosine_CJ[:, :1]) / TEMPERATURE)
        sum_CK = np.zeros((len(some_C), truth_MK.shape[1]))
        for j, weight_C1 in enumerate(weight_CJ.T[:, :, None]):
            sum_CK += weight_C1 * truth_MK[neighbour_CJ[:, j]]
            if j + 1 in numbers:
                total_C1 = weight_CJ[:, : j + 1].sum(axis=1, keepdims=True)
                score_ANK[numbers.index(j + 1), some_C] = _score(problem, sum_CK, total_C1)
    best = best_of(problem, (score_NK[problem.rows.validation] for score_NK in score_ANK))
    return Answer(score_ANK[best], {"k": float(numbers[best])})


def _unit(features_ND: NDArray[np.float64]) -> NDArray[np.float32]:
    """Vectors of length 1; a zero vector stays, at cosine 0 from all."""
    norm_N1 = np.linalg.norm(features_ND, axis=1, keepdims=True)
    return (features_ND / np.where(norm_N1 > 0, norm_N1, 1)).astype(np.float32)


def _nearest(
    unit_CD: NDArray[np.float32], train_MD: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """(cosines, positions among the training records) of the `count` nearest, nearest first, [C, count]."""
    cosine_CM = unit_CD @ train_MD.T
    found_CJ = np.argpartition(cosine_CM, -count, axis=1)[:, -count:]
    # By position first, so that of equal neighbours the earlier record comes first.
    found_CJ.sort(axis=1)
    cosine_CJ = np.take_along_axis(cosine_CM, found_CJ, axis=1)
    order_CJ = np.argsort(-cosine_CJ, axis=1, kind="stable")
    nearest_CJ: NDArray[np.intp] = np.take_along_axis(found_CJ, order_CJ, axis=1)
    return np.take_along_axis(cosine_CJ, order_CJ, axis=1).astype(np.float64), nearest_CJ


def _score(
    problem: Problem, sum_CK: NDArray[np.float64], total_C1: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What the votes say in the problem's scale, [C, K]; sum_CK: of the weights of the neighbours that have a class, or of values."""
    if problem.kind == "values":
        return np.asarray(sum_CK / total_C1)
    share_CK = (sum_CK + shares(problem.positives[problem.rows.train])) / (total_C1 + 1)
    return np.asarray(np.log(share_CK) if problem.kind == "exclusive" else logit(share_CK))
