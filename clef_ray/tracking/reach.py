"""Whether a tracking store is there at all: a cheap knock, since MLflow's own retries wait for minutes at a dead one."""

import http.client
import socket
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from clef_ray.errors import TrackingError
from clef_ray.tracking import UnreachableError, public

_ANSWER_SECONDS = 5.0  # how long a server may take to say that it is there
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def reach(uri: str) -> None:
    """Knock at the store (SQLite file, database or HTTP server). Raises TrackingError that names it and says what to do.

    UnreachableError where it may answer later: nobody listens, a time-out, HTTP 5xx.
    """
    shown = public(uri)
    parts = urlsplit(shown)  # so that no parser's complaint can quote the password
    remedy = "start it, correct --tracking-uri, or leave that out to record in SQLite below the storage"
    try:
        if parts.scheme in ("http", "https"):
            # Without user and password, which urllib would take for a part of the host; MLflow itself sends them.
            knock = parts._replace(
                netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/health"
            )
            with urllib.request.urlopen(knock.geturl(), timeout=_ANSWER_SECONDS):  # noqa: S310 - scheme checked above
                return
        if parts.scheme == "sqlite":
            remedy = "choose a folder that can be written: --tracking-uri sqlite:////absolute/path/mlflow.db"
            _reach_sqlite(uri)
        elif parts.hostname:
            port = parts.port or _PORTS.get(parts.scheme.partition("+")[0], 443)
            socket.create_connection((parts.hostname, port), _ANSWER_SECONDS).close()
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403):  # a proxy that wants MLflow's credentials is an answer
            kind = UnreachableError if error.code >= 500 else TrackingError
            raise kind(
                f"{shown} answers, but not as an MLflow server (HTTP {error.code} at /health): {remedy}"
            ) from error
    except (OSError, ValueError, http.client.HTTPException, sqlite3.Error) as error:
        raise UnreachableError(f"the tracking store {shown} does not answer ({error}): {remedy}") from error


def _reach_sqlite(uri: str) -> None:
    path = sqlite_path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=_ANSWER_SECONDS)) as database:
        # The write lock is what a read-only file or folder refuses.
        database.execute("BEGIN IMMEDIATE")


def sqlite_path(uri: str) -> Path:
    """The database file of a sqlite:/// URI, absolute."""
    return Path(uri.removeprefix("sqlite:///")).absolute()
