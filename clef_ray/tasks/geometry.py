"""What does the embedding look like as a cloud of points? (method.md §8, geometry)"""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.datasets import LEADS
from clef_ray.errors import ConfigError
from clef_ray.registry import SCORES, unknown
from clef_ray.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Geometry(Task):
    """Spread, rank, and how near the records of one patient, one class and one risk are.

    score: by whose differences pairs of patients are put into tenths; labels: whose classes are compared, "headline" for the dataset's
    own; other_lead: a second lead, to say how far both leads of a record agree; empty: none.
    """

    score: str = "score2"
    labels: str = "headline"
    other_lead: str = ""

    kind: ClassVar[str] = "geometry"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.score not in SCORES.names():
            raise unknown("risk score", self.score, SCORES.names(), "task geometry.score")
        if self.other_lead and self.other_lead not in LEADS:
            raise unknown("lead", self.other_lead, LEADS, "task geometry.other_lead")
        if self.other_lead == self.lead:
            raise ConfigError(
                f"task geometry.other_lead: {self.lead} is the task's lead already; give another"
            )

    @property
    def more_leads(self) -> tuple[str, ...]:
        return (self.other_lead,) if self.other_lead else ()

    def _variant(self) -> list[str]:
        parts = super()._variant()
        for name in ("score", "labels"):
            if (given := getattr(self, name)) != getattr(type(self), name):
                parts.append(f"{name}_{given}")
        return [*parts, f"and_{self.other_lead}"] if self.other_lead else parts
