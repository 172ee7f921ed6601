"""Ray's share: what a one-worker trial of a sweep costs beyond its training and evaluation.

A real sweep on a tiny cohort, one trial at a time on a local Ray of one CPU, so that nothing but the trial and the driver runs. The same
trials in a plain process, before and after the sweep, show whether training itself is slower under Ray.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median

from clef_ray.ablation import Ablation, Arm, Outcome, Plan, Trial, plan
from clef_ray.bench.measure import Figure
from clef_ray.cluster.capacity import Request
from clef_ray.cluster.session import session
from clef_ray.cluster.sweep import run_sweep
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import ClefRayError
from clef_ray.shards import ingest_local, load_corpus
from clef_ray.trial import evaluate, pretrain_here, run_store

#: Seconds a trial may cost beyond its training and evaluation.
ALLOWED = 2.0


@dataclass(frozen=True)
class Sizes:
    """patients of the cohort, epochs of a trial, and trials of the sweep (at least 3, of which the first starts its process)."""

    patients: int
    epochs: int
    trials: int


class Clock:
    """A sweep's watcher that keeps what it is told.

    starters: how many trials began before any had ended, in processes that had to start; first: seconds from here to the first end.
    """

    def __init__(self) -> None:
        self.starters = 0
        self.ends: list[Outcome] = []
        self.begin = time.perf_counter()
        self.first = 0.0

    def start(self, trial: Trial) -> None:  # noqa: ARG002 - the protocol's signature
        self.starters += not self.ends

    def epoch(self, trial: Trial, metrics: Mapping[str, float]) -> None:
        pass

    def end(self, outcome: Outcome) -> None:
        self.first = self.first or time.perf_counter() - self.begin
        self.ends.append(outcome)


def tiny_plan(sizes: Sizes, data: str) -> Plan:
    """One arm, as many seeds as trials, judged like a real experiment."""
    ablation = Ablation(
        name="bench",
        question="What does a trial cost beyond its training and evaluation?",
        expect="At most two seconds after the first.",
        arms=(Arm("clef", {"method": "clef"}),),
        base="clef",
        seeds=tuple(range(sizes.trials)),
        tasks=("diagnosis", "score_spearman"),
        headline=("probe/auroc",),
        axis="",
        settings={
            "signals.fs": 100,
            "views.lead": "I",
            "optimiser.batch": 64,
            "optimiser.epochs": sizes.epochs,
        },
    )
    return plan(ablation, data)


def under_ray(concrete: Plan, folder: str, storage: str) -> tuple[float, list[Mapping[str, float]]]:
    """Seconds from nothing to the end of the first trial, and the seconds of the trials that found a process waiting."""
    clock = Clock()
    with session(num_cpus=1):
        outcomes = run_sweep(concrete, folder, storage, Request(), [clock])
    if reasons := [o.reason for o in outcomes if o.state == "FAILED"]:
        raise ClefRayError(f"bench: {len(reasons)} of {len(outcomes)} trials failed: {reasons[0]}")
    return clock.first, [o.seconds for o in clock.ends[clock.starters :]]


def plain_trial(trial: Trial, concrete: Plan, folder: str, storage: str) -> float:
    """The same trial without Ray, its signals in memory: wall seconds."""
    corpus, store = load_corpus(folder, trial.run.signals.fs), run_store(storage, trial.run)
    begin = time.perf_counter()
    pretrain_here(trial.run, corpus, store, device="cpu")
    evaluate(trial.run, concrete.tasks, corpus, store, device="cpu")
    return time.perf_counter() - begin


@contextmanager
def plain_process() -> Iterator[ProcessPoolExecutor]:
    """One process with one thread, as Ray gives its workers; libraries read the variable when they are loaded."""
    before = os.environ.get("OMP_NUM_THREADS")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        os.environ["OMP_NUM_THREADS"] = "1"
        try:
            pool.submit(int).result()  # starts the process
        finally:
            del os.environ["OMP_NUM_THREADS"]
            if before is not None:
                os.environ["OMP_NUM_THREADS"] = before
        yield pool


def ray_share(sizes: Sizes) -> list[Figure]:
    """The overhead per trial in seconds, its share of a trial, and the trial's wall time with and without Ray."""
    with tempfile.TemporaryDirectory(prefix="clef-ray-bench-") as scratch, plain_process() as process:
        folder = f"{scratch}/shards"
        data = ingest_local(Synthetic(patients=sizes.patients, records_per_patient=1), folder).fingerprint
        concrete = tiny_plan(sizes, data)

        def plain(trial: Trial) -> float:
            return process.submit(plain_trial, trial, concrete, folder, f"{scratch}/plain").result()

        plain(concrete.trials[0])  # imports what the others find imported
        before = plain(concrete.trials[1])
        start, later = under_ray(concrete, folder, f"{scratch}/ray")
        after = plain(concrete.trials[2])
    return _figures(start, later, (before + after) / 2)


def _figures(start: float, later: list[Mapping[str, float]], plain: float) -> list[Figure]:
    overhead = [s["wall"] - s["pretrain"] - s["evaluate"] for s in later]
    wall = median(s["wall"] for s in later)
    share = median(o / s["wall"] for o, s in zip(overhead, later, strict=True))
    return [
        Figure(
            name="overhead per one-worker trial",
            unit="s",
            ours=median(overhead),
            target=f"<= {ALLOWED:g} s",
            met=median(overhead) <= ALLOWED,
            note=f"Overhead: wall minus training and evaluation of {len(later)} trials after the first; "
            f"starting Ray, reading the shards and the first trial took {start:.1f} s.",
        ),
        Figure(
            name=f"Ray's share of a {wall:.1f} s trial",
            unit="%",
            ours=100 * share,
            note="Ray's share: the overhead in the trial's wall time; a longer trial has the same overhead.",
        ),
        Figure(
            name="one trial, wall time",
            unit="s",
            ours=wall,
            plain=plain,
            ratio=plain / wall,
            note="One trial: plain is the same trial in a process without Ray. Both have one thread.",
        ),
    ]
