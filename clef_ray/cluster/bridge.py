"""Tune's callbacks, told to whoever watches a sweep; and Ctrl-C, which must never be lost."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ray import tune

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.errors import ClefRayError
from clef_ray.trial import load_outcome

#: What an epoch reports beside its losses.
_EPOCH = ("epoch", "lr", "records_per_second", "seconds")


class Watcher(Protocol):
    """Told about the sweep as it goes, in the driver's process (tracker, progress display)."""

    def start(self, trial: Trial) -> None: ...

    def epoch(self, trial: Trial, metrics: Mapping[str, float]) -> None: ...

    def end(self, outcome: Outcome) -> None: ...


class Bridge(tune.Callback):  # type: ignore[misc]
    """Tune's callbacks, told to the watchers. Holds nothing that is pickled with Tune's own state."""

    def __init__(
        self, plan: Plan, trials: Sequence[Trial], storage: str, watchers: Sequence[Watcher]
    ) -> None:
        self.plan, self.trials, self.storage, self.watchers = plan, trials, storage, watchers
        self.started: dict[int, float] = {}
        self.seconds: dict[int, dict[str, float]] = {}
        self.failed: dict[int, str] = {}
        self.error: ClefRayError | None = None
        self.interrupted = False

    def stop_if_interrupted(self) -> None:
        if self.interrupted:
            raise KeyboardInterrupt

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except ClefRayError as error:
            self.error = error
            raise

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        number = trial.config["trial"]
        self.started[number] = time.perf_counter()
        with self._remembered():
            for watcher in self.watchers:
                watcher.start(self.trials[number])

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Mapping[str, Any], **info: Any
    ) -> None:
        self.stop_if_interrupted()
        number = trial.config["trial"]
        if "evaluate_seconds" in result:
            self.seconds[number] = {"evaluate": float(result["evaluate_seconds"])}
        if "epoch" in result:
            metrics = {k: float(v) for k, v in result.items() if k in _EPOCH or k.startswith("loss")}
            with self._remembered():
                for watcher in self.watchers:
                    watcher.epoch(self.trials[number], metrics)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        number = trial.config["trial"]
        outcome = load_outcome(self.trials[number], self.plan.tasks, self.plan.data, self.storage)
        if outcome is None:
            self._fail(number, "ended without a result")
            return
        wall = time.perf_counter() - self.started[number]
        seconds = {**outcome.seconds, **self.seconds.get(number, {}), "wall": wall}
        self.seconds[number] = seconds
        self._end(replace(outcome, seconds=seconds))

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._fail(trial.config["trial"], _cause(trial))

    def _fail(self, number: int, reason: str) -> None:
        self.failed[number] = reason
        self._end(Outcome(self.trials[number], "FAILED", reason=reason))

    def _end(self, outcome: Outcome) -> None:
        with self._remembered():
            for watcher in self.watchers:
                watcher.end(outcome)


def _cause(trial: Any) -> str:
    """The last line of a failed trial's traceback: the error itself."""
    path = Path(trial.error_file or "")
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    return next((line for line in reversed(lines) if line), "failed without a message")


@contextmanager
def interruptible(bridge: Bridge) -> Iterator[None]:
    """Ctrl-C is remembered: the exception alone is lost where it strikes inside a destructor or a callback from C."""

    def remember(number: int, frame: Any) -> None:
        bridge.interrupted = True
        signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
