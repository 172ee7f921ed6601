"""Linear probe: how much of a diagnosis a hyperplane finds in the frozen features (method.md §8)."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from clef_ray.errors import DataError
from clef_ray.evaluate.bootstrap import Estimate, sample_and_resamples
from clef_ray.evaluate.inputs import OFFICIAL, Rows, Split, check_features, patients
from clef_ray.evaluate.result import TaskResult
from clef_ray.evaluate.statistics import weighted_auroc, weighted_f1

#: Inverse L2 strengths, strong to weak, so that each fit starts from the one before.
C_PATH = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def linear_probe(
    features_ND: NDArray[np.floating],
    table: pd.DataFrame,
    labels: str,
    vocabulary: tuple[str, ...],
    *,
    min_positives: int = 5,
    n_boot: int = 1000,
    seed: int = 0,
    split: Split = OFFICIAL,
) -> TaskResult:
    """One L2 logistic regression per class on standardised features; the strength, one for all classes, is the one with the best
    macro AUROC on validation; thresholds of F1 come from validation, too; the test records are looked at once.

    features_ND: one row per record of `table`; labels: the label set in column `label_<labels>`; vocabulary: its classes in order.
    Records not annotated for the label set are left out. A class needs `min_positives` training records on either side and one on
    either side in validation and in test; others are left out, counted and named in the notes.

    Estimates: `auroc` and `f1` (macro over the judged classes), `auroc/<CLASS>`. Extras: `classes`, `n_test`, `c`.
    Raises DataError for non-finite features, a label outside the vocabulary, or a patient on two sides of the split.
    """
    features_ND = check_features(features_ND, table)
    annotated_N, positive_NK = label_matrix(table, labels, vocabulary)
    rows = Rows(*(part_N & annotated_N for part_N in split.rows(table)))
    judged, notes = _judged_classes(positive_NK, rows, vocabulary, min_positives)
    extras = {"classes": float(len(judged)), "n_test": float(rows.test.sum())}
    if not judged:
        reason = f"no class of {labels!r} has enough records in train, validation and test"
        return TaskResult({}, extras, reason, notes)
    positive_NK = positive_NK[:, judged]
    scores_CNK = _regularisation_path(features_ND, positive_NK, rows.train)
    best = _best_on_validation(scores_CNK[:, rows.validation], positive_NK[rows.validation])
    score_NK = scores_CNK[best]
    weights = sample_and_resamples(patients(table)[rows.test], n_boot, seed)
    auroc, f1 = [], []
    for score_N, positive_N in zip(score_NK.T, positive_NK.T, strict=True):
        threshold = best_threshold(score_N[rows.validation], positive_N[rows.validation])
        auroc.append(weighted_auroc(score_N[rows.test], positive_N[rows.test], weights))
        f1.append(weighted_f1(score_N[rows.test] >= threshold, positive_N[rows.test], weights))
    estimates = {"auroc": Estimate.of(_macro(auroc)), "f1": Estimate.of(_macro(f1))}
    estimates |= {f"auroc/{vocabulary[k]}": Estimate.of(a) for k, a in zip(judged, auroc, strict=True)}
    return TaskResult(estimates, extras | {"c": C_PATH[best]}, None, notes)


def label_matrix(
    table: pd.DataFrame, labels: str, vocabulary: tuple[str, ...]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(annotated [N], positive [N, K]): who was annotated for the label set, and with which classes, in vocabulary order."""
    lists = table[f"label_{labels}"].tolist()
    annotated_N = np.array([isinstance(names, list | tuple | np.ndarray) for names in lists], dtype=bool)
    column = {name: k for k, name in enumerate(vocabulary)}
    positive_NK = np.zeros((len(lists), len(vocabulary)), dtype=bool)
    for n in np.flatnonzero(annotated_N):
        for name in lists[n]:
            if name not in column:
                raise DataError(f"label {name!r} in column label_{labels} is none of {', '.join(vocabulary)}")
            positive_NK[n, column[name]] = True
    return annotated_N, positive_NK


def best_threshold(score_N: NDArray[np.float64], positive_N: NDArray[np.bool_]) -> float:
    """The score t with the highest F1 of `score >= t`; the lowest of equals."""
    thresholds, ordered = np.unique(score_N), np.sort(score_N)
    predicted = len(ordered) - np.searchsorted(ordered, thresholds)
    hits = positive_N.sum() - np.searchsorted(np.sort(score_N[positive_N]), thresholds)
    return float(thresholds[np.argmax(2 * hits / (predicted + positive_N.sum()))])


def _judged_classes(
    positive_NK: NDArray[np.bool_], rows: Rows, vocabulary: tuple[str, ...], min_positives: int
) -> tuple[list[int], tuple[str, ...]]:
    judged, notes = [], []
    for k, name in enumerate(vocabulary):
        have = [int(positive_NK[part_N, k].sum()) for part_N in rows]
        lack = [int(part_N.sum()) - count for part_N, count in zip(rows, have, strict=True)]
        if min(have[0], lack[0]) >= min_positives and min(*have, *lack) >= 1:
            judged.append(k)
        else:
            notes.append(
                f"class {name} left out: positives {have}, negatives {lack} in train, validation, test; "
                f"at least {min_positives}, 1, 1 of each are needed"
            )
    return judged, tuple(notes)


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


def _macro(statistics: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    # A resample without a positive of some class is judged on the classes it has, as absent classes are skipped everywhere.
    stacked_KB = np.array(statistics)
    present_KB = np.isfinite(stacked_KB)
    count_B = present_KB.sum(axis=0)
    total_B = np.where(present_KB, stacked_KB, 0).sum(axis=0)
    return np.where(count_B > 0, total_B / np.maximum(count_B, 1), np.nan)
