"""Which diagnoses can a linear readout of the frozen features tell apart? (method.md §8, linear probe)"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from clef_ray.tasks import check_at_least, check_lead


@dataclass(frozen=True)
class Diagnosis:
    """Linear probe on a label set of the dataset.

    labels: the label set, or "headline" for the dataset's own choice (PTB-XL: superclass); lead: the lead that is embedded;
    min_positives: fewest training records on either side of a class for it to be judged, at least 1.
    """

    labels: str = "headline"
    lead: str = "I"
    min_positives: int = 5

    kind: ClassVar[Literal["probe"]] = "probe"
    prefix: ClassVar[str] = "probe"

    def __post_init__(self) -> None:
        check_lead(self.lead, "task diagnosis.lead")
        check_at_least(self.min_positives, 1, "task diagnosis.min_positives")
