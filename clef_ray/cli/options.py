"""The options of every experiment file."""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from clef_ray.cli import Parser
from clef_ray.errors import ConfigError

EXAMPLES = """\
examples:
  python {file}                                   the synthetic cohort, on this machine
  python {file} --dry-run                         what would run, and for how long
  python {file} --data /data/cohort --seeds 5     shards, or a dataset's folder such as PTB-XL's, 5 seeds
  python {file} --set optimiser.epochs=50 {choose}
  python {file} --address auto --gpus-per-worker 1 --storage s3://bucket/clef --tracking-uri http://mlflow:5000

Starting the same command again goes on: finished trials are found by their fingerprint, unfinished ones resume from their last epoch.
Ctrl-C stops in good order."""


def add_micro_batch(add: Any) -> None:
    """The option by which a batch larger than the device's memory is trained."""
    add(
        "--micro-batch",
        type=int,
        metavar="N",
        help="records encoded at once: less memory, a second forward pass, the same gradients (default: the worker's share of the batch)",
    )


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} given, 0 or more is needed")
    return number


def add_options(parser: "Parser") -> None:
    """The options every experiment has, an ablation's and a sweep's."""
    add = parser.add_argument
    add(
        "--data",
        default="synthetic",
        metavar="PATH|URI|NAME",
        help="shards, a dataset's folder, or NAME[:key=value,...] (default: synthetic)",
    )
    add(
        "--target",
        action="append",
        default=[],
        metavar="NAME=DATA",
        help="judge every encoder on this corpus, too, which pretraining never sees, and compare the arms in NAME/ and each headline metric "
        "of the corpus of pretraining (these come first, and decide the answer, where the experiment asks about other corpora and both are "
        "real data); NAME= leaves out one of the experiment's; repeatable (default: the experiment's)",
    )
    add("--seeds", type=int, metavar="N", help="seeds 0..N-1 (default: the experiment's)")
    add(
        "--arms",
        nargs="+",
        default=[],
        metavar="ARM",
        help="of an ablation these arms: names, patterns in quotes such as '*-127', or all (default: the experiment's; --dry-run lists the others)",
    )
    add(
        "--rotate",
        nargs="*",
        type=int,
        metavar="FOLD",
        help="of an ablation: each of the ten folds (or each FOLD given) once as the test, the one before it as validation, the others for "
        "training; the report tells the means over the folds (default: the official split)",
    )
    add(
        "--configurations",
        type=int,
        metavar="N",
        help="of a sweep how many configurations in all; those that are done count (default: the experiment's)",
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
        "--retries",
        type=_not_negative,
        default=2,
        metavar="N",
        help="how often a trial whose process, node or storage was lost is started again (default: 2)",
    )
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
        "--study-uri",
        metavar="URI",
        help="Optuna's studies: sqlite:///FILE, postgresql://..., journal:///FILE (default: SQLite below --storage)",
    )
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


def settings_of(texts: Sequence[str]) -> dict[str, str]:
    """`--set key=value` as a mapping, in order."""
    return pairs("--set", texts, "optimiser.epochs=50")


def targets_of(declared: Mapping[str, str], texts: Sequence[str]) -> dict[str, str]:
    """`--target NAME=DATA` over what the experiment declares: name -> data; `NAME=` leaves one of these out.

    ConfigError for a name that cannot begin a metric's, or that metrics of the corpus of pretraining begin with.
    """
    given = pairs("--target", texts, "cinc2017=/data/cinc2017")
    found = {**declared, **given}
    taken = _heads() if found else set()
    for name, data in found.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise ConfigError(f"--target {name}: letters, digits, _, - and . make a name")
        if name in taken:
            raise ConfigError(
                f"--target {name}: a task, or a part of one's metrics, is called so, and nobody could tell them apart; choose another name"
            )
        if not data and name not in declared:
            raise ConfigError(f"--target {name}=: there is no such target to leave out; give {name}=DATA")
    return {name: data for name, data in found.items() if data}


def _heads() -> set[str]:
    """What names of tasks and of their metrics on the corpus of pretraining begin with."""
    from clef_ray.registry import TASKS
    from clef_ray.tasks import Mode

    names = TASKS.names()
    return {*names, *(TASKS.get(name)().prefix.partition("/")[0] for name in names), *get_args(Mode)}


def pairs(option: str, texts: Sequence[str], example: str) -> dict[str, str]:
    """A repeated `OPTION KEY=VALUE` as a mapping, in order. ConfigError, with the example, where there is no `=`."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{option} {text}: give KEY=VALUE, e.g. {option} {example}")
        found[key.strip()] = value.strip()
    return found
