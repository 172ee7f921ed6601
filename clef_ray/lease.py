"""Who is at work on what: a lease is a small file in the storage, which says which process holds a plan or a run and that it lives.

In a folder the system's links let one of two win; an object store has none: there it goes by claims (claims.py).
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import psutil

from clef_ray.claims import BEAT, DEAD, Claims, runs
from clef_ray.errors import ClefRayError, ConfigError, StorageError
from clef_ray.store import Store

#: Seconds after which a lease is read again: of two processes that start at the same moment the later writer stays.
_SETTLE = 0.2


class LeaseLostError(ClefRayError):
    """Another process has taken over what this one was at work on: everything that both of them write is the other's now."""


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who a lease's file says holds it. since: when the process began; beat: its last sign of life; both in seconds since 1970."""

    token: str
    host: str
    pid: int
    since: float
    beat: float

    @property
    def lives(self) -> bool:
        if self.host != socket.gethostname():
            return time.time() - self.beat < DEAD
        return runs(self.pid, self.since)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Leases:
    """The leases of this process in one storage, which a thread of it keeps alive for the length of the `with` block.

    A storage that cannot be written for a while costs signs of life, not the leases. One that is lost to another process all the same (this
    one was asleep for longer than DEAD) is that one's: `check` says so.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        since = psutil.Process().create_time()
        self._own = _Holder(uuid.uuid4().hex, socket.gethostname(), os.getpid(), since, time.time())
        self._held: set[str] = set()
        self._claims = None if store.local else Claims(store)
        self._lost: dict[str, str] = {}
        self._changing, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="leases", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        for name in tuple(self._held):
            self.give(name)

    def take(self, name: str) -> str | None:
        """Hold `name`; None where it is held now, else who holds it, in words. A dead process's is taken over."""
        other = self._claims.take(name) if self._claims else self._link(_file(name))
        if other is None:
            with self._changing:
                self._held.add(name)
        return other

    def give(self, name: str) -> None:
        """Hold it no longer. One that cannot be deleted ends with this process, or DEAD seconds after its last sign of life."""
        with self._changing:
            self._held.discard(name)
            with suppress(StorageError):
                if self._claims:
                    self._claims.give(name)
                elif (holder := _read(self._store, _file(name))) and holder.token == self._own.token:
                    self._store.delete(_file(name))

    def check(self) -> None:
        """LeaseLostError where another process has taken one of them."""
        for name, holder in self._lost.items():
            raise LeaseLostError(
                f"{self._store.path(_file(name))}: {holder} took this over while this process gave no sign of life (asleep, or cut off "
                "from the storage), and goes on with it; nothing is lost. This one stops, not to do everything twice."
            )

    def _link(self, file: str) -> str | None:
        if not self._create(file):
            while (holder := _read(self._store, file)) is None or holder.token != self._own.token:
                if (other := _living(self._store, file)) is not None:
                    return other
                self._write(file)
                time.sleep(_SETTLE)
        return None

    def _create(self, file: str) -> bool:
        """Whether nobody had it: at once, since the system lets one of two win."""
        if self._store.exists(file):
            return False
        ready = f"{file}.{uuid.uuid4().hex[:8]}"
        self._write(ready)
        try:
            Path(self._path(file)).hardlink_to(self._path(ready))
        except OSError:  # it is there now, or there are no links here
            return False
        finally:
            self._store.delete(ready)
        return True

    def _path(self, file: str) -> str:
        return self._store.path(file).removeprefix("file://")

    def _write(self, file: str) -> None:
        self._store.write_bytes(file, json.dumps(asdict(replace(self._own, beat=time.time()))).encode())

    def _work(self) -> None:
        while not self._over.wait(BEAT):
            for name in tuple(self._held):
                with self._changing, suppress(StorageError):  # full, or away: the next one may arrive
                    self._beat(name)

    def _beat(self, name: str) -> None:
        if name in self._held and (other := self._sign(name)) is not None:
            self._held.discard(name)
            self._lost[name] = other

    def _sign(self, name: str) -> str | None:
        """A sign of life, or who has taken it over: also where somebody deleted or damaged the file, we are still at work."""
        if self._claims:
            return self._claims.beat(name)
        holder = _read(self._store, _file(name))
        if holder is not None and holder.token != self._own.token:
            return str(holder)
        self._write(_file(name))
        return None


@contextmanager
def lease(store: Store, name: str) -> Iterator[Callable[[], None]]:
    """Hold `name`, a plan's, in this store for the length of the block; yields `Leases.check`.

    ConfigError where a living process holds it; a dead one's is taken over.
    """
    with Leases(store) as leases:
        if (other := leases.take(name)) is not None:
            raise ConfigError(
                f"the same sweep is being run already, by {other}: two would train every run twice. "
                "Wait for it or stop it; the same command then goes on."
            )
        yield leases.check


def _file(name: str) -> str:
    return f"leases/{name}.json"


def _read(store: Store, file: str) -> _Holder | None:
    """Who holds the lease; None where there is no file, or one that names nobody: empty, cut off, another program's."""
    if not store.exists(file):
        return None
    try:
        content = store.read_bytes(file)
    except StorageError:
        if store.exists(file):
            raise
        return None  # given back between the two looks
    try:
        told = json.loads(content)
        return _Holder(
            str(told["token"]), str(told["host"]), int(told["pid"]), float(told["since"]), float(told["beat"])
        )
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def _living(store: Store, file: str) -> str | None:
    """Who lives and holds it, in words; None where nobody does."""
    holder = _read(store, file)
    if holder is not None:
        return str(holder) if holder.lives else None
    written = (e.modified for e in store.walk("leases", recursive=False) if e.name == file)
    if (age := min((time.time() - at for at in written), default=DEAD)) < DEAD:
        return (
            f"somebody unknown ({store.path(file)} is damaged, and was written {max(age, 0.0):.0f} s ago: it counts until "
            f"{DEAD:.0f} s after that; delete it if nobody is at work)"
        )
    return None
