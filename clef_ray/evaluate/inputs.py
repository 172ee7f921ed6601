"""What every evaluation is given, and the checks that keep it honest: the split by patient, finite features, aligned tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.config import SplitName
from clef_ray.errors import ConfigError, DataError


class Rows(NamedTuple):
    """Boolean masks over the records, each [N]."""

    train: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    test: NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Which folds serve what. The default is PTB-XL's: folds 1-8 train, 9 validation, 10 test (Wagner et al. 2020).

    also_pretrain: folds that pretraining may have seen though the evaluation does not train on them. Never a test fold.
    """

    train: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    validation: tuple[int, ...] = (9,)
    test: tuple[int, ...] = (10,)
    also_pretrain: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        folds = [*self.train, *self.validation, *self.test]
        if len(set(folds)) < len(folds):
            raise ConfigError(
                f"split: a fold serves twice (train {self.train}, validation {self.validation}, test {self.test})"
            )
        if judged := sorted({*self.test} & {*self.also_pretrain}):
            raise ConfigError(f"split: fold {judged[0]} is judged on, so pretraining may not have seen it")

    def refuse_seen(self, train_folds: tuple[int, ...]) -> None:
        """ConfigError where pretraining saw a fold that this split judges on, or one that it chooses on without saying so.

        A test fold is always refused. A validation fold is refused unless `also_pretrain` names it: the probe chooses one strength of
        regularisation and one threshold per class on it, by its labels, which pretraining does not read; seen signals make that choice a
        little too trusting, which costs the test patients' numbers a little and never lifts them.
        """
        unseen = {*self.validation, *self.test} - {*self.also_pretrain}
        if seen := sorted(unseen & set(train_folds)):
            allowed = sorted({*self.train, *self.also_pretrain})
            raise ConfigError(
                f"train_folds: fold {', '.join(map(str, seen))} would be seen in pretraining and judged on afterwards; "
                f"pretrain on folds {', '.join(map(str, allowed))} at most"
            )

    def rows(self, table: pd.DataFrame) -> Rows:
        """The records of each part. A patient with records in two parts: DataError."""
        fold_N = table["fold"].to_numpy()
        parts = Rows(*(np.isin(fold_N, folds) for folds in (self.train, self.validation, self.test)))
        patient_N = patients(table)
        seen = np.concatenate([np.unique(patient_N[part_N]) for part_N in parts])
        shared = len(seen) - len(np.unique(seen))
        if shared:
            raise DataError(
                f"{shared} patients have records in more than one of train, validation and test; fold must be one per patient"
            )
        return parts


#: The default of every evaluation.
OFFICIAL = Split()

#: For choosing between configurations, so that the official test patients are judged once, for the one that was chosen: the official
#: validation patients are the judges, and fold 8 takes their place. Every encoder is pretrained on folds 1-8 as always: retraining the
#: winner on them is then the same run, and not another one that nobody has looked at.
SELECTION = Split(train=(1, 2, 3, 4, 5, 6, 7), validation=(8,), test=(9,), also_pretrain=(8,))

#: The folds of every corpus.
FOLDS = tuple(range(1, 11))


def _rotated(test: int) -> Split:
    """One fold is the test, the one before it (of the first: the last) validation, the others train. Of fold 10 it is the official split."""
    validation = FOLDS[test - 2]
    return Split(tuple(f for f in FOLDS if f not in (test, validation)), (validation,), (test,))


#: The splits by their name in a plan.
SPLITS: Mapping[SplitName, Split] = {
    "official": OFFICIAL,
    "selection": SELECTION,
    "test-1": _rotated(1),
    "test-2": _rotated(2),
    "test-3": _rotated(3),
    "test-4": _rotated(4),
    "test-5": _rotated(5),
    "test-6": _rotated(6),
    "test-7": _rotated(7),
    "test-8": _rotated(8),
    "test-9": _rotated(9),
}

#: The split that judges each fold of a rotation, in which every fold is the test once.
ROTATION: Mapping[int, SplitName] = {
    split.test[0]: name for name, split in SPLITS.items() if name != "selection"
}

#: Fewest patients with a known risk that a rank correlation with it is computed from.
LEAST_PATIENTS = 20


def patients(table: pd.DataFrame) -> NDArray[np.str_]:
    """The patient of each record, [N]."""
    return table["patient"].to_numpy(dtype=np.str_)


def check_features(features_ND: NDArray[np.floating], table: pd.DataFrame) -> NDArray[np.float64]:
    """The features as float64 [records, dimensions]. Another shape than the table's, or a non-finite value: DataError."""
    if features_ND.ndim != 2 or len(features_ND) != len(table):
        raise DataError(
            f"features have shape {features_ND.shape}; ({len(table)}, dimensions) is needed, one row per record"
        )
    bad = int((~np.isfinite(features_ND).all(axis=1)).sum())
    if bad:
        raise DataError(
            f"{bad} of {len(features_ND)} feature rows hold NaN or infinity: did the pretraining diverge?"
        )
    return features_ND.astype(np.float64)


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
