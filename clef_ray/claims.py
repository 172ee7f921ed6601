"""Who holds what in an object store, which has no locks, and lets the later of two writers win without a word.

Nobody writes another one's file there: who wants NAME writes a file of its own, `leases/NAME.<token>.json`, and then looks at all of them.
The store must show to every reader what was written before (Amazon's, Google's, MinIO's and Ceph's do). Of two that want the same at the same
moment, at least one sees the other, since each looks after it wrote; and who sees another one never goes on:

- it holds NAME already, or wants it too and has the smaller token: give way;
- it wants it too and has the larger token: wait until it has given way, or holds it after all.

So two never hold NAME at a time, but for a holder that gave no sign of life for DEAD seconds: that one is taken over, and told by the file of
its successor, which names it.
"""

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from clef_ray.errors import StorageError
from clef_ray.store import Store

#: Seconds between two signs of life, and after how many without one a process of another machine counts as dead.
BEAT, DEAD = 30.0, 120.0

#: Seconds between two looks at others that want the same.
_SETTLE = 0.2


def runs(pid: int, since: float) -> bool:
    """Whether this machine's process of that number is still the one that began then, in seconds since 1970."""
    try:  # a number is given again to another process
        return bool(psutil.Process(pid).create_time() == since)
    except (psutil.NoSuchProcess, ValueError):  # or is none
        return False


@dataclass(frozen=True, slots=True)
class Claim:
    """One process's file. machine: what tells machines with one name apart; since: when the process began; beat: its last sign of life (both in
    seconds since 1970); holds: else it only wants; over: the tokens of dead holders that it took over from.
    """

    token: str
    host: str
    machine: str
    pid: int
    since: float
    beat: float
    holds: bool = False
    over: tuple[str, ...] = ()

    @property
    def lives(self) -> bool:
        """Asked of the system where the process is this machine's, else by its last sign of life."""
        if self.machine != machine():
            return time.time() - self.beat < DEAD
        return runs(self.pid, self.since)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Claims:
    """One process's claims in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        since = psutil.Process().create_time()
        self._own = Claim(uuid.uuid4().hex, socket.gethostname(), machine(), os.getpid(), since, time.time())
        self._held: dict[str, Claim] = {}

    def take(self, name: str) -> str | None:
        """Hold `name`; None where it is held now, else who holds it or is about to, in words."""
        if name in self._held:
            return None
        self._write(self._store, name, self._own)
        while others := list(self._living(self._store, name)):
            for other in others:
                if other.holds or other.token < self._own.token:
                    self._store.delete(self._file(name))
                    return str(other)
            time.sleep(_SETTLE)
        dead = tuple(c.token for c in self._others(self._store, name))
        self._held[name] = replace(self._own, holds=True, over=dead)
        self._write(self._store, name, self._held[name])
        for token in dead:
            self._store.delete(self._file(name, token))
        return None

    def give(self, name: str) -> None:
        self._held.pop(name, None)
        self._store.delete(self._file(name))

    def beat(self, name: str) -> str | None:
        """A sign of life; who has taken `name` over, in words, where somebody has."""
        brief = replace(self._store, patience=min(self._store.patience, BEAT))  # the next beat comes
        for other in self._others(brief, name):
            if self._own.token in other.over:
                return str(other)
        self._write(brief, name, self._held[name])
        return None

    def _file(self, name: str, token: str = "") -> str:
        return f"leases/{name}.{token or self._own.token}.json"

    def _write(self, store: Store, name: str, claim: Claim) -> None:
        store.write_bytes(self._file(name), json.dumps(asdict(replace(claim, beat=time.time()))).encode())

    def _living(self, store: Store, name: str) -> Iterator[Claim]:
        return (claim for claim in self._others(store, name) if claim.lives)

    def _others(self, store: Store, name: str) -> Iterator[Claim]:
        """What others have written about `name`. A damaged file counts as a living holder's until it is as old as a dead one's."""
        start = f"leases/{name}."
        for entry in store.walk("leases", recursive=False):
            token = entry.name.removeprefix(start).removesuffix(".json")
            if entry.name != self._file(name, token) or "." in token or token == self._own.token:
                continue
            try:
                content = store.read_bytes(entry.name)
            except StorageError:
                if store.exists(entry.name):
                    raise
                continue  # given back between the two looks
            yield _read(content, token, entry.modified)


def _read(content: bytes, token: str, modified: float) -> Claim:
    try:
        told = json.loads(content)
        return Claim(
            token,
            str(told["host"]),
            str(told["machine"]),
            int(told["pid"]),
            float(told["since"]),
            float(told["beat"]),
            bool(told["holds"]),
            tuple(map(str, told["over"])),
        )
    except (KeyError, OverflowError, TypeError, ValueError):
        return Claim(token, "a machine unknown (its lease is damaged)", "", 0, 0.0, modified, holds=True)


def machine() -> str:
    """What two processes have in common that see each other's numbers: the start of the system, and containers apart. Names are given twice."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return socket.gethostname()
