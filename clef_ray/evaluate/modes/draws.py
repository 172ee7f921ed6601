"""Whom a learner may learn from: all training patients, or nested, stratified draws of a share of them (method.md §8, low-resource).

A draw puts the training patients in an order, and a share takes the first of them: what 1 % learns from is among what 5 % learns from.
The order is stratified: of a class that m patients have, the j-th is due when the share j / m of all patients is taken, and next comes a
patient of the class that is due first (the rarest of equals); who that is, chance decides. So where each patient has one class, a share f
holds at least floor(f m) of each, hence all classes that 1 / f patients or more have; where patients have several, this is aimed at,
since few patients cannot always cover many classes. None of the classes is a class here, too; of values the classes are ten equally
filled bins. Patients are taken with all their training records.

An order depends on the patients, their classes, the seed and the number of the draw: all encoders learn from the same records. Validation
is not reduced. It only chooses a strength or a number of neighbours, and for every system and share alike; with a validation as small as
the training, that choice's luck would drown what is compared.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.evaluate.problem import Material, Problem
from clef_ray.tasks import Learnt

#: Bins of values.
BINS = 10

#: With fewer training patients than this in recordings of known time, shares are of the time and not of the patients.
FEW_PATIENTS = 20

#: The column by which a corpus of windows from long recordings is known.
TIME = "target_beat_time"


def training_sets(problem: Problem, task: Learnt, material: Material) -> Iterator[NDArray[np.bool_]]:
    """The training records of each draw, [N] masks: `task.draws` of them where a share or a number of shots is asked for, else one with all.

    fraction: of the patients, rounded, at least one. Fewer than 20 training patients in windows of long recordings (CPSC2020, which the
    column `target_beat_time` tells): instead, of every patient's records one run that is contiguous in time, at least one record; runs of
    smaller shares lie within those of larger ones. Time is the order of the records' names, which end in where the window starts: the time
    itself is not known of normal beats.

    shots: of each class the first so many patients of the draw, and as many with none of the classes; all where there are fewer.
    """
    train_N = problem.rows.train
    if task.fraction == 1 and not task.shots:
        yield train_N
        return
    patient_M = problem.patient_N[train_N]
    distinct_P, code_M = np.unique(patient_M, return_inverse=True)
    in_time = len(distinct_P) < FEW_PATIENTS and TIME in material.table and not task.shots
    for draw in range(task.draws):
        rng = np.random.default_rng([material.seed, draw])
        if in_time:
            taken_M = _runs(material.table.loc[train_N, "record"], code_M, task.fraction, rng)
        else:
            has_PK = _classes(problem, code_M, rng)
            chosen = _shots(has_PK, task.shots, rng) if task.shots else _share(has_PK, task.fraction, rng)
            taken_M = np.isin(code_M, chosen)
        taken_N = np.zeros_like(train_N)
        taken_N[train_N] = taken_M
        yield taken_N


def _classes(problem: Problem, code_M: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which classes each training patient has in any of its training records, and in the last column none of them; or the bin, [P, K]."""
    truth_MK, count = problem.truth_NK[problem.rows.train], code_M.max() + 1
    if problem.kind == "values":
        mean_P = np.bincount(code_M, truth_MK[:, 0]) / np.bincount(code_M)
        return _bins(mean_P, rng)
    has_PK = np.zeros((count, truth_MK.shape[1]), dtype=bool)
    np.logical_or.at(has_PK, code_M, truth_MK == 1)
    return np.column_stack([has_PK, ~has_PK.any(axis=1)])


def _bins(value_P: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Bins of as many patients each, by rank; which of them have one more, chance decides."""
    count = min(BINS, len(value_P))
    size_K = np.full(count, len(value_P) // count)
    size_K[rng.permutation(count)[: len(value_P) % count]] += 1
    in_bin_PK = np.zeros((len(value_P), count), dtype=bool)
    in_bin_PK[np.argsort(value_P, kind="stable"), np.repeat(np.arange(count), size_K)] = True
    return in_bin_PK


def _queues(has_PK: NDArray[np.bool_], rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """The patients of each class in an order that chance decides, the same for all classes."""
    shuffled_P = rng.permutation(len(has_PK))
    return [shuffled_P[has_P] for has_P in has_PK[shuffled_P].T]


def _shots(has_PK: NDArray[np.bool_], shots: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return np.unique(np.concatenate([queue[:shots] for queue in _queues(has_PK, rng)]))


def _share(has_PK: NDArray[np.bool_], fraction: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """The patients that the first `fraction` of the order are, ascending."""
    wanted = max(1, round(fraction * len(has_PK)))
    queues = [iter(queue) for queue in _queues(has_PK, rng)]
    # Equals that are as rare as each other come in an order that chance decides, or few patients would always be of the first bins.
    tie_K = np.argsort(rng.permutation(has_PK.shape[1]))
    total_K = has_PK.sum(axis=0)
    have_K, taken_P = np.zeros_like(total_K), np.zeros(len(has_PK), dtype=bool)
    for _ in range(wanted):
        due_K = np.where(have_K < total_K, (have_K + 1) / np.maximum(total_K, 1), np.inf)
        first = np.lexsort((tie_K, total_K, due_K))[0]
        patient = next(p for p in queues[first] if not taken_P[p])
        taken_P[patient] = True
        have_K += has_PK[patient]
    return np.flatnonzero(taken_P)


def _runs(
    record_M: pd.Series, code_M: NDArray[np.intp], fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Of each patient's records, in the order of their names, a run of `fraction` of them that grows around one place as the share does."""
    order_M = np.lexsort((record_M.to_numpy(dtype=np.str_), code_M))
    taken_M = np.zeros(len(code_M), dtype=bool)
    for run in np.split(order_M, np.flatnonzero(np.diff(code_M[order_M])) + 1):
        wanted = max(1, round(fraction * len(run)))
        start = int(rng.random() * (len(run) - wanted))
        taken_M[run[start : start + wanted]] = True
    return taken_M
