"""Those who decide what a sweep runs, and those who watch it. All of them are called in the driver's process only."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from clef_ray.ablation import Outcome, Trial


class Agenda(Protocol):
    """What is to be run. Called in the driver's process only."""

    def next(self) -> Trial | None:
        """A trial to start now; None where none can be started before another ends."""

    @property
    def finished(self) -> bool:
        """Whether `next` will never name another."""

    def epoch(self, trial: Trial, metrics: Mapping[str, float]) -> str | None:
        """An epoch's metrics; the reason where the trial is to be stopped."""

    def end(self, outcome: Outcome) -> None:
        """How a trial ended."""


class Watcher(Protocol):
    """Told about the sweep as it goes, in the driver's process (tracker, progress display)."""

    def start(self, trial: Trial) -> None: ...

    def epoch(self, trial: Trial, metrics: Mapping[str, float]) -> None: ...

    def end(self, outcome: Outcome) -> None: ...


class List:
    """The agenda of a fixed list: each trial once, none stopped."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._left = list(trials)

    def next(self) -> Trial | None:
        return self._left.pop(0) if self._left else None

    @property
    def finished(self) -> bool:
        return not self._left

    def epoch(self, trial: Trial, metrics: Mapping[str, float]) -> str | None: ...

    def end(self, outcome: Outcome) -> None: ...
