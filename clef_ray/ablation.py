"""An ablation: one question, its arms, its seeds; and which of its trials are the same run (pure Python, no Ray).

An experiment file declares an `Ablation` as data; `plan` turns it into trials; every finished trial is an `Outcome`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from clef_ray.budget import Budget, require_equal
from clef_ray.config import (
    EVALUATION_VERSION,
    Run,
    Spec,
    SplitName,
    fingerprint,
    flatten,
    split_identity,
    task_spec,
    to_dict,
)
from clef_ray.errors import ConfigError
from clef_ray.evaluate.gaps import check_gaps
from clef_ray.evaluate.inputs import OFFICIAL
from clef_ray.evaluate.judging import Judging, prefixes
from clef_ray.evaluate.run import TaskResult
from clef_ray.recipes import EMBEDDED_BUDGET, LARGER_BUDGET, SMOKE_BUDGET
from clef_ray.registry import unknown
from clef_ray.settings import apply, check_negatives, check_parts, options_of

HEADLINE = (
    "zeroshot/rsa",
    "zeroshot/rsa_partial",
    "zeroshot/rsa_beyond",
    "zeroshot/readout",
    "zeroshot/axis",
    "probe/auroc",
)


@dataclass(frozen=True)
class Arm:
    """One cell of an ablation. settings: dotted configuration keys on top of the ablation's own.

    family: the arms that the answer compares with one another; x: the place on the ablation's axis, where the family has one (a line of
    the report's curves), None for a category. A control has no family; against: the arm that it is the control of, empty for the base.
    tuning: how many configurations its settings were chosen among; unequal: why its budget may differ from the others' (clef_ray/budget.py).
    """

    name: str
    settings: Mapping[str, Any]
    family: str = ""
    x: float | None = None
    against: str = ""
    tuning: int = 0
    unequal: str = ""


@dataclass(frozen=True)
class Ablation:
    """A question and how it is asked.

    name: the MLflow experiment and the report's file name. base: the arm that the others are compared with. axis: what Arm.x counts,
    empty where arms are categories. more: further arms, which run only when they are asked for. tasks: `name` or `name:option=value`.
    headline: the metrics of the table, in order; the first one decides the answer. settings: common to all arms; smoke: on top of them
    for --smoke. larger: arguments of the same command at a larger budget. The last five are the embedded budget's unless they are given.
    targets: further corpora that every encoder is judged on: name -> data as `--data` takes it. gaps: further metrics, each one metric
    minus another of the same encoder: name -> (the one, the other) (`evaluate/gaps.py`). clouds: the corpus whose embeddings the report draws
    (`report/clouds.py`): a target's name, empty for that of pretraining; None: they are not drawn. equal_budget: whether its trained arms must
    have an equal budget, as clef_ray/budget.py defines it.

    Raises ConfigError where two arms have one name, base or an arm's `against` names none, or clouds names no target.
    """

    name: str
    question: str
    expect: str
    arms: tuple[Arm, ...]
    base: str
    seeds: tuple[int, ...]
    axis: str = ""
    more: tuple[Arm, ...] = ()
    tasks: tuple[str, ...] = ("diagnosis", "score_spearman")
    headline: tuple[str, ...] = HEADLINE
    settings: Mapping[str, Any] = field(default_factory=lambda: dict(EMBEDDED_BUDGET))
    smoke: Mapping[str, Any] = field(default_factory=lambda: dict(SMOKE_BUDGET))
    larger: str = LARGER_BUDGET
    targets: Mapping[str, str] = field(default_factory=dict)
    gaps: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    clouds: str | None = None
    equal_budget: bool = False

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.every]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise ConfigError(f"{self.name}: two arms are called {twice[0]!r}")
        for other in {self.base, *(arm.against for arm in self.every)} - {""}:
            if other not in names:
                raise unknown("arm", other, names, f"{self.name}, base and against")
        if self.clouds and self.clouds not in self.targets:
            raise unknown("target", self.clouds, self.targets, f"{self.name}, clouds")

    @property
    def every(self) -> tuple[Arm, ...]:
        """All arms, those of `more` at the end."""
        return (*self.arms, *self.more)

    def select(self, wanted: Sequence[str]) -> tuple[Arm, ...]:
        """The arms of these names and patterns (`clef-*`, `?` for one character), `all` for every arm; the default arms where none is wanted.

        Each once, in the order of the patterns. A name or pattern that fits none: ConfigError with the near match.
        """
        if not wanted:
            return self.arms
        found: dict[str, Arm] = {}
        for pattern in wanted:
            fitting = [a for a in self.every if pattern == "all" or fnmatchcase(a.name, pattern)]
            if not fitting:
                raise unknown("arm", pattern, [a.name for a in self.every], self.name)
            found |= {arm.name: arm for arm in fitting}
        return tuple(found.values())


@dataclass(frozen=True)
class Trial:
    """One arm with one seed. Trials with equal `run.fingerprint()` are one pretraining."""

    arm: Arm
    seed: int
    run: Run


@dataclass(frozen=True)
class Outcome:
    """What came of one trial.

    state: COMPLETE: everything is there; FAILED: why stands in reason; PRUNED: stopped early, so history and no results, and reason
    names the rule. results: a task's key (`Asked`) -> its result; history: one mapping per epoch (`epoch`, `loss`, `lr`, ...); seconds: `pretrain`, `evaluate`,
    `wall`; cost: what pretraining took besides (`train/cost.py`), empty in runs from before it was measured; shared_with: the trial ("arm seed") that trained this run, when another one did; reason: why it failed or was stopped; lost: it FAILED for no fault of its
    own (a process, a node or the storage went away), so that the same command may do better.
    """

    trial: Trial
    state: Literal["COMPLETE", "FAILED", "PRUNED"]
    results: Mapping[str, TaskResult] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    shared_with: str | None = None
    reason: str | None = None
    lost: bool = False

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics of all tasks: point estimates and extras under their names."""
        merged: dict[str, float] = {}
        for result in self.results.values():
            merged |= {name: estimate.value for name, estimate in result.estimates.items()} | dict(
                result.extras
            )
        return merged


@dataclass(frozen=True)
class Plan:
    """An ablation made concrete: its trials in order, its task Specs, the data's fingerprint.

    smoke: whether it is the minimal version; data_name: the data as the user named them. Both are for the reader, not part of the identity.
    identity: the fingerprint of a plan that grows (a sweep, whose trials are not known beforehand); empty: it is computed from the trials.
    split: what its encoders are judged on: the test patients, or the patients for choosing (`evaluate.inputs.SPLITS`). targets: the
    further corpora they are judged on, (name, fingerprint) each. rotation: the folds of which each is the test once (rotation.py), and the
    outcomes means over them; empty: the split's alone.
    """

    ablation: Ablation
    trials: tuple[Trial, ...]
    tasks: tuple[Spec, ...]
    data: str
    smoke: bool = False
    data_name: str = "synthetic"
    identity: str = ""
    split: SplitName = "official"
    targets: tuple[tuple[str, str], ...] = ()
    rotation: tuple[int, ...] = ()

    @property
    def judging(self) -> Judging:
        """By what its encoders are judged."""
        return Judging(self.tasks, self.data, self.targets, self.split, self.ablation.gaps)

    @property
    def dealt(self) -> str:
        """By which folds it is judged, in words."""
        return f"each of folds {', '.join(map(str, self.rotation))} once" if self.rotation else self.split

    def unique(self) -> list[Trial]:
        """One trial per distinct run, the first that asks for it."""
        seen: dict[str, Trial] = {}
        for trial in self.trials:
            seen.setdefault(trial.run.fingerprint(), trial)
        return list(seen.values())

    def on(self, data: str, data_name: str = "synthetic", targets: Mapping[str, str] | None = None) -> "Plan":
        """The same plan on other data: their fingerprint, and what the user calls them. targets: name -> fingerprint."""
        trials = tuple(replace(t, run=replace(t.run, data=data)) for t in self.trials)
        judged = tuple(sorted((targets or {}).items()))
        return replace(self, trials=trials, data=data, data_name=data_name, targets=judged)

    def fingerprint(self) -> str:
        """The identity of the whole comparison: its MLflow parent run is found by it."""
        if self.identity:
            return self.identity
        runs = sorted({t.run.fingerprint() for t in self.trials})
        return fingerprint(
            {
                "ablation": self.ablation.name,
                "runs": runs,
                "tasks": [t.to_dict() for t in self.tasks],
                "evaluation": EVALUATION_VERSION,
                **({"targets": [list(t) for t in self.targets]} if self.targets else {}),
                **split_identity(self.split),
                **({"rotation": list(self.rotation)} if self.rotation else {}),
            }
        )

    def differing_settings(self) -> list[str]:
        """The configuration keys in which the trials differ, sorted: what a comparison should show."""
        flats = [flatten(to_dict(t.run.canonical())) for t in self.trials]
        keys = sorted({k for flat in flats for k in flat})
        return [k for k in keys if len({repr(flat.get(k)) for flat in flats}) > 1]


def plan(
    ablation: Ablation,
    data: str,
    *,
    arms: Sequence[str] = (),
    seeds: int | None = None,
    settings: Mapping[str, Any] | None = None,
    smoke: bool = False,
) -> Plan:
    """Arms x seeds as typed runs. arms: names and patterns as `Ablation.select`; settings: the user's `--set`, applied after the
    ablation's and the arm's own.

    Raises ConfigError for an unknown arm or key, a wrong type, fewer than one seed, a setting that an arm fixes itself, or a gap between
    metrics of which no task is asked, or tasks of one name.
    """
    if seeds is not None and seeds < 1:
        raise ConfigError(f"--seeds {seeds}: at least 1 seed is needed")
    chosen = ablation.select(arms)
    user = dict(settings or {})
    for key, option in (("seed", "--seeds"), ("data", "--data")):
        if key in user:
            raise ConfigError(f"--set {key}: every trial has its own; use {option}")
    for arm in chosen:
        if clash := sorted(set(user) & set(arm.settings)):
            raise ConfigError(
                f"--set {clash[0]}: arm {arm.name!r} of {ablation.name} varies this itself; choose other arms with --arms"
            )
    common = {**ablation.settings, **(ablation.smoke if smoke else {})}
    numbers = ablation.seeds if seeds is None else tuple(range(seeds))
    taken: set[str] = set()
    trials: list[Trial] = []
    for arm in chosen:
        run = apply(Run(data=data), {**common, **arm.settings}, user, taken)
        trials += [Trial(arm, seed, replace(run, seed=seed)) for seed in numbers]
    if unused := set(user) - taken:
        options = options_of(trial.run for trial in {t.arm.name: t for t in trials}.values())
        raise unknown("setting", min(unused), options, f"--set; no arm of {ablation.name} has it")
    for trial in {t.arm.name: t for t in trials}.values():  # the seed changes nothing that can be wrong
        check(trial)
    tasks = tuple(task_spec(t) for t in ablation.tasks)
    asked = prefixes(tasks)
    check_gaps(ablation.gaps, [*asked, *(f"{t}/{p}" for t in ablation.targets for p in asked)], ablation.name)
    if ablation.equal_budget:
        first = {t.arm.name: t for t in trials}
        require_equal(
            ablation.name, [Budget.of(t.run, n, t.arm.tuning, t.arm.unequal) for n, t in first.items()]
        )
    return Plan(ablation, tuple(trials), tasks, data, smoke)


def check(trial: Trial) -> None:
    """ConfigError for what cannot be run: a part's value out of range, and what the parts cannot see alone (more negatives than a batch
    holds, test patients in pretraining).
    """
    run = trial.run.canonical()
    OFFICIAL.refuse_seen(run.train_folds)
    if not {*run.train_folds} <= set(range(1, 11)):
        raise ConfigError(f"train_folds {run.train_folds}: folds are numbered 1 to 10")
    check_parts(run)
    check_negatives(run, f"arm {trial.arm.name!r}")
