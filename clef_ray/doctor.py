"""`clef-ray doctor`: is this machine, cluster, storage and tracking server ready? Each line ok, or what to do."""

import importlib.metadata
import json
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from rich.console import Console
from rich.markup import escape

from clef_ray.errors import ClefRayError
from clef_ray.store import Store

PYTHON = (3, 11)

#: The packages whose versions are worth a reader's time; all others are checked too.
NAMED = ("ray", "torch", "mlflow", "optuna")

#: Below this much shared memory Ray puts its object store on disk. Docker's default is 64 MB.
SHARED_MEMORY_GB = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """One line: `detail` is what was found, `remedy` what to do about it (empty where ok)."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def doctor(storage: str, tracking_uri: str | None, address: str | None, *, as_json: bool = False) -> int:
    """Print every check, as lines or as a JSON list; 0 if all are ok, 1 if not."""
    if as_json:
        checks = list(run_checks(storage, tracking_uri, address))
        print(json.dumps([asdict(check) for check in checks], indent=1))
        return int(not all(check.ok for check in checks))
    console, good = Console(), True
    for check in run_checks(storage, tracking_uri, address):
        good = good and check.ok
        mark = "[green]ok[/]     " if check.ok else "[red]problem[/]"
        console.print(f"{mark} {check.name:<14} {escape(check.detail)}", highlight=False, soft_wrap=True)
        if not check.ok:
            console.print(f"        [bold]-> {escape(check.remedy)}[/]", highlight=False, soft_wrap=True)
    return int(not good)


def run_checks(storage: str, tracking_uri: str | None, address: str | None) -> Iterator[Check]:
    """The checks, one after another as they are done, the quick ones first.

    storage, tracking_uri (None: SQLite below the storage), address (None: a local Ray is started and stopped): as every command takes them.
    """
    yield _python()
    yield _packages()
    yield _shared_memory()
    yield _storage(storage)
    yield _tracking(storage, tracking_uri)
    yield from _ray(address)


@contextmanager
def _problem(name: str, remedy: str, found: list[Check]) -> Iterator[None]:
    """A user's error inside the block becomes a Check that is not ok."""
    try:
        yield
    except ClefRayError as error:
        found.append(Check(name, ok=False, detail=str(error), remedy=remedy))


def _python() -> Check:
    remedy = (
        f"Make the environment again with Python {PYTHON[0]}.{PYTHON[1]} or newer: make PYTHON=python3.11"
    )
    return Check(
        "python",
        sys.version_info >= PYTHON,
        platform.python_version(),
        remedy if sys.version_info < PYTHON else "",
    )


def _packages() -> Check:
    try:
        lines = importlib.metadata.requires("clef-ray") or []
    except importlib.metadata.PackageNotFoundError:
        return Check(
            "packages",
            ok=False,
            detail="clef-ray is not installed",
            remedy="pip install -c constraints.txt -e .",
        )
    needed = [r for r in map(Requirement, lines) if r.marker is None or r.marker.evaluate({"extra": ""})]
    wrong = [text for text in map(_wrong, needed) if text]
    if wrong:
        return Check(
            "packages", ok=False, detail="; ".join(wrong), remedy="pip install -c constraints.txt -e ."
        )
    return Check(
        "packages", ok=True, detail=", ".join(f"{name} {importlib.metadata.version(name)}" for name in NAMED)
    )


def _wrong(needed: Requirement) -> str:
    try:
        found = importlib.metadata.version(needed.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{needed.name} is missing"
    return (
        ""
        if needed.specifier.contains(found, prereleases=True)
        else f"{needed.name} {found} is not {needed.specifier}"
    )


def _shared_memory() -> Check:
    folder = Path("/dev/shm")  # noqa: S108  # asked for its size, nothing is written
    if not folder.is_dir():
        return Check("shared memory", ok=True, detail="this system has no /dev/shm; Ray uses its own place")
    size = shutil.disk_usage(folder).total / 1e9
    remedy = "Ray would put its object store on disk. In Docker: --shm-size=4g; elsewhere: enlarge that mount"
    ok = size >= SHARED_MEMORY_GB
    return Check("shared memory", ok, f"{folder} has {size:.2g} GB", "" if ok else remedy)


def _storage(uri: str) -> Check:
    store, found = Store(uri), list[Check]()
    with _problem(
        "storage",
        "Give a folder or URI that may be written: --storage PATH, or s3://bucket/path with its credentials",
        found,
    ):
        store.check_writable()
        found.append(Check("storage", ok=True, detail=f"{store.path()} can be written"))
    return found[0]


def _tracking(storage: str, uri: str | None) -> Check:
    from clef_ray.tracking import default_uri, public
    from clef_ray.tracking.mlflow import check

    found: list[Check] = []
    with _problem(
        "tracking", "Start the MLflow server, or give another --tracking-uri (storage/README.md)", found
    ):
        where = uri or default_uri(Store(storage))
        check(where)
        found.append(Check("tracking", ok=True, detail=f"MLflow answers at {public(where)}"))
    return found[0]


def _ray(address: str | None) -> Iterator[Check]:
    from clef_ray.cluster.capacity import live_nodes
    from clef_ray.cluster.session import session

    found: list[Check] = []
    with (
        _problem("ray", "See storage/README.md and cluster.yaml for how Ray is started", found),
        session(address) as dashboard,
    ):
        nodes = live_nodes()
        total = {
            name: sum(node.get(name, 0.0) for node in nodes.values())
            for name in ("CPU", "GPU", "memory", "object_store_memory")
        }
        found.append(_dashboard(dashboard, len(nodes)))
        found.append(_capacity(len(nodes), total))
        if address is None:
            found.append(_gpus(total["GPU"]))
    yield from found


def _dashboard(url: str, nodes: int) -> Check:
    """`session` has asked the State API behind it from here, so Ray is ready; who else must reach it is a note."""
    alone = nodes > 1 and urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    note = (
        ", on the head only: enough unless trials of several workers stop early, whose nodes then ask it too (see --dashboard-host in cluster.yaml)"
        if alone
        else ""
    )
    return Check("ray", ok=True, detail=f"runs, and its dashboard answers at {url}{note}")


def _capacity(nodes: int, total: dict[str, float]) -> Check:
    detail = (
        f"{nodes} node(s): {total['CPU']:g} CPU, {total['GPU']:g} GPU, {total['memory'] / 1e9:.1f} GB memory, "
        f"{total['object_store_memory'] / 1e9:.1f} GB object store"
    )
    ok = total["CPU"] >= 1
    return Check(
        "capacity",
        ok,
        detail,
        "" if ok else "A trial needs at least one CPU: add nodes, or start Ray with --num-cpus",
    )


def _gpus(offered: float) -> Check:
    import torch

    seen = torch.cuda.device_count()
    if Path("/dev/nvidia0").exists() and not seen:
        remedy = (
            "Install PyTorch's build for this driver's CUDA version (https://pytorch.org/get-started/locally)"
        )
        return Check(
            "gpu", ok=False, detail="there is an NVIDIA device but torch does not see it", remedy=remedy
        )
    detail = f"torch sees {seen}, Ray offers {offered:g}"
    remedy = "Unset CUDA_VISIBLE_DEVICES, or set it to the devices that Ray may give to trials"
    return Check("gpu", seen <= offered, detail, remedy if seen > offered else "")
