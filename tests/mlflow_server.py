"""A real MLflow server of a test's own, which can be taken away for a while."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`mlflow server` on the loopback with SQLite behind it; `start` again after `stop` finds the same database."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.database = folder / "server.db"
        self.command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        self.command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.database}"]
        self.command += ["--artifacts-destination", str(folder / "served")]
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.process = subprocess.Popen(
            self.command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        for _ in range(600):
            assert self.process.poll() is None, "mlflow server ended"
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.2)
        self.stop()
        raise AssertionError("mlflow server did not answer in 120 s")

    def send(self, number: signal.Signals) -> None:
        """A signal to the server and the workers that it started."""
        if self.process is not None:
            os.killpg(self.process.pid, number)

    def stop(self) -> None:
        """Killed, as a machine that is switched off; nothing where it is stopped already."""
        if self.process is not None:
            self.send(signal.SIGKILL)
            self.process.wait(10)
            self.process = None
