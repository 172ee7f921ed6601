"""CinC Challenge 2021: the 26 scored diagnoses, several of a record at once (Reyna et al. 2021)."""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Classes


@dataclass(frozen=True, kw_only=True)
class Cinc2021Scored(Classes):
    """The Challenge's own score is `cinc2021`; it judged on hidden records. Folds are by record, as no patients are published; the sources that are known to have several
    records of a person lie in one training fold. The shards of PTB-XL, PTB, CPSC 2018 and Chapman hold records of this collection:
    an encoder that was pretrained on them must not be judged on those sources.
    """

    dataset: ClassVar[str] = "cinc2021"
    labels: ClassVar[str] = "scored"
    scorer: ClassVar[str] = "cinc2021"
    published_is: ClassVar[str] = "the Challenge judged on records that were never published; leave it out"
