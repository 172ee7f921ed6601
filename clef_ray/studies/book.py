"""The book of a study: which run starts next, what its epochs and its end mean. One Optuna trial is one configuration, its seeds are runs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NoReturn, Self

from optuna.trial import FrozenTrial, TrialState

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.errors import ConfigError
from clef_ray.search import Configuration, Search
from clef_ray.studies.forms import Arms, Form, Known, Samples
from clef_ray.studies.ledger import Ledger
from clef_ray.studies.replicates import Replicates, by_text
from clef_ray.studies.rows import curve
from clef_ray.studies.storage import Say
from clef_ray.studies.winner import front


class Book:
    """An agenda (cluster.agenda.Agenda) whose truth is a study. One process at a time keeps it; it holds a connection and is not pickled.

    uri, name: where the study lies and what it is called. Every method may raise TrackingError once the database has been away for longer
    than PATIENCE.
    """

    def __init__(self, form: Form, uri: str, facts: Mapping[str, Any], known: Known, say: Say) -> None:
        """Open the study, take up what an earlier process left, enqueue what is new. Use `of_plan` or `of_search`."""
        self.uri, self.name = uri, form.name
        self._form, self._facts, self._known = form, facts, known
        self._configurations: dict[int, Replicates] = {}
        self._flight: dict[str, tuple[Replicates, Trial]] = {}
        self._ended: dict[str, Outcome] = {}
        self._ledger = Ledger(form, uri, say)
        self._stopper = form.stopper()
        for trial in self._ledger.enqueue(known):
            if trial.state.is_finished():
                self._load(trial)
        for _ in range(self._ledger.ownerless(self._configurations)):
            self._begin()

    @classmethod
    def of_plan(cls, plan: Plan, uri: str, facts: Mapping[str, Any], known: Known, say: Say = print) -> Self:
        """The book of an ablation: each arm is one trial with the param `arm`; all its seeds may start at once, nothing is stopped early.

        facts: what is kept with every trial (`git_commit`, `data`, ... as texts; `cpus` and `gpus` of one run as numbers, from which costs
        are computed). known: the store's answer. say: told when the database stops answering, and when it is back.
        """
        return cls(Arms(plan), uri, facts, known, say)

    @classmethod
    def of_search(
        cls,
        search: Search,
        data: str,
        uri: str,
        facts: Mapping[str, Any],
        known: Known,
        say: Say = print,
        *,
        settings: Mapping[str, Any] | None = None,
        smoke: bool = False,
    ) -> Self:
        """The book of a sweep: start configurations first, then sampled ones until there are `search.configurations`.

        ConfigError as `Search.check`, or where an objective counts GPU hours and a run takes no GPU. The other arguments as in `of_plan`.
        """
        if any(o.metric == "cost/gpu_hours" for o in search.objectives) and not facts.get("gpus"):
            raise ConfigError(
                f"{search.name}: a run takes no GPU; set --gpus-per-worker, or count cost/cpu_hours"
            )
        return cls(Samples(search, data, settings or {}, smoke=smoke), uri, facts, known, say)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a book holds a connection: hand on its uri and name instead")

    def next(self) -> Trial | None:
        """A run to start now; None where none can be started before another ends. Runs that the store holds are booked, not handed out."""
        while True:
            free = next(self._free(), None)
            if free is None:
                if len(self._configurations) >= self._form.size:
                    return None
                self._begin()
                continue
            configuration, trial = free
            outcome = self._shared(configuration, trial) or self._known(trial)
            if outcome is None:
                self._flight[configuration.marks[trial.seed]] = free
                return trial
            self._take(configuration, trial, outcome)

    @property
    def finished(self) -> bool:
        """Whether `next` will never name another."""
        every = self._configurations.values()
        return len(every) >= self._form.size and all(c.ended for c in every)

    @property
    def planned(self) -> int:
        """How many runs there will be in all, those of the store and shared ones included; falls where configurations stop early."""
        to_come = max(0, self._form.size - len(self._configurations)) * self._form.seeds
        return to_come + sum(c.asked for c in self._configurations.values())

    def epoch(self, trial: Trial, metrics: Mapping[str, float]) -> str | None:
        """An epoch's metrics (`epoch` from 1); the reason where the run is to be stopped: then `end` it as PRUNED with that reason."""
        configuration, _ = self._flight[trial.run.fingerprint()]
        if not configuration.is_first(trial):
            return None
        self._ledger.report(configuration.number, [metrics])
        if self._stopper is None:
            return None
        reason = self._stopper.judge(configuration.number, int(metrics["epoch"]), metrics, trial.run.epochs)
        # the first one is what the others are compared with
        return reason if configuration.number > 0 else None

    def end(self, outcome: Outcome) -> None:
        """How a run ended. Whoever waits for the same run shares it.

        One that is lost FAILED for this process alone where the study is a sweep's: its configuration is not told, and waits for the next
        process, which finds its other seeds in the store.
        """
        configuration, trial = self._flight.pop(outcome.trial.run.fingerprint())
        self._take(configuration, trial, outcome)
        for configuration, trial in self._free():
            if (twin := self._shared(configuration, trial)) is not None:
                self._take(configuration, trial, twin)

    def trials(self) -> list[Trial]:
        """Every run asked for so far, by configuration and seed: what a growing plan is made of (Search.plan)."""
        return [t for c, t in self._runs() if t.seed in c.outcomes or c.marks[t.seed] in self._flight]

    @property
    def outcomes(self) -> list[Outcome]:
        """Those of them that have ended, in that order."""
        return [c.outcomes[t.seed] for c, t in self._runs() if t.seed in c.outcomes]

    def best(self) -> tuple[Configuration, ...]:
        """The winner among the feasible COMPLETE configurations, none where there is none.

        Of several objectives the Pareto front: the winner by `Search.winner`, then the others by the first objective.
        """
        found = front(self._ledger.candidates(), self._form.objectives, self._form.winner)
        return found if len(self._form.objectives) > 1 else found[:1]

    def rows(self) -> tuple[Configuration, ...]:
        """Every configuration as the database has it, by number."""
        return self._ledger.rows()

    def leave(self) -> None:
        """Another process keeps this study now: `close` changes nothing in it."""
        self._configurations.clear()

    def close(self, *, interrupted: bool = False) -> None:
        """No further run: what is unfinished waits in the study (WAITING) and is the first to go on. Reading remains possible.

        interrupted: somebody wants to leave now; a database that is away is not waited for.
        """
        if interrupted:
            self._ledger.patience = 0.0
        self._ledger.pause([number for number, c in self._configurations.items() if not c.told])
        self._ledger.close()

    def _begin(self) -> None:
        """Take up a configuration."""
        trial, params = self._ledger.ask(self._configurations)
        configuration = self._add(trial, params)
        facts = {
            **self._facts,
            "seeds": [t.seed for t in configuration.runs],
            "fingerprints": by_text(configuration.marks),
        }
        self._ledger.keep(trial.number, facts)
        if configuration.ended:
            self._tell(configuration)

    def _add(self, trial: FrozenTrial, params: Mapping[str, Any]) -> Replicates:
        refused = None
        try:
            runs = self._form.runs(trial.number, params)
        except ConfigError as error:
            runs, refused = (), str(error)
        configuration = Replicates(
            trial.number, params, runs, self._form.whole_first, refused, told=trial.state.is_finished()
        )
        self._configurations[trial.number] = configuration
        self._ledger.remember(trial)
        if self._stopper is not None:
            self._stopper.recall(trial.number, self._history(trial))
        return configuration

    def _history(self, trial: FrozenTrial) -> list[dict[str, float]]:
        values = sorted(curve(trial).items())
        return [{"epoch": float(step), self._form.metric: value} for step, value in values]

    def _load(self, trial: FrozenTrial) -> None:
        """A configuration that ended in an earlier process: its runs from the store. Those that the store has lost are run again."""
        configuration = self._add(trial, trial.params)
        for run in configuration.runs:
            outcome = self._told(trial, run) if self._form.whole_first else self._known(run)
            if outcome is not None:
                configuration.outcomes[run.seed] = outcome
                self._ended.setdefault(configuration.marks[run.seed], outcome)
        if self._form.whole_first and trial.state != TrialState.COMPLETE:
            configuration.runs = tuple(r for r in configuration.runs if r.seed in configuration.outcomes)
        if self._stopper is not None:
            self._stopper.end(trial.number, whole=trial.state == TrialState.COMPLETE)

    def _told(self, trial: FrozenTrial, run: Trial) -> Outcome | None:
        """How a sweep's run ended in an earlier process: what was stopped or failed stays so."""
        if trial.state == TrialState.PRUNED:
            first = run.seed == trial.user_attrs["seeds"][0]
            reason = trial.user_attrs["reason"]
            return Outcome(run, "PRUNED", history=self._history(trial), reason=reason) if first else None
        if (found := self._known(run)) is not None:
            return found
        reason = trial.user_attrs.get("failed_seeds", {}).get(str(run.seed))
        return Outcome(run, "FAILED", reason=reason) if reason else None

    def _runs(self) -> Iterator[tuple[Replicates, Trial]]:
        for _, configuration in sorted(self._configurations.items()):
            for trial in configuration.runs:
                yield configuration, trial

    def _free(self) -> Iterator[tuple[Replicates, Trial]]:
        """Runs that may start and are not out, those of begun configurations first."""
        for _, configuration in sorted(self._configurations.items()):
            for trial in configuration.open:
                if configuration.marks[trial.seed] not in self._flight:
                    yield configuration, trial

    def _shared(self, configuration: Replicates, trial: Trial) -> Outcome | None:
        """The outcome of the same run as another trial's, where that has ended."""
        twin = self._ended.get(configuration.marks[trial.seed])
        if twin is None:
            return None
        return replace(twin, trial=trial, shared_with=f"{twin.trial.arm.name} seed {twin.trial.seed}")

    def _take(self, configuration: Replicates, trial: Trial, outcome: Outcome) -> None:
        self._ended.setdefault(configuration.marks[trial.seed], outcome)
        configuration.outcomes[trial.seed] = outcome
        if not configuration.told and configuration.is_first(trial):
            self._ledger.report(configuration.number, outcome.history)
            if self._stopper is not None:
                self._stopper.recall(configuration.number, outcome.history)
                self._stopper.end(configuration.number, whole=outcome.state == "COMPLETE")
        if configuration.ended and not configuration.told and not configuration.given_up:
            self._tell(configuration)

    def _tell(self, configuration: Replicates) -> None:
        verdict = configuration.verdict(self._form.objectives, self._form.limits, self._facts)
        self._ledger.tell(configuration.number, verdict)
        configuration.told = True
