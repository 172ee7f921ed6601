"""What an experiment cost: seconds of its runs, and those times the resources that each held."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from clef_ray.ablation import Outcome, Plan

KINDS = ("pretrain", "evaluate", "wall")


@dataclass(frozen=True)
class Cost:
    """runs: those that were trained for it; mean: kind of `KINDS` -> mean seconds over the runs that measured it; total: their sum;
    hours: resource ("CPU", "GPU") -> hours held, empty where the resources of a run are not known.
    """

    runs: int
    mean: Mapping[str, float]
    total: Mapping[str, float]
    hours: Mapping[str, float]


@dataclass(frozen=True)
class Costs:
    """arms: by name; all: the whole experiment's; stopped: how many of its runs were stopped early; stopped_share: of all seconds
    of pretraining, 0..1.
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
    trained = sum(o.seconds.get("pretrain", 0.0) for o in own)
    lost = sum(o.seconds.get("pretrain", 0.0) for o in stopped)
    return Costs(arms, _cost(own, resources), len(stopped), lost / trained if trained else 0.0)


def _cost(outcomes: Sequence[Outcome], resources: Mapping[str, float]) -> Cost:
    kinds = {kind: [o.seconds[kind] for o in outcomes if kind in o.seconds] for kind in KINDS}
    measured = {kind: seconds for kind, seconds in kinds.items() if seconds}
    busy = sum(map(sum, (kinds["pretrain"], kinds["evaluate"])))
    return Cost(
        len(outcomes),
        {kind: fmean(seconds) for kind, seconds in measured.items()},
        {kind: sum(seconds) for kind, seconds in measured.items()},
        {name: busy * amount / 3600 for name, amount in resources.items() if amount},
    )
