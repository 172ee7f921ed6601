"""Icentia11k, which rhythm the window shows: N, AFIB or AFL (CLEF's task 8 of 18; Tan et al. 2021)."""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from clef_ray.tasks import Classes
from clef_ray.tasks._splits import icentia_parts


@dataclass(frozen=True, kw_only=True)
class IcentiaRhythm(Classes):
    """Three classes, one of a window. It needs `icentia11k.windows=rhythm`, without which few windows show anything but N.

    Published split: the patients drawn 70/15/15 % with seed 42 (see `icentia_parts`): patient-safe. The folds are other patients in the
    same shares.
    """

    lead: str = "any"

    dataset: ClassVar[str] = "icentia11k"
    labels: ClassVar[str] = "rhythm"
    exclusive: ClassVar[bool] = True

    def published(self, table: pd.DataFrame) -> pd.Series:
        return icentia_parts(table["patient"])
