"""The command line of every experiment file, and what it does: data, plan, sweep, MLflow, report."""

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clef_ray.cli import Parser, guarded
from clef_ray.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from clef_ray.ablation import Ablation, Outcome, Plan
    from clef_ray.cluster.capacity import Request

EXAMPLES = """\
examples:
  python {file}                                   the synthetic cohort, on this machine
  python {file} --dry-run                         what would run, and for how long
  python {file} --data /data/cohort --seeds 5     shards, or a dataset's folder such as PTB-XL's, 5 seeds
  python {file} --set optimiser.epochs=50 --arms {arms}
  python {file} --address auto --gpus-per-worker 1 --storage s3://bucket/clef --tracking-uri http://mlflow:5000

Starting the same command again goes on: finished trials are found by their fingerprint, unfinished ones resume from their last epoch."""


def add_micro_batch(add: Any) -> None:
    """The option by which a batch larger than the device's memory is trained."""
    add(
        "--micro-batch",
        type=int,
        metavar="N",
        help="records encoded at once: less memory, a second forward pass, the same gradients (default: the worker's share of the batch)",
    )


def add_options(parser: "Parser") -> None:
    """The options every experiment has."""
    add = parser.add_argument
    add(
        "--data",
        default="synthetic",
        metavar="PATH|URI|NAME",
        help="shards, a dataset's folder, or NAME[:key=value,...] (default: synthetic)",
    )
    add("--seeds", type=int, metavar="N", help="seeds 0..N-1 (default: the experiment's)")
    add(
        "--arms",
        nargs="+",
        default=[],
        metavar="ARM",
        help="these arms: names, patterns in quotes such as '*-127', or all (default: the experiment's; --dry-run lists the others)",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a setting, e.g. optimiser.epochs=50; repeatable",
    )
    add(
        "--workers-per-trial",
        type=int,
        default=1,
        metavar="N",
        help="Ray Train workers of one trial (default: 1)",
    )
    add("--cpus-per-worker", type=float, default=1.0, metavar="X", help="CPUs of one worker (default: 1)")
    add(
        "--gpus-per-worker",
        type=float,
        default=0.0,
        metavar="X",
        help="GPUs of one worker, fractions allowed (default: 0)",
    )
    add_micro_batch(add)
    add(
        "--address",
        metavar="HOST:PORT",
        help="a running Ray cluster, or `auto` (default: a local Ray, stopped at the end)",
    )
    add(
        "--storage",
        default="storage",
        metavar="URI",
        help="where shards, runs and reports lie (default: storage)",
    )
    add("--tracking-uri", metavar="URI", help="MLflow server or database (default: SQLite below --storage)")
    add(
        "--smoke",
        action="store_true",
        help="a minimal version that shows that everything works; its numbers mean nothing",
    )
    add(
        "--dry-run",
        action="store_true",
        help="say what would run, with capacity and estimated time, and stop",
    )


def main(ablation: "Ablation", argv: Sequence[str] | None = None) -> int:
    """Run an experiment file's declaration from the command line; returns the exit code."""
    file = f"experiments/{ablation.name}.py"
    arms = " ".join(arm.name for arm in ablation.arms[:2])
    parser = Parser(
        prog=f"python {file}",
        description=_introduction(ablation),
        epilog=EXAMPLES.format(file=file, arms=arms),
    )
    add_options(parser)
    arguments = parser.parse_args(argv)
    return guarded(lambda: run(ablation, arguments))


def _introduction(ablation: "Ablation") -> str:
    arms = f"Arms: {', '.join(arm.name for arm in ablation.arms)}"
    if ablation.more:
        arms += f"; {len(ablation.more)} more run when --arms asks for them, --dry-run lists them"
    return f"{ablation.question}\n\n{ablation.expect}\n\n{arms}."


def settings_of(pairs: Sequence[str]) -> dict[str, str]:
    """`--set key=value` as a mapping, in order."""
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set {pair}: give KEY=VALUE, e.g. --set optimiser.epochs=50")
        settings[key.strip()] = value.strip()
    return settings


def run(ablation: "Ablation", arguments: "argparse.Namespace") -> int:
    """Data -> plan -> sweep -> record and report. Returns 0, or 1 where a trial failed."""
    from rich.console import Console

    from clef_ray.ablation import plan
    from clef_ray.cli.data import Raw, find, prepare
    from clef_ray.cluster.capacity import Request, check, require_shared
    from clef_ray.cluster.ingest import ingest
    from clef_ray.cluster.session import session
    from clef_ray.shards import Manifest
    from clef_ray.store import Store

    console = Console()
    seeds = 1 if arguments.smoke and arguments.seeds is None else arguments.seeds
    settings = settings_of(arguments.set)
    # Wrong names and values are found before anything starts; which data comes later.
    draft = plan(ablation, "", arms=arguments.arms, seeds=seeds, settings=settings, smoke=arguments.smoke)
    fs = draft.trials[0].run.signals.fs
    data = arguments.data
    if arguments.smoke and data == "synthetic":
        data = smoke_data(draft)
    ready = find(data, fs)
    if isinstance(ready, Raw):
        ready.build()  # a folder that lacks a table is told now, not after Ray's start
    request = Request(
        arguments.workers_per_trial,
        arguments.cpus_per_worker,
        arguments.gpus_per_worker,
        arguments.micro_batch,
    )
    if arguments.dry_run:
        from clef_ray.cli.dryrun import show

        with session(arguments.address):
            return show(draft, data, arguments.storage, request, console)
    Store(arguments.storage).check_writable()
    tracker = open_tracker(arguments)
    with session(arguments.address):
        check(request)
        require_shared(arguments.storage)
        folder = prepare(data, fs, arguments.storage, ingest)
        concrete = draft.on(Manifest.load(folder).fingerprint, arguments.data)
        return _sweep(concrete, folder, request, tracker, arguments, console)


def smoke_data(draft: "Plan") -> str:
    """The cohort of --smoke: few patients, but in the eight training folds of ten enough for one of the largest batches."""
    batch = max(t.run.optimiser.batch for t in draft.trials)
    return f"synthetic:patients={max(250, batch * 3 // 2)},records_per_patient=1"


def open_tracker(arguments: "argparse.Namespace") -> Any:
    """The MLflow store, checked before anything starts."""
    from clef_ray.store import Store
    from clef_ray.tracking import default_uri
    from clef_ray.tracking.mlflow import MlflowTracker

    return MlflowTracker(arguments.tracking_uri or default_uri(Store(arguments.storage)))


def _sweep(
    plan: "Plan", folder: str, request: "Request", tracker: Any, arguments: "argparse.Namespace", console: Any
) -> int:
    from clef_ray.cli.progress import Display, Recorder
    from clef_ray.cluster.sweep import run_sweep
    from clef_ray.report import write_report
    from clef_ray.report.comparison import compare
    from clef_ray.report.terminal import print_comparison
    from clef_ray.store import Store

    lineage = describe(folder, plan)
    tracker.open_ablation(plan, lineage)
    with ExitStack() as unfinished:
        unfinished.callback(tracker.interrupt)  # whatever ends the sweep early: nothing stays RUNNING
        with Display(plan, console) as display:
            outcomes = run_sweep(plan, folder, arguments.storage, request, [Recorder(tracker), display])
        for outcome in outcomes:
            tracker.close_trial(outcome)
        comparison = compare(plan, outcomes)
        files = write_report(Store(arguments.storage).child("reports"), plan, outcomes, comparison, lineage)
        tracker.close_ablation(comparison, files)
        unfinished.pop_all()
    print_comparison(comparison, console)
    _closing_words(outcomes, files, arguments, console)
    return 1 if any(o.state == "FAILED" for o in outcomes) else 0


def _closing_words(
    outcomes: "Sequence[Outcome]", files: Mapping[str, str], arguments: "argparse.Namespace", console: Any
) -> None:
    from rich.markup import escape

    from clef_ray.tracking import public

    for outcome in outcomes:
        if outcome.state == "FAILED":
            console.print(
                f"[red]FAILED[/] {outcome.trial.arm.name} seed {outcome.trial.seed}: {escape(outcome.reason or '')}",
                highlight=False,
                soft_wrap=True,
            )
    console.print(f"Report:    {files['report.html']}", highlight=False, soft_wrap=True)
    if arguments.tracking_uri:
        console.print(f"MLflow UI: {public(arguments.tracking_uri)}", highlight=False)
    else:
        ui = (
            "make ui"
            if arguments.storage == "storage"
            else f"mlflow ui --backend-store-uri sqlite:///{arguments.storage}/mlflow/mlflow.db"
        )
        console.print(f"MLflow UI: {ui}   then open http://127.0.0.1:5000", highlight=False, soft_wrap=True)


def describe(folder: str, plan: "Plan") -> dict[str, str]:
    """Where the results come from: command, data, code, versions."""
    from clef_ray.shards import Manifest, read_table
    from clef_ray.tracking import public

    manifest, table = Manifest.load(folder), read_table(folder)
    seen = table["fold"].isin(plan.trials[0].run.train_folds)
    packages = ("clef-ray", "ray", "torch", "numpy", "scikit-learn", "mlflow", "pyarrow")
    return {
        "command": shlex.join(["python", *map(public, sys.argv)]),
        "data": folder,
        "data_fingerprint": plan.data,
        "dataset": f"{manifest.dataset}: {manifest.records} records of {manifest.patients} patients, {sum(manifest.quarantined.values())} quarantined",
        "leakage": f"pretraining saw {table.loc[seen, 'patient'].nunique()} patients; the other {table.loc[~seen, 'patient'].nunique()} were held out of it",
        "git_commit": _commit(),
        "python": sys.version.split()[0],
        **{name: version(name) for name in packages},
    }


def _commit() -> str:
    """HEAD of this code's checkout, wherever the command was started; `-dirty` where files differ from it, `unknown` without a checkout."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],  # noqa: S607 - whichever git the user has
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
