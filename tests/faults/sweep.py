"""One sweep as a process of its own, to be hurt; what its run folder, study and record say before and after."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import psutil
from experiment import ARMS, EPOCHS, SEEDS
from mlflow import MlflowClient

from clef_ray.errors import StorageError
from clef_ray.store import Store
from clef_ray.studies.storage import open_storage
from clef_ray.train.loop import RECORD, history_so_far

EXPERIMENT = Path(__file__).with_name("experiment.py")

#: Seconds within which anything here must happen.
PATIENCE = 240


@dataclass
class Sweep:
    """shards: their folder; storage: where runs lie; options: further arguments of the command."""

    shards: Path
    storage: Path
    options: Mapping[str, str] = field(default_factory=dict)
    experiment: Path = EXPERIMENT
    process: subprocess.Popen[str] | None = None

    @property
    def tracking(self) -> str:
        return self.options.get("--tracking-uri", f"sqlite:///{self.storage}/mlflow/mlflow.db")

    @property
    def study(self) -> str:
        return self.options.get("--study-uri", f"sqlite:///{self.storage}/optuna/optuna.db")

    def start(self) -> None:
        """In a session of its own, as a shell starts a command: Ctrl-C reaches the whole group."""
        command = [
            sys.executable,
            "-m",
            "clef_ray",
            "sweep",
            str(self.experiment),
            "--data",
            str(self.shards),
        ]
        command += ["--storage", str(self.storage), *(text for pair in self.options.items() for text in pair)]
        self.log = self.storage.parent / f"log-{time.monotonic_ns()}.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(EXPERIMENT.parent)},
            )

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def interrupt(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def until_epoch(self, least: int) -> dict[str, list[dict[str, float]]]:
        """Wait until some run has finished this many epochs of several; the histories by run then."""
        return until(lambda: (h := self.histories()) and max(map(len, h.values())) >= least and h, self)

    def histories(self) -> dict[str, list[dict[str, float]]]:
        """Finished epochs by run, from its record or its checkpoint."""
        found = {}
        for folder in (self.storage / "runs").glob("*"):
            store = Store(str(folder))
            if store.exists(RECORD):
                found[folder.name] = json.loads(store.read_bytes(RECORD))["history"]
            else:
                try:
                    found[folder.name] = history_so_far(store)
                except (StorageError, FileNotFoundError):  # it was finished between the two looks
                    continue
        return found

    def statuses(self, name: str = "faults") -> dict[str, str]:
        """What MLflow says of every run."""
        client = MlflowClient(tracking_uri=self.tracking)
        experiment = client.get_experiment_by_name(name)
        return {r.info.run_name: r.info.status for r in client.search_runs([experiment.experiment_id])}

    def text(self) -> str:
        return self.log.read_text()


def until(look: Callable[[], object], sweep: Sweep | None = None) -> object:
    """What `look` answers once it answers anything."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if answer := look():
            return answer
        if sweep is not None and sweep.process.poll() is not None:
            raise AssertionError(f"the sweep ended too early:\n{sweep.text()}")
        time.sleep(0.1)
    raise AssertionError("waited in vain" + (f":\n{sweep.text()}" if sweep else ""))


def assert_whole(sweep: Sweep, before: Mapping[str, list[dict[str, float]]]) -> None:
    """Every run is complete and goes on from where it was; study, record and report count each run once; nothing is left running.

    An epoch that was trained twice would have other seconds than the one that was kept: so what stood in a checkpoint before the fault
    must stand at the beginning of the history after it, to the last digit.
    """
    after = sweep.histories()
    assert len(after) == len(ARMS) * len(SEEDS), sweep.text()
    for run, epochs in after.items():
        assert [e["epoch"] for e in epochs] == list(range(1, EPOCHS + 1)), run
        assert epochs[: len(before.get(run, []))] == before.get(run, []), f"{run} lost finished epochs"
    _assert_study(sweep)
    _assert_record(sweep)
    (report,) = (sweep.storage / "reports").glob("faults-*/plan.json")
    outcomes = json.loads(report.read_text())["outcomes"]
    assert sorted((o["arm"], o["seed"], o["state"]) for o in outcomes) == sorted(
        (arm.name, seed, "COMPLETE") for arm in ARMS for seed in SEEDS
    )


def _assert_study(sweep: Sweep) -> None:
    storage = open_storage(sweep.study)
    (summary,) = optuna.get_all_study_summaries(storage)
    study = optuna.load_study(study_name=summary.study_name, storage=storage)
    states = [(t.params["arm"], t.state.name) for t in study.trials]
    assert sorted(states) == sorted((arm.name, "COMPLETE") for arm in ARMS)
    assert all(len(t.user_attrs["fingerprints"]) == len(SEEDS) for t in study.trials)


def _assert_record(sweep: Sweep) -> None:
    client = MlflowClient(tracking_uri=sweep.tracking)
    experiment = client.get_experiment_by_name("faults")
    runs = client.search_runs([experiment.experiment_id])
    assert {r.info.status for r in runs} == {"FINISHED"}, [(r.info.run_name, r.info.status) for r in runs]
    trials = [r for r in runs if r.data.tags.get("clef_ray.kind") == "trial"]
    names = [(r.data.tags["arm"], r.data.tags["seed"]) for r in trials]
    assert sorted(names) == sorted((arm.name, str(seed)) for arm in ARMS for seed in SEEDS)
    for run in trials:
        rows = client.get_metric_history(run.info.run_id, "train/loss")
        assert sorted(m.step for m in rows) == list(range(1, EPOCHS + 1)), run.info.run_name
