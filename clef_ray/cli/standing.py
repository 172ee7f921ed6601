"""How a sweep stands while it runs: counts, what runs, the best arm, what went wrong, hours spent, time left. Prints nothing."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Literal, NamedTuple

from clef_ray.ablation import Arm, Outcome, Plan, Trial
from clef_ray.report.rows import Cell, Estimates, cell, estimates
from clef_ray.search import Limit


class Leading(NamedTuple):
    """What ranks arms: a metric of results and which of its ends is the better one; limits: who breaks one is not ranked."""

    metric: str
    direction: Literal["maximize", "minimize"]
    limits: Sequence[Limit] = ()


#: How many of the last failures are kept to be shown.
FAILURES = 3


@dataclass(frozen=True)
class Running:
    """A trial that runs, since when (seconds of a clock), and its last epoch's metrics; none before the first epoch has ended."""

    trial: Trial
    since: float
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Best:
    """The arm whose mean over its finished seeds leads; by name the metric that it leads in, then the headline's."""

    arm: Arm
    cells: Mapping[str, Cell]


class Standing:
    """Is told what happens and when (`now`, seconds of any one clock).

    total: how many runs there are in all; it may change. slots: how many run at once. resources: what one run holds, e.g.
    {"CPU": 2, "GPU": 0.5}. leading: what the arms are ranked by.
    """

    def __init__(
        self,
        plan: Plan,
        total: int,
        slots: int,
        resources: Mapping[str, float],
        leading: Leading,
    ) -> None:
        self.total, self.slots, self.resources = total, slots, resources
        self.title = plan.ablation.name
        self.lead, direction, self.limits = leading
        self.metrics = tuple(dict.fromkeys([self.lead, *plan.ablation.headline]))
        self.sign = 1.0 if direction == "maximize" else -1.0
        self.states: Counter[str] = Counter()
        self.running: dict[str, Running] = {}
        self.failures: deque[Outcome] = deque(maxlen=FAILURES)
        self._finished: dict[str, list[Outcome]] = {}
        self._leaders: dict[str, Best] = {}
        self._walls: list[float] = []
        self._spent = 0.0

    def start(self, trial: Trial, now: float) -> None:
        """A trial starts, or starts again after its process was lost."""
        key = name(trial)
        if lost := self.running.get(key):
            self._spent += now - lost.since
        self.running[key] = Running(trial, now)

    def epoch(self, trial: Trial, metrics: Mapping[str, float]) -> None:
        """An epoch of a running trial ended."""
        key = name(trial)
        self.running[key] = replace(self.running[key], metrics=metrics)

    def end(self, outcome: Outcome, now: float) -> None:
        """A trial ended, however."""
        ran = self.running.pop(name(outcome.trial), None)
        self._spent += now - ran.since if ran else 0.0
        if "wall" in outcome.seconds:
            self._walls.append(outcome.seconds["wall"])
        self.count(outcome)

    def count(self, outcome: Outcome) -> None:
        """An outcome, of a run that took no time here."""
        self.states[outcome.state] += 1
        if outcome.state == "FAILED":
            self.failures.append(outcome)
        if outcome.state == "COMPLETE":
            self._rank(outcome)

    def _rank(self, outcome: Outcome) -> None:
        arm = outcome.trial.arm
        finished = self._finished.setdefault(arm.name, [])
        finished.append(outcome)
        own = estimates(arm, finished)
        cells = {metric: cell(own, metric) for metric in self.metrics}
        cells = {metric: found for metric, found in cells.items() if found.values}
        kept = [limit.excess(cell(own, limit.metric).mean) <= 0 for limit in self.limits if _has(own, limit)]
        self._leaders.pop(arm.name, None)
        if self.lead in cells and all(kept):
            self._leaders[arm.name] = Best(arm, cells)

    @property
    def ended(self) -> int:
        """Runs that will not go on."""
        return self.states.total()

    @property
    def waiting(self) -> int:
        """Runs that have not started."""
        return max(0, self.total - self.ended - len(self.running))

    @property
    def best(self) -> Best | None:
        """None before the first arm has the leading metric."""
        arms = self._leaders.values()
        return max(arms, key=lambda b: self.sign * b.cells[self.lead].mean, default=None)

    def left(self, now: float) -> float | None:
        """Seconds until the last run ends, if each takes as long as those before; None before the first has ended."""
        if not self._walls:
            return None
        each = fmean(self._walls)
        running = sum(max(0.0, each - (now - r.since)) for r in self.running.values())
        at_once = min(self.slots, self.waiting + len(self.running))
        return (self.waiting * each + running) / max(1, at_once)

    def hours(self, now: float) -> tuple[str, float]:
        """The dearest resource that runs hold ("GPU", else "CPU"), and its hours since the start of this process."""
        kind = "GPU" if self.resources.get("GPU") else "CPU"
        seconds = self._spent + sum(now - r.since for r in self.running.values())
        return kind, seconds * self.resources.get(kind, 0.0) / 3600


def _has(own: Estimates, limit: Limit) -> bool:
    """Whether the results say anything of the limit: a cost is not among them."""
    return any(limit.metric in found for found in own.values())


def name(trial: Trial) -> str:
    """A trial in words, one of its kind within a sweep."""
    return f"{trial.arm.name} seed {trial.seed}"


def duration(seconds: float) -> str:
    """In words, as exact as an estimate deserves."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
