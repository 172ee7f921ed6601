"""Two hosts that have nothing in common but an object store: each with a working folder, a folder for temporary files, a Ray, an MLflow and a
study of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from clef_ray.errors import StorageError
from clef_ray.store import Store
from clef_ray.train.loop import CHECKPOINT, RECORD, history_so_far

EXPERIMENT = Path(__file__).with_name("tiny_sweep.py")
PATIENCE = 540


@dataclass
class Host:
    """folder: all that the host has; endpoint: the store's address in its environment."""

    folder: Path
    endpoint: str

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.log = self.folder / "log.txt"

    def databases(self) -> list[str]:
        return [
            "--tracking-uri",
            f"sqlite:///{self.folder}/mlflow.db",
            "--study-uri",
            f"sqlite:///{self.folder}/optuna.db",
        ]

    def sweep(self, data: str, storage: str, *options: str) -> list[str]:
        """Arguments of clef-ray."""
        return ["sweep", str(EXPERIMENT), "--data", data, "--storage", storage, *self.databases(), *options]

    def start(self, code: str) -> subprocess.Popen:
        """Python in a process of the host's; its temporary files lie in a short path, as Ray's sockets ask for."""
        scratch = self.scratch = tempfile.mkdtemp(prefix="h-")
        environment = {**os.environ, "TMPDIR": scratch, "AWS_ENDPOINT_URL": self.endpoint}
        with self.log.open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, code: str) -> str:
        """To its end, which must be good; what it printed."""
        process = self.start(code)
        try:
            assert process.wait(PATIENCE) == 0, self.log.read_text()
        finally:
            self.switch_off(process)
        return self.log.read_text()

    def alive(self, process: subprocess.Popen) -> Callable[[], None]:
        """Raises once it has ended, with what it printed."""

        def look() -> None:
            assert process.poll() is None, self.log.read_text()

        return look

    def switch_off(self, process: subprocess.Popen) -> None:
        """The process and all that it started, at once."""
        if process.poll() is None:
            family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
            for one in family:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            psutil.wait_procs(family, timeout=60)
            process.wait(60)
        shutil.rmtree(self.scratch, ignore_errors=True)


def history(run: Store) -> list:
    """Finished epochs, from the record or the checkpoint."""
    if run.exists(RECORD):
        return json.loads(run.read_bytes(RECORD))["history"]
    return history_so_far(run) if run.exists(CHECKPOINT) else []


def the_run(storage: Store) -> Store:
    """The only run there."""
    (name,) = storage.list("runs")
    return storage.child("runs").child(name)


def until_epoch(storage: Store, epoch: int, alive: Callable[[], None]) -> list:
    """Wait until the store holds so many epochs of the run; they."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        alive()
        if storage.exists("runs"):
            try:
                if len(found := history(the_run(storage))) >= epoch:
                    return found
            except (StorageError, ValueError):  # between two looks
                pass
        time.sleep(0.2)
    raise AssertionError("waited in vain")
