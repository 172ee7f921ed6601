"""One process at a time drives a sweep: its lease is a small file in the storage, which says who it is and that it lives."""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace

import psutil

from clef_ray.errors import ConfigError, StorageError
from clef_ray.store import Store

#: Seconds between two signs of life, and after how many without one a process of another machine counts as dead.
BEAT, DEAD = 30.0, 120.0

#: Seconds after which a lease is read again: of two processes that start at the same moment the later writer stays.
_SETTLE = 0.2


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
        try:  # a number is given again to another process
            return bool(psutil.Process(self.pid).create_time() == self.since)
        except (psutil.NoSuchProcess, ValueError):  # or is none
            return False


@contextmanager
def lease(store: Store, name: str) -> Iterator[None]:
    """Hold `name` in this store for the length of the block. ConfigError where a living process holds it; a dead one's is taken over.

    A storage that cannot be written for a while costs signs of life, not the lease. Whoever loses it to another process all the same (this
    one was asleep for longer than DEAD) leaves it to that one.
    """
    file = f"leases/{name}.json"
    own = _Holder(
        uuid.uuid4().hex, socket.gethostname(), os.getpid(), psutil.Process().create_time(), time.time()
    )

    def write() -> None:
        store.write_bytes(file, json.dumps(asdict(replace(own, beat=time.time()))).encode())

    def token() -> str | None:
        holder = _read(store, file)
        return holder.token if holder else None

    while token() != own.token:
        _refuse_living(store, file)
        write()
        time.sleep(_SETTLE)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            with suppress(StorageError):  # full, or away: the next one may arrive
                if token() not in (own.token, None):
                    return
                write()  # also where somebody deleted or damaged it: we are still at work

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(StorageError):  # it ends with this process, or DEAD seconds later
            if token() == own.token:
                store.delete(file)


def _read(store: Store, file: str) -> _Holder | None:
    """Who holds the lease; None where there is no file, or one that names nobody: empty, cut off, another program's."""
    if not store.exists(file):
        return None
    try:
        told = json.loads(store.read_bytes(file))
        return _Holder(
            str(told["token"]), str(told["host"]), int(told["pid"]), float(told["since"]), float(told["beat"])
        )
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def _refuse_living(store: Store, file: str) -> None:
    holder = _read(store, file)
    if holder is None:
        written = (e.modified for e in store.walk("leases", recursive=False) if e.name == file)
        if (age := min((time.time() - at for at in written), default=DEAD)) < DEAD:
            raise ConfigError(
                f"{store.path(file)} is damaged, and was written {max(age, 0.0):.0f} s ago by somebody who may run the same sweep: start "
                f"again {DEAD:.0f} s after it was written, or delete it if nobody runs it"
            )
    elif holder.lives:
        raise ConfigError(
            f"the same sweep is being run already, by process {holder.pid} on {holder.host}: two would train every run twice. "
            "Wait for it or stop it; the same command then goes on."
        )
