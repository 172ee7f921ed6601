"""A sweep's efficiency: the share of all slots' time that goes into training and evaluation, and what a trial costs beyond them.

Real sweeps on a synthetic cohort. The efficiency is of one sweep with a slot per core, everything counted from Ray's start to the last
result; beside it the same trials in a plain loop, one process per slot. The overheads are of short sweeps, one trial at a time, so that
nothing but the trial and the driver runs.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from statistics import median

from clef_ray.ablation import Ablation, Arm, Outcome, Plan, Trial, plan
from clef_ray.bench.measure import Figure, cores
from clef_ray.cluster.capacity import Request
from clef_ray.cluster.session import session
from clef_ray.cluster.sweep import run_sweep
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import ClefRayError
from clef_ray.recipes import EMBEDDED_BUDGET
from clef_ray.shards import ingest_local, load_corpus
from clef_ray.trial import evaluate, pretrain_here, record_of, run_store

#: The efficiency that is asked for, in %, of trials that pretrain for at least so many seconds.
EFFICIENT, EFFICIENT_FROM = 95.0, 60.0

#: Seconds that a trial may cost beyond its training and evaluation, by its workers.
ALLOWED = {1: 1.0, 2: 9.0}

#: Epochs by which the length of one is found.
_CALIBRATION = 3

#: Told what is being done at the moment.
Say = Callable[[str], None]


@dataclass(frozen=True)
class Sizes:
    """patients: of the cohort; seconds: of pretraining of one trial in the long sweep; per_slot: its trials per slot; short: trials of each
    short sweep, at least 2, of which the first starts the processes and does not count.
    """

    patients: int
    seconds: float
    per_slot: int
    short: int


@dataclass(frozen=True)
class Timed:
    """A sweep's wall seconds, and the seconds of training and evaluation of each of its trials."""

    wall: float
    compute: Sequence[float]

    def efficiency(self, slots: int) -> float:
        """The share of the slots' time that went into training and evaluation, in %."""
        return 100 * sum(self.compute) / (self.wall * slots)


class Clock:
    """A sweep's watcher: when each trial ended, and its seconds of training and evaluation."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.ends: list[float] = []
        self.compute: list[float] = []

    def start(self, trial: Trial) -> None: ...

    def epoch(self, trial: Trial, metrics: Mapping[str, float]) -> None: ...

    def end(self, outcome: Outcome) -> None:
        if outcome.state == "FAILED":
            raise ClefRayError(f"bench: a trial failed: {outcome.reason}")
        self.ends.append(time.perf_counter())
        self.compute.append(outcome.seconds["pretrain"] + outcome.seconds["evaluate"])
        self.say(f"{len(self.ends)} trials under Ray have ended")

    def overheads(self) -> list[float]:
        """Of trials that ran one after the other: the time from one end to the next beyond training and evaluation."""
        return [b - a - own for (a, b), own in zip(pairwise(self.ends), self.compute[1:], strict=True)]


def sweep(sizes: Sizes, say: Say) -> list[Figure]:
    """The efficiency, the wall time against a plain loop, and the overheads of trials of one and of two workers."""
    with tempfile.TemporaryDirectory(prefix="clef-ray-bench-") as scratch:
        folder, slots = f"{scratch}/shards", cores()
        say("the cohort")
        data = ingest_local(Synthetic(patients=sizes.patients, records_per_patient=1), folder).fingerprint
        say("how long an epoch takes")
        with processes(1) as process:
            rehearsal = trials(data, _CALIBRATION, 1)
            each = process.submit(epoch_seconds, rehearsal.trials[0], folder, f"{scratch}/rehearsal").result()
        epochs = max(1, round(sizes.seconds / each))
        long = trials(data, epochs, slots * sizes.per_slot)
        say(f"{len(long.trials)} trials of {epochs} epochs in a plain loop")
        plain = plain_loop(long, folder, f"{scratch}/plain", slots)
        ours = under_ray(long, folder, f"{scratch}/ray", slots, say)
        short = trials(data, 1, sizes.short)
        overheads = {w: one_at_a_time(short, folder, f"{scratch}/ray-{w}", w, say) for w in ALLOWED}
    return [*_efficiency(ours, plain, slots, sizes.seconds), *(_overhead(w, o) for w, o in overheads.items())]


def trials(data: str, epochs: int, count: int) -> Plan:
    """So many seeds of one arm at the experiments' budget, judged as a real experiment is."""
    ablation = Ablation(
        name="bench",
        question="What does a sweep cost beyond its training and evaluation?",
        expect="Little.",
        arms=(Arm("clef", {"method": "clef"}),),
        base="clef",
        seeds=tuple(range(count)),
        settings={**EMBEDDED_BUDGET, "optimiser.epochs": epochs},
    )
    return plan(ablation, data)


def under_ray(concrete: Plan, folder: str, storage: str, slots: int, say: Say) -> Timed:
    """The sweep on a local Ray with so many CPUs, one per trial: from Ray's start to the last result."""
    begin, clock = time.perf_counter(), Clock(say)
    with session(num_cpus=slots):
        run_sweep(concrete, folder, storage, Request(), [clock])
        return Timed(time.perf_counter() - begin, clock.compute)


def one_at_a_time(concrete: Plan, folder: str, storage: str, workers: int, say: Say) -> list[float]:
    """The overheads of trials of so many workers, on a local Ray that has room for one such trial."""
    clock = Clock(say)
    each = 1.0 if workers == 1 else 0.9  # leaves room for the process that waits for the group
    with session(num_cpus=workers):
        run_sweep(concrete, folder, storage, Request(workers, each), [clock])
    return clock.overheads()


def plain_loop(concrete: Plan, folder: str, storage: str, slots: int) -> Timed:
    """The same trials without Ray: a process per slot trains and evaluates its share, one after the other."""
    begin = time.perf_counter()
    with processes(slots) as pool:
        shares = [concrete.trials[k::slots] for k in range(slots)]
        running = [pool.submit(plain_trials, share, concrete, folder, storage) for share in shares]
        compute = [seconds for share in running for seconds in share.result()]
    return Timed(time.perf_counter() - begin, compute)


def plain_trials(share: Sequence[Trial], concrete: Plan, folder: str, storage: str) -> list[float]:
    """Seconds of training and evaluation of each."""
    corpus = load_corpus(folder, share[0].run.signals.fs)
    seconds = []
    for trial in share:
        begin, store = time.perf_counter(), run_store(storage, trial.run)
        pretrain_here(trial.run, corpus, store, device="cpu")
        evaluate(trial.run, concrete.judging, corpus, store, device="cpu")
        seconds.append(time.perf_counter() - begin)
    return seconds


def epoch_seconds(trial: Trial, folder: str, storage: str) -> float:
    """Seconds of one epoch of a plain trial, with all that belongs to it."""
    store = run_store(storage, trial.run)
    pretrain_here(trial.run, load_corpus(folder, trial.run.signals.fs), store, device="cpu")
    return float(record_of(store)["seconds"]) / trial.run.epochs


@contextmanager
def processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes with one thread each, as Ray gives its workers; libraries read the variable when they are loaded."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
            yield pool
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def _efficiency(ours: Timed, plain: Timed, slots: int, seconds: float) -> list[Figure]:
    found = ours.efficiency(slots)
    judged = seconds >= EFFICIENT_FROM
    each = median(ours.compute)
    note = (
        f"Sweep: {len(ours.compute)} one-worker trials on {slots} slots, training and evaluation of one take {each:.1f} s; efficiency is their sum "
        "in all slots' time, from Ray's start to the last result. Plain: the same trials one after the other in a process per slot, without Ray."
    )
    return [
        Figure(
            f"sweep efficiency, trials of about {seconds:g} s",
            "%",
            found,
            plain.efficiency(slots),
            target=f">= {EFFICIENT:g} %" if judged else "",
            met=found >= EFFICIENT if judged else None,
            note=note,
        ),
        Figure("sweep, wall time", "s", ours.wall, plain.wall, plain.wall / ours.wall, note=note),
    ]


def _overhead(workers: int, overheads: Sequence[float]) -> Figure:
    most = ALLOWED[workers]
    return Figure(
        f"overhead per trial of {workers} worker{'s' if workers > 1 else ''}",
        "s",
        median(overheads),
        target=f"<= {most:g} s",
        met=median(overheads) <= most,
        note=f"Overhead: from one end to the next beyond training and evaluation, median of {len(overheads)} trials after the first, one at a time.",
    )
