"""What the verbs of `clef-ray` do. Each imports its layer when it runs, so that `--help` answers at once."""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clef_ray.registry import DATASETS

if TYPE_CHECKING:
    from clef_ray.config import Run, Spec
    from clef_ray.evaluate.run import TaskResult
    from clef_ray.shards import Records


def synth(arguments: argparse.Namespace) -> int:
    from clef_ray.cli.ingest import synth as run

    return run(arguments)


def ingest(arguments: argparse.Namespace) -> int:
    from clef_ray.cli.ingest import ingest as run

    return run(arguments)


def _plain_folder(data: str, storage: str, fs: float, option: str = "--data ") -> str:
    from clef_ray.cli.data import prepare
    from clef_ray.shards import ingest_local

    return prepare(
        data,
        fs,
        storage,
        lambda name, options, out: ingest_local(DATASETS.get(name)(**options), out),
        option,
    )


def pretrain(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from rich.progress import Progress

    from clef_ray.augment import bank_of
    from clef_ray.cli.options import settings_of
    from clef_ray.config import Run, override
    from clef_ray.shards import load_corpus
    from clef_ray.store import Store
    from clef_ray.trial import pretrain_here, run_store

    run: Run = override(Run(seed=arguments.seed), settings_of(arguments.set))
    run.canonical()  # settings that contradict each other are told before the data are made
    Store(arguments.storage).check_writable()
    bank = bank_of(run.views, arguments.storage)
    folder = _plain_folder(arguments.data, arguments.storage, run.signals.fs)
    corpus = load_corpus(folder, run.signals.fs, None if run.views.lead == "random" else (run.views.lead,))
    run = replace(run, data=corpus.manifest.fingerprint)
    store = run_store(arguments.storage, run)
    with Progress(transient=True) as progress:
        bar = progress.add_task("pretraining", total=run.epochs)

        def tell(metrics: dict[str, float]) -> None:
            progress.update(bar, completed=metrics["epoch"], description=f"loss {metrics['loss']:.4f}")

        pretrain_here(run, corpus, store, tell, arguments.device, arguments.micro_batch, bank)
    print(store.uri)
    return 0


def evaluate(arguments: argparse.Namespace) -> int:
    results = _results(arguments)
    if arguments.json:
        found = {n: e.value for r in results.values() for n, e in r.estimates.items()}
        found |= {n: value for r in results.values() for n, value in r.extras.items()}
        print(json.dumps({n: v if math.isfinite(v) else None for n, v in found.items()}, indent=1))
        return 0
    for name, result in results.items():
        print(f"{name}: skipped, {result.skipped}" if result.skipped else f"{name}:")
        for metric, estimate in result.estimates.items():
            print(f"  {metric:<28} {estimate.value:8.3f}  [{estimate.low:.3f}, {estimate.high:.3f}]")
        for metric, value in result.extras.items():
            print(f"  {metric:<28} {value:8.3f}")
        for note in result.notes:
            print(f"  · {note}")
    return 0


def _results(arguments: argparse.Namespace) -> "Mapping[str, TaskResult]":
    """What the run's store holds or gets of every task on the run's corpus and the targets."""
    from clef_ray.cli.data import check_tasks, target
    from clef_ray.cli.options import targets_of
    from clef_ray.config import task_spec
    from clef_ray.evaluate.embedder import Embedder
    from clef_ray.evaluate.judging import Judging
    from clef_ray.store import Store
    from clef_ray.trial import evaluate as evaluate_run

    tasks = tuple(task_spec(text) for text in arguments.tasks)
    named = targets_of({}, arguments.target)
    folder = _newest_run(arguments.storage) if arguments.run == "latest" else arguments.run
    if folder.partition("?")[0].endswith("/encoder.pt"):
        folder = Store.holding(folder)[0].uri
    run = Embedder.load(folder, "cpu").run
    check_tasks(tasks, arguments.data, named, run.signals.fs)
    own = _plain_folder(arguments.data, arguments.storage, run.signals.fs)
    home = _judged(own, tasks, run)
    if named:
        _require_home(run, arguments.data, home.manifest.fingerprint)
    folders = {
        name: _plain_folder(data, arguments.storage, run.signals.fs, target(name))
        for name, data in named.items()
    }
    told = _leakage(run, arguments.data, own, folders, tasks)
    print(f"Leakage: {told}.", file=sys.stderr if arguments.json else sys.stdout)
    targets = {name: _judged(at, tasks, run) for name, at in folders.items()}
    if arguments.workers:
        _embed_in_parallel(folder, [own, *folders.values()], tasks, arguments)
    marks = {name: corpus.manifest.fingerprint for name, corpus in targets.items()}
    judging = Judging(tasks, home.manifest.fingerprint, tuple(sorted(marks.items())))
    return evaluate_run(run, judging, home, Store(folder), targets, arguments.device)


def _embed_in_parallel(
    run: str, folders: Sequence[str], tasks: Sequence["Spec"], arguments: argparse.Namespace
) -> None:
    """All embeddings that evaluation will look for, by Ray Data."""
    from clef_ray.cluster.features import embed_shards
    from clef_ray.cluster.session import session
    from clef_ray.distributed import pick_device
    from clef_ray.store import Store

    gpus = 0.0 if pick_device(arguments.device).type == "cpu" else 1.0
    with session():
        for folder in folders:
            embed_shards(Store(run).path(), Store(folder).path(), tasks, arguments.workers, gpus=gpus)


def _require_home(run: "Run", data: str, mark: str) -> None:
    """ConfigError where targets would be judged beside a corpus that is not the one of pretraining. mark: its fingerprint."""
    from clef_ray.errors import ConfigError
    from clef_ray.registry import METHODS

    if METHODS.get(run.method.name).trains and run.data != mark:
        raise ConfigError(
            f"--target: --data {data} ({mark[:8]}) is not what the run was pretrained on ({run.data[:8]}); give --data those: "
            "targets are judged beside them"
        )


def _leakage(run: "Run", data: str, folder: str, targets: Mapping[str, str], tasks: Sequence["Spec"]) -> str:
    """What the check for leakage finds, without a full stop. data: `folder` as the user named it; targets: name -> folder."""
    from clef_ray.evaluate.inputs import OFFICIAL
    from clef_ray.evaluate.known import Known
    from clef_ray.evaluate.leakage import dealt_parts, leakage
    from clef_ray.registry import METHODS
    from clef_ray.shards import Manifest

    mark, trains = Manifest.load(folder).fingerprint, METHODS.get(run.method.name).trains
    if trains and run.data != mark:
        return (
            f"NOT CHECKED: --data {data} ({mark[:8]}) is not what the run was pretrained on ({run.data[:8]}), "
            "so nobody knows here which of it was seen"
        )
    seen = run.train_folds if trains else ()  # initial weights have seen nobody
    judged = {name: Known.read(at) for name, at in targets.items()}
    dealt = dealt_parts(tasks, {"": folder, **targets}, OFFICIAL)
    return leakage(Known.read(folder), judged, seen, OFFICIAL, dealt).told()


def _judged(folder: str, tasks: Sequence["Spec"], run: "Run") -> "Records":
    """The corpus in a folder of shards: in memory, with those of its leads that the tasks look at, where a task trains an encoder on it;
    else its signals are read when, and if, embeddings are made.
    """
    from clef_ray.evaluate.features import task_leads
    from clef_ray.registry import TASKS
    from clef_ray.shards import Manifest, OnDisk, load_corpus

    if not any(getattr(task.build(TASKS), "mode", "") in ("finetune", "scratch") for task in tasks):
        return OnDisk.open(folder, run.signals.fs)
    leads = Manifest.load(folder).leads
    return load_corpus(folder, run.signals.fs, task_leads(tasks, leads) or leads[:1])


def _newest_run(storage: str) -> str:
    """The run that was finished last."""
    from pathlib import Path

    from clef_ray.errors import DataError
    from clef_ray.train.loop import RECORD

    found = sorted(Path(storage, "runs").glob(f"*/{RECORD}"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise DataError(f"no finished run in {storage}/runs; make one with `clef-ray pretrain`")
    return str(found[-1].parent)


def noise(arguments: argparse.Namespace) -> int:
    from clef_ray.augment.bank import read_bank

    bank = read_bank(arguments.file, arguments.fs)
    full = bank.save(arguments.name, arguments.storage)
    leads = ", ".join(bank.leads) or "one for all leads"
    seconds = bank.noise_KCL.shape[-1] / bank.fs
    print(f"{', '.join(bank.kinds)}: {seconds:.1f} s at {bank.fs:g} Hz each, {leads}")
    print(f"--set views.noise={full}")
    return 0


def score(arguments: argparse.Namespace) -> int:
    if arguments.list:
        from clef_ray.cli.score_list import show

        return show()
    from clef_ray.cli.score import run

    return run(arguments)


def download(arguments: argparse.Namespace) -> int:
    from clef_ray.cli.download import run

    return run(arguments)


def sweep(arguments: argparse.Namespace) -> int:
    import runpy
    from pathlib import Path

    from clef_ray.cli.experiment import run
    from clef_ray.errors import ConfigError

    if not Path(arguments.file).is_file():
        raise ConfigError(
            f"no experiment file {arguments.file} (looked at {Path(arguments.file).absolute()})"
        )
    names = runpy.run_path(arguments.file)
    declared = names.get("ABLATION", names.get("SEARCH"))
    if declared is None:
        raise ConfigError(
            f"{arguments.file} declares neither ABLATION nor SEARCH; see experiments/ablate_negatives.py and experiments/sweep_clef.py"
        )
    return run(declared, arguments)


def report(arguments: argparse.Namespace) -> int:
    from clef_ray.cli.report import run

    return run(arguments)


def gc(arguments: argparse.Namespace) -> int:
    from clef_ray.cli.gc import gc as collect

    return collect(arguments)


def bench(arguments: argparse.Namespace) -> int:
    from clef_ray.bench import run

    return run(arguments.group, quick=arguments.quick, as_json=arguments.json, seconds=arguments.seconds)


def doctor(arguments: argparse.Namespace) -> int:
    from clef_ray.doctor import doctor as examine

    return examine(
        arguments.storage,
        arguments.tracking_uri,
        arguments.address,
        study_uri=arguments.study_uri,
        as_json=arguments.json,
    )
