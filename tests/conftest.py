"""What tests share: real ECGs where there are any, one local Ray, one pool of two processes for everything distributed."""

import multiprocessing
import os
import pickle
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parent.parent

#: Seconds a function may take in the pool before the test fails.
POOL_TIMEOUT = 120.0

# More threads than cores make every small matrix product slower; a test's figures must not depend on the machine.
torch.set_num_threads(min(2, os.cpu_count() or 1))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device; torch sees none")


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real ECGs: CLEF_RAY_REALDATA, or ../shared/data beside the project."""
    named = os.environ.get("CLEF_RAY_REALDATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real ECGs: {folder} is not a folder; set CLEF_RAY_REALDATA")
    return folder


@pytest.fixture(scope="session")
def local_ray() -> Iterator[str]:
    """One real Ray with two CPUs for the whole run, started when the first test asks; the value is its dashboard's URL."""
    from clef_ray.cluster.session import session

    with session(num_cpus=2) as dashboard:
        yield dashboard


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


@pytest.fixture(scope="session")
def gloo_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlooPair]:
    """`gloo_pair.run(function, *args)` -> both ranks' results; torch.distributed is initialised there, never in the test's process."""
    pair = GlooPair(tmp_path_factory.mktemp("gloo"))
    yield pair
    pair.close()
