"""Where results come from: command, data, code, versions; kept with every record and report."""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

from clef_ray.ablation import Plan
from clef_ray.cli import Parser
from clef_ray.cli.options import add_options
from clef_ray.config import Run
from clef_ray.evaluate.inputs import ROTATION, SPLITS, Split
from clef_ray.evaluate.known import Known
from clef_ray.evaluate.leakage import NONE, Leakage, dealt_parts, leakage
from clef_ray.shards import Manifest
from clef_ray.tracking import public


def describe(
    folder: str, plan: Plan, run: Run, arguments: argparse.Namespace, targets: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Free names to texts. run: one of those that the plan holds or will hold: these say which folds pretraining sees; targets: folders of
    the corpora that encoders are judged on besides, by name.
    """
    manifest = Manifest.load(folder)
    packages = ("clef-ray", "ray", "torch", "numpy", "scikit-learn", "optuna", "mlflow", "pyarrow")
    return {
        "command": shlex.join(["python", *map(public, sys.argv)]),
        "options": given(arguments),
        "data": public(folder),
        "data_fingerprint": plan.data,
        "dataset": f"{manifest.dataset}: {manifest.records} records of {manifest.patients} patients, {sum(manifest.quarantined.values())} quarantined",
        **{f"target {name}": public(at) for name, at in (targets or {}).items()},
        "leakage": _leakage(folder, plan, run, targets or {}),
        "git_commit": _commit(),
        "python": sys.version.split()[0],
        **{name: version(name) for name in packages},
    }


def _leakage(folder: str, plan: Plan, run: Run, targets: Mapping[str, str]) -> str:
    """What the check finds, in words; of a rotation what it finds with the worst fold as the test."""
    home, judged = Known.read(folder), {name: Known.read(at) for name, at in targets.items()}

    def checked(seen: Iterable[int], split: Split) -> Leakage:
        dealt = dealt_parts(plan.tasks, {"": folder, **targets}, split)
        return leakage(home, judged, tuple(sorted(seen)), split, dealt)

    if not plan.rotation:
        seen = {fold for r in (run, *(t.run for t in plan.trials)) for fold in r.train_folds}
        return checked(seen, SPLITS[plan.split]).told()
    splits = {fold: SPLITS[ROTATION[fold]] for fold in plan.rotation}
    found = {fold: checked(split.train, split) for fold, split in splits.items()}
    fold, worst = max(found.items(), key=lambda item: len(item[1].found))
    if worst.found:
        return f"{worst.told()}; that is with fold {fold} as the test"
    return f"{NONE} in any of {len(found)} rotations, of which that with fold {fold} as the test: {worst.told().removeprefix(f'{NONE}: ')}"


def given(arguments: argparse.Namespace) -> str:
    """The experiment's options that are not at their defaults, as they are typed."""
    parser = Parser()
    add_options(parser)
    words: list[str] = []
    for name, default in vars(parser.parse_args([])).items():
        value, option = getattr(arguments, name), f"--{name.replace('_', '-')}"
        if value == default:
            continue
        if name in ("set", "target"):
            words += [word for pair in value for word in (option, pair)]
        elif isinstance(value, list):
            words += [option, *map(str, value)]
        else:
            words += [option] if value is True else [option, str(value)]
    return shlex.join(map(public, words))


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
