"""One study in its database, as the book writes it: every operation waits for a database that is away, and bears being made twice."""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from clef_ray.errors import TrackingError
from clef_ray.search import Configuration
from clef_ray.studies.forms import Form, Known
from clef_ray.studies.replicates import Verdict
from clef_ray.studies.rows import CURVE, configuration, curve
from clef_ray.studies.storage import PATIENCE, Say, close_storage, open_storage, patient

T = TypeVar("T")


class Ledger:
    """The study of a form, made where there is none. patience: seconds for which its database is waited for."""

    def __init__(self, form: Form, uri: str, say: Say) -> None:
        self._form, self._say = form, say
        self._metrics = [o.metric for o in form.objectives]
        self.patience = PATIENCE
        self._storage = open_storage(uri)
        self._study = self._patient(self._open)
        self._study_id = self._patient(lambda: self._storage.get_study_id_from_name(form.name))
        self._curves: dict[int, dict[int, float]] = {}

    def enqueue(self, known: Known) -> list[FrozenTrial]:
        """Let those join that the form wishes for; then all that count and have begun."""

        def call() -> list[FrozenTrial]:
            for wish in self._form.wishes(self._study.get_trials(deepcopy=False), known):
                self._study.enqueue_trial(dict(wish.params), user_attrs=dict(wish.attrs))
            trials = self._study.get_trials(deepcopy=False)
            self._study.sampler = self._form.sampler(len(trials))
            return self._form.current(trials)

        return self._patient(call)

    def ask(self, held: Iterable[int]) -> tuple[FrozenTrial, dict[str, Any]]:
        """A trial and its params: one that runs though nobody holds it, else one that waits, else a new one."""

        def call() -> tuple[FrozenTrial, dict[str, Any]]:
            lost = self._ownerless(held)
            trial = optuna.Trial(self._study, self._id(lost[0].number)) if lost else self._study.ask()
            params = self._form.suggest(trial)
            return self._storage.get_trial(self._id(trial.number)), params

        return self._patient(call)

    def ownerless(self, held: Iterable[int]) -> int:
        """How many trials run though nobody holds them: those of a process that was killed."""
        return self._patient(lambda: len(self._ownerless(held)))

    def remember(self, trial: FrozenTrial) -> None:
        """Note which epochs the study has already."""
        self._curves[trial.number] = curve(trial)

    def report(self, number: int, epochs: Iterable[Mapping[str, float]]) -> None:
        """Keep the metric of epochs that the study does not have; none of one where it is not finite.

        As intermediate values where those are comparable with the objective. Otherwise as a user attribute: several objectives have no
        intermediate value (Optuna's TPE fails on a PRUNED trial that has one), and one that is better when it is smaller would be ranked the
        wrong way round.
        """
        seen = self._curves[number]
        new = {int(e["epoch"]): float(e.get(self._form.metric, math.nan)) for e in epochs}
        new = {step: value for step, value in new.items() if step not in seen and math.isfinite(value)}
        if not new:
            return
        seen |= new
        if not self._form.comparable:
            self.keep(number, {CURVE: {str(step): value for step, value in seen.items()}})
            return
        for step, value in new.items():
            self._report(number, step, value)

    def keep(self, number: int, attrs: Mapping[str, Any]) -> None:
        """User attributes of a trial that has not ended."""

        def call() -> None:
            for name, value in attrs.items():
                self._storage.set_trial_user_attr(self._id(number), name, value)

        self._patient(call)

    def tell(self, number: int, verdict: Verdict) -> None:
        """The end of a trial."""

        def call() -> None:
            trial = self._storage.get_trial(self._id(number))
            if trial.state.is_finished():  # told before, and the answer was lost
                return
            for name, value in verdict.attrs.items():
                self._storage.set_trial_user_attr(self._id(number), name, value)
            for name in verdict.excess.keys() - trial.constraints.keys():
                optuna.Trial(self._study, self._id(number)).set_constraint(name, verdict.excess[name])
            self._study.tell(number, verdict.values, TrialState[verdict.state])

        self._patient(call)

    def pause(self, numbers: Sequence[int]) -> None:
        """Let trials that run wait for another process, which begins with them."""

        def call() -> None:
            for number in numbers:
                self._storage.set_trial_state_values(self._id(number), TrialState.WAITING)

        try:
            self._patient(call)
        except TrackingError as error:
            self._say(f"{error}; until then the study shows {len(numbers)} configurations as running")

    def candidates(self) -> list[Configuration]:
        """The feasible COMPLETE trials that count, by number."""
        trials = self._form.current(self._patient(self._study.get_trials))
        return [c for c in (configuration(t, self._metrics) for t in trials) if c.feasible]

    def rows(self) -> tuple[Configuration, ...]:
        """Every trial, by number."""
        return tuple(configuration(t, self._metrics) for t in self._patient(self._study.get_trials))

    def close(self) -> None:
        """Give the connections back; reading opens new ones."""
        close_storage(self._storage)

    def _patient(self, call: Callable[[], T]) -> T:
        return patient(call, self._say, self.patience)

    def _open(self) -> optuna.Study:
        study = optuna.create_study(
            study_name=self._form.name,
            storage=self._storage,
            directions=[o.direction for o in self._form.objectives],
            load_if_exists=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(self._metrics)
        return study

    def _ownerless(self, held: Iterable[int]) -> list[FrozenTrial]:
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [t for t in running if t.number not in held]

    def _report(self, number: int, step: int, value: float) -> None:
        self._patient(lambda: self._storage.set_trial_intermediate_value(self._id(number), step, value))

    def _id(self, number: int) -> int:
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number))
