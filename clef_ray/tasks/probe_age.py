"""How well do the features tell the patient's age? (method.md §8, leakage probes)"""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Values


@dataclass(frozen=True, kw_only=True)
class ProbeAge(Values):
    """A leakage probe: what an encoder tells about age beyond what a task asks of it, on any corpus that has it. Lead I
    where the corpus has it, else its first lead. It is of no paper and has no published split. Ages above 89 are 90 where the publishers hide them.
    """

    lead: str = "any"

    target: ClassVar[str] = "age"
    unit: ClassVar[str] = "years"
    published_is: ClassVar[str] = "a leakage probe has no published split; leave it out"
