"""One process at a time drives a sweep: its lease is a small file in the storage, which says who it is and that it lives."""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from clef_ray.errors import ConfigError
from clef_ray.store import Store

#: Seconds between two signs of life, and after how many without one a process of another machine counts as dead.
BEAT, DEAD = 30.0, 120.0

#: Seconds after which a lease is read again: of two processes that start at the same moment the later writer stays.
_SETTLE = 0.2


@contextmanager
def lease(store: Store, name: str) -> Iterator[None]:
    """Hold `name` in this store for the length of the block. ConfigError where a living process holds it; a dead one's is taken over."""
    file = f"leases/{name}.json"
    if store.exists(file):
        _refuse_living(json.loads(store.read_bytes(file)))
    own = {
        "token": uuid.uuid4().hex,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": psutil.Process().create_time(),
    }

    def write() -> None:
        store.write_bytes(file, json.dumps({**own, "beat": time.time()}).encode())

    write()
    time.sleep(_SETTLE)
    found = json.loads(store.read_bytes(file))
    if found["token"] != own["token"]:
        _refuse_living(found)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            write()

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        store.delete(file)


def _refuse_living(found: dict[str, object]) -> None:
    here = found["host"] == socket.gethostname()
    if _runs(found) if here else time.time() - float(str(found["beat"])) < DEAD:
        raise ConfigError(
            f"the same sweep is being run already, by process {found['pid']} on {found['host']}: two would train every run twice. "
            "Wait for it or stop it; the same command then goes on."
        )


def _runs(found: dict[str, object]) -> bool:
    """Whether that very process is alive: a number is given again to another one."""
    try:
        return bool(psutil.Process(int(str(found["pid"]))).create_time() == found["since"])
    except psutil.NoSuchProcess:
        return False
