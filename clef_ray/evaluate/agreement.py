"""The statistics of zero-shot agreement with a risk score, and their controls; what they mean stands in zeroshot.py."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it comes with scikit-learn

from clef_ray.evaluate.statistics import (
    correlation,
    cosine_distances,
    differences,
    pair_weights,
    partial_correlation,
    patient_pairs,
    rank_covariance,
    weighted_spearman,
)

#: Pairs grow with the square of the records: beyond this many (700 records) they are sampled, and the Mantel test takes 700 patients.
MOST_PAIRS = 250_000
MOST_MANTEL = 700

#: Readouts and axes fitted on permuted risks; the resamples go round them.
PERMUTED_FITS = 100

#: A partial correlation needs this share of each rank variance left after age, sex and the score they give.
LEAST_RESIDUAL = 0.01

#: Ridge strengths, chosen by generalised cross-validation within the training records (one left out at a time).
ALPHAS = tuple(10.0**k for k in range(-1, 6))


@dataclass(frozen=True)
class Records:
    """Aligned arrays, one entry per record: embeddings [N, D], then [N] each."""

    z: NDArray[np.float64]
    risk: NDArray[np.float64]
    age: NDArray[np.float64]
    sex: NDArray[np.float64]
    age_sex_risk: NDArray[np.float64]
    patient: NDArray[np.str_]

    def take(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> "Records":
        return Records(
            self.z[index],
            self.risk[index],
            self.age[index],
            self.sex[index],
            self.age_sex_risk[index],
            self.patient[index],
        )


def permute_over_patients(
    risk_N: NDArray[np.float64], patient_N: NDArray[np.str_], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Every patient gets the (first) risk of another patient, the same for all its records, [N]."""
    _, first, code_N = np.unique(patient_N, return_index=True, return_inverse=True)
    given: NDArray[np.intp] = rng.permutation(first)
    return risk_N[given[code_N]]


def mantel_p(records: Records, permutations: int, seed: int) -> float:
    """One-sided p of a positive `rsa` (Mantel 1967): (1 + permutations that reach it) / (1 + permutations).

    Rows and columns of the risk differences are permuted together. Needs one record per patient: then rows are exchangeable.
    """
    x_NN = _centred_ranks(len(records.risk), partial(cosine_distances, records.z))
    y_NN = _centred_ranks(len(records.risk), partial(differences, records.risk))
    observed = float(np.vdot(x_NN, y_NN))
    # Equal arrangements may differ by rounding: they count as exceeding, as the definition's >= asks.
    slack = 1e-10 * float(np.linalg.norm(x_NN) * np.linalg.norm(y_NN))
    rng = np.random.default_rng([seed, 2])
    exceeding = 0
    for _ in range(permutations):
        order = rng.permutation(len(y_NN))
        # Whole rows, then whole columns: many times as fast as picking pairs, though each pair is there twice.
        exceeding += float(np.vdot(x_NN, y_NN[order].take(order, axis=1))) >= observed - slack
    return (1 + exceeding) / (1 + permutations)


def _centred_ranks(
    count: int, apart: Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """How far apart the two records of each pair are, as a rank less the mean rank, [N, N]; 0 of a record to itself."""
    i_P, j_P = np.triu_indices(count, 1)
    rank_P = rankdata(apart(i_P, j_P))
    rank_NN = np.zeros((count, count))
    rank_NN[i_P, j_P] = rank_NN[j_P, i_P] = rank_P - rank_P.mean()
    return rank_NN


def pair_statistics(
    scored: Sequence[Records], weights_BN: NDArray[np.float64], seed: int
) -> list[dict[str, NDArray[np.float64]]]:
    """The `rsa` family per weighting, [B] each, of every score. scored: the same records, once for each score: they differ in `risk` and
    `age_sex_risk` alone. Embedding, age and sex, which are half of the work, are ranked once for all of them.
    """
    one = scored[0]
    i_P, j_P = patient_pairs(one.patient, MOST_PAIRS, seed)
    own = [
        value_N
        for records in scored
        for value_N in (
            records.risk,
            records.age_sex_risk if _controlled(records) else np.zeros(len(one.risk)),
            permute_over_patients(records.risk, one.patient, np.random.default_rng([seed, 1])),
        )
    ]
    apart = [
        cosine_distances(one.z, i_P, j_P),
        *(differences(value_N, i_P, j_P) for value_N in (one.age, one.sex, *own)),
    ]
    # A small product per resample: its threads would wait for each other a thousand times, on a busy machine ten times as long as it takes.
    with threadpool_limits(1):
        covariance = rank_covariance(apart, pair_weights(weights_BN, i_P, j_P))
    return [_rsa_family(covariance, 3 + 3 * k, _controlled(records)) for k, records in enumerate(scored)]


def _controlled(records: Records) -> bool:
    return bool(np.isfinite(records.age_sex_risk).all())


def _rsa_family(
    covariance_BVV: NDArray[np.float64], risk: int, controlled: bool
) -> dict[str, NDArray[np.float64]]:
    """Of the score whose risk, risk from age and sex, and permuted risk are the variables from `risk` on; the first three are those of all."""
    z, age, sex, age_sex_risk, shuffled = 0, 1, 2, risk + 1, risk + 2
    return {
        "rsa": correlation(covariance_BVV, z, risk),
        "rsa_partial": partial_correlation(
            covariance_BVV, z, risk, (age, sex), least_residual=LEAST_RESIDUAL
        ),
        "rsa_beyond": partial_correlation(
            covariance_BVV, z, risk, (age, sex, age_sex_risk), least_residual=LEAST_RESIDUAL
        )
        if controlled
        else np.full(len(covariance_BVV), np.nan),
        "rsa_age": correlation(covariance_BVV, age, risk),
        "rsa_permuted": correlation(covariance_BVV, z, shuffled),
    }


def one_record_each(patient_N: NDArray[np.str_], seed: int) -> NDArray[np.intp]:
    """The first record of each patient; of MOST_MANTEL patients drawn at random where there are more."""
    first = np.unique(patient_N, return_index=True)[1]
    if len(first) <= MOST_MANTEL:
        return first
    return np.random.default_rng([seed, 3]).choice(first, MOST_MANTEL, replace=False)


def source_statistics(
    source: Records, target: Records, weights_BN: NDArray[np.float64], seed: int
) -> dict[str, NDArray[np.float64]]:
    """What the source records teach, tried on the target records: per weighting, [B] each."""
    scaler = StandardScaler().fit(source.z)
    source_ND, target_ND = scaler.transform(source.z), scaler.transform(target.z)
    ridge = RidgeCV(ALPHAS).fit(source_ND, source.risk)
    rng = np.random.default_rng([seed, 4])
    shuffled = [permute_over_patients(source.risk, source.patient, rng) for _ in range(PERMUTED_FITS)]
    blind_readouts = Ridge(ridge.alpha_).fit(source_ND, np.column_stack(shuffled)).predict(target_ND)
    blind_axes = target.z @ np.column_stack([_axis(source.z, risk_N) for risk_N in shuffled])
    # Ranks of a monotone function of age are ranks of age: whatever is learnt from age alone, readout or axis, is this.
    age_B = weighted_spearman(target.age, target.risk, weights_BN)
    return {
        "readout": weighted_spearman(ridge.predict(target_ND), target.risk, weights_BN),
        "readout_age": age_B,
        "readout_permuted": _in_turn(blind_readouts, target.risk, weights_BN),
        "axis": weighted_spearman(target.z @ _axis(source.z, source.risk), target.risk, weights_BN),
        "axis_age": age_B,
        "axis_permuted": _in_turn(blind_axes, target.risk, weights_BN),
    }


def _axis(z_ND: NDArray[np.float64], risk_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the lowest decile of risk to the highest, [D]."""
    low, high = np.quantile(risk_N, [0.1, 0.9])
    axis_D: NDArray[np.float64] = z_ND[risk_N >= high].mean(axis=0) - z_ND[risk_N <= low].mean(axis=0)
    return axis_D


def _in_turn(
    score_NF: NDArray[np.float64], risk_N: NDArray[np.float64], weights_BN: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Spearman with risk where each weighting takes the next of the F fits, [B].

    One fit on permuted risks points somewhere, and that may happen to follow risk. Going round them, the interval holds what is reached
    by learning from nothing, and not only the luck of the test patients.
    """
    spearman_B = np.empty(len(weights_BN))
    fits = score_NF.shape[1]
    for k, score_N in enumerate(score_NF.T[: len(weights_BN)]):
        spearman_B[k::fits] = weighted_spearman(score_N, risk_N, weights_BN[k::fits])
    return spearman_B
