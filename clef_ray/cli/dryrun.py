"""`--dry-run`: what an experiment would do, with what, and for how long. Ingests and trains nothing."""

import argparse
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.markup import escape

from clef_ray.ablation import Ablation, Plan
from clef_ray.augment import require_bank
from clef_ray.cli.data import DATA, check_tasks, find, target
from clef_ray.cli.launch import data_of, request_of
from clef_ray.cluster.capacity import Request, check
from clef_ray.cluster.stream import reading
from clef_ray.cluster.sweep import training_leads
from clef_ray.config import Run, Spec
from clef_ray.distributed import LocalContext
from clef_ray.evaluate.features import task_leads
from clef_ray.rotation import at
from clef_ray.search import Configuration, Search, Stopping, name_of
from clef_ray.shards import Manifest, Stored, read_table
from clef_ray.shards.manifest import MANIFEST
from clef_ray.shards.schema import Shape
from clef_ray.store import Store
from clef_ray.studies.forms import Samples
from clef_ray.studies.rows import configuration
from clef_ray.studies.storage import close_storage, default_uri, open_storage
from clef_ray.tracking import public
from clef_ray.train.feed import ResidentFeed
from clef_ray.train.loop import Trainer
from clef_ray.train.plan import ReadPlan
from clef_ray.train.subjects import read_plan, subjects, training_rows
from clef_ray.trial import load_outcome


def step_seconds(run: Run, micro_batch: int | None, table: pd.DataFrame) -> float:
    """Time of one optimiser step of this run on this machine's CPU, one thread, on noise of the right shape (the faster of two).

    table: the cohort's; its first batch's people and labels stand for all. ConfigError and DataError where the run could not train on it.
    """
    run, batch = run.canonical(), run.optimiser.batch
    first = _read_plan(run, table).batches(0)[0]
    own = table.iloc[first].reset_index(drop=True)
    rng = np.random.default_rng(0)
    samples = round(run.signals.seconds * run.signals.fs)
    scale = np.ones((batch, 1), dtype=np.float32)
    signals = Stored(rng.integers(-999, 999, (batch, 1, samples)).astype(np.int16), 1000 * scale, 0 * scale)
    lead = "I" if run.views.lead == "random" else run.views.lead
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    feed, context, read = (
        ResidentFeed(signals, (lead,)),
        LocalContext(Store("."), "cpu"),
        _read_plan(run, own),
    )
    trainer = Trainer(run, subjects(run, own), read, feed, context, micro_batch, table=own)
    rows = read.batches(0)[0]
    times = []
    for _ in range(2):
        begin = time.perf_counter()
        trainer.step(0, 0, rows, feed.batch(0, rows, trainer.choose))
        times.append(time.perf_counter() - begin)
    torch.set_num_threads(threads)
    return min(times)


def _read_plan(run: Run, table: pd.DataFrame) -> ReadPlan:
    """The run's batches, of the same size and number, whatever the risks: shards that are not there yet have no risks to sort by."""
    rows, plain = training_rows(run, table), replace(run, score=None, batches="shuffled")
    return read_plan(plain, subjects(plain, table), rows, np.zeros(len(table), dtype=np.int64))


def training_steps(runs: Sequence[Run], table: pd.DataFrame) -> list[int]:
    """Optimiser steps of each run on the cohort of this table, of which runs may see different folds."""

    def key(run: Run) -> tuple[object, ...]:
        return run.train_folds, run.method.name, run.optimiser.batch

    alike = {key(run): run.canonical() for run in runs}
    each = {k: _read_plan(run, table).steps for k, run in alike.items()}
    return [run.epochs * each[key(run)] for run in runs]


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
    asked: Search,
    settings: Mapping[str, Any],
    runs: list[Run],
    arguments: argparse.Namespace,
    console: Console,
) -> int:
    """Print the space, the rules, what the study holds already, how many runs at most, capacity and an estimate. Makes no study.

    settings: the command's; runs: examples. CapacityError where one trial does not fit, TrackingError where --study-uri names no database
    or one that does not answer.
    """

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    say(f"[bold]{escape(asked.question)}[/]")
    for dimension in asked.space:
        say(f"  {escape(str(dimension))}")
    goals = ", ".join(f"{o.direction} {o.metric}" for o in asked.objectives)
    say(f"{asked.configurations} configurations by {asked.sampler}, with {_seeds(asked.seeds)} each: {goals}")
    say(stopping_rule(asked.stopping))
    say(f"then the best one and the first with the fresh {_seeds(asked.fresh_seeds)} on the test patients")
    run, storage, request = runs[0], arguments.storage, request_of(arguments)
    named = data_of(arguments, runs)
    check_tasks(asked.specs(), named, {}, run.signals.fs)
    data = _data(named, run, storage)
    say(data.line)
    for r in runs:
        require_bank(r.views, storage)
    say(_reading(data, runs, asked.specs()))
    uri = arguments.study_uri or default_uri(Store(storage))
    name = Samples(asked, data.fingerprint, settings, smoke=arguments.smoke).name
    there = peek(uri, name, [o.metric for o in asked.objectives])
    for line in standing(there, asked.configurations, public(uri)):
        say(line)
    room = check(request)
    say(f"capacity: {room.concurrent} trials at once, each {request}")
    ended = sum(row.state in ("COMPLETE", "PRUNED", "FAIL") for row in there)
    fresh = len(asked.fresh_seeds) * 2
    whole = max(0, asked.configurations - ended) * len(asked.seeds) + fresh
    (steps,) = training_steps([run], data.table)
    seconds = whole * steps * step_seconds(run, request.micro_batch, data.table) / room.concurrent
    say(
        f"left to do: at most {whole} runs of {steps} training steps, {fresh} of them with fresh seeds; about {seconds / 60:.1f} min of "
        "pretraining on CPUs like this one's where none is stopped early, evaluation not counted"
    )
    return 0


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def stopping_rule(stopping: Stopping) -> str:
    """When a configuration is stopped early, in words."""
    goes_on = {
        "asha": f"about 1 of {stopping.reduction} goes on from one rung to the next",
        "hyperband": f"about 1 of {stopping.reduction} goes on from one rung to the next of its bracket",
        "median": "it goes on while it is no worse than the median of the others",
    }
    grace = f"epoch {stopping.grace}"
    rules = []
    if stopping.rule != "none":
        rules.append(
            f"{stopping.rule} on {stopping.metric} ({stopping.direction}): from {grace}, {goes_on[stopping.rule]}"
        )
    if stopping.collapse:
        rules.append(
            f"after {grace}, where the embedding's effective rank is below {stopping.collapse:g} twice running"
        )
    return f"stopped early, by its first seed: {'; or '.join(rules)}" if rules else "nothing is stopped early"


def peek(uri: str, name: str, metrics: Sequence[str]) -> list[Configuration]:
    """The configurations of this study of these objectives, by number; none where it or the file it lies in is not there: that is not made.

    TrackingError as `studies.storage.open_storage`.
    """
    scheme, _, place = uri.partition(":///")
    if scheme in ("sqlite", "journal") and place and not Path(place).exists():
        return []
    storage = open_storage(uri)
    try:
        trials = storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False)
    except KeyError:
        return []
    finally:
        close_storage(storage)
    return [configuration(trial, metrics) for trial in trials]


def standing(there: Sequence[Configuration], configurations: int, uri: str) -> list[str]:
    """What a study holds: one line, and one for each state with the configurations that are in it. uri: fit to be shown."""
    if not there:
        return [f"new study in {uri}"]
    words = {"COMPLETE": "complete", "PRUNED": "stopped early", "FAIL": "failed"}
    words |= {"RUNNING": "running, or left by a process that is dead", "WAITING": "waiting to go on"}
    ended = sum(row.state in ("COMPLETE", "PRUNED", "FAIL") for row in there)
    lines = [f"study in {uri}: {ended} of {configurations} configurations have ended"]
    for state, word in words.items():
        if names := [name_of(row.number) for row in there if row.state == state]:
            lines.append(f"  {word}: {', '.join(names)}")
    return lines


@dataclass(frozen=True)
class _Data:
    """What `--data` names. fingerprint: empty where it is to be ingested; shape: its manifest's, or its dataset's where it has none yet."""

    table: pd.DataFrame
    shape: Shape
    fingerprint: str
    line: str


def _data(named: str, run: Run, storage: str, option: str = DATA) -> _Data:
    found = find(named, run.signals.fs, option)
    folder = found if isinstance(found, str) else found.default_folder(storage)
    if Store(folder).exists(MANIFEST):
        shape = manifest = Manifest.load(folder)
        table, fingerprint, place = read_table(folder), manifest.fingerprint, f"in {folder}"
    else:
        assert not isinstance(found, str), "a folder of shards has a manifest"
        shape = found.build()
        table, fingerprint, place = shape.table(), "", f"to be ingested into {folder}"
    patients = table["patient"].nunique()
    return _Data(table, shape, fingerprint, f"data: {len(table)} records of {patients} patients, {place}")


def _reading(data: _Data, runs: Sequence[Run], tasks: Sequence[Spec]) -> str:
    """How the signals will be read, in words. CapacityError where they cannot be."""
    leads, fs = data.shape.leads, runs[0].signals.fs
    seen, judged = training_leads(runs, leads), task_leads(tasks, leads)
    return reading(data.shape, len(data.table), fs, seen, judged).line


def _effort(run: Run) -> tuple[object, ...]:
    """What mostly decides how long a step takes."""
    return run.optimiser.batch, run.optimiser.precision, run.encoder, run.method


def show(
    draft: Plan,
    data: str,
    storage: str,
    request: Request,
    console: Console,
    targets: Mapping[str, str] | None = None,
) -> int:
    """Print arms x seeds, distinct runs, what is finished, capacity and an estimate. CapacityError where one trial does not fit,
    ConfigError where no corpus can answer a task.
    """
    run = draft.trials[0].run
    folds = [at(draft, fold) for fold in draft.rotation] or [draft]
    unique = [trial for part in folds for trial in part.unique()]

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    arms, seeds = dict.fromkeys(t.arm.name for t in draft.trials), dict.fromkeys(t.seed for t in draft.trials)
    of_folds = f" in each of {len(folds)} rotations" if draft.rotation else ""
    say(f"[bold]{draft.ablation.question}[/]")
    trials = f"{len(draft.trials)} trials{of_folds}, {len(unique)} after de-duplication"
    say(f"{len(arms)} arms x {len(seeds)} seeds = {trials}: {', '.join(arms)}")
    for line in unasked(draft.ablation, arms):
        say(line)
    check_tasks(draft.tasks, data, targets or {}, run.signals.fs)
    left, cohort = [t.run for t in unique], _data(data, run, storage)
    say(cohort.line)
    for r in left:
        require_bank(r.views, storage)
    say(_reading(cohort, left, draft.tasks))
    judged = {name: _data(named, run, storage, target(name)) for name, named in (targets or {}).items()}
    for name, corpus in judged.items():
        say(corpus.line.replace("data:", f"also judged on {name}:", 1))
    if cohort.fingerprint and all(corpus.fingerprint for corpus in judged.values()):
        marks = {name: corpus.fingerprint for name, corpus in judged.items()}
        plans = [part.on(cohort.fingerprint, targets=marks) for part in folds]
        left = [t.run for p in plans for t in p.unique() if load_outcome(t, p.judging, storage) is None]
        say(f"{len(unique) - len(left)} trials are finished")
    room = check(request)
    say(
        f"capacity: {room.concurrent} trials at once, each {request.workers_per_trial} worker(s) of {request.cpus_per_worker:g} CPU, {request.gpus_per_worker:g} GPU"
    )
    trained = [r for r in left if r.epochs]
    steps = training_steps(trained, cohort.table)
    at_once = min(room.concurrent, max(len(left), 1)) * request.workers_per_trial
    alike = {_effort(r): r for r in trained}
    cost = {effort: step_seconds(r, request.micro_batch, cohort.table) for effort, r in alike.items()}
    seconds = sum(n * cost[_effort(r)] for r, n in zip(trained, steps, strict=True)) / at_once
    say(
        f"left to do: {len(left)} trials, {sum(steps)} training steps; about {seconds / 60:.1f} min of pretraining on CPUs like this one's, evaluation not counted"
    )
    return 0
