"""MUSIC: survivor, non-cardiac death, sudden cardiac death or pump failure, from a Holter's 10 s (CLEF's task 9 of 18; Martin-Yebra et al. 2024)."""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Classes


@dataclass(frozen=True, kw_only=True)
class MusicOutcome(Classes):
    """Four classes, one of a patient, in the recording's first lead.

    Published split: the rows of the dataset's table that have a recording, 70/10/20 % from the top. A row is a patient, so nothing leaks, but
    whatever the rows are ordered by differs between training and test. The order is not kept in shards: whoever ingests with
    `music.split=row_order` has it as the folds.
    """

    lead: str = "any"

    dataset: ClassVar[str] = "music"
    labels: ClassVar[str] = "outcome"
    exclusive: ClassVar[bool] = True
    published_is: ClassVar[str] = (
        "its published split is the folds of shards ingested with music.split=row_order; leave it out"
    )
