"""What an experiment cost: seconds of its runs, and those times the resources that each held; operations and memory of one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from clef_ray.ablation import Outcome, Plan

KINDS = ("pretrain", "evaluate", "wall")

#: What pretraining one run took besides (`train/cost.py`), as a page names it.
MEASURED = {
    "records": "records seen",
    "flops_per_record": "FLOPs per record",
    "flops": "FLOPs",
    "memory_bytes": "peak memory",
}


@dataclass(frozen=True)
class Cost:
    """runs: those that were trained for it; mean: kind of `KINDS` -> mean seconds over the runs that measured it; total: their sum;
    unknown: kind -> runs that did not measure it, where there are any (evaluation: of those that finished).

    hours: resource ("CPU", "GPU") -> hours held, as far as they are known; empty where the resources of a run or all times are not.
    measured: name of `MEASURED` -> mean over the finished runs that measured it.
    """

    runs: int
    mean: Mapping[str, float]
    total: Mapping[str, float]
    unknown: Mapping[str, int]
    hours: Mapping[str, float]
    measured: Mapping[str, float]

    @property
    def partial(self) -> bool:
        """Whether more hours were held than are known."""
        return "pretrain" in self.unknown or "evaluate" in self.unknown


@dataclass(frozen=True)
class Costs:
    """arms: by name; all: the whole experiment's; stopped: how many of its runs were stopped early; stopped_share: of all known
    seconds of pretraining, 0..1.
    """

    arms: Mapping[str, Cost]
    all: Cost
    stopped: int
    stopped_share: float


def costs(plan: Plan, outcomes: Sequence[Outcome], resources: Mapping[str, float]) -> Costs:
    """Costs per arm and in all. A trial that shares another one's run cost nothing and is left out.

    resources: what one run holds while it trains and is evaluated, e.g. {"CPU": 2, "GPU": 0.5}.
    """
    own = [o for o in outcomes if o.shared_with is None]
    names = dict.fromkeys(t.arm.name for t in plan.trials)
    arms = {name: _cost([o for o in own if o.trial.arm.name == name], resources) for name in names}
    stopped = [o for o in own if o.state == "PRUNED"]
    whole = _cost(own, resources)
    trained, lost = (cost.total.get("pretrain", 0.0) for cost in (whole, _cost(stopped, resources)))
    return Costs(arms, whole, len(stopped), lost / trained if trained else 0.0)


def _cost(outcomes: Sequence[Outcome], resources: Mapping[str, float]) -> Cost:
    times = [_seconds(o) for o in outcomes]
    kinds = {kind: [seconds[kind] for seconds in times if kind in seconds] for kind in KINDS}
    measured = {kind: seconds for kind, seconds in kinds.items() if seconds}
    asked = {kind: len(outcomes) for kind in KINDS} | {
        "evaluate": sum(o.state == "COMPLETE" for o in outcomes)
    }
    unknown = {kind: count - len(kinds[kind]) for kind, count in asked.items()}
    busy = sum(map(sum, (kinds["pretrain"], kinds["evaluate"])))
    timed = kinds["pretrain"] or not outcomes
    return Cost(
        len(outcomes),
        {kind: fmean(seconds) for kind, seconds in measured.items()},
        {kind: sum(seconds) for kind, seconds in measured.items()},
        {kind: count for kind, count in unknown.items() if count > 0},
        {name: busy * amount / 3600 for name, amount in resources.items() if amount and timed},
        {name: mean for name in MEASURED if (mean := mean_cost(outcomes, name)) is not None},
    )


def mean_cost(outcomes: Sequence[Outcome], name: str) -> float | None:
    """The mean of one of a run's costs over the finished runs that measured it; None where none did."""
    found = [o.cost[name] for o in outcomes if o.state == "COMPLETE" and name in o.cost]
    return fmean(found) if found else None


def _seconds(outcome: Outcome) -> Mapping[str, float]:
    """Its times; a run that broke off spent all that it took on pretraining, where nothing says how much."""
    seconds = outcome.seconds
    if outcome.state == "COMPLETE" or "wall" not in seconds:
        return seconds
    return {"pretrain": seconds["wall"], **seconds}
