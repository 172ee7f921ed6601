"""The verbs of `clef-ray`: their options here, their work in the layer that each one imports when it runs."""

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clef_ray.registry import DATASETS

if TYPE_CHECKING:
    from clef_ray.config import Run
    from clef_ray.shards import Manifest

Subparsers = Any  # argparse keeps its type private


def add_all(actions: Subparsers) -> None:
    """Every verb, in the order of a first session."""
    _add_synth(actions)
    _add_ingest(actions)
    _add_pretrain(actions)
    _add_evaluate(actions)
    _add_sweep(actions)
    _add_bench(actions)
    _add_doctor(actions)


def _verb(actions: Subparsers, name: str, run: Callable[[argparse.Namespace], int], help: str, example: str) -> Any:  # noqa: A002
    parser = actions.add_parser(name, help=help, description=help, epilog=f"example:\n  {example}")
    parser.set_defaults(action=run)
    return parser.add_argument


def _add_synth(actions: Subparsers) -> None:
    add = _verb(actions, "synth", synth, "Make a synthetic cohort, as shards.", "clef-ray synth --patients 500 --out storage/shards/demo")
    add("--out", required=True, metavar="DIR", help="folder of the shards")
    add("--patients", type=int, default=1000, help="how many patients (default: 1000)")
    add("--seed", type=int, default=0, help="another seed is another cohort (default: 0)")
    add("--effect", type=float, default=1.0, help="strength of every link between risk factors and waveform; 0 switches all off (default: 1)")
    add("--missing", default="none", choices=("none", "mcar", "mar", "mnar"), help="how covariates go missing (default: none)")
    add("--missing-rate", type=float, default=0.0, metavar="SHARE", help="share of covariates deleted, 0..1 (default: 0)")
    _add_ingest_options(add)


def _add_ingest(actions: Subparsers) -> None:
    add = _verb(actions, "ingest", ingest, "Read a dataset's raw files into shards.", "clef-ray ingest ptbxl --root /data/ptbxl --out storage/shards/ptbxl")
    add("dataset", metavar="DATASET", help=f"one of: {', '.join(n for n in DATASETS.names() if n != 'synthetic')}")
    add("--root", required=True, metavar="DIR", help="the dataset's folder as published")
    add("--out", required=True, metavar="DIR", help="folder of the shards")
    add("--fs", type=int, default=500, choices=(100, 500), help="which of the dataset's rates to read, Hz (default: 500)")
    add("--max-bad", type=float, default=0.05, metavar="SHARE", help="stop when more than this share is unusable (default: 0.05)")
    _add_ingest_options(add)


def _add_ingest_options(add: Any) -> None:
    add("--json", action="store_true", help="print the manifest's keys as JSON and nothing else")
    add("--address", metavar="HOST:PORT", help="a running Ray cluster, or `auto` (default: a local Ray)")


def _add_pretrain(actions: Subparsers) -> None:
    add = _verb(actions, "pretrain", pretrain, "Pretrain one encoder in this process, without Ray.", "clef-ray pretrain --data storage/shards/demo --set signals.fs=100 --set optimiser.epochs=2")
    _add_data(add)
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting, e.g. loss.alpha=0.1, method=simclr; repeatable")
    add("--seed", type=int, default=0, help="seed (default: 0)")
    add("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: auto)")


def _add_evaluate(actions: Subparsers) -> None:
    add = _verb(actions, "evaluate", evaluate, "Judge a trained encoder by downstream tasks.", "clef-ray evaluate storage/runs/RUN --data storage/shards/demo --tasks diagnosis score_spearman")
    add("run", metavar="RUN", help="a run's folder (what `clef-ray pretrain` printed)")
    _add_data(add)
    add("--tasks", nargs="+", default=["diagnosis", "score_spearman"], metavar="TASK", help="NAME or NAME:option=value,... (default: diagnosis score_spearman)")
    add("--json", action="store_true", help="print the metrics as JSON and nothing else")
    add("--device", default="auto", help="cpu, cuda, ... (default: auto)")


def _add_data(add: Any) -> None:
    add("--data", default="synthetic", metavar="PATH|URI|NAME", help="shards, a dataset's folder, or NAME[:key=value,...] (default: synthetic)")
    add("--storage", default="storage", metavar="URI", help="where shards and runs lie (default: storage)")


def _add_sweep(actions: Subparsers) -> None:
    from clef_ray.cli.experiment import add_options

    parser = actions.add_parser("sweep", help="Run an experiment file.", description="Run an experiment file: the same as `python FILE`.", epilog="example:\n  clef-ray sweep experiments/ablate_negatives.py --smoke")
    parser.add_argument("file", metavar="FILE", help="an experiment file that declares ABLATION")
    add_options(parser)
    parser.set_defaults(action=sweep)


def _add_bench(actions: Subparsers) -> None:
    add = _verb(actions, "bench", bench, "Measure speed as ratios against plain alternatives, in one run.", "clef-ray bench")
    add("--quick", action="store_true", help="fewer repetitions")
    add("--json", action="store_true", help="print the figures as JSON and nothing else")


def _add_doctor(actions: Subparsers) -> None:
    add = _verb(actions, "doctor", doctor, "Is this machine ready? Each line ok or what to do.", "clef-ray doctor --storage storage")
    add("--storage", default="storage", metavar="URI", help="storage to try (default: storage)")
    add("--tracking-uri", metavar="URI", help="MLflow store to try (default: SQLite below --storage)")
    add("--address", metavar="HOST:PORT", help="a running Ray cluster, or `auto` (default: start a local Ray)")
    add("--json", action="store_true", help="print the checks as JSON and nothing else")


def synth(arguments: argparse.Namespace) -> int:
    names = ("patients", "seed", "effect", "missing", "missing_rate")
    return _ingest("synthetic", {name: getattr(arguments, name) for name in names}, arguments, max_bad=0.05)


def ingest(arguments: argparse.Namespace) -> int:
    options = {"root": arguments.root, "fs": arguments.fs}
    return _ingest(arguments.dataset, options, arguments, max_bad=arguments.max_bad)


def _ingest(name: str, options: Mapping[str, Any], arguments: argparse.Namespace, max_bad: float) -> int:
    import json

    from clef_ray.cluster.ingest import ingest as run_ingest
    from clef_ray.cluster.session import session
    from clef_ray.store import Store

    checked = DATASETS.options(name, options, f"dataset {name}")
    DATASETS.get(name)(**checked)  # a wrong folder or option is told before Ray starts
    Store(arguments.out).check_writable()
    with session(arguments.address):
        manifest = run_ingest(name, checked, arguments.out, max_bad=max_bad, progress=not arguments.json)
    print(json.dumps(summary(manifest), indent=1) if arguments.json else _sentence(manifest, arguments.out))
    return 0


def summary(manifest: "Manifest") -> dict[str, Any]:
    """The manifest's keys that scripts want."""
    return {
        "records": manifest.records,
        "patients": manifest.patients,
        "quarantined": dict(manifest.quarantined),
        "parts": len(manifest.parts),
        "fingerprint": manifest.fingerprint,
    }


def _sentence(manifest: "Manifest", out: str) -> str:
    bad = ", ".join(f"{n} {reason}" for reason, n in manifest.quarantined.items()) or "none"
    return f"{out}: {manifest.records} records of {manifest.patients} patients in {len(manifest.parts)} parts; quarantined: {bad}; fingerprint {manifest.fingerprint}"


def _plain_folder(arguments: argparse.Namespace, fs: float) -> str:
    from clef_ray.cli.data import prepare
    from clef_ray.shards import ingest_local

    return prepare(arguments.data, fs, arguments.storage, lambda name, options, out: ingest_local(DATASETS.get(name)(**options), out))


def pretrain(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from rich.progress import Progress

    from clef_ray.cli.experiment import settings_of
    from clef_ray.config import Run, override
    from clef_ray.shards import load_corpus
    from clef_ray.trial import pretrain_here, run_store

    run: Run = override(Run(seed=arguments.seed), settings_of(arguments.set))
    folder = _plain_folder(arguments, run.signals.fs)
    corpus = load_corpus(folder, run.signals.fs)
    run = replace(run, data=corpus.manifest.fingerprint)
    store = run_store(arguments.storage, run)
    with Progress(transient=True) as progress:
        bar = progress.add_task("pretraining", total=run.canonical().optimiser.epochs)

        def tell(metrics: dict[str, float]) -> None:
            progress.update(bar, completed=metrics["epoch"], description=f"loss {metrics['loss']:.4f}")

        pretrain_here(run, corpus, store, tell, arguments.device)
    print(store.uri)
    return 0


def evaluate(arguments: argparse.Namespace) -> int:
    import json

    from clef_ray.config import task_spec
    from clef_ray.evaluate.embedder import Embedder
    from clef_ray.shards import load_corpus
    from clef_ray.store import Store
    from clef_ray.trial import evaluate as evaluate_run

    tasks = [task_spec(text) for text in arguments.tasks]
    run = Embedder.load(arguments.run, "cpu").run
    corpus = load_corpus(_plain_folder(arguments, run.signals.fs), run.signals.fs)
    results = evaluate_run(run, tasks, corpus, Store(arguments.run), arguments.device)
    if arguments.json:
        print(json.dumps({n: e.value for r in results.values() for n, e in r.estimates.items()}, indent=1))
        return 0
    for name, result in results.items():
        print(f"{name}: skipped, {result.skipped}" if result.skipped else f"{name}:")
        for metric, estimate in result.estimates.items():
            print(f"  {metric:<28} {estimate.value:6.3f}  [{estimate.low:.3f}, {estimate.high:.3f}]")
    return 0


def sweep(arguments: argparse.Namespace) -> int:
    import runpy
    from pathlib import Path

    from clef_ray.cli.experiment import run
    from clef_ray.errors import ConfigError

    if not Path(arguments.file).is_file():
        raise ConfigError(f"no experiment file {arguments.file} (looked at {Path(arguments.file).absolute()})")
    declared = runpy.run_path(arguments.file).get("ABLATION")
    if declared is None:
        raise ConfigError(f"{arguments.file} declares no ABLATION; see experiments/ablate_negatives.py for the form")
    return run(declared, arguments)


def bench(arguments: argparse.Namespace) -> int:
    from clef_ray.bench import run

    return run(quick=arguments.quick, as_json=arguments.json)


def doctor(arguments: argparse.Namespace) -> int:
    from clef_ray.doctor import doctor as examine

    return examine(arguments.storage, arguments.tracking_uri, arguments.address, as_json=arguments.json)
