"""What the report knows of a sweep beyond its runs: its configurations as the study holds them, and what was found."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from clef_ray.ablation import Outcome
from clef_ray.search import Configuration, State, Winner


@dataclass(frozen=True)
class Gain:
    """What the search was worth: the winner minus the default in one objective, over the same fresh seeds on the test patients.

    low, high: 95 % t interval over seeds, None where there is none; mark: as `Difference.mark`; report: the folder of the final's report.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    mark: str
    report: str


@dataclass(frozen=True)
class StudyView:
    """A study to be shown. objectives: (metric, "maximize" or "minimize"), the first one leads; rows: every configuration, by number.
    logarithmic: the settings that were drawn on a logarithmic scale.

    importance: setting -> share of the first objective's variance, with the most important first or empty, and then importance_reason says
    why. best: numbers of the configurations that were found, the one that won first (several objectives: the Pareto front); none where no
    finished one keeps the limits. winner: its runs with fresh seeds, judged on the test patients; empty where there are none. gain: per
    objective that the test patients have, empty where the winner is the default (configuration 0).

    rule: by which the winner was chosen among the best, as in `clef_ray.search.Search`. stopping: the rule that stopped runs early and what it looked at, e.g. "asha on valid/rsa", empty where there was none. judged: how many
    different winners of this study have been judged on the test patients.
    """

    name: str
    objectives: tuple[tuple[str, str], ...]
    rows: tuple[Configuration, ...]
    logarithmic: tuple[str, ...] = ()
    importance: Mapping[str, float] = field(default_factory=dict)
    importance_reason: str = ""
    best: tuple[int, ...] = ()
    winner: tuple[Outcome, ...] = ()
    gain: tuple[Gain, ...] = ()
    rule: Winner = "balanced"
    stopping: str = ""
    judged: int = 0

    @property
    def metric(self) -> str:
        """The first objective."""
        return self.objectives[0][0]

    @property
    def parameters(self) -> list[str]:
        """Every setting that was searched: the important ones first."""
        seen = dict.fromkeys([*self.importance, *(name for row in self.rows for name in row.params)])
        return list(seen)

    def count(self, state: State) -> int:
        """How many configurations are in this state."""
        return sum(row.state == state for row in self.rows)

    def ranked(self) -> list[Configuration]:
        """Finished configurations: those that were found, in their order, then by the first objective; last those that break a limit."""
        found = {number: place for place, number in enumerate(self.best)}
        sign = -1.0 if self.objectives[0][1] == "maximize" else 1.0
        finished = [row for row in self.rows if row.state == "COMPLETE"]
        return sorted(
            finished,
            key=lambda row: (
                found.get(row.number, len(found)),
                not row.feasible,
                sign * row.values.get(self.metric, math.inf * sign),
            ),
        )
