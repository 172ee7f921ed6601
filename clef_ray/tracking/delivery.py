"""Delivery in the background: a sweep never waits for its tracking store, and what the store could not take is kept until it can.

One thread and one queue, so the record is written in the order in which things happened. The time of a call is fixed when it is queued and
after a failure the tracker reads what has arrived; so a call that is delivered twice leaves one record.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.errors import TrackingError
from clef_ray.tracking import Summary, Tracker, UnreachableError
from clef_ray.tracking.machine import Sampler

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0  # seconds between two attempts
_PATIENCE = 120.0  # seconds without an answer after which the end of a sweep stops waiting
_PATIENCE_INTERRUPTED = 10.0  # the same after Ctrl-C


@dataclass(frozen=True, eq=False)
class _Epoch:
    """A queued epoch; those of one trial that wait together are delivered together."""

    trial: Trial
    row: Mapping[str, float]
    at: int

    def beside(self, other: "_Epoch") -> bool:
        return (self.trial.arm.name, self.trial.seed) == (other.trial.arm.name, other.trial.seed)


_Call = Callable[[], None]


class Delivered:
    """A `Tracker` whose calls return at once; another one makes them later.

    tell: given one sentence when the store stops answering and one when it answers again. patience: seconds without any answer after
    which close_ablation gives up. open_ablation alone is done at once, so that a store that is away stops a sweep before any work. An
    error other than UnreachableError is raised by the next call.
    """

    def __init__(self, tracker: Tracker, tell: Callable[[str], None], patience: float = _PATIENCE) -> None:
        self._tracker, self._tell, self._patience = tracker, tell, patience
        self._calls: list[_Epoch | _Call] = []
        self._changed = threading.Condition()
        self._away: float | None = None  # since when, by the monotonic clock
        self._error: TrackingError | None = None
        self._thread: threading.Thread | None = None
        self._sampler = Sampler(self._sample)

    def open_ablation(self, plan: Plan, lineage: Mapping[str, str]) -> None:
        self._tracker.open_ablation(plan, lineage)
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()
        self._sampler.start()

    def open_trial(self, trial: Trial, at: int | None = None) -> None:
        self._put(partial(self._tracker.open_trial, trial, _or_now(at)))

    def log_epochs(
        self, trial: Trial, rows: Sequence[Mapping[str, float]], at: Sequence[int] | None = None
    ) -> None:
        times = at or [_or_now(None)] * len(rows)
        self._put(*(_Epoch(trial, row, when) for row, when in zip(rows, times, strict=True)))

    def close_trial(self, outcome: Outcome, at: int | None = None) -> None:
        self._put(partial(self._tracker.close_trial, outcome, _or_now(at)))

    def log_machine(self, metrics: Mapping[str, float], at: int) -> None:
        self._put(partial(self._tracker.log_machine, metrics, at))

    def close_ablation(self, comparison: Summary, files: Mapping[str, str]) -> None:
        """As `Tracker`, and wait until everything is delivered. UnreachableError where the store stays away for `patience` seconds."""
        self._sampler.stop()
        self._put(partial(self._tracker.close_ablation, comparison, files))
        self._finish(self._patience)

    def interrupt(self) -> None:
        """As `Tracker`, for at most some seconds: where the store is away it says so instead of raising, not to hide what ended the sweep."""
        self._sampler.stop()
        if self._thread is None:
            return
        try:
            self._put(self._tracker.interrupt)
            self._finish(_PATIENCE_INTERRUPTED)
        except TrackingError as error:
            self._tell(str(error))

    def recover(self) -> None:
        self._put(self._tracker.recover)

    def _sample(self, metrics: Mapping[str, float]) -> None:
        self._add(partial(self._tracker.log_machine, metrics, _or_now(None)))

    def _put(self, *calls: "_Epoch | _Call") -> None:
        self._check()
        self._add(*calls)

    def _add(self, *calls: "_Epoch | _Call") -> None:
        with self._changed:
            self._calls += calls
            self._changed.notify_all()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._thread is None or not self._thread.is_alive():
            raise RuntimeError("nothing is delivered: before open_ablation, after the end, or after a defect")

    def _finish(self, patience: float) -> None:
        """Wait until the queue is empty, then end the thread."""
        thread, begin = self._thread, time.monotonic()
        assert thread is not None, "_put has checked it"
        try:
            with self._changed:
                while self._calls and thread.is_alive():
                    if self._away is not None and time.monotonic() - max(begin, self._away) > patience:
                        raise UnreachableError(
                            f"the tracking store has not answered for {patience:.0f} s; {len(self._calls)} entries are not "
                            "recorded there. Nothing is lost: the results lie in the storage, and the same command again "
                            "trains nothing and records them"
                        )
                    self._changed.wait(0.2)
            if self._calls:
                self._check()
        finally:
            with self._changed:
                self._calls, self._thread, self._away = [], None, None
                self._changed.notify_all()

    def _work(self) -> None:
        """The thread: deliver from the head of the queue until the ablation ends."""
        own = threading.current_thread()
        try:
            while calls := self._next(own):
                self._deliver(own, calls)
                with self._changed:
                    self._calls = [call for call in self._calls if call not in calls]
                    self._changed.notify_all()
        except TrackingError as error:
            self._error = error

    def _next(self, own: threading.Thread) -> list["_Epoch | _Call"]:
        """The head of the queue, with the epochs of its trial that wait behind it; nothing when the ablation ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._thread is not own)
            if self._thread is not own:
                return []
            head = self._calls[0]
            if not isinstance(head, _Epoch):
                return [head]
            waiting = takewhile(lambda call: isinstance(call, _Epoch), self._calls)
            return [call for call in waiting if isinstance(call, _Epoch) and call.beside(head)]

    def _deliver(self, own: threading.Thread, calls: list["_Epoch | _Call"]) -> None:
        call, pause = self._as_one(calls), _FIRST_PAUSE
        while self._thread is own:
            try:
                if self._away is not None:
                    self._tracker.recover()
                call()
            except UnreachableError as error:
                self._missed(error)
                with self._changed:
                    self._changed.wait_for(lambda: self._thread is not own, pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                if self._away is not None:
                    self._away = None
                    self._tell("MLflow answers again: what was kept is being delivered")
                return

    def _as_one(self, calls: list["_Epoch | _Call"]) -> _Call:
        epochs = [call for call in calls if isinstance(call, _Epoch)]
        if epochs:
            rows, times = [epoch.row for epoch in epochs], [epoch.at for epoch in epochs]
            return partial(self._tracker.log_epochs, epochs[0].trial, rows, times)
        (call,) = calls
        assert not isinstance(call, _Epoch)
        return call

    def _missed(self, error: UnreachableError) -> None:
        if self._away is None:
            self._away = time.monotonic()
            self._tell(f"MLflow does not answer; results are kept and delivered when it is back ({error})")


def _or_now(at: int | None) -> int:
    return int(time.time() * 1000) if at is None else at
