"""CODE-15 %: six diagnoses, several of an exam at once (Ribeiro et al. 2020, 2021)."""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from clef_ray.tasks import Classes

#: In the order of the published table.
SIX = ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF")


@dataclass(frozen=True, kw_only=True)
class Code15Diagnosis(Classes):
    """First-degree AV block, right and left bundle branch block, sinus bradycardia and tachycardia, atrial fibrillation. The label set's NORM
    and OTHER are no classes here: exams with only these are negatives of all six.

    The publishers judged on exams of other patients, which are not part of this dataset. Folds are by patient, so nothing leaks. Shards
    of the Challenge of 2025 have no such labels.
    """

    dataset: ClassVar[str] = "code15"
    labels: ClassVar[str] = "diagnosis"
    published_is: ClassVar[str] = (
        "the publishers judged on exams that are not part of this dataset; leave it out"
    )

    def made(self, table: pd.DataFrame) -> tuple[tuple[str, ...], pd.Series] | None:
        if "label_diagnosis" not in table:
            return None
        found = [
            None if names is None else [name for name in names if name in SIX]
            for names in table["label_diagnosis"]
        ]
        return SIX, pd.Series(found, index=table.index, dtype=object)
