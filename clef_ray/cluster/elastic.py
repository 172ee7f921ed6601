"""A group of workers on what is left of a cluster: where a lost node does not come back, its training goes on with fewer.

The result does not depend on their number (train/plan.py, distributed.py), so that a training may begin with some and end with others. Ray
Train can resize a group by itself (`num_workers=(least, most)`), but to any number, where a batch can be shared evenly by some numbers only,
and without regard to what other trials hold; so the number is chosen here, at each start of a group. It does not grow again before the next.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

import ray
from ray.util.placement_group import placement_group, remove_placement_group

from clef_ray.cluster.capacity import Request
from clef_ray.config import Run
from clef_ray.registry import METHODS

#: Seconds to wait for the place of all workers: a machine that replaces a lost one takes some minutes to start.
PATIENCE = 300.0

#: Seconds in which a cluster that has the room for fewer gives it.
AT_ONCE = 5.0

_log = logging.getLogger("clef_ray.cluster")


def attainable(run: Run, request: Request) -> Request:
    """The request, where its workers find a place within PATIENCE; else with as many as find one and can share the batch evenly.

    The batch stays: fewer workers have larger shares, which they encode in the pieces that were the shares before (train/pieces.py), so
    that they need no more memory. Where there is no place for one worker either, the request as it is: Ray says so after a while.
    """
    if _placed(request, PATIENCE):
        return request
    workers = most(run, request, lambda smaller: _placed(smaller, AT_ONCE))
    if workers is None:
        return request
    _log.warning(
        "run %s: there is no place for %d workers; it goes on with %d, with the same batches",
        run.fingerprint(),
        request.workers_per_trial,
        workers,
    )
    return _of(run, request, workers)


def most(run: Run, request: Request, fits: Callable[[Request], bool]) -> int | None:
    """The largest number of workers, below the request's, that shares the run's batch evenly and fits; None where not even one does."""
    lots = run.optimiser.batch
    if getattr(METHODS.get(run.method.name), "pairs_records", False):
        lots //= 2  # a pair of records stays together
    fewer = (w for w in range(request.workers_per_trial - 1, 0, -1) if lots % w == 0)
    return next((w for w in fewer if fits(_of(run, request, w))), None)


def _of(run: Run, request: Request, workers: int) -> Request:
    piece = request.micro_batch or run.optimiser.batch // request.workers_per_trial
    return replace(request, workers_per_trial=workers, micro_batch=piece)


def _placed(request: Request, seconds: float) -> bool:
    """Whether the running cluster has the workers' place within so many seconds; asking also makes a cluster grow that can."""
    group = placement_group([request.worker_resources()] * request.workers_per_trial)
    try:
        return bool(ray.wait([group.ready()], timeout=seconds)[0])
    finally:
        remove_placement_group(group)
