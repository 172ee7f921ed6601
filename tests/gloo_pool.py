"""Two processes in one gloo group, for everything that is tested on several workers. A module of its own: spawned processes import it."""

import multiprocessing
import os
import pickle
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

#: Seconds a function may take in the pool before the test fails.
POOL_TIMEOUT = 120.0


class GlooPair:
    """Two processes in one gloo group that call module-level functions, for as many tests as like."""

    def __init__(self, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        pairs = [context.Pipe() for _ in range(2)]
        rendezvous = f"file://{folder / 'rendezvous'}"
        self._pipes = [here for here, _ in pairs]
        self._processes = [
            context.Process(target=_serve, args=(rank, there, rendezvous), daemon=True)
            for rank, (_, there) in enumerate(pairs)
        ]
        for process in self._processes:
            process.start()

    def run(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """`function(*args)` in both processes at once: [rank 0's result, rank 1's]. A failure fails the test with the traceback."""
        request = pickle.dumps((function, args))
        for pipe in self._pipes:
            pipe.send_bytes(request)
        answers = []
        for rank, pipe in enumerate(self._pipes):
            if not pipe.poll(POOL_TIMEOUT):
                pytest.fail(f"rank {rank} did not answer within {POOL_TIMEOUT:.0f} s")
            answers.append(pickle.loads(pipe.recv_bytes()))
        failures = [f"rank {rank}:\n{value}" for rank, (good, value) in enumerate(answers) if not good]
        if failures:
            pytest.fail("\n".join(failures))
        return [value for _, value in answers]

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.kill()
            process.join()


def _serve(rank: int, pipe: Connection, rendezvous: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ.get("GLOO_SOCKET_IFNAME", _loopback_interface())
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=rendezvous, rank=rank, world_size=2, timeout=timedelta(seconds=POOL_TIMEOUT)
    )
    while True:
        try:
            function, args = pickle.loads(pipe.recv_bytes())
        except EOFError:  # the test run has ended
            return
        try:
            answer = (True, function(*args))
        except Exception:  # noqa: BLE001  # whatever it was, the test that asked shows it
            answer = (False, traceback.format_exc())
        pipe.send_bytes(pickle.dumps(answer))


def _loopback_interface() -> str:
    return "lo0" if os.uname().sysname == "Darwin" else "lo"
