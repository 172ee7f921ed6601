"""One configuration of a sweep as a reader sees it: what a study says of it, without a type of Optuna's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from clef_ray.search.declaration import name_of

State = Literal["COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"]


@dataclass(frozen=True)
class Configuration:
    """Configuration `number`. params: dotted setting -> value, without those that a condition switches off.

    values: objective -> mean over the seeds that finished, empty unless COMPLETE; standard_errors: of those means, where there are several
    seeds; reason: why it failed or was stopped; feasible: whether it keeps the sweep's limits, as far as it came to its end.
    """

    number: int
    state: State
    params: Mapping[str, Any]
    values: Mapping[str, float] = field(default_factory=dict)
    standard_errors: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None
    feasible: bool = True

    @property
    def arm(self) -> str:
        """The name of its arm."""
        return name_of(self.number)
