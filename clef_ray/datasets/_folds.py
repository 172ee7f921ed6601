"""Ten folds by patient for datasets that are published without any."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import DataError

#: Where the parts of a published split go: the evaluation trains on folds 1-8, chooses on 9 and tests on 10.
VALIDATION, TEST = 9, 10


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


def _hash(dataset: str, patient: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{dataset}/{patient}".encode()).digest()[:8], "big")
