"""Whose ECG is it? Each person is known by one piece, and asked about by another (method.md §8, user identification).

The person whose known piece is the most similar (cosine) to the one asked about is the answer: 1-shot, on frozen features, nothing is
fitted. ESI gives AUC and accuracy of a classifier with one class per person; here the similarities are its scores. With `identification_finetuned`
the encoder and such a classifier learn from the known pieces (`modes/persons.py`), and its log probabilities stand for the similarities.

Every piece is cut before it is filtered, as if nothing else had been recorded: the filter would carry 2 s of one half into the other.

Resamples redraw the persons who are asked about; everyone stays known in all of them. Redrawing those, too, would leave two thirds of
them, and fewer to choose from is easier.

Shape letters: P persons, B weightings, T thresholds.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from clef_ray.evaluate.bootstrap import Estimate, sample_and_resamples
from clef_ray.evaluate.inputs import LEAST_PATIENTS, check_features, patients
from clef_ray.evaluate.judged import judged
from clef_ray.evaluate.modes.persons import Pieces, learnt
from clef_ray.evaluate.problem import Material, Trainable, Unanswerable
from clef_ray.evaluate.result import TaskResult
from clef_ray.evaluate.statistics import ratio
from clef_ray.tasks.identification import Identification
from clef_ray.tasks.identification_finetuned import IdentificationFinetuned

#: Pieces that are encoded at once.
BATCH = 256

#: All persons are compared with all: beyond this many, a seeded draw of them.
MOST_PERSONS = 4000

#: At most so many thresholds are tried for the equal error rate, at quantiles of the similarities of a person to itself.
MOST_THRESHOLDS = 1000

#: Similarities are rounded to so many decimals: equal embeddings tie, and rounding in float32 is not ranked.
_DECIMALS = 6

#: Records [P] and which seconds of them.
_Piece = tuple[NDArray[np.int64], tuple[float, float]]


def identification(task: Identification, material: Material) -> TaskResult:
    """Estimates, each with its interval over the persons asked about: `accuracy` and `accuracy_top5`, the share whose own known piece is
    the most similar, or among the five most similar (of equal ones, as a draw between them would do on average); `auroc`, one person
    against the rest, the mean over the persons; `eer`, the equal error rate of telling same from different persons by a threshold.

    Extras: `persons` and, the same, `n_patients`; `chance` (the accuracy of a guess). Unanswerable: no encoder at hand, fewer than 20
    persons, windows too short.
    """
    if material.trainable is None:
        raise Unanswerable("it cuts signals and encodes the pieces, and here are only features")
    known_P, asked_P, notes = _persons(task, material)
    spans = _spans(task, material.trainable.window)
    similarity_PP = _similarities(
        task, material, material.trainable, (known_P, spans[0]), (asked_P, spans[1])
    )
    patient_P = patients(material.table)[known_P]
    weights_BP = sample_and_resamples(patient_P, material.n_boot, material.seed)
    statistics = {
        "accuracy": accuracy(similarity_PP, 1, weights_BP),
        "accuracy_top5": accuracy(similarity_PP, 5, weights_BP),
        "auroc": auroc(similarity_PP, weights_BP),
        "eer": equal_error_rate(similarity_PP, weights_BP),
    }
    estimates = {name: Estimate.of(statistic_B) for name, statistic_B in statistics.items()}
    persons = float(len(patient_P))
    extras = {"persons": persons, "n_patients": persons, "chance": 1 / persons}
    return TaskResult(estimates, extras, None, notes)


def _similarities(
    task: Identification, material: Material, trainable: Trainable, known: _Piece, asked: _Piece
) -> NDArray[np.float64]:
    """How much each piece asked about (rows) is like each person (columns), [P, P], rounded."""
    if isinstance(task, IdentificationFinetuned):
        pieces = [Pieces(trainable, *piece, material.seed) for piece in (known, asked)]
        score_PP = learnt(trainable.pretrained(), pieces[0], pieces[1], task, material.seed)
        return np.asarray(np.round(score_PP, _DECIMALS))
    return similarities(*_embeddings(task, material, trainable, [known, asked]))


def similarities(known_PD: NDArray[np.float64], asked_PD: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine of each piece asked about (rows) with each known one (columns), [P, P]; 0 with an embedding of zeros."""
    unit_known, unit_asked = (
        z_PD / np.maximum(np.linalg.norm(z_PD, axis=1, keepdims=True), 1e-30) for z_PD in (known_PD, asked_PD)
    )
    return np.asarray(np.round(unit_asked @ unit_known.T, _DECIMALS))


def accuracy(
    similarity_PP: NDArray[np.float64], top: int, weights_BP: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of those asked about whose own known piece is among the `top` most similar, [B]. With g more similar pieces and t equally
    similar ones of others, the own one is among them with probability (top - g) / (t + 1), between 0 and 1.
    """
    own_P1 = np.diag(similarity_PP)[:, None]
    more_P = (similarity_PP > own_P1).sum(axis=1)
    equal_P = (similarity_PP == own_P1).sum(axis=1)
    hit_P = np.clip((top - more_P) / equal_P, 0, 1)
    return ratio(weights_BP @ hit_P, weights_BP.sum(axis=1))


def auroc(similarity_PP: NDArray[np.float64], weights_BP: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each known person: the share of the others asked about that are less similar to it than its own piece is, ties counting 1/2;
    the mean over persons, [B], in 0..1. In a resample a person weighs what it weighs on both sides, and never stands against itself.
    """
    own_P = np.diag(similarity_PP)
    beaten_PP = (similarity_PP < own_P).astype(np.float64) + (similarity_PP == own_P) / 2
    np.fill_diagonal(beaten_PP, 0)
    others_BP = weights_BP.sum(axis=1, keepdims=True) - weights_BP
    each_BP = ratio(weights_BP @ beaten_PP, others_BP)
    counts_BP = np.where(others_BP > 0, weights_BP, 0)
    return ratio((counts_BP * np.nan_to_num(each_BP)).sum(axis=1), counts_BP.sum(axis=1))


def equal_error_rate(
    similarity_PP: NDArray[np.float64], weights_BP: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where as large a share of own pieces lies below the threshold as of others' pieces at or above it: the mean of the two shares at
    the threshold at which they differ least, [B]; of equal ones the lowest threshold. Thresholds: quantiles of the similarities of a
    person to itself.
    """
    own_P, total_B1 = np.diag(similarity_PP), weights_BP.sum(axis=1, keepdims=True)
    levels = np.linspace(0, 1, min(len(own_P), MOST_THRESHOLDS))
    threshold_T = np.unique(np.quantile(own_P, levels, method="nearest"))
    below_PT = own_P[:, None] < threshold_T
    above_PT = np.array([_at_or_above(row_P, threshold_T) for row_P in similarity_PP]) - ~below_PT
    refused_BT = (weights_BP @ below_PT) / total_B1
    accepted_BT = (weights_BP @ above_PT) / (total_B1 * (len(own_P) - 1))
    best_B1 = np.abs(refused_BT - accepted_BT).argmin(axis=1)[:, None]
    return np.asarray(np.take_along_axis((refused_BT + accepted_BT) / 2, best_B1, axis=1)[:, 0])


def _at_or_above(value_P: NDArray[np.float64], threshold_T: NDArray[np.float64]) -> NDArray[np.intp]:
    return len(value_P) - np.searchsorted(np.sort(value_P), threshold_T)


def _spans(task: Identification, window: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Which seconds of its record the known piece is, and which of its own the piece asked about."""
    first = (0.0, task.seconds)
    needed = task.seconds if task.across == "records" else 2 * task.seconds
    if needed > window:
        raise Unanswerable(
            f"{task.across} of {task.seconds:g} s need {needed:g} s; the encoder is given {window:g} s"
        )
    return first, first if task.across == "records" else (window - task.seconds, window)


def _persons(
    task: Identification, material: Material
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    """Of each person the record with the known piece and that with the piece asked about, [P] each, in the table's order of records. Persons:
    the judged patients (`judged.py`).
    """
    judged_N = np.flatnonzero(judged(material))
    patient_N = patients(material.table)[judged_N]
    _, first_P, code_N = np.unique(patient_N, return_index=True, return_inverse=True)
    known_P = asked_P = judged_N[first_P]
    if task.across == "records":
        later_N = np.setdiff1d(np.arange(len(judged_N)), first_P)
        again, second = np.unique(code_N[later_N], return_index=True)
        known_P, asked_P = known_P[again], judged_N[later_N[second]]
    if len(known_P) < LEAST_PATIENTS:
        have = "two records" if task.across == "records" else "a record"
        raise Unanswerable(f"{len(known_P)} of the judged patients have {have}; {LEAST_PATIENTS} are needed")
    if len(known_P) <= MOST_PERSONS:
        return known_P, asked_P, ()
    draw = np.random.default_rng([material.seed, 5]).choice(len(known_P), MOST_PERSONS, replace=False)
    return known_P[draw], asked_P[draw], (f"a seeded draw of {MOST_PERSONS} of {len(known_P)} persons",)


def _embeddings(
    task: Identification, material: Material, trainable: Trainable, pieces: Sequence[_Piece]
) -> list[NDArray[np.float64]]:
    """Of each kind of piece, [P, D]."""
    encoder, found = trainable.pretrained().eval(), []
    with torch.inference_mode():
        for rows_P, span in pieces:
            parts = [
                encoder(trainable.inputs(task, rows_P[n : n + BATCH], span))
                for n in range(0, len(rows_P), BATCH)
            ]
            z_PD = torch.cat(parts).float().cpu().numpy()
            found.append(check_features(z_PD, material.table.iloc[rows_P]))
    return found
