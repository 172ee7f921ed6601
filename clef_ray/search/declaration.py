"""The declaration of a sweep, and what follows from it: configurations as trials, the study's identity, plans."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from clef_ray.ablation import HEADLINE, Ablation, Arm, Plan, Trial, check
from clef_ray.config import EVALUATION_VERSION, Run, Spec, fingerprint, split_identity, task_spec, to_dict
from clef_ray.errors import ConfigError
from clef_ray.recipes import EMBEDDED_BUDGET, SMOKE_BUDGET
from clef_ray.registry import unknown
from clef_ray.search.goals import SAMPLERS, Limit, Objective, Stopping, Winner, one_of
from clef_ray.search.space import Choice, Dimension, check_space
from clef_ray.settings import apply, check_parts, options_of


@dataclass(frozen=True, kw_only=True)
class Search:
    """A question that a sweep answers, and how it is asked.

    name: the MLflow experiment and the report's file name. space: the settings that vary, a conditional one after what it depends on.
    objectives: the first one leads; several make a Pareto front. winner: whom of the front the fresh seeds judge; "balanced": the best mean
    rank over all objectives, of all feasible complete configurations, equals by the first objective; "first": the best by the first
    objective. configurations: how many are tried; more of them continue the same study.
    sampler: a name of SAMPLERS. seeds: the runs of one configuration; fresh_seeds: those of the winner, judged on the test patients.
    start: configurations tried first, complete ones; the first of them is what the others are compared with. tasks, headline, settings,
    smoke and larger: as in `Ablation`; smoke_configurations: how many a `--smoke` tries in their place.

    Raises ConfigError for what contradicts itself. Whether keys and values mean anything to a run is asked by `check`, since that loads them.
    """

    name: str
    question: str
    expect: str
    space: tuple[Dimension, ...]
    objectives: tuple[Objective, ...]
    configurations: int
    start: tuple[Mapping[str, Any], ...]
    sampler: str = "tpe"
    seeds: tuple[int, ...] = (0, 1)
    fresh_seeds: tuple[int, ...] = (100, 101, 102)
    limits: tuple[Limit, ...] = ()
    winner: Winner = "balanced"
    stopping: Stopping = field(default_factory=Stopping)
    tasks: tuple[str, ...] = ("diagnosis", "score_spearman")
    headline: tuple[str, ...] = HEADLINE
    settings: Mapping[str, Any] = field(default_factory=lambda: dict(EMBEDDED_BUDGET))
    smoke: Mapping[str, Any] = field(default_factory=lambda: dict(SMOKE_BUDGET))
    smoke_configurations: int = 3
    larger: str = "--data synthetic:patients=20000 --configurations 200 --set signals.seconds=10 --set optimiser.epochs=50"

    def __post_init__(self) -> None:
        check_space(self.space, self.name)
        self._check_sampler()
        one_of("winner", self.winner, get_args(Winner), self.name)
        if not self.objectives:
            raise ConfigError(f"{self.name}: a sweep needs an objective")
        for what, names in (
            ("objective", [o.metric for o in self.objectives]),
            ("seed", [*self.seeds, *self.fresh_seeds]),
        ):
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                raise ConfigError(
                    f"{self.name}: {what} {twice[0]!r} is listed twice (seeds and fresh_seeds share none)"
                )
        for what, count in (
            ("configurations", self.configurations),
            ("smoke_configurations", self.smoke_configurations),
            ("seeds", len(self.seeds)),
            ("fresh_seeds", len(self.fresh_seeds)),
            ("start", len(self.start)),
        ):
            if count < 1:
                raise ConfigError(f"{self.name}: {what} must be at least 1; {count} given")
        for number, params in enumerate(self.start):
            self._check_start(params, f"{self.name}, start[{number}]")

    def _check_sampler(self) -> None:
        one_of("sampler", self.sampler, SAMPLERS, self.name)
        for need, asked in (
            ("categories", any(isinstance(d, Choice) for d in self.space)),
            ("conditions", any(d.when for d in self.space)),
            ("several", len(self.objectives) > 1),
            ("limits", bool(self.limits)),
        ):
            if asked and not getattr(SAMPLERS[self.sampler], need):
                able = ", ".join(name for name, sampler in SAMPLERS.items() if getattr(sampler, need))
                what = {
                    "categories": "a Choice",
                    "conditions": "a `when`",
                    "several": "several objectives",
                    "limits": "limits",
                }
                raise ConfigError(
                    f"{self.name}: sampler {self.sampler!r} cannot handle {what[need]}; these can: {able}"
                )

    def _check_start(self, params: Mapping[str, Any], where: str) -> None:
        wanted = {d.key: d for d in self.space if d.on(params)}
        for key in params:
            if key not in wanted:
                raise unknown("setting", key, wanted, where)
        for key, dimension in wanted.items():
            if key not in params:
                raise ConfigError(
                    f"{where}: {key} is missing; a start configuration names every setting that varies"
                )
            dimension.check(params[key], where)

    def check(
        self, data: str = "", settings: Mapping[str, Any] | None = None, *, smoke: bool = False
    ) -> None:
        """ConfigError where a key, an end of a range, an option or a user's setting means nothing to a run. Loads the components."""
        user, taken = dict(settings or {}), set[str]()
        for key, option in (("seed", "seeds of the experiment file"), ("data", "--data")):
            if key in user:
                raise ConfigError(f"--set {key}: every trial has its own; use {option}")
        if clash := sorted(set(user) & {d.key for d in self.space}):
            raise ConfigError(f"--set {clash[0]}: {self.name} searches this itself")
        runs = [self._run(params, data, user, smoke, taken) for params in self._examples()]
        for run in runs:
            check_parts(run.canonical())
        if unused := set(user) - taken:
            raise unknown(
                "setting", min(unused), options_of(runs), f"--set; no configuration of {self.name} has it"
            )
        for number, params in enumerate(self.start):
            self.trial(number, params, self.seeds[0], data, user, smoke=smoke)

    def _examples(self) -> Iterator[dict[str, Any]]:
        """The start configurations, and for each end of a range and each option one that has it."""
        yield from map(dict, self.start)
        for place, dimension in enumerate(self.space):
            for value in dimension.ends():
                allowed: dict[str, tuple[Any, ...]] = {dimension.key: (value,)}
                for other in reversed(self.space[: place + 1]):
                    if other.key in allowed:
                        for key, options in other.conditions():
                            before = allowed.get(key, options)
                            allowed[key] = tuple(o for o in options if o in before)
                params: dict[str, Any] = {}
                for other in self.space:
                    if other.on(params):
                        usual = (self.start[0][other.key],) if other.key in self.start[0] else other.ends()
                        params[other.key] = (allowed.get(other.key) or usual)[0]
                if params.get(dimension.key) != value:
                    raise ConfigError(
                        f"{self.name}: {dimension.key} is never on; its `when` contradicts another's"
                    )
                yield params

    def _run(
        self, params: Mapping[str, Any], data: str, user: Mapping[str, Any], smoke: bool, taken: set[str]
    ) -> Run:
        own = {**self.settings, **(self.smoke if smoke else {}), **params}
        return apply(Run(data=data), own, user, taken)

    def trial(
        self,
        number: int,
        params: Mapping[str, Any],
        seed: int,
        data: str,
        settings: Mapping[str, Any] | None = None,
        *,
        smoke: bool = False,
    ) -> Trial:
        """One run of configuration `number`. params: those that are on. ConfigError where the parts do not fit each other."""
        run = replace(self._run(params, data, settings or {}, smoke, set()), seed=seed)
        trial = Trial(arm(number, params), seed, run)
        check(trial)
        return trial

    def specs(self) -> tuple[Spec, ...]:
        """The tasks."""
        return tuple(task_spec(t) for t in self.tasks)

    def identity(self, data: str, settings: Mapping[str, Any] | None = None, *, smoke: bool = False) -> str:
        """16 hex digits that name the study: everything that its results depend on, but not how many configurations there are."""
        runs = {self._run(p, data, settings or {}, smoke, set()).fingerprint() for p in self._examples()}
        return fingerprint(
            {
                "search": self.name,
                "runs": sorted(runs),
                "space": [{"kind": type(d).__name__, **to_dict(d)} for d in self.space],
                "objectives": [to_dict(o) for o in self.objectives],
                "limits": [to_dict(limit) for limit in self.limits],
                "stopping": to_dict(self.stopping),
                "sampler": self.sampler,
                "start": [dict(params) for params in self.start],
                "seeds": self.seeds,
                "tasks": [t.to_dict() for t in self.specs()],
                "evaluation": EVALUATION_VERSION,
                **split_identity("selection"),
            }
        )

    def as_ablation(self, arms: Sequence[Arm] = ()) -> Ablation:
        """The same question over these configurations, for the record and the report; the first start configuration is the base."""
        base = arm(0, self.start[0])
        return Ablation(
            name=self.name,
            question=self.question,
            expect=self.expect,
            arms=(base, *(a for a in arms if a.name != base.name)),
            base=base.name,
            seeds=self.seeds,
            tasks=self.tasks,
            headline=self.headline,
            settings=self.settings,
            smoke=self.smoke,
            larger=self.larger,
        )

    def plan(
        self,
        trials: Sequence[Trial],
        data: str,
        settings: Mapping[str, Any] | None = None,
        *,
        smoke: bool = False,
        data_name: str = "synthetic",
    ) -> Plan:
        """What has been asked for so far, judged on the patients for choosing; its identity is the study's however many trials there are."""
        arms = {t.arm.name: t.arm for t in trials}
        identity = self.identity(data, settings, smoke=smoke)
        ablation = self.as_ablation(tuple(arms.values()))
        return Plan(ablation, tuple(trials), self.specs(), data, smoke, data_name, identity, "selection")

    def final(
        self,
        chosen: Mapping[int, Mapping[str, Any]],
        data: str,
        settings: Mapping[str, Any] | None = None,
        *,
        smoke: bool = False,
        data_name: str = "synthetic",
    ) -> Plan:
        """The first start configuration and the chosen ones (number -> params) with fresh seeds, judged on the test patients."""
        numbers = {0: dict(self.start[0]), **{number: dict(params) for number, params in chosen.items()}}
        trials = tuple(
            self.trial(number, params, seed, data, settings, smoke=smoke)
            for number, params in numbers.items()
            for seed in self.fresh_seeds
        )
        arms = tuple(arm(number, params) for number, params in numbers.items())
        ablation = replace(
            self.as_ablation(arms),
            name=f"{self.name}_final",
            question=f"Does what {self.name} found hold for fresh seeds on the test patients?",
            expect="Less than on the patients it was chosen on: the best of many is partly the luckiest.",
            seeds=self.fresh_seeds,
            larger="",
        )
        return Plan(ablation, trials, self.specs(), data, smoke, data_name)


def name_of(number: int) -> str:
    """The arm's name of configuration `number`."""
    return f"c{number:03d}"


def arm(number: int, params: Mapping[str, Any]) -> Arm:
    """Configuration `number` as an arm."""
    return Arm(name_of(number), dict(params), family="search")
