"""What the tests of migrate share: an embedded default with something in it, and a PostgreSQL server of their own."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from postgres import Server, postgres

# The toys of the trackers' and the studies' tests.
for folder in ("tracking", "studies"):
    sys.path.append(str(Path(__file__).parent.parent / folder))


@dataclass(frozen=True)
class Databases:
    """uri(name): a fresh database, without a password in it; the environment knows that."""

    server: Server

    def uri(self, name: str) -> str:
        full = f"{name}_{time.monotonic_ns()}"
        with psycopg.connect(self.server.uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {full}")
        return self.open(full)

    def open(self, full: str) -> str:
        return f"postgresql://clef@127.0.0.1:{self.server.port}/{full}"


@pytest.fixture(scope="session")
def databases():
    with postgres() as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("PGPASSWORD", "secret-word")
        environment.delenv("PGPASSFILE", raising=False)
        yield Databases(server)


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """Tables as wide as they like."""
    monkeypatch.setitem(os.environ, "COLUMNS", "160")
