"""What is installed is what was tested: every version pinned exactly, nothing that is needed left out. (`make audit` asks for known holes.)"""

import importlib.metadata
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent.parent
LINES = [
    line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")
]  # fmt: skip
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

#: Packages of the interpreter's own, which every environment has: pins would fight with `python -m venv`.
TOOLS = {"pip", "setuptools", "wheel"}


def test_every_pin_is_one_exact_version():
    """No range, no URL, no file, no local build; each name once."""
    odd = [line for line in LINES if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)]
    assert odd == []
    names = [canonicalize_name(line.partition("==")[0]) for line in LINES]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def needed(requirement: Requirement, extras: set[str], seen: set[tuple[str, str]]) -> set[str]:
    """The names of all that a requirement brings, itself included, as the installed packages say it, for this machine."""
    found = {canonicalize_name(requirement.name)}
    try:
        distribution = importlib.metadata.distribution(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return found
    for line in distribution.requires or []:
        inner = Requirement(line)
        wanted = inner.marker is None or any(
            inner.marker.evaluate({"extra": extra}) for extra in {"", *extras}
        )
        key = (canonicalize_name(inner.name), ",".join(sorted(inner.extras)))
        if wanted and key not in seen:
            seen.add(key)
            found |= needed(inner, set(inner.extras), seen)
    return found


def test_every_package_that_is_needed_is_pinned():
    """Those of pyproject.toml with all its extras, and those that they need in turn."""
    pinned = {canonicalize_name(line.partition("==")[0]) for line in LINES}
    lines = [
        *PROJECT["dependencies"],
        *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
    ]
    requirements = [r for r in map(Requirement, lines) if r.name != PROJECT["name"]]
    found = set().union(*(needed(r, set(r.extras), set()) for r in requirements))
    assert len(found) > 100, "the walk goes through"
    assert sorted(found - pinned - TOOLS) == []


def test_what_is_asked_for_has_a_least_version():
    """`pip install clef-ray` without the pins must not take a version that was never tried."""
    lines = [
        *PROJECT["dependencies"],
        *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
    ]
    without = [
        line
        for line in lines
        if not Requirement(line).specifier and Requirement(line).name != PROJECT["name"]
    ]
    assert without == []
    assert not any(Requirement(line).url for line in lines)
