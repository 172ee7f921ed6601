"""Icentia11k, which beat is in the middle of the window: N, S or V (CLEF's task 7 of 18; Tan et al. 2021)."""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from clef_ray.tasks import Classes
from clef_ray.tasks._splits import icentia_parts


@dataclass(frozen=True, kw_only=True)
class IcentiaBeat(Classes):
    """Three classes, one of a window. It needs `icentia11k.windows=beats`, whose windows have one class each; others are refused.

    Published split: the patients drawn 70/15/15 % with seed 42 (see `icentia_parts`): patient-safe. The folds are other patients in the
    same shares.
    """

    lead: str = "any"

    dataset: ClassVar[str] = "icentia11k"
    labels: ClassVar[str] = "beat"
    exclusive: ClassVar[bool] = True

    def published(self, table: pd.DataFrame) -> pd.Series:
        return icentia_parts(table["patient"])
