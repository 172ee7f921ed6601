"""MC-MED: the systolic blood pressure at triage in mmHg (CLEF's task 15 of 18; Kansal et al. 2025)."""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Values
from clef_ray.tasks._splits import MC_MED_CHRONO


@dataclass(frozen=True, kw_only=True)
class McmedSbp(Values):
    """In the monitor's only lead, II.

    Published split: split_chrono_train, val and test, by the time of the visits; they are said to keep each patient in one, which ingestion
    checks. They are the folds of shards ingested with `mc_med.split=chrono`, the default.
    """

    lead: str = "any"

    dataset: ClassVar[str] = "mc_med"
    target: ClassVar[str] = "sbp"
    unit: ClassVar[str] = "mmHg"
    published_is: ClassVar[str] = MC_MED_CHRONO
