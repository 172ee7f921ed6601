"""PTB-XL's diagnostic superclasses, 5 classes, several of a record at once (CLEF's task 3 of 18; Wagner et al. 2020; Strodthoff et al. 2021)."""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Classes


@dataclass(frozen=True, kw_only=True)
class PtbxlSuperdiagnostic(Classes):
    """A statement counts whatever its likelihood; records without any of the set are not asked about.

    Published split: strat_fold 1-8, 9 and 10, which are the folds of the shards; they keep each patient in one, so nothing leaks. CLEF's code
    looks at lead II of the 100 Hz files: `lead=II`, and `rate=100` on shards of 500 Hz.
    """

    dataset: ClassVar[str] = "ptbxl"
    labels: ClassVar[str] = "superclass"
