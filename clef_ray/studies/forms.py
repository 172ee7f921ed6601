"""The two things that a study can be of: an ablation's arms, each once, or a sweep's configurations, sampled until there are enough."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import optuna
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.config import fingerprint
from clef_ray.search import Limit, Objective, Search, Winner
from clef_ray.studies.rows import fixed
from clef_ray.studies.samplers import sampler, suggest
from clef_ray.studies.stopping import Stopper

#: A finished run from the store, None where it is not there.
Known = Callable[[Trial], Outcome | None]


@dataclass(frozen=True)
class Wish:
    """A configuration to be tried; attrs: kept with it."""

    params: Mapping[str, Any]
    attrs: Mapping[str, Any]


class Form(Protocol):
    """What a book asks of that which its study is of. comparable: whether `metric` by epoch ranks as the objective does."""

    name: str
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...]
    winner: Winner
    metric: str
    seeds: int
    size: int
    whole_first: bool
    comparable: bool

    def sampler(self, begun: int) -> BaseSampler: ...

    def stopper(self) -> Stopper | None: ...

    def wishes(self, trials: Sequence[FrozenTrial], known: Known) -> list[Wish]:
        """What is to be enqueued, given what the study holds."""

    def current(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Those that count, of all that were begun: a trial that was tried again does not."""

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]: ...

    def runs(self, number: int, params: Mapping[str, Any]) -> tuple[Trial, ...]:
        """The configuration's runs, one per seed. ConfigError where it cannot be run."""


class Arms:
    """An ablation's plan: one trial per arm, and another one for an arm of which a seed failed in an earlier process and may do better now."""

    limits: tuple[Limit, ...] = ()
    winner: Winner = "first"
    metric = "valid/rsa"
    whole_first = False
    comparable = True

    def __init__(self, plan: Plan) -> None:
        self.name = plan_study(plan)
        self.objectives: tuple[Objective, ...] = (Objective(plan.ablation.headline[0], "maximize"),)
        self._runs: dict[str, tuple[Trial, ...]] = {}
        for trial in plan.trials:
            self._runs[trial.arm.name] = (*self._runs.get(trial.arm.name, ()), trial)
        self.size = len(self._runs)
        self.seeds = len(plan.trials) // max(1, self.size)

    def sampler(self, begun: int) -> BaseSampler:
        return RandomSampler(seed=begun)  # never asked: every arm is enqueued

    def stopper(self) -> None: ...

    def wishes(self, trials: Sequence[FrozenTrial], known: Known) -> list[Wish]:
        wishes = []
        for arm, runs in self._runs.items():
            before = [t for t in trials if fixed(t).get("arm") == arm]
            kept = {"settings": dict(runs[0].arm.settings)}
            if not before:
                wishes.append(Wish({"arm": arm}, kept))
            elif before[-1].state.is_finished() and any(
                self._promising(run, known) for run in _failed(before[-1], runs)
            ):
                wishes.append(Wish({"arm": arm}, {**kept, "retry_of": before[-1].number}))
        return wishes

    def _promising(self, run: Trial, known: Known) -> bool:
        """Whether a run that did not count may do so now: it is not in the store, or is there with the metric."""
        found = known(run)
        return found is None or math.isfinite(found.metrics.get(self.objectives[0].metric, math.nan))

    def current(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        last = {fixed(t)["arm"]: t for t in trials}
        return [t for t in last.values() if t.state != TrialState.WAITING]

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        return {"arm": trial.suggest_categorical("arm", sorted(self._runs))}

    def runs(self, number: int, params: Mapping[str, Any]) -> tuple[Trial, ...]:  # noqa: ARG002 - the protocol's
        return self._runs[params["arm"]]


class Samples:
    """A search: start configurations, then sampled ones. One that failed would fail again, so it counts like any other."""

    whole_first = True

    def __init__(self, search: Search, data: str, settings: Mapping[str, Any], *, smoke: bool) -> None:
        search.check(data, settings, smoke=smoke)
        self._search, self._data, self._settings, self._smoke = search, data, settings, smoke
        self._identity = search.identity(data, settings, smoke=smoke)
        self.name = f"{search.name}-{self._identity[:8]}"
        self.objectives, self.limits, self.metric = search.objectives, search.limits, search.stopping.metric
        self.winner = search.winner
        alone = search.objectives[0].direction if len(search.objectives) == 1 else None
        self.comparable = alone == search.stopping.direction
        self.seeds = len(search.seeds)
        self.size = search.configurations

    def sampler(self, begun: int) -> BaseSampler:
        return sampler(self._search.sampler, self._identity, begun)

    def stopper(self) -> Stopper:
        return Stopper(self._search.stopping, self.runs(0, self._search.start[0])[0].run.epochs)

    def wishes(self, trials: Sequence[FrozenTrial], known: Known) -> list[Wish]:  # noqa: ARG002 - the protocol's
        there = [fixed(t) for t in trials]
        return [Wish(params, {}) for params in self._search.start if dict(params) not in there]

    def current(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        return [t for t in trials if t.state != TrialState.WAITING]

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        return suggest(trial, self._search.space)

    def runs(self, number: int, params: Mapping[str, Any]) -> tuple[Trial, ...]:
        search = self._search
        return tuple(
            search.trial(number, params, seed, self._data, self._settings, smoke=self._smoke)
            for seed in search.seeds
        )


def _failed(trial: FrozenTrial, runs: Sequence[Trial]) -> list[Trial]:
    """The runs that an ended trial does not count; all where it failed and says no more."""
    seeds = trial.user_attrs.get("failed_seeds", {})
    nothing_said = trial.state == TrialState.FAIL and not seeds
    return [run for run in runs if nothing_said or str(run.seed) in seeds]


def plan_study(plan: Plan) -> str:
    """The name of an ablation's study: the runs and the arms' names make it, since a study cannot have other arms than it began with."""
    arms = sorted({t.arm.name for t in plan.trials})
    return f"{plan.ablation.name}-{fingerprint({'plan': plan.fingerprint(), 'arms': arms})[:8]}"
