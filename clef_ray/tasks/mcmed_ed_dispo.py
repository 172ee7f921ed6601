"""MC-MED, where the visit ended: discharge, inpatient, observation or ICU (CLEF's task 11 of 18; Kansal et al. 2025)."""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Classes
from clef_ray.tasks._splits import MC_MED_CHRONO


@dataclass(frozen=True, kw_only=True)
class McmedEdDispo(Classes):
    """Four classes, one of a visit, in the monitor's only lead, II. Visits of an unknown disposition are not asked about (CLEF's code
    counts them as discharged).

    Published split: split_chrono_train, val and test, by the time of the visits; they are said to keep each patient in one, which ingestion
    checks. They are the folds of shards ingested with `mc_med.split=chrono`, the default.
    """

    lead: str = "any"

    dataset: ClassVar[str] = "mc_med"
    labels: ClassVar[str] = "ed_dispo"
    exclusive: ClassVar[bool] = True
    published_is: ClassVar[str] = MC_MED_CHRONO
