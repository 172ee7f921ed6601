"""The scores by which PhysioNet/CinC challenges ranked their entries, under record weights.

A scorer has the signature `scorer(predicted_NK, truth_NK, names, weights_BN) -> {metric: [B]}`; a task names its own. Its score is that
of the challenge only where every class that the challenge scores is among `names`: a class too rare to be learnt is left out before.

Shape letters: N records, K classes, B weightings.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from clef_ray.evaluate.statistics import ratio

#: predicted_NK and truth_NK: which classes each record was given and has; names: of the classes; weights_BN: how often each record
#: counts.
Scorer = Callable[
    [NDArray[np.bool_], NDArray[np.bool_], tuple[str, ...], NDArray[np.float64]],
    Mapping[str, NDArray[np.float64]],
]

#: Of 2017: the classes whose F1 is averaged, and the one that is reported beside them.
_RHYTHMS, _NOISE = ("N", "A", "O"), "~"

#: Of 2021: the class that an entry without any skill always answers.
_NORMAL = "NSR"

#: Of 2021: where each class lies on a line of what it would be treated like, sinus rhythm at 0. One class taken for another is worth 0.5
#: less their distance: so the challenge's table of 26 x 26 rewards reads, but for _REWARDS and its diagonal of 1. All of it was compared
#: with the table as the package torch_ecg has it; ten rows of it also with an earlier state of the challenge's own, of 24 classes.
_PLACES: Mapping[str, float] = {
    "NSR": 0.0,
    **dict.fromkeys(("Brady", "IAVB", "IRBBB", "LPR", "SA", "SB"), 0.05),
    "PAC": 0.0875,
    **dict.fromkeys(("LAD", "LAnFB", "NSIVCB", "RAD"), 0.1),
    **dict.fromkeys(("PR", "PVC", "STach"), 0.125),
    "RBBB": 0.15,
    **dict.fromkeys(("LQRSV", "PRWP"), 0.175),
    "LQT": 0.2,
    **dict.fromkeys(("BBB", "LBBB"), 0.225),
    **dict.fromkeys(("AF", "AFL", "TAb", "TInv"), 0.25),
    "QAb": 0.35,
}

#: Pairs of one place that are not worth 0.5.
_REWARDS: Mapping[frozenset[str], float] = {
    frozenset({"BBB", "LBBB"}): 0.475,
    frozenset({"LQRSV", "PRWP"}): 0.475,
}


def cinc2017(
    predicted_NK: NDArray[np.bool_],
    truth_NK: NDArray[np.bool_],
    names: tuple[str, ...],
    weights_BN: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """`cinc2017`: the mean of the F1 of normal rhythm, atrial fibrillation and other rhythms; `cinc2017_noise`: the F1 of the class ~
    (Clifford et al., CinC 2017, doi:10.22489/CinC.2017.065-469). F1 = 2 right / (given + true); 0 where a class is given and nobody has
    it.

    NaN where a class is neither given nor true, or not among `names`.
    """
    f1 = {
        name: _f1(predicted_NK[:, k], truth_NK[:, k], weights_BN)
        for k, name in enumerate(names)
        if name in (*_RHYTHMS, _NOISE)
    }
    unknown_B = np.full(len(weights_BN), np.nan)
    rhythms = [f1.get(name, unknown_B) for name in _RHYTHMS]
    return {"cinc2017": np.asarray(np.mean(rhythms, axis=0)), "cinc2017_noise": f1.get(_NOISE, unknown_B)}


def cinc2021(
    predicted_NK: NDArray[np.bool_],
    truth_NK: NDArray[np.bool_],
    names: tuple[str, ...],
    weights_BN: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """`cinc2021`: rewards for what was given, shared by all classes that a record has or was given; 1 for the truth itself, 0 for sinus
    rhythm always, negative for worse than that (Reyna et al., CinC 2021, doi:10.23919/CinC53138.2021.9662687).

    Classes that the challenge does not score are not looked at. NaN where sinus rhythm is always right, or not among `names`; the
    challenge's script gives 0 for the former.
    """
    scored = [k for k, name in enumerate(names) if name in _PLACES]
    kept = tuple(names[k] for k in scored)
    if _NORMAL not in kept:
        return {"cinc2021": np.full(len(weights_BN), np.nan)}
    given_NK, has_NK = predicted_NK[:, scored], truth_NK[:, scored]
    normal_NK = np.zeros_like(has_NK)
    normal_NK[:, kept.index(_NORMAL)] = True
    reward_KK = rewards(kept)
    given, right, normal = (
        weights_BN @ _credit(answer_NK, has_NK, reward_KK) for answer_NK in (given_NK, has_NK, normal_NK)
    )
    return {"cinc2021": ratio(given - normal, right - normal)}


def rewards(names: tuple[str, ...]) -> NDArray[np.float64]:
    """What each class taken for each other is worth in the challenge of 2021, [K, K], symmetric."""
    place_K = np.array([_PLACES[name] for name in names])
    reward_KK = 0.5 - np.abs(place_K[:, None] - place_K[None])
    for pair, reward in _REWARDS.items():
        if pair <= set(names):
            i, j = (names.index(name) for name in pair)
            reward_KK[i, j] = reward_KK[j, i] = reward
    np.fill_diagonal(reward_KK, 1)
    return np.asarray(reward_KK)


def _credit(
    given_NK: NDArray[np.bool_], has_NK: NDArray[np.bool_], reward_KK: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The rewards of each record, [N]; 0 where it has none of the classes."""
    shared_N = np.maximum((given_NK | has_NK).sum(axis=1), 1)
    credit_N: NDArray[np.float64] = ((has_NK @ reward_KK) * given_NK).sum(axis=1) / shared_N
    return credit_N


def _f1(
    predicted_N: NDArray[np.bool_], truth_N: NDArray[np.bool_], weights_BN: NDArray[np.float64]
) -> NDArray[np.float64]:
    right_B = weights_BN @ (predicted_N & truth_N)
    return ratio(2 * right_B, weights_BN @ predicted_N + weights_BN @ truth_N)
