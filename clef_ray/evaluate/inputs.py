"""What every evaluation is given, and the checks that keep it honest: the split by patient, finite features, aligned tables."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.errors import ConfigError, DataError


class Rows(NamedTuple):
    """Boolean masks over the records, each [N]."""

    train: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    test: NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Which folds serve what. The default is PTB-XL's: folds 1-8 train, 9 validation, 10 test (Wagner et al. 2020)."""

    train: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    validation: tuple[int, ...] = (9,)
    test: tuple[int, ...] = (10,)

    def __post_init__(self) -> None:
        folds = [*self.train, *self.validation, *self.test]
        if len(set(folds)) < len(folds):
            raise ConfigError(
                f"split: a fold serves twice (train {self.train}, validation {self.validation}, test {self.test})"
            )

    def refuse_seen(self, train_folds: tuple[int, ...]) -> None:
        """ConfigError where pretraining saw a fold that this split judges on."""
        if seen := sorted({*self.validation, *self.test} & set(train_folds)):
            raise ConfigError(
                f"train_folds: fold {', '.join(map(str, seen))} would be seen in pretraining and judged on afterwards; "
                f"pretrain on folds {', '.join(map(str, self.train))} at most"
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
