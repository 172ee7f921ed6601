"""A real PostgreSQL server of a test's own, which can be taken away for a while."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

TIMEOUT = 60


@dataclass
class Server:
    """uri: its database `postgres`, by password over TCP."""

    folder: Path
    port: int

    @property
    def uri(self) -> str:
        return self.database("postgres")

    def database(self, name: str) -> str:
        return f"postgresql://clef:secret-word@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off"
        _as_user(
            "pg_ctl", "start", "-w", "-D", self.folder / "data", "-l", self.folder / "log", "-o", options
        )

    def stop(self) -> None:
        """Cuts every connection at once."""
        _as_user("pg_ctl", "stop", "-w", "-m", "fast", "-D", self.folder / "data")


def _program(name: str) -> str | None:
    """Debian keeps the server's programs off the PATH."""
    places = [str(p) for p in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *places]))


def _as_user(command: str, *arguments: object) -> None:
    """PostgreSQL refuses to run as root."""
    line = [_program(command), *map(str, arguments)]
    if os.geteuid() == 0:
        line = ["runuser", "-u", "nobody", "--", *line]
    subprocess.run(
        line, check=True, timeout=TIMEOUT, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@contextmanager
def postgres() -> Iterator[Server]:
    """A fresh server, stopped and removed at the end; skips where there is no PostgreSQL."""
    if missing := [c for c in ("initdb", "pg_ctl") if _program(c) is None]:
        pytest.skip(f"no PostgreSQL server here: {missing[0]} is not found")
    with tempfile.TemporaryDirectory(prefix="clef_ray-postgres-") as name, socket.socket() as probe:
        folder = Path(name)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        password = folder / "password"
        password.write_text("secret-word\n")
        password.chmod(0o644)
        _as_user(
            "initdb",
            "-D",
            folder / "data",
            "-U",
            "clef",
            "-A",
            "scram-sha-256",
            "--pwfile",
            password,
            "--no-sync",
        )
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        server = Server(folder, port)
        server.start()
        try:
            yield server
        finally:
            with suppress(subprocess.CalledProcessError):  # the test has stopped it already
                server.stop()
