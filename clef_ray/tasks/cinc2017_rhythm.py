"""CinC Challenge 2017: normal, atrial fibrillation, another rhythm or noise, from a hand-held device (Clifford et al. 2017)."""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Classes


@dataclass(frozen=True, kw_only=True)
class Cinc2017Rhythm(Classes):
    """Four classes, one of a record, in the only lead. The Challenge's score (`cinc2017`) is the mean F1 of the first three.

    The Challenge judged on records that were never published. No patients are published either: folds are by record, so two
    records of one person may lie on both sides.
    """

    lead: str = "any"

    dataset: ClassVar[str] = "cinc2017"
    labels: ClassVar[str] = "rhythm"
    exclusive: ClassVar[bool] = True
    scorer: ClassVar[str] = "cinc2017"
    published_is: ClassVar[str] = "the Challenge judged on records that were never published; leave it out"
