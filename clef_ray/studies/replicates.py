"""One configuration and its seeds: which of its runs may start, and what it is told as once they have ended."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clef_ray.ablation import Outcome, Trial
from clef_ray.search import COSTS, Limit, Objective, State


@dataclass(frozen=True)
class Verdict:
    """What the study is told. values: one mean per objective, in their order, where state is COMPLETE; excess: by limit, above 0 breaks it."""

    state: State
    values: tuple[float, ...] | None = None
    excess: Mapping[str, float] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Replicates:
    """The runs of configuration `number` of a study. runs: one per seed, none where it was refused; whole_first: the other seeds wait for the first.

    told: whether the study knows the verdict. marks: the runs' fingerprints by seed.
    """

    number: int
    params: Mapping[str, Any]
    runs: tuple[Trial, ...]
    whole_first: bool
    refused: str | None = None
    told: bool = False
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.marks = {t.seed: t.run.fingerprint() for t in self.runs}

    @property
    def open(self) -> list[Trial]:
        """Runs that have not ended and need not wait for the first one."""
        left = [t for t in self.runs if t.seed not in self.outcomes]
        if not self.whole_first or not left:
            return left
        first = self.outcomes.get(self.runs[0].seed)
        if first is None:
            return left[:1]
        return left if first.state == "COMPLETE" else []

    @property
    def ended(self) -> bool:
        """Whether none of its runs will start any more."""
        return not self.open

    @property
    def given_up(self) -> bool:
        """Whether it is left for another process: a sweep asks once, and a run that went away says nothing of its configuration."""
        return self.whole_first and any(o.lost for o in self.outcomes.values())

    @property
    def asked(self) -> int:
        """How many runs it has: those that have ended, and those that still may."""
        return len(self.outcomes) if self.ended else len(self.runs)

    def is_first(self, trial: Trial) -> bool:
        """Whether this run is the one whose epochs are kept and judged."""
        return trial.seed == self.runs[0].seed

    def verdict(
        self, objectives: Sequence[Objective], limits: Sequence[Limit], facts: Mapping[str, Any]
    ) -> Verdict:
        """The means over the seeds that finished; FAIL where none did, PRUNED where the first one was stopped."""
        if self.refused is not None:
            return Verdict("FAIL", attrs={"reason": self.refused})
        stopped = next((o for o in self.outcomes.values() if o.state == "PRUNED"), None)
        if stopped is not None:
            return Verdict("PRUNED", attrs={"reason": stopped.reason or "stopped early"})
        wanted = list(dict.fromkeys([*(o.metric for o in objectives), *(limit.metric for limit in limits)]))
        values: dict[str, dict[int, float]] = {metric: {} for metric in wanted}
        failed: dict[int, str] = {}
        for seed, outcome in sorted(self.outcomes.items()):
            numbers = {metric: _number(outcome, metric, facts) for metric in wanted}
            if (reason := _fault(outcome, numbers)) is not None:
                failed[seed] = reason
                continue
            for metric, number in numbers.items():
                values[metric][seed] = number
        attrs: dict[str, Any] = {"failed_seeds": by_text(failed)} if failed else {}
        if len(failed) == len(self.outcomes):
            return Verdict("FAIL", attrs={**attrs, "reason": failed[min(failed)]})
        means = {metric: statistics.fmean(by_seed.values()) for metric, by_seed in values.items()}
        attrs["values"] = {metric: by_text(by_seed) for metric, by_seed in values.items()}
        attrs["standard_error"] = {
            m: _standard_error(list(v.values())) for m, v in values.items() if len(v) > 1
        }
        excess = {_name(limit): limit.excess(means[limit.metric]) for limit in limits}
        return Verdict("COMPLETE", tuple(means[o.metric] for o in objectives), excess, attrs)


def _number(outcome: Outcome, metric: str, facts: Mapping[str, Any]) -> float:
    """An objective's value for one run; NaN where it has none."""
    if metric not in COSTS:
        return outcome.metrics.get(metric, math.nan)
    units = facts.get("gpus" if metric == "cost/gpu_hours" else "cpus", math.nan)
    return outcome.seconds.get("pretrain", math.nan) / 3600 * float(units)


def _fault(outcome: Outcome, numbers: Mapping[str, float]) -> str | None:
    """Why a run does not count."""
    if outcome.state == "FAILED":
        return outcome.reason or "failed without a reason"
    if odd := [metric for metric, number in numbers.items() if not math.isfinite(number)]:
        is_there = odd[0] in outcome.metrics
        return f"{odd[0]} is {numbers[odd[0]]}" if is_there else f"the results have no {odd[0]}"
    return None


def _standard_error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values))


def _name(limit: Limit) -> str:
    return f"{limit.metric} {'>=' if limit.at_least is not None else '<='} {limit.at_least if limit.at_least is not None else limit.at_most:g}"


def by_text(by_seed: Mapping[int, Any]) -> dict[str, Any]:
    """JSON's keys are texts."""
    return {str(seed): value for seed, value in by_seed.items()}
