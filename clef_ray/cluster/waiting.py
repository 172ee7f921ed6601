"""On a cluster that grows: nodes are asked for before the first trial starts, and waited for no longer than a node may take."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray import tune
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from clef_ray.cluster.bridge import Bridge
from clef_ray.cluster.capacity import DRIVER_CPUS, Request, check
from clef_ray.errors import CapacityError

#: Seconds without a new node, or without a trial that runs, after which no more is waited for. Ray's autoscaler gives a node that long
#: to start (AUTOSCALER_NODE_START_WAIT_S).
PATIENCE = 900.0

#: Seconds in which a cluster that has the room gives it.
AT_ONCE = 5.0

#: What to look at when no node comes.
ADVICE = "`ray status` on the head tells what the autoscaler tries; a quota, or no spot machines at the moment, are the usual reasons"


def ready(request: Request, say: Callable[[str], None]) -> int:
    """How many trials may run at once, when at least one can start now.

    A trial of one worker that finds no node waits in Tune and thereby brings one, so one place is enough to begin. The workers of a trial
    of several wait inside it, for a minute, and then it fails: nodes for as many as may run are brought up first, and what has
    come when no more come is what counts.
    Raises CapacityError where one trial can never fit, and where no node came.
    """
    most = check(request).concurrent
    wanted = most if request.workers_per_trial > 1 else 1
    groups = [placement_group(_bundles(request)) for _ in range(wanted)]
    try:
        come = _await(groups, say, request)
    finally:
        for group in groups:
            remove_placement_group(group)
    if come == 0:
        raise CapacityError(
            f"one trial needs {request}; the cluster may grow to that, but no node came in {PATIENCE:.0f} s: {ADVICE}. "
            "The same command goes on later."
        )
    return most if request.workers_per_trial == 1 else come


def _bundles(request: Request) -> list[dict[str, float]]:
    workers = [request.worker_resources()] * request.workers_per_trial
    return workers if request.workers_per_trial == 1 else [*workers, {"CPU": DRIVER_CPUS}]


def _await(groups: Sequence[PlacementGroup], say: Callable[[str], None], request: Request) -> int:
    """How many groups have got their place when all have, or when PATIENCE has passed since the last one."""
    left = {group.ready(): group for group in groups}
    patience = AT_ONCE
    while left:
        got, _ = ray.wait(list(left), num_returns=1, timeout=patience)
        for ref in got:
            del left[ref]
        if not got and patience == PATIENCE:
            break
        if not got:
            say(f"nodes: {len(left)} of {len(groups)} trials wait for some ({request})")
            patience = PATIENCE
    return len(groups) - len(left)


class Patience(tune.Callback):  # type: ignore[misc]
    """Tune's callback that ends a sweep none of whose trials gets a place: Tune itself would wait for ever, without a word."""

    def __init__(self, bridge: Bridge, now: Callable[[], float] = time.monotonic) -> None:
        self._bridge, self._now = bridge, now
        self._since: float | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_end(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:  # noqa: ARG002 - Tune's signature
        """CapacityError where trials wait and none has run for PATIENCE."""
        states = {trial.status for trial in trials}
        if "RUNNING" in states or "PENDING" not in states:
            self._since = None
            return
        self._since = self._since if self._since is not None else self._now()
        if self._now() - self._since > PATIENCE:
            error = CapacityError(
                f"no trial got its resources for {PATIENCE:.0f} s: {ADVICE}. What is finished is kept: the same command goes on."
            )
            self._bridge.error = error  # Tune hands errors of its callbacks on as text only
            raise error
