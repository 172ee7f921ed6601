"""`--dry-run`: what an experiment would do, with what, and for how long. Ingests and trains nothing."""

import time
from collections.abc import Collection

import numpy as np
import torch
from rich.console import Console

from clef_ray.ablation import Ablation, Plan
from clef_ray.cli.data import find
from clef_ray.cluster.capacity import Request, check
from clef_ray.config import Run
from clef_ray.distributed import LocalContext
from clef_ray.search import Search
from clef_ray.shards import Manifest, read_table
from clef_ray.shards.manifest import MANIFEST
from clef_ray.store import Store
from clef_ray.train.loop import MemoryFeed, Trainer
from clef_ray.train.plan import ReadPlan
from clef_ray.train.subjects import Subjects, training_rows
from clef_ray.trial import load_outcome


def step_seconds(run: Run, micro_batch: int | None) -> float:
    """Time of one optimiser step of this run on this machine's CPU, one thread, on noise of the right shape (the faster of two)."""
    run, batch = run.canonical(), run.optimiser.batch
    rng = np.random.default_rng(0)
    samples = round(run.signals.seconds * run.signals.fs)
    signals = rng.normal(size=(batch, 2, samples)).astype(np.float32)
    lead = "I" if run.views.lead == "random" else run.views.lead
    people = Subjects(np.arange(batch), rng.uniform(1, 20, (batch, 1)), np.ones(batch))
    read = ReadPlan(np.arange(batch), np.zeros(batch, dtype=np.int64), batch, 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    feed, context = MemoryFeed(signals, (lead,)), LocalContext(Store("."), "cpu")
    trainer = Trainer(run, people, read, feed, context, micro_batch)
    times = []
    for _ in range(2):
        begin = time.perf_counter()
        trainer.step(0, 0, np.arange(batch), torch.from_numpy(signals))
        times.append(time.perf_counter() - begin)
    torch.set_num_threads(threads)
    return min(times)


def training_steps(runs: list[Run], records: int) -> int:
    """Optimiser steps of all runs together."""
    return sum(r.epochs * (records // r.optimiser.batch) for r in runs)


def unasked(ablation: Ablation, chosen: Collection[str]) -> list[str]:
    """The arms that would not run, and the commands that run one of them beside the base, or every arm; nothing where all run."""
    rest = [arm.name for arm in ablation.every if arm.name not in chosen]
    if not rest:
        return []
    command = f"  python experiments/{ablation.name}.py --arms"
    beside = " ".join(dict.fromkeys((ablation.base, rest[0])))
    return [
        f"{len(rest)} more arms run when asked for, by name or pattern: {', '.join(rest)}",
        f"{command} {beside}",
        f"{command} all",
    ]


def show_search(
    asked: Search, runs: list[Run], data: str, storage: str, request: Request, console: Console
) -> int:
    """Print the space, how many runs at most, capacity and an estimate. CapacityError where one trial does not fit."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    say(f"[bold]{asked.question}[/]")
    for dimension in asked.space:
        say(f"  {dimension}")
    goals = ", ".join(f"{o.direction} {o.metric}" for o in asked.objectives)
    say(f"{asked.configurations} configurations by {asked.sampler}, {len(asked.seeds)} seeds each: {goals}")
    say(f"then the best one and the first with {len(asked.fresh_seeds)} fresh seeds on the test patients")
    run = runs[0]
    found = find(data, run.signals.fs)
    folder = found if isinstance(found, str) else found.default_folder(storage)
    if Store(folder).exists(MANIFEST):
        table = read_table(folder)
    else:
        assert not isinstance(found, str), "a folder of shards has a manifest"
        table = found.build().table()
    say(f"data: {folder} ({len(table)} records of {table['patient'].nunique()} patients)")
    room = check(request)
    say(f"capacity: {room.concurrent} trials at once, each {request}")
    whole = asked.configurations * len(asked.seeds) + 2 * len(asked.fresh_seeds)
    steps = training_steps([run], len(training_rows(run, table)))
    seconds = whole * steps * step_seconds(run, request.micro_batch) / room.concurrent
    say(
        f"at most {whole} runs of {steps} training steps; about {seconds / 60:.1f} min of pretraining on CPUs like this one's where none is "
        "stopped early, evaluation not counted"
    )
    return 0


def show(draft: Plan, data: str, storage: str, request: Request, console: Console) -> int:
    """Print arms x seeds, distinct runs, what is finished, capacity and an estimate. CapacityError where one trial does not fit."""
    run = draft.trials[0].run
    found = find(data, run.signals.fs)
    folder = found if isinstance(found, str) else found.default_folder(storage)
    unique = draft.unique()

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    arms, seeds = dict.fromkeys(t.arm.name for t in draft.trials), dict.fromkeys(t.seed for t in draft.trials)
    say(f"[bold]{draft.ablation.question}[/]")
    say(
        f"{len(arms)} arms x {len(seeds)} seeds = {len(draft.trials)} trials, {len(unique)} after de-duplication: {', '.join(arms)}"
    )
    for line in unasked(draft.ablation, arms):
        say(line)
    left = [t.run for t in unique]
    if Store(folder).exists(MANIFEST):
        manifest = Manifest.load(folder)
        table = read_table(folder)
        concrete = draft.on(manifest.fingerprint)
        left = [
            t.run for t in concrete.unique() if load_outcome(t, draft.tasks, concrete.data, storage) is None
        ]
        say(
            f"data: {folder} ({manifest.records} records of {manifest.patients} patients); {len(unique) - len(left)} trials are finished"
        )
    else:
        assert not isinstance(found, str), "a folder of shards has a manifest"
        table = found.build().table()
        say(
            f"data: {len(table)} records of {table['patient'].nunique()} patients, to be ingested into {folder}"
        )
    room = check(request)
    say(
        f"capacity: {room.concurrent} trials at once, each {request.workers_per_trial} worker(s) of {request.cpus_per_worker:g} CPU, {request.gpus_per_worker:g} GPU"
    )
    trained = [r for r in left if r.epochs]
    records = len(training_rows(run, table))
    steps = training_steps(trained, records)
    at_once = min(room.concurrent, max(len(left), 1)) * request.workers_per_trial
    cost = {
        b: step_seconds(r, request.micro_batch) for b, r in {r.optimiser.batch: r for r in trained}.items()
    }
    seconds = sum(training_steps([r], records) * cost[r.optimiser.batch] for r in trained) / at_once
    say(
        f"left to do: {len(left)} trials, {steps} training steps; about {seconds / 60:.1f} min of pretraining on CPUs like this one's, evaluation not counted"
    )
    return 0
