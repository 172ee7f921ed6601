"""The verbs about experiments and the machine, and download: noise, sweep, report, gc, bench, doctor. What they do stands in actions.py."""

from typing import Any

from clef_ray.cli import verb
from clef_ray.cli.actions import bench, doctor, download, gc, noise, report, sweep
from clef_ray.registry import DATASETS

Subparsers = Any  # argparse keeps its type private


def add_all(actions: Subparsers) -> None:
    """Every verb of this kind, in the order in which they are used."""
    _add_download(actions)
    _add_noise(actions)
    _add_sweep(actions)
    _add_report(actions)
    _add_gc(actions)
    _add_bench(actions)
    _add_doctor(actions)


def _add_download(actions: Subparsers) -> None:
    add = verb(
        actions,
        "download",
        download,
        "Fetch an open PhysioNet dataset: resumed where it broke off, every file verified. Of other datasets it says how to get them.",
        'clef-ray download ptbxl --root /data/ptbxl --only "*.csv" --only "records100/00000/*"',
    )
    names = [name for name in DATASETS.names() if name not in ("generic", "synthetic")]
    add("dataset", metavar="DATASET", help=f"one of: {', '.join(names)}")
    add("--root", required=True, metavar="DIR", help="where the files go, laid out as published")
    add(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only files whose path matches, e.g. *.csv; repeatable",
    )
    add("--limit", type=int, metavar="N", help="only the first N of these, for a try-out")


def _add_noise(actions: Subparsers) -> None:
    add = verb(
        actions,
        "noise",
        noise,
        "Make a bank of recorded noise, which views are given in place of synthetic noise. DATA_noises_real.mat, the published one, is part "
        "of https://physionet.org/content/ecg-ppg-simulator-arrhythmia/1.3.1/.",
        "clef-ray noise DATA_noises_real.mat --name nstdb\n  clef-ray pretrain --set views.noise=nstdb-0a1b2c3d",
    )
    add(
        "file",
        metavar="FILE",
        help="DATA_noises_real.mat, or an .npz of one array per kind of noise, [leads, samples], with `leads` and `fs`",
    )
    add("--name", required=True, metavar="NAME", help="the bank's name; a hash of its content is added")
    add("--fs", type=float, metavar="HZ", help="its rate (default: what the file says, or its length tells)")
    add(
        "--storage",
        default="storage",
        metavar="URI",
        help="where the runs lie that will use it (default: storage)",
    )


def _add_sweep(actions: Subparsers) -> None:
    from clef_ray.cli.options import add_options

    parser = actions.add_parser(
        "sweep",
        help="Run an experiment file.",
        description="Run an experiment file: the same as `python FILE`.",
        epilog="example:\n  clef-ray sweep experiments/ablate_negatives.py --smoke",
    )
    parser.add_argument("file", metavar="FILE", help="an experiment file that declares ABLATION or SEARCH")
    add_options(parser)
    parser.set_defaults(action=sweep)


def _add_report(actions: Subparsers) -> None:
    add = verb(
        actions,
        "report",
        report,
        "The report of an experiment, made again from what the storage holds; without a name the list of all.",
        "clef-ray report ablate_negatives --open",
    )
    add("experiment", nargs="?", metavar="EXPERIMENT", help="an experiment's name, or a report's folder")
    add("--plan", default="", metavar="PREFIX", help="which of its plans (default: the newest)")
    add(
        "--format",
        choices=("html", "md", "tex"),
        default="html",
        help="html writes and names the files; md and tex print the headline table for a paper (default: html)",
    )
    add("--open", action="store_true", help="open the page in the browser")
    add("--storage", default="storage", metavar="URI", help="where runs and reports lie (default: storage)")


def _add_gc(actions: Subparsers) -> None:
    add = verb(
        actions,
        "gc",
        gc,
        "Free what nothing needs: checkpoints of finished runs, leftovers. Results always stay.",
        "clef-ray gc --dry-run",
    )
    add("--storage", default="storage", metavar="URI", help="which storage (default: storage)")
    add("--dry-run", action="store_true", help="say what would be freed, and free nothing")
    add(
        "--older-than",
        type=float,
        default=0.0,
        metavar="DAYS",
        help="leave what is younger (default: 0; the last hour always stays)",
    )
    add(
        "--encoders",
        action="store_true",
        help="also encoders that a report has judged, but for its best arm's and its winner's",
    )
    add("--json", action="store_true", help="print what is freed as JSON and nothing else")


def _add_bench(actions: Subparsers) -> None:
    add = verb(
        actions,
        "bench",
        bench,
        "Measure speed as ratios against plain alternatives, in one run.",
        "clef-ray bench sweep --seconds 60",
    )
    add(
        "group",
        nargs="?",
        default="all",
        choices=("all", "ingest", "stream", "step", "loss", "evaluate", "sweep", "scaling"),
        help="which figures (default: all, with short trials in `sweep`)",
    )
    add(
        "--seconds",
        type=float,
        metavar="N",
        help="pretraining of one trial of `sweep` by itself (default: 60, with --quick 1); it runs 4 trials per core twice",
    )
    add("--quick", action="store_true", help="fewer repetitions")
    add("--json", action="store_true", help="print the figures as JSON and nothing else")


def _add_doctor(actions: Subparsers) -> None:
    add = verb(
        actions,
        "doctor",
        doctor,
        "Is this machine ready? Each line ok or what to do.",
        "clef-ray doctor --storage storage",
    )
    add("--storage", default="storage", metavar="URI", help="storage to try (default: storage)")
    add("--tracking-uri", metavar="URI", help="MLflow store to try (default: SQLite below --storage)")
    add("--study-uri", metavar="URI", help="database of studies to try (default: SQLite below --storage)")
    add(
        "--address", metavar="HOST:PORT", help="a running Ray cluster, or `auto` (default: start a local Ray)"
    )
    add("--json", action="store_true", help="print the checks as JSON and nothing else")
