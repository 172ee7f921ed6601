"""How speed is measured: the sides of a comparison take turns in one process, and what counts is the ratio of their medians.

Seconds of two different runs cannot be compared on a machine that does other work too; a ratio of turns taken seconds apart can.
"""

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import pyarrow as pa
import torch

_PACKAGES = ("clef-ray", "torch", "ray", "pyarrow", "numpy", "scipy", "wfdb")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    ours, plain, limit: in `unit`. ratio: how many times better than `plain` ours is, with the lowest and highest of the single rounds.
    target: as text; met: whether it is reached, None without a target. note: what was compared.
    """

    name: str
    unit: str
    ours: float
    plain: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    limit: float | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""


def interleaved(sides: Mapping[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Items per second of each side in each round; within a round the sides take turns (A B A B ...).

    A side does its work and returns how many items that were. Each runs once beforehand, unmeasured.
    """
    for side in sides.values():
        side()
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            begin = time.perf_counter()
            items = side()
            rates[name].append(items / (time.perf_counter() - begin))
    return rates


def faster(
    name: str,
    note: str,
    rates: Mapping[str, list[float]],
    ours: str = "ours",
    limit: str = "limit",
    at_least: float | None = None,
) -> Figure:
    """The side `ours` of `interleaved`, in pairs per second, against its side `plain`, with the side `limit` beside it."""
    ratio = median(rates[ours]) / median(rates["plain"])
    single = [a / b for a, b in zip(rates[ours], rates["plain"], strict=True)]
    return Figure(
        name=name,
        unit="pairs/s",
        ours=median(rates[ours]),
        plain=median(rates["plain"]),
        ratio=ratio,
        spread=(min(single), max(single)),
        limit=median(rates[limit]),
        target="" if at_least is None else f">= {at_least:g}x",
        met=None if at_least is None else ratio >= at_least,
        note=note,
    )


def in_seconds(rounds: Sequence[tuple[float, float]]) -> Figure:
    """Seconds of (ours, plain), a pair per round, as a figure without a name and a target: medians, their ratio, and its spread."""
    ours, plain = (median(side) for side in zip(*rounds, strict=True))
    single = [b / a for a, b in rounds]
    return Figure("", "s", ours, plain=plain, ratio=plain / ours, spread=(min(single), max(single)))


def cores() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def threads(count: int) -> Iterator[None]:
    """`count` threads for torch and Arrow; as before afterwards."""
    before = torch.get_num_threads(), pa.cpu_count(), pa.io_thread_count()
    _set_threads(count, count, count)
    try:
        yield
    finally:
        _set_threads(*before)


def on(count: int, side: Callable[[], int]) -> Callable[[], int]:
    """The side on `count` threads."""

    def turn() -> int:
        with threads(count):
            return side()

    return turn


def _set_threads(torch_threads: int, arrow: int, arrow_io: int) -> None:
    torch.set_num_threads(torch_threads)
    pa.set_cpu_count(arrow)
    pa.set_io_thread_count(arrow_io)


def in_process(measure: Callable[..., int], *arguments: object) -> int:
    """What `measure` returns in a process of its own, which has no memory of earlier figures."""
    with get_context("spawn").Pool(1) as alone:
        return alone.apply(measure, arguments)


def added_memory(call: Callable[[], object]) -> int:
    """Bytes by which a call raises the process's resident size at its largest."""
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        forget.write_text("5")  # Linux: the largest size so far begins anew at the present one
    before = _peak()
    call()
    return _peak() - before


def _peak() -> int:
    """The largest resident size so far. Linux's ru_maxrss would be the parent's: it survives the start of a program."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def machine() -> dict[str, str]:
    """Where and with what the figures were measured; load: processes that wanted a core in the last minute, ours or not."""
    return {
        "cpu": _cpu_model(),
        "cores": str(cores()),
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        "torch threads": str(torch.get_num_threads()),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def _cpu_model() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
