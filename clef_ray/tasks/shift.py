"""How far is a corpus from the one of pretraining, as the encoder sees both? (method.md §8, distribution shift)"""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Task, check_at_least


@dataclass(frozen=True, kw_only=True)
class Shift(Task):
    """Distances between two samples of patients. permutations: of the MMD's test, at least 1 (its smallest p is 1 / (1 + permutations))."""

    permutations: int = 199

    kind: ClassVar[str] = "shift"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self.permutations, 1, "task shift.permutations")
