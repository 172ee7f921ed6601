"""What results are written to: the storage, MLflow's store, the database of studies. Each is asked as an experiment would."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from clef_ray.doctor.check import Check, Level, judge, told
from clef_ray.store import Store

#: Free space in GB: below the first nothing of use can be stored, below the second a larger experiment may not end.
LEAST_GB, LITTLE_GB = 0.5, 5.0

_ANSWER_SECONDS = 5

#: A store that is away is waited for that long; twice it where it takes requests and does not answer them.
_STORAGE_SECONDS = 4.0


def storage(uri: str) -> Iterator[Check]:
    """Can it be written, and is there room?"""
    store, found = Store(uri, _STORAGE_SECONDS), list[Check]()
    remedy = (
        "Give a folder or URI that may be written: --storage PATH, or s3://bucket/path with its credentials"
    )
    with told("storage", remedy, found):
        store.check_writable()
        found.append(Check("storage", "ok", f"{store.path()} can be written"))
    yield from found
    if store.local and found[0].ok:
        yield room(shutil.disk_usage(Path(store.path().removeprefix("file://"))).free, uri)


def room(free: int, uri: str) -> Check:
    """free: bytes."""
    level: Level = "ok"
    if free < LITTLE_GB * 1e9:
        level = "warning" if free >= LEAST_GB * 1e9 else "problem"
    return judge("disk space", level, f"{free / 1e9:.1f} GB free", f"clef-ray gc --storage {uri} --dry-run")


def tracking(storage_uri: str, uri: str | None) -> Iterator[Check]:
    """Does MLflow's store answer, with tables of this MLflow? A new database is made here, as an experiment would."""
    from clef_ray.tracking import default_uri, public
    from clef_ray.tracking.client import check

    os.environ.setdefault("PGCONNECT_TIMEOUT", str(_ANSWER_SECONDS))  # libpq waits for ever
    found: list[Check] = []
    with told(
        "tracking", "Start the MLflow server, or give another --tracking-uri (storage/README.md)", found
    ):
        where = uri or default_uri(Store(storage_uri))
        check(where)
        found.append(_served(where, public(where)))
    shown = public(uri) if uri else "the one below --storage"
    yield from (_out_of_date(c, shown) if "database schema" in c.detail else c for c in found)


def _out_of_date(check: Check, shown: str) -> Check:
    remedy = (
        f"Make a copy of the database ({shown}), then: mlflow db upgrade URI. If that does not know its version, a newer MLflow made it: "
        "pip install --upgrade mlflow"
    )
    return Check(check.name, check.level, check.detail, remedy)


def _served(uri: str, shown: str) -> Check:
    """A server of another MLflow may not understand this one's questions."""
    import importlib.metadata

    here = importlib.metadata.version("mlflow")
    if urlsplit(uri).scheme not in ("http", "https") or "@" in uri:
        return Check("tracking", "ok", f"MLflow {here} answers at {shown}")
    try:
        with urlopen(f"{uri.rstrip('/')}/version", timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - http as checked above
            there = answer.read(40).decode(errors="replace").strip()
    except (URLError, OSError):
        return Check("tracking", "ok", f"MLflow answers at {shown}")
    return served(there, here, shown)


def served(there: str, here: str, shown: str) -> Check:
    """The server's MLflow and this one: alike in their first two numbers, or a warning."""
    same = there.split(".")[:2] == here.split(".")[:2]
    detail = f"MLflow {there} answers at {shown}" + ("" if same else f"; here is MLflow {here}")
    return judge(
        "tracking",
        "ok" if same else "warning",
        detail,
        f"pip install mlflow=={there}   (here), or {here} there",
    )


def studies(storage_uri: str, uri: str | None) -> Iterator[Check]:
    """Does the database of studies answer, with tables of its own?"""
    from clef_ray.studies.storage import check, default_uri
    from clef_ray.tracking import public

    found: list[Check] = []
    with told("studies", "Start the database, or give another --study-uri (storage/README.md)", found):
        where = uri or default_uri(Store(storage_uri))
        check(where)
        found.append(Check("studies", "ok", f"Optuna's studies answer at {public(where)}"))
    yield from found
