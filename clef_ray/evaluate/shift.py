"""How far are the judged records from those of pretraining, as an encoder sees them? (method.md §8, distribution shift)

Two samples of patients, one record each, equally many, at most 2 000 each: the training patients of the corpus of pretraining and the judged
ones (`judged.py`). On the corpus of pretraining itself that is the control: its training against its test patients, near 0 (`domain_auc` 0.5)
unless the encoder treats patients it was trained on differently. All are free of the embedding's scale.

    mmd2        squared maximum mean discrepancy, unbiased, five Gaussian widths around the median distance (kernels.py)
    coral       difference of the covariances over their size (kernels.py)
    domain_auc  AUROC of a logistic regression that tells the two apart, on patients it was not fitted on (5 folds, all pairs within a
                fold); 0.5: it cannot, 1: it can

Their intervals come from resampled patients of either sample; of domain_auc the classifiers stay as they are. Extras: `mmd2_p`, from permutations
of the two samples, which unlike the interval is made under the hypothesis that they are one; `frechet`, the Frechet distance of two
Gaussians (Dowson & Landau 1982, J Multivar Anal 12:450; covariances shrunk after Ledoit & Wolf 2004) over the variance of both samples
together; `frechet_null`, the mean of 3 random divisions of the same patients: what the distance is for nothing. Resamples would not do
for it: its bias depends on how many different patients there are, and a resample has fewer.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clef_ray.evaluate.bootstrap import Estimate, sample_and_resamples
from clef_ray.evaluate.inputs import LEAST_PATIENTS, check_features, patients
from clef_ray.evaluate.judged import judged, one_record_each
from clef_ray.evaluate.kernels import Floats, centred, coral, mmd2, mmd2_permuted, rbf, squared_distances
from clef_ray.evaluate.problem import Material, Unanswerable
from clef_ray.evaluate.result import TaskResult
from clef_ray.evaluate.statistics import ratio, weighted_auroc
from clef_ray.tasks.shift import Shift

#: Patients of either sample at most.
MOST_PATIENTS = 2000

#: Random divisions for `frechet_null`; each costs two eigendecompositions.
DIVISIONS = 3

#: Of the logistic regression on standardised features: inverse strength of its L2 penalty, and folds.
PENALTY_C = 0.01
FOLDS = 5


def shift(task: Shift, material: Material) -> TaskResult:
    """The estimates and extras above, and `n_test`, the patients of either sample.

    Raises Unanswerable for fewer than 20 patients in either, DataError for features that are not finite.
    """
    home = material if material.home is None else material.home
    home_N, judged_N = home.split.rows(home.table).train, judged(material)
    have = [len(np.unique(patients(m.table)[rows])) for m, rows in ((home, home_N), (material, judged_N))]
    if min(have) < LEAST_PATIENTS:
        raise Unanswerable(
            f"{have[0]} patients of pretraining and {have[1]} judged ones; {LEAST_PATIENTS} are needed of either"
        )
    count = min(*have, MOST_PATIENTS)
    first, second = _sample(task, home, home_N, count), _sample(task, material, judged_N, count)
    weights = [
        sample_and_resamples(names, material.n_boot, material.seed + k)
        for k, (_, names) in enumerate((first, second))
    ]
    return _compared(first[0], second[0], weights[0], weights[1], task.permutations, material.seed)


def _sample(
    task: Shift, material: Material, rows_N: NDArray[np.bool_], count: int
) -> tuple[Floats, NDArray[np.str_]]:
    """The embeddings of `count` patients, one record each, and who they are."""
    patient_N = patients(material.table)
    rows = one_record_each(rows_N, patient_N, count, material.seed)
    return check_features(material.features(task), material.table)[rows], patient_N[rows]


def _compared(
    x_ND: Floats, y_ND: Floats, first_BN: Floats, second_BN: Floats, permutations: int, seed: int
) -> TaskResult:
    both_SD, n = np.concatenate([x_ND, y_ND]), len(x_ND)
    kernel_SS = rbf(squared_distances(both_SD))
    score_S, fold_S = told_apart(x_ND, y_ND, seed)
    both_BS = np.concatenate([first_BN, second_BN], axis=1)
    estimates = {
        "mmd2": Estimate.of(mmd2(kernel_SS, first_BN, second_BN)),
        "coral": Estimate.of(coral(x_ND, y_ND, first_BN, second_BN)),
        "domain_auc": Estimate.of(within_folds_auroc(score_S, np.arange(2 * n) >= n, fold_S, both_BS)),
    }
    rng = np.random.default_rng([seed, 6])
    null_B = mmd2_permuted(kernel_SS, n, permutations, rng)
    reached = int((null_B >= estimates["mmd2"].value - 1e-12).sum())
    extras = {
        "mmd2_p": (1 + reached) / (1 + permutations) if np.isfinite(null_B).all() else float("nan"),
        "frechet": relative_frechet(x_ND, y_ND),
        "frechet_null": float(np.mean([_divided(both_SD, n, rng) for _ in range(DIVISIONS)])),
        "n_test": float(n),
        "n_patients": float(n),
    }
    undefined = [name for name, e in estimates.items() if np.isnan(e.value)]
    notes = (f"undefined, because the embedding is constant: {', '.join(undefined)}",) if undefined else ()
    return TaskResult(estimates, extras, None, notes)


def told_apart(x_ND: Floats, y_MD: Floats, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """How much more each of N + M people looks like the second sample, log odds from a classifier that was not fitted on the person, and which
    of the 5 classifiers that was: [N + M] both.
    """
    both_SD, domain_S = np.concatenate([x_ND, y_MD]), np.repeat([0, 1], [len(x_ND), len(y_MD)])
    score_S, fold_S = np.empty(len(both_SD)), np.empty(len(both_SD), dtype=np.int64)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for k, (fitted, asked) in enumerate(folds.split(both_SD, domain_S)):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY_C, max_iter=1000))
        score_S[asked] = model.fit(both_SD[fitted], domain_S[fitted]).decision_function(both_SD[asked])
        fold_S[asked] = k
    return score_S, fold_S


def within_folds_auroc(
    score_S: Floats, positive_S: NDArray[np.bool_], fold_S: NDArray[np.int64], weights_BS: Floats
) -> Floats:
    """AUROC over the pairs of a positive and a negative of the same fold, per weighting [B].

    Scores of two classifiers are not compared: their intercepts differ, and decide where the embeddings say nothing.
    """
    won_B, pairs_B = np.zeros(len(weights_BS)), np.zeros(len(weights_BS))
    for k in np.unique(fold_S):
        in_S = fold_S == k
        weights_BF, positive_F = weights_BS[:, in_S], positive_S[in_S]
        of_fold_B = (weights_BF @ positive_F) * (weights_BF @ ~positive_F)
        auroc_B = weighted_auroc(score_S[in_S], positive_F, weights_BF)
        won_B += np.where(of_fold_B > 0, auroc_B * of_fold_B, 0)
        pairs_B += of_fold_B
    return ratio(won_B, pairs_B)


def frechet(mean_D: Floats, cov_DD: Floats, other_mean_D: Floats, other_cov_DD: Floats) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians: |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), in the square of their unit."""
    value_D, vector_DD = np.linalg.eigh(cov_DD)
    root_DD = (vector_DD * np.sqrt(np.maximum(value_D, 0))) @ vector_DD.T
    # C C' has the eigenvalues of the symmetric C^(1/2) C' C^(1/2), whose square root needs no complex numbers.
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root_DD @ other_cov_DD @ root_DD), 0)).sum()
    apart = ((mean_D - other_mean_D) ** 2).sum()
    return float(apart + np.trace(cov_DD) + np.trace(other_cov_DD) - 2 * shared)


def relative_frechet(x_ND: Floats, y_MD: Floats) -> float:
    """`frechet` of two samples with shrunk covariances, over the total variance of both together; NaN where that is 0."""
    total = centred(np.concatenate([x_ND, y_MD])).var(axis=0).sum()
    if total == 0:
        return float("nan")
    moments = [(z_ND.mean(axis=0), ledoit_wolf(z_ND)[0]) for z_ND in (x_ND, y_MD)]
    return frechet(*moments[0], *moments[1]) / float(total)


def _divided(both_SD: Floats, n: int, rng: np.random.Generator) -> float:
    order_S = rng.permutation(len(both_SD))
    return relative_frechet(both_SD[order_S[:n]], both_SD[order_S[n:]])
