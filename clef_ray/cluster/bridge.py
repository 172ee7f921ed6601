"""Between Tune, which runs trials, and those who decide and those who watch: an agenda says what runs next, watchers are told.

Tune asks the searcher for the next trial, tells the scheduler every epoch and the callback every end; all three are one bridge here, so
that there is one record of what runs. Tune keeps no state of its own that is ever read again.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from clef_ray.ablation import Outcome, Trial
from clef_ray.cluster.agenda import Agenda, Watcher
from clef_ray.cluster.interrupt import Interrupts
from clef_ray.cluster.sharing import LOOK, Shared
from clef_ray.cluster.trainer import FINAL
from clef_ray.errors import ClefRayError, StorageError
from clef_ray.train.loop import history_so_far
from clef_ray.trial import keep_seconds, run_store

#: What an epoch reports beside its losses.
_EPOCH = (
    "epoch",
    "order",
    "lr",
    "records_per_second",
    "seconds",
    "temperature",
    "valid/",
    "embedding/",
    "loss",
)

#: Errors that the same run would meet again, as Tune names them: trying once more would only cost.
_FINAL = tuple(error.__name__ for error in FINAL)


@dataclass
class Bridge:
    """One sweep's record while it runs: what runs, what ended how, what is tried again.

    known: the store's answer, None for a trial that it does not hold. retries: how often a trial is started again after its process, its node or its storage was lost. A trial whose training itself went
    wrong would do so again and is not. shared: runs of which another sweep is at work on some. guard: raises where this sweep is not to go on.
    """

    known: Callable[[Trial], Outcome | None]
    agenda: Agenda
    storage: str
    watchers: Sequence[Watcher]
    interrupts: Interrupts
    retries: int
    shared: Shared
    guard: Callable[[], None]
    ended: dict[str, Outcome] = field(default_factory=dict)
    error: ClefRayError | None = None
    running: dict[str, Trial] = field(default_factory=dict)
    _again: list[Trial] = field(default_factory=list)
    _begun: dict[str, float] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)
    _stopped: dict[str, str] = field(default_factory=dict)
    _tries: Counter[str] = field(default_factory=Counter)
    _wall: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def draw(self) -> Trial | None:
        """What will run first; None where nothing is left to run. Asking is what books the runs that the store holds already."""
        while (trial := self._next()) is None and self.shared.waiting:
            self.check()
            time.sleep(LOOK)
        if trial is not None:
            self._again.append(trial)
        return trial

    def ask(self, key: str) -> Trial | None:
        """The trial that starts now under Tune's name `key`; None where there is none now."""
        with self._remembered():
            self.check()
            trial = self._next()
        if trial is not None:
            self.running[key] = trial
        return trial

    def check(self) -> None:
        """KeyboardInterrupt after Ctrl-C; LeaseLostError where this sweep or one of its runs is another process's now."""
        self.interrupts.check()
        self.guard()
        self.shared.check()

    def _next(self) -> Trial | None:
        trial = self._again.pop(0) if self._again else self._given_back() or self._fresh()
        if trial is None and not (self.running or self.shared.waiting) and not self.agenda.finished:
            raise ClefRayError("nothing runs and the study names no next run: it would wait for ever")
        return trial

    def _fresh(self) -> Trial | None:
        """The agenda's next trial, but for those that another process is at work on."""
        while (trial := self.agenda.next()) is not None:
            if self.shared.take(trial) and not self._finished_elsewhere(trial):
                return trial
        return None

    def _given_back(self) -> Trial | None:
        """A trial that another process was at work on and has left unfinished; those that it has finished are booked."""
        return next((t for t in self.shared.given_back() if not self._finished_elsewhere(t)), None)

    def _finished_elsewhere(self, trial: Trial) -> bool:
        """Whether the store holds the trial after all: then it is booked, as one that nobody here has started."""
        outcome = self.known(trial)
        if outcome is None:
            return False
        self.shared.give(trial)
        self.ended[trial.run.fingerprint()] = outcome
        self._tell_end(outcome)
        return True

    @property
    def finished(self) -> bool:
        """Whether nothing will start any more."""
        return self.agenda.finished and not (self._again or self.running or self.shared.waiting)

    def begin(self, key: str) -> None:
        self._begun[key] = time.perf_counter()
        with self._remembered():
            for watcher in self.watchers:
                watcher.start(self.running[key])

    def epoch(self, key: str, result: Mapping[str, Any]) -> bool:
        """Tell an epoch's metrics; whether the trial is to be stopped."""
        with self._remembered():
            self.check()
        trial = self.running[key]
        if "evaluate_seconds" in result:
            self._seconds[key] = float(result["evaluate_seconds"])
        if "epoch" not in result:
            return False
        metrics = {name: float(value) for name, value in result.items() if name.startswith(_EPOCH)}
        with self._remembered():
            for watcher in self.watchers:
                watcher.epoch(trial, metrics)
            reason = self.agenda.epoch(trial, metrics)
        if reason:
            self._stopped[key] = reason
        return bool(reason)

    def complete(self, key: str) -> None:
        """Tune says that the trial has come to its end."""
        if key not in self.running:  # tried again under another name
            return
        trial = self.running[key]
        if reason := self._stopped.get(key):
            history = history_so_far(run_store(self.storage, trial.run))
            seconds = {"pretrain": sum(epoch["seconds"] for epoch in history)}
            self._end(key, Outcome(trial, "PRUNED", history=history, seconds=seconds, reason=reason))
            return
        outcome = self.known(trial)
        if outcome is None:
            self.fail(key, "ended without a result")
            return
        evaluated = outcome.seconds.get("evaluate", 0.0) + self._seconds.get(key, 0.0)
        self._end(key, replace(outcome, seconds={**outcome.seconds, "evaluate": evaluated}))

    def fail(self, key: str, reason: str) -> None:
        """The trial broke off: tried again, or reported."""
        trial = self.running[key]
        name, _, text = reason.removeprefix("clef_ray.errors.").partition(": ")
        ours = reason.startswith("clef_ray.errors.")
        lost = not (ours and name in _FINAL)
        mark = trial.run.fingerprint()
        self._tries[mark] += 1
        if lost and self._tries[mark] <= self.retries:
            self._spend(key)
            del self.running[key]
            self._again.append(trial)
            return
        told = text if ours else reason
        self._end(key, Outcome(trial, "FAILED", reason=told, lost=lost))
        if ours and name == "StorageError":  # every other run would meet it too
            with self._remembered():
                raise StorageError(f"{told}. What is finished is kept: the same command goes on.")

    def _spend(self, key: str) -> float:
        """Seconds that this run has taken in this process, all tries together."""
        mark = self.running[key].run.fingerprint()
        self._wall[mark] += time.perf_counter() - self._begun[key]
        return self._wall[mark]

    def _end(self, key: str, outcome: Outcome) -> None:
        mark, before = outcome.trial.run.fingerprint(), outcome.seconds.get("wall", 0.0)
        seconds = {**outcome.seconds, "wall": before + self._spend(key)}
        outcome = replace(outcome, seconds=seconds)
        del self.running[key]
        self.ended[mark] = outcome
        with self._remembered():
            if outcome.state != "FAILED":
                keep_seconds(run_store(self.storage, outcome.trial.run), seconds)
            self.shared.give(outcome.trial)
            self._tell_end(outcome)

    def _tell_end(self, outcome: Outcome) -> None:
        self.agenda.end(outcome)
        for watcher in self.watchers:
            watcher.end(outcome)

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        """Tune hands an error of its callbacks on as text only; the caller wants the error."""
        try:
            yield
        except ClefRayError as error:
            self.error = error
            raise


class _Unpickled:
    """Tune pickles what it is given, to go on by itself one day; nothing of a sweep is in there: the store and the study are the truth."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Asker(_Unpickled, Searcher):  # type: ignore[misc]
    """Tune's searcher: hands on what the bridge's agenda names."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self.bridge = bridge

    def suggest(self, trial_id: str) -> Any:
        trial = self.bridge.ask(trial_id)
        if trial is not None:
            return {"run": trial.run}
        return Searcher.FINISHED if self.bridge.finished else None

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None: ...

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...


class Judge(_Unpickled, FIFOScheduler):  # type: ignore[misc]
    """Tune's scheduler: passes every epoch on and stops what the agenda wants stopped."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self.bridge = bridge

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        # the last result is handed over twice, the second time marked as done
        if not result.get("done") and self.bridge.epoch(trial.trial_id, result):
            return str(FIFOScheduler.STOP)
        return str(FIFOScheduler.CONTINUE)


class Ends(_Unpickled, tune.Callback):  # type: ignore[misc]
    """Tune's callback: beginnings and ends."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self.bridge.begin(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self.bridge.complete(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self.bridge.fail(trial.trial_id, _cause(trial))


def _cause(trial: Any) -> str:
    """The last line of a failed trial's traceback: the error itself."""
    path = Path(trial.error_file or "")
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    return next((line for line in reversed(lines) if line), "failed without a message")
