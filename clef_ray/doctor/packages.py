"""Python and the packages: those that the project asks for, in the versions that it asks for, and Ray's whole dashboard."""

import importlib
import importlib.metadata
import platform
import sys
from collections.abc import Iterator

from packaging.requirements import Requirement

from clef_ray.doctor.check import Check, Level, judge

PYTHON = (3, 11)

#: The packages whose versions are worth a reader's time; all others are checked too.
NAMED = ("ray", "torch", "mlflow", "optuna")

INSTALL = "pip install -c constraints.txt -e ."


def checks() -> Iterator[Check]:
    yield _python()
    yield _packages()
    yield _dashboard()


def _python() -> Check:
    need = f"{PYTHON[0]}.{PYTHON[1]}"
    level: Level = "problem" if sys.version_info < PYTHON else "ok"
    remedy = f"Make the environment again with Python {need} or newer: make PYTHON=python{need} test"
    return judge("python", level, platform.python_version(), remedy)


def _packages() -> Check:
    try:
        lines = importlib.metadata.requires("clef-ray") or []
    except importlib.metadata.PackageNotFoundError:
        return Check("packages", "problem", "clef-ray is not installed", INSTALL)
    needed = [r for r in map(Requirement, lines) if r.marker is None or r.marker.evaluate({"extra": ""})]
    wrong = [text for text in map(_wrong, needed) if text]
    if wrong:
        return Check("packages", "problem", "; ".join(wrong), INSTALL)
    return Check("packages", "ok", ", ".join(f"{name} {importlib.metadata.version(name)}" for name in NAMED))


def _wrong(needed: Requirement) -> str:
    try:
        found = importlib.metadata.version(needed.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{needed.name} is missing"
    fits = needed.specifier.contains(found, prereleases=True)
    return "" if fits else f"{needed.name} {found} is not {needed.specifier}"


def _dashboard() -> Check:
    """Ray without [default] starts and seems to work; but then a stopped trial of several workers keeps its workers for ever."""
    try:
        importlib.import_module("ray.dashboard.optional_deps")
    except ImportError as error:
        lacks = f"Ray's dashboard cannot start here ({error}); without it stopped trials keep their workers and the next ones wait for ever"
        return Check("ray[default]", "problem", lacks, INSTALL)
    return Check("ray[default]", "ok", "the dashboard's packages are here")
