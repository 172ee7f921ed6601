"""Ten folds by patient for datasets that are published without any."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import DataError

#: Where the parts of a published split go: the evaluation trains on folds 1-8, chooses on 9 and tests on 10.
VALIDATION, TEST = 9, 10

#: Of twenty shares of the patients the last one for training and the last one for validation: 70, 15 and 15 %.
_SHARES, _TRAIN, _VALIDATION = 20, 14, 17


def hashed_folds(dataset: str, patients: Iterable[str], count: int = 10) -> NDArray[np.int64]:
    """A fold 1..count for each record, by its patient's name alone: it stays the same when records or patients are added.

    dataset: its name, so that two datasets that number their patients alike do not share their folds.
    """
    names = list(patients)
    fold = {name: _hash(dataset, name) % count + 1 for name in set(names)}
    return np.array([fold[name] for name in names], dtype=np.int64)


def published_folds(
    dataset: str, patients: Iterable[str], parts: Iterable[str], serves: Mapping[str, str]
) -> NDArray[np.int64]:
    """Folds from a published split: validation becomes 9, test 10, and the training patients are dealt to 1-8 by their name.

    parts: of each record the part it is in, as the dataset names it; serves: that name -> "train", "validation" or "test".
    DataError: a part that is not in `serves`, or patients with records in two parts.
    """
    patients, parts = list(patients), list(parts)
    if unknown := sorted(set(parts) - set(serves)):
        raise DataError(
            f"{dataset}: the published split names {', '.join(map(str, unknown))}; known are {', '.join(serves)}"
        )
    use = [serves[part] for part in parts]
    if torn := len(set(zip(patients, use, strict=True))) - len(set(patients)):
        raise DataError(
            f"{dataset}: {torn} patients have records in more than one part of the published split"
        )
    fixed = {"validation": VALIDATION, "test": TEST}
    dealt_N = hashed_folds(dataset, patients, 8)
    return np.array([fixed.get(u, fold) for u, fold in zip(use, dealt_N, strict=True)], dtype=np.int64)


def dealt_folds(dataset: str, patients: Iterable[str]) -> NDArray[np.int64]:
    """Folds for a dataset whose tasks are published on 70/15/15 % of the patients, drawn by the publishers in a way that is not repeated
    here: 70 % in folds 1-8, 15 % in 9, 15 % in 10, by the patient's name alone.
    """
    names = list(patients)
    part_N = hashed_folds(f"{dataset}/part", names, _SHARES)
    parts = [
        "train" if n <= _TRAIN else "validation" if n <= _VALIDATION else "test" for n in part_N.tolist()
    ]
    return published_folds(dataset, names, parts, {part: part for part in ("train", "validation", "test")})


def _hash(dataset: str, patient: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{dataset}/{patient}".encode()).digest()[:8], "big")
