"""What a process spends in collectives: which, how many bytes it receives by them, and how long it is in them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Call:
    """name: gather or sum; received: bytes from other workers; seconds: in the call, waiting for the others included."""

    name: str
    received: int
    seconds: float


@contextmanager
def noted(calls: list[Call]) -> Iterator[None]:
    """Every collective of clef_ray/distributed.py is appended to `calls` while this lasts."""
    workers, gather, total = dist.get_world_size(), dist.all_gather, dist.all_reduce

    def timed(name: str, received: int, call: Callable[..., Any], *arguments: Any) -> None:
        begin = time.perf_counter()
        call(*arguments)
        calls.append(Call(name, received, time.perf_counter() - begin))

    def all_gather(parts: list[Tensor], own: Tensor) -> None:
        timed("gather", _bytes(own) * (workers - 1), gather, parts, own)

    def all_reduce(values: Tensor) -> None:
        timed("sum", 2 * _bytes(values) * (workers - 1) // workers, total, values)

    with mock.patch.multiple(dist, all_gather=all_gather, all_reduce=all_reduce):
        yield


def transfer(by_rank: Sequence[Sequence[Call]]) -> tuple[float, float]:
    """Seconds of a step's collectives: moving data (the time of the worker that comes last to each, who waits for nobody), and waiting for
    others (the mean over the workers of what they are in there beyond it).
    """
    moving = waiting = 0.0
    for same in zip(*by_rank, strict=True):
        least = min(call.seconds for call in same)
        moving += least
        waiting += sum(call.seconds - least for call in same) / len(same)
    return moving, waiting


def _bytes(values: Tensor) -> int:
    return values.numel() * values.element_size()
