"""Many workers: the training step of size S on 1, 2 and 4 processes of this machine, and what the model of it says (scaling_model.py).

The global batch is the same for all. The model's parameters come from one worker (encoding, loss, what does not depend on the batch) and from
bare collectives of two; the steps of several workers are then predicted, and continued to 64 GPUs for all three sizes on assumed hardware.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from clef_ray.bench.collectives import Call, noted, transfer
from clef_ray.bench.group import together
from clef_ray.bench.loss import Case
from clef_ray.bench.measure import Figure, cores
from clef_ray.bench.scaling_model import (
    ASSUMED,
    Assumed,
    Hardware,
    Job,
    efficiency,
    falls_below,
    gathered_bytes,
    products,
    step,
)
from clef_ray.config import Run, override
from clef_ray.datasets import LEADS
from clef_ray.shards import Stored
from clef_ray.store import Store
from clef_ray.train.feed import ResidentFeed
from clef_ray.train.loop import Trainer
from clef_ray.train.plan import ReadPlan
from clef_ray.train.subjects import Subjects

#: Of a record, two views of one lead at 500 Hz for 10 s, forward and backward, counted by torch's FlopCounterMode: operations, beside
#: parameters and dimensions.
SIZES = {"S": (6.30e8, 443_184, 256), "M": (3.97e10, 30_587_632, 1024), "L": (2.31e11, 296_301_312, 2048)}

#: Of the table: batches that leave each of 64 workers 8 and 64 records; how many GPUs.
BATCHES, GPUS = (512, 4096), (2, 8, 16, 32, 64)

FS = 100


@dataclass(frozen=True)
class Sizes:
    """batch: of all workers together; steps: timed, after one that is not; workers: how many, ascending; late: seconds of the straggler."""

    batch: int
    steps: int
    workers: tuple[int, ...]
    late: float = 0.1


@dataclass
class _Here:
    """A worker as the loop sees it (distributed.Context)."""

    rank: int
    world_size: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    store: Store = field(default_factory=lambda: Store("unused"))

    def report(self, metrics: Any) -> None: ...


@dataclass(frozen=True)
class Measured:
    """Of one worker, each timed step: its seconds and its collectives."""

    seconds: Sequence[float]
    calls: Sequence[Sequence[Call]]


def trainer(rank: int, workers: int, batch: int) -> Trainer:
    """The project's trainer on noise, one batch to an epoch; the same on every worker."""
    rng, rows = np.random.default_rng(0), np.arange(batch)
    run = override(Run(), {"signals.fs": FS, "optimiser.batch": batch, "optimiser.epochs": 2}).canonical()
    signals = Stored.of_millivolts(rng.normal(size=(batch, 2, 10 * FS)).astype(np.float32))
    people = Subjects(rows // 2, rng.uniform(1, 20, (batch, 1)), rng.choice([0.4, 0.8, 1.0], batch))
    plan = ReadPlan(rows, np.zeros(batch, dtype=np.int64), batch, seed=0)
    return Trainer(run, people, plan, ResidentFeed(signals, LEADS[:2]), _Here(rank, workers))


def measure(rank: int, workers: int, batch: int, steps: int, late: float = 0.0) -> Measured:
    """Step again and again on one batch. late: seconds that the last worker loses before each step."""
    made, rows = trainer(rank, workers, batch), np.arange(batch)
    share = batch // workers
    own = made.feed.batch(0, rows[rank * share : (rank + 1) * share], made.choose)  # type: ignore[attr-defined]
    seconds, calls = [], []
    for _ in range(steps + 1):
        found: list[Call] = []
        begin = time.perf_counter()
        time.sleep(late if rank == workers - 1 else 0.0)
        with noted(found):
            made.step(0, 0, rows, own)
        seconds.append(time.perf_counter() - begin)
        calls.append(found)
    return Measured(seconds[1:], calls[1:])


def apart(rank: int, workers: int, batch: int, steps: int) -> Measured:  # noqa: ARG001 - as `together` calls
    """As `measure`, each worker training by itself on a batch of its own: what the machine makes of several that compute at once."""
    return measure(0, 1, batch, steps)


def bare(rank: int, workers: int, numbers: int, rounds: int) -> tuple[float, float]:  # noqa: ARG001 - as `together` calls
    """Seconds of a sum of one number, and of `numbers`, over all workers: medians."""
    found = []
    for size in (1, numbers):
        values, seconds = torch.zeros(size), []
        for _ in range(rounds):
            dist.barrier()
            begin = time.perf_counter()
            dist.all_reduce(values)
            seconds.append(time.perf_counter() - begin)
        found.append(median(seconds))
    return found[0], found[1]


def scaling(sizes: Sizes, say: Callable[[str], None]) -> list[Figure]:
    """The figures of the group."""
    job = Job(sizes.batch, SIZES["S"][2], SIZES["S"][1])
    say("one worker, half of the batch")
    (half,) = together(1, measure, sizes.batch // 2, sizes.steps)
    found = {}
    for workers in sizes.workers:
        say(f"{workers} workers")
        found[workers] = together(workers, measure, sizes.batch, sizes.steps)
    say("bare collectives")
    alone, by_half = median(found[1][0].seconds), median(half.seconds)
    say(f"{cores()} workers that know nothing of each other")
    crowd = together(cores(), apart, sizes.batch // 2, sizes.steps)
    crowded = max(1.0, median(s for m in crowd for s in m.seconds) / by_half)
    hardware = calibrate(job, alone, by_half, loss_seconds(sizes.batch), _collectives(job), crowded)
    figures = []
    for workers, members in found.items():
        figures += _figures(job, hardware, workers, members)
    say("a straggler")
    late = together(2, measure, sizes.batch, sizes.steps, sizes.late)
    figures.append(_straggler(found[2], late, sizes.late))
    return [*figures, *table()]


def _collectives(job: Job) -> tuple[float, float]:
    small, large = zip(*together(2, bare, job.parameters, 9), strict=True)
    return max(small), max(large)


def loss_seconds(batch: int) -> float:
    """Of the guided loss, forward and backward, by one worker on one thread."""
    case, threads = Case(batch), torch.get_num_threads()
    torch.set_num_threads(1)
    seconds = []
    for _ in range(4):
        begin = time.perf_counter()
        case.ours()
        seconds.append(time.perf_counter() - begin)
    torch.set_num_threads(threads)
    return median(seconds[1:])


def calibrate(
    job: Job, whole: float, half: float, loss: float, collectives: tuple[float, float], crowded: float = 1.0
) -> Hardware:
    """What the model needs to know of this machine.

    whole, half: seconds of one worker's step on the batch and on half of it; loss: of the loss on the batch (a quarter of it on half);
    collectives: of a sum of one number and of all parameters over two workers; crowded: see `Hardware`.
    """
    encode = max(0.0, 2 * (whole - half - 0.75 * loss) / job.batch)
    small, large = collectives
    return Hardware(
        encode=encode,
        fixed=max(0.0, whole - loss - encode * job.batch),
        products=2 * products(1) * (2 * job.batch) ** 2 * job.dim / loss,
        bandwidth=4 * job.parameters / max(large - small, 1e-6),
        latency=small / 2,
        slots=cores(),
        crowded=crowded,
    )


def _figures(job: Job, hardware: Hardware, workers: int, members: Sequence[Measured]) -> list[Figure]:
    seconds, moving, waiting = _by_step(members)
    predicted = step(job, hardware, workers)
    name = f"step S, batch {job.batch}, {workers} worker{'s' * (workers > 1)}"
    note = (
        f"Workers: processes of one thread on {cores()} cores, gloo on the loopback; limit is the model's (scaling_model.py), calibrated on one worker, "
        f"on {cores()} that train apart at the same time (each {hardware.crowded:.2f} times as long as alone) and on bare sums over two; one worker's step is "
        "met by construction."
    )
    figures = [
        Figure(
            name,
            "ms",
            1000 * seconds,
            limit=1000 * predicted.seconds,
            ratio=predicted.seconds / seconds,
            note=note,
        )
    ]
    if workers == 1:
        return figures
    gathered = sum(call.received for m in members for call in m.calls[0] if call.name == "gather")
    share = "Communication: moving data, as the worker that comes last to each collective sees it; the time of the others there is waiting."
    return [
        *figures,
        Figure(
            f"{name}: communication",
            "%",
            100 * moving / seconds,
            limit=100 * predicted.communication,
            note=share,
        ),
        Figure(f"{name}: waiting for others", "%", 100 * waiting / seconds, note=share),
        Figure(
            f"{name}: gathered",
            "bytes",
            gathered,
            limit=gathered_bytes(job, workers),
            met=gathered == gathered_bytes(job, workers),
            target="2B D 4 (W - 1)",
            note="Gathered: embeddings that all workers together receive in a step, counted; limit is the formula.",
        ),
    ]


def _by_step(members: Sequence[Measured]) -> tuple[float, float, float]:
    """Medians over the steps: seconds of the slowest worker, moving data, waiting."""
    slowest = [max(each) for each in zip(*(m.seconds for m in members), strict=True)]
    parts = [transfer(each) for each in zip(*(m.calls for m in members), strict=True)]
    moving, waiting = (median(part) for part in zip(*parts, strict=True))
    return median(slowest), moving, waiting


def _straggler(usual: Sequence[Measured], late: Sequence[Measured], by: float) -> Figure:
    (before, _, _), (after, _, waiting) = _by_step(usual), _by_step(late)
    return Figure(
        f"2 workers, one late by {1000 * by:g} ms: added to a step",
        "ms",
        1000 * (after - before),
        limit=1000 * by,
        note=f"Straggler: a step takes as long as its slowest worker's; the workers wait {1000 * waiting:.0f} ms of it, on average.",
    )


def table(assumed: Assumed = ASSUMED) -> list[Figure]:
    """What the model says of up to 64 GPUs: efficiency by size, batch and number, and where it falls below 80 % and 50 %."""
    note = (
        f"Model: efficiency is T(1) / (W T(W)) at one global batch, limit the milliseconds of a step, on GPUs that nobody has measured here; assumed "
        f"are {assumed.sustained:g} operations/s in encoding, {assumed.products:g} in the loss, {1000 * assumed.launch:g} ms a step for starting "
        f"kernels, {assumed.inside:g} bytes/s within a machine of {assumed.within} and {assumed.bandwidth:g} beyond, {assumed.latency:g} s a round."
    )
    figures = []
    for size, batch in product(SIZES, BATCHES):
        operations, parameters, dim = SIZES[size]
        job = Job(batch, dim, parameters)
        hardware = assumed.hardware(job, operations)
        for workers in GPUS:
            share, ms = efficiency(job, hardware, workers), 1000 * step(job, hardware, workers).seconds
            name = f"model: {size}, batch {batch}, {workers} GPUs"
            figures.append(Figure(name, "%", 100 * share, limit=ms, note=note))
        ends = "; ".join(f"below {100 * s:g} % {_from(falls_below(s, job, hardware))}" for s in (0.8, 0.5))
        figures[-1] = replace(figures[-1], note=f"Model, size {size}, batch {batch}: efficiency {ends}.")
    return figures


def _from(workers: int | None) -> str:
    return f"from {workers} GPUs on" if workers else f"beyond {GPUS[-1]} GPUs"
