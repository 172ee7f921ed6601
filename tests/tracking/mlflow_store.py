"""A real MLflow store for the tests of tracking: a server that can be stopped, and what it holds, read with MLflow's own client."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

from mlflow import MlflowClient

from clef_ray.ablation import Outcome, Plan


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


class Read:
    """What the store holds of the experiment `name`."""

    def __init__(self, uri: str, name: str = "toy") -> None:
        self.client = MlflowClient(tracking_uri=uri)
        (self.experiment,) = [e for e in self.client.search_experiments() if e.name == name]
        self.runs = list(self.client.search_runs([self.experiment.experiment_id]))
        self.parents = [r for r in self.runs if "mlflow.parentRunId" not in r.data.tags]
        below = [r for r in self.runs if "mlflow.parentRunId" in r.data.tags]
        trials = [r for r in below if r.data.tags["clef_ray.kind"] == "trial"]
        self.children = {r.info.run_name: r for r in trials}
        assert len(self.children) == len(trials), "two runs of one trial"
        self.arms = {r.info.run_name: r for r in below if r.data.tags["clef_ray.kind"] == "arm"}
        assert len(self.parents) + len(self.children) + len(self.arms) == len(self.runs)

    @property
    def parent(self):
        (parent,) = self.parents
        return parent

    def history(self, name: str, metric: str) -> list[float]:
        """Values in the order of their steps, which must be 0, 1, 2, ... without gap or repetition."""
        found = self.client.get_metric_history(self.children[name].info.run_id, metric)
        steps, values = zip(*sorted((m.step, m.value) for m in found), strict=True)
        assert steps == tuple(range(len(steps)))
        return list(values)

    def statuses(self) -> set[str]:
        return {r.info.status for r in self.runs}


class Table:
    """A `Summary` by plain loops: the mean over seeds of the headline metrics, an interval of +-0.01 where there are two seeds."""

    answer = "More negatives change nothing."
    caveats = ("Toy data.",)

    def __init__(self, plan: Plan, outcomes: Sequence[Outcome]) -> None:
        self.rows = []
        for arm in {t.arm.name: t.arm for t in plan.trials}.values():
            cells = {}
            for metric in plan.ablation.headline:
                own = [o for o in outcomes if o.trial.arm.name == arm.name and metric in o.metrics]
                values = {o.trial.seed: o.metrics[metric] for o in own}
                if values:
                    middle = mean(values.values())
                    bounds = SimpleNamespace(low=middle - 0.01, high=middle + 0.01)
                    seeds = bounds if len(values) > 1 else None
                    cells[metric] = SimpleNamespace(values=values, mean=middle, seeds=seeds, patients=None)
            self.rows.append(SimpleNamespace(arm=arm, cells=cells))

    def csv(self) -> str:
        return "arm,metric,mean\n" + "".join(
            f"{row.arm.name},{name},{cell.mean}\n" for row in self.rows for name, cell in row.cells.items()
        )
