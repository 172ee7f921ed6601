"""Runs that two sweeps have in common, at the same time and on one storage: one of them trains, the other one waits for the result."""

import math
import time
from collections.abc import Callable, Iterator

from clef_ray.ablation import Trial
from clef_ray.lease import Leases

#: Seconds between two looks at the runs that another process is at work on.
LOOK = 2.0


class Shared:
    """Who trains what. leases: of this process; say: told what is waited for."""

    def __init__(self, leases: Leases, say: Callable[[str], None]) -> None:
        self._leases, self._say = leases, say
        self._waiting: dict[str, Trial] = {}
        self._looked = -math.inf

    @property
    def waiting(self) -> bool:
        """Whether another process is at work on a run that is needed here."""
        return bool(self._waiting)

    def take(self, trial: Trial) -> bool:
        """Whether the run is this process's to train now; else it is waited for."""
        if (other := self._leases.take(_name(trial))) is None:
            return True
        self._say(f"{trial.arm.name} seed {trial.seed} is being trained by {other}: its result will be used")
        self._waiting[trial.run.fingerprint()] = trial
        return False

    def given_back(self) -> Iterator[Trial]:
        """Those that were waited for and are this process's now: finished, or left unfinished by a process that stopped or died."""
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        for mark, trial in tuple(self._waiting.items()):
            if self._leases.take(_name(trial)) is None:
                del self._waiting[mark]
                yield trial

    def give(self, trial: Trial) -> None:
        """The run is free for others."""
        self._leases.give(_name(trial))

    def check(self) -> None:
        """LeaseLostError where another process has taken over a run that is being trained here."""
        self._leases.check()


def _name(trial: Trial) -> str:
    return f"run-{trial.run.fingerprint()}"
