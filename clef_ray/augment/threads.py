"""Threads for work that is cut into pieces: each piece stays on one core, where torch would spread every single operation over all."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache

import torch


def in_threads(make: Callable[[int], None], pieces: range) -> None:
    """Calls `make` for every piece, in as many threads as torch has for the calling one, which is one of them and works too: where the
    other cores are busy, it makes most pieces. What goes wrong in a piece is raised here, once no thread works any more.
    """
    threads, left = torch.get_num_threads(), iter(pieces)

    def work() -> None:
        for piece in left:  # each goes to the thread that asks first
            make(piece)

    if min(threads, len(pieces)) < 2:
        work()
        return
    torch.set_num_threads(1)  # of this thread; a torch thread of its own for each piece is all there is
    others = [_pool(os.getpid()).submit(work) for _ in range(min(threads, len(pieces)) - 1)]
    try:
        work()
    finally:
        wait(others)
        torch.set_num_threads(threads)
    for other in others:
        other.result()


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 - of a forked process's parent, no threads are there
    """Threads that are made when they are first needed, and in each of which torch has one thread."""
    return ThreadPoolExecutor(os.cpu_count(), "views", initializer=torch.set_num_threads, initargs=(1,))
