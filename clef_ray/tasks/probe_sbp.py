"""How well do the features tell the systolic blood pressure? (method.md §8, leakage probes)"""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Values


@dataclass(frozen=True, kw_only=True)
class ProbeSbp(Values):
    """A leakage probe: what an encoder tells about blood pressure beyond what a task asks of it, on any corpus that has it. Lead I
    where the corpus has it, else its first lead. It is of no paper and has no published split.
    As a question of its own it is mcmed_sbp and aurora_sbp.
    """

    lead: str = "any"

    target: ClassVar[str] = "sbp"
    unit: ClassVar[str] = "mmHg"
    published_is: ClassVar[str] = "a leakage probe has no published split; leave it out"
