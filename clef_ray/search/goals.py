"""What a sweep is after: objectives, limits, when a run is stopped early, and what each way of sampling can do."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from clef_ray.errors import ConfigError
from clef_ray.evaluate.collapse import LEAST_RANK
from clef_ray.registry import unknown

#: Objectives that are no result of a task: what the pretraining of one run took.
COSTS = ("cost/gpu_hours", "cost/cpu_hours")

Direction = Literal["maximize", "minimize"]
Rule = Literal["asha", "hyperband", "median", "none"]
Winner = Literal["balanced", "first"]


@dataclass(frozen=True)
class Sampler:
    """What a way of sampling can do. several: more than one objective.

    limits: whether a sweep may have limits. They guide tpe, nsga2 and gp. random and qmc are guided by nothing, so there they only rule out
    winners; cmaes would be led to what breaks them.
    """

    categories: bool = True
    conditions: bool = False
    several: bool = True
    limits: bool = True


SAMPLERS: Mapping[str, Sampler] = {
    "tpe": Sampler(conditions=True),
    "random": Sampler(conditions=True),
    "nsga2": Sampler(),
    "gp": Sampler(),
    "qmc": Sampler(categories=False),
    "cmaes": Sampler(categories=False, several=False, limits=False),
}


@dataclass(frozen=True)
class Objective:
    """What a configuration is told as: the mean over its seeds. metric: a name of `Outcome.metrics`, or one of COSTS (hours)."""

    metric: str
    direction: Direction

    def __post_init__(self) -> None:
        one_of("direction", self.direction, get_args(Direction), f"objective {self.metric}")
        if self.metric.startswith("cost/"):
            one_of("cost", self.metric, COSTS, "objectives")


@dataclass(frozen=True)
class Limit:
    """What a configuration must keep to be a candidate: the mean of a metric over its seeds at least, or at most, this."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ConfigError(f"limit on {self.metric}: give one of at_least and at_most")

    def excess(self, value: float) -> float:
        """By how much a mean breaks the limit: above 0 where it does."""
        return self.at_least - value if self.at_least is not None else value - float(self.at_most or 0.0)


@dataclass(frozen=True)
class Stopping:
    """When a configuration's first run is stopped early.

    rule: how it is compared with the others by `metric` after an epoch, but the last one, when there is nothing left to save; grace: epochs (from 1) that every run gets; reduction: about one
    in so many goes on from one rung to the next; collapse: effective rank of the embedding below which an epoch looks collapsed
    (evaluate/collapse.py; so does one without spread), and two of them running stop a run, 0: never.
    """

    rule: Rule = "asha"
    metric: str = "valid/rsa"
    direction: Direction = "maximize"
    grace: int = 2
    reduction: int = 3
    collapse: float = LEAST_RANK

    def __post_init__(self) -> None:
        one_of("rule", self.rule, get_args(Rule), "stopping")
        one_of("direction", self.direction, get_args(Direction), "stopping")
        for name, value, least in (
            ("grace", self.grace, 1),
            ("reduction", self.reduction, 2),
            ("collapse", self.collapse, 0),
        ):
            if value < least:
                raise ConfigError(f"stopping.{name}: {value:g} given, at least {least} is needed")


def one_of(kind: str, given: str, allowed: Collection[str], where: str) -> None:
    if given not in allowed:
        raise unknown(kind, given, allowed, where)
