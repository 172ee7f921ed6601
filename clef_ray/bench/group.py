"""Workers without a cluster: processes of this machine that talk to each other by gloo over the loopback interface."""

import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from typing import Any

import torch
import torch.distributed as dist

#: Seconds that one of them waits for the others before it gives up.
PATIENCE = 300.0


def together(workers: int, task: Callable[..., Any], *arguments: object) -> list[Any]:
    """`task(rank, workers, *arguments)` in so many new processes at once, of one thread each: the results by rank.

    task: a module's own function. What one of them raises is raised here.
    """
    with tempfile.TemporaryDirectory(prefix="clef-ray-group-") as folder:
        place = f"file://{folder}/meet"
        start = get_context("forkserver")  # imports once what all of them need
        start.set_forkserver_preload(["clef_ray.trial"])
        with ProcessPoolExecutor(workers, mp_context=start) as pool:
            # none takes a second task: each waits for all the others first
            members = [pool.submit(_member, r, workers, place, task, arguments) for r in range(workers)]
            return [member.result() for member in members]


def _member(
    rank: int, workers: int, place: str, task: Callable[..., Any], arguments: tuple[object, ...]
) -> Any:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    torch.set_num_threads(1)
    wait = timedelta(seconds=PATIENCE)
    dist.init_process_group("gloo", init_method=place, rank=rank, world_size=workers, timeout=wait)
    try:
        return task(rank, workers, *arguments)
    finally:
        dist.destroy_process_group()
