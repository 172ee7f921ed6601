"""Whose ECG is it, when one short piece of each person's is known? (method.md §8, user identification; ESI's second task)"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from clef_ray.errors import ConfigError
from clef_ray.tasks import Task

#: What is known of a person, and what is asked about: the two ends of one record, or two records.
Across = Literal["halves", "records"]

#: Less holds too few beats to mean anything; more than this no corpus has twice.
SHORTEST, LONGEST = 2.0, 60.0


@dataclass(frozen=True, kw_only=True)
class Identification(Task):
    """Among the judged patients (`evaluate/judged.py`), the one whose known piece is nearest, on frozen features, without any fitting.

    seconds: the length of a piece, 5 for PTB-XL and 4 for ICBEB in ESI; across: `halves`, the first and the last seconds of each
    patient's first record (which share electrodes, posture, day and noise); `records`, the beginnings of the first two records of those
    patients that have two: harder, and what a claim about persons needs. ESI's fine-tuned variant is `identification_finetuned`.
    """

    seconds: float = 5.0
    across: Across = "halves"

    kind: ClassVar[str] = "identification"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not SHORTEST <= self.seconds <= LONGEST:
            raise ConfigError(
                f"task {self.name}.seconds: {self.seconds:g} s given; allowed is {SHORTEST:g} to {LONGEST:g} s"
            )

    def _variant(self) -> list[str]:
        parts = super()._variant()
        if self.seconds != type(self).seconds:
            parts.append(f"{self.seconds:g}s")
        return parts if self.across == type(self).across else [*parts, self.across]
