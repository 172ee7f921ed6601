"""Where studies lie: a SQLite file, a PostgreSQL server or a journal file, named by a URI; and patience with a database that is away."""

import fcntl
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from clef_ray.errors import ConfigError, TrackingError
from clef_ray.store import Store
from clef_ray.tracking import public

T = TypeVar("T")
Say = Callable[[str], None]

#: Seconds that a study's database may be away before a sweep gives up.
PATIENCE = 300.0

#: Seconds for which one process waits for another's write to a SQLite file.
_LOCKED = 60

#: Any number: PostgreSQL's name of the lock under which tables are made.
_TABLES = 0x636C6566

_REMEDY = (
    "give --study-uri sqlite:////absolute/path/optuna.db, postgresql://user:password@host/database or "
    "journal:///absolute/path/optuna.log, or leave it out for a SQLite file below --storage"
)


def default_uri(storage: Store) -> str:
    """The SQLite file below a local storage folder; ConfigError where the storage is remote, since SQLite needs a local file."""
    if not storage.local:
        raise ConfigError(
            f"storage {storage.uri!r} is remote and SQLite needs a local file: give --study-uri, e.g. postgresql://user@host/optuna"
        )
    return f"sqlite:///{storage.path('optuna/optuna.db').removeprefix('file://')}"


def open_storage(uri: str) -> BaseStorage:
    """The storage behind a URI (sqlite:///, postgresql://, journal:///), its tables made where there are none, by one process of many.

    Raises TrackingError, without the password, that says what to do: no such scheme, no right, no server, another program's database.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    scheme, _, place = uri.partition(":///")
    try:
        if scheme == "journal" and place:
            path = Path(place).absolute()
            path.parent.mkdir(parents=True, exist_ok=True)
            return JournalStorage(JournalFileBackend(str(path)))
        if scheme == "sqlite" and place:
            path = Path(place).absolute()
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                _file_lock(path.with_name(f"{path.name}.lock")),
                closing(sqlite3.connect(path, _LOCKED)) as file,
            ):
                # kept in the file; a commit costs a fraction of the default's, and readers do not wait for a writer
                file.execute("PRAGMA journal_mode=WAL")
                return _database(f"sqlite:///{path}")
        if uri.startswith("postgresql://"):
            return _postgres(uri.replace("postgresql://", "postgresql+psycopg://", 1))
    except ImportError:
        raise TrackingError(f"{public(uri)}: the driver is missing; pip install 'clef-ray[team]'") from None
    except (OSError, sqlite3.Error, SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        raise TrackingError(
            f"the study database {public(uri)} cannot be opened ({_first_line(error)}): {_REMEDY}"
        ) from None
    raise TrackingError(f"{public(uri)} names no study database: {_REMEDY}")


def check(uri: str) -> None:
    """TrackingError where `open_storage` would fail."""
    close_storage(open_storage(uri))


def close_storage(storage: BaseStorage) -> None:
    """Give its connections back."""
    storage.remove_session()
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


def _postgres(url: str) -> BaseStorage:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            # held until the connection is closed
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _TABLES})
            return _database(url)
    finally:
        engine.dispose()


def _database(url: str) -> RDBStorage:
    local = url.startswith("sqlite")
    arguments = {"connect_args": {"timeout": _LOCKED}} if local else {"pool_pre_ping": True}
    _refuse_foreign(create_engine(url), url)
    return RDBStorage(url, engine_kwargs=arguments)


def _refuse_foreign(engine: Engine, url: str) -> None:
    """MLflow and Optuna keep the version of their tables under one name: in one database each takes the other's for its own."""
    try:
        tables = inspect(engine).get_table_names()
    finally:
        engine.dispose()
    if "alembic_version" in tables and "studies" not in tables:
        raise TrackingError(
            f"{public(url)} holds the tables of another program (MLflow's?); a study needs a database of its own: {_REMEDY}"
        )


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def patient(call: Callable[[], T], say: Say, seconds: float = PATIENCE) -> T:
    """What the call returns; it is made again while the database does not answer. The call must bear being made twice.

    say: told once that there is a wait, and once that it is over. TrackingError after `seconds`.
    """
    begin, pause, waiting = time.monotonic(), 0.25, False
    while True:
        try:
            answer = call()
        except (StorageInternalError, DBAPIError) as error:
            reason = _away(error)
            if reason is None:
                raise
            if time.monotonic() - begin > seconds:
                raise TrackingError(
                    f"the study database has not answered for {seconds:.0f} s ({reason}); what is finished is kept: "
                    "the same command goes on"
                ) from None
            if not waiting:
                say(f"the study database does not answer ({reason}): waiting for up to {seconds:.0f} s")
                waiting = True
            time.sleep(pause)
            pause = min(2 * pause, 5.0)
        else:
            if waiting:
                say("the study database answers again")
            return answer


def _away(error: Exception) -> str | None:
    """Why the database does not answer; None where the error means something else."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if not isinstance(cause, OperationalError | InterfaceError):
        return None
    return _first_line(cause)


def _first_line(error: Exception) -> str:
    """The error in one line, without a password that a driver may quote."""
    if isinstance(error, StorageInternalError) and isinstance(error.__cause__, DBAPIError):
        error = error.__cause__
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    if isinstance(error, ArgumentError):  # SQLAlchemy quotes the URI
        return "not a database URI"
    lines = public(str(cause)).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
