"""Chapman-Shaoxing-Ningbo's 38 conditions, several of a record at once (CLEF's task 6 of 18; Zheng et al. 2020, 2022; Liu et al. 2024, MERL)."""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Classes


@dataclass(frozen=True, kw_only=True)
class ChapmanConditions(Classes):
    """Published split: MERL's list of 16,546, 1,860 and 4,620 records. Each record is a patient of its own, so nothing leaks by patient. The
    list is no part of the dataset: whoever ingests with it (`chapman.split=FOLDER`) has it as the folds of the shards. CLEF's code looks at
    lead II: `lead=II`.
    """

    dataset: ClassVar[str] = "chapman"
    labels: ClassVar[str] = "condition"
    published_is: ClassVar[str] = (
        "its published split is the folds of shards ingested with chapman.split, the folder of MERL's lists; leave it out"
    )
