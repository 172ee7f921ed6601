"""CPSC 2018 (ICBEB): nine diagnoses, up to three of a record (Liu et al. 2018; Strodthoff et al. 2021)."""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Classes


@dataclass(frozen=True, kw_only=True)
class Cpsc2018Rhythm(Classes):
    """The published benchmark's split has ten stratified folds, 1-8, 9 and 10. They are no part of the dataset and whose record is whose is not
    published, so the shards' folds are by the record's name: other records in the same shares.
    """

    dataset: ClassVar[str] = "cpsc2018"
    labels: ClassVar[str] = "rhythm"
    published_is: ClassVar[str] = (
        "the benchmark's ten folds are no part of the dataset and not in the shards, whose folds are by record; leave it out"
    )
