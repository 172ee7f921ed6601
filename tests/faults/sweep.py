"""One sweep as a process of its own, to be hurt; what its run folder, study and record say before and after."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import psutil
from experiment import ARMS, EPOCHS, SEEDS
from mlflow import MlflowClient
from mlflow.entities import Run

from clef_ray.distributed import load_state
from clef_ray.errors import StorageError
from clef_ray.store import Store
from clef_ray.studies.storage import open_storage
from clef_ray.train.loop import ENCODER, RECORD, history_so_far

EXPERIMENT = Path(__file__).with_name("experiment.py")

#: Seconds within which anything here must happen.
PATIENCE = 240


@dataclass
class Sweep:
    """shards: their folder; storage: where runs lie; options: further arguments of the command; arms, seeds: those that it runs; before:
    Python that its process does first.
    """

    shards: Path
    storage: Path
    options: Mapping[str, str] = field(default_factory=dict)
    experiment: Path = EXPERIMENT
    arms: Sequence[str] = tuple(arm.name for arm in ARMS)
    seeds: Sequence[int] = SEEDS
    before: str = ""
    process: subprocess.Popen[str] | None = None

    @property
    def tracking(self) -> str:
        return self.options.get("--tracking-uri", f"sqlite:///{self.storage}/mlflow/mlflow.db")

    @property
    def study(self) -> str:
        return self.options.get("--study-uri", f"sqlite:///{self.storage}/optuna/optuna.db")

    def start(self) -> None:
        """In a session of its own, as a shell starts a command: Ctrl-C reaches the whole group."""
        code = f"{self.before}\nimport sys\nfrom clef_ray.cli import main\nsys.exit(main())"
        command = [sys.executable, "-c", code, "sweep", str(self.experiment), "--data", str(self.shards)]
        command += ["--storage", str(self.storage), *(text for pair in self.options.items() for text in pair)]
        command += ["--arms", *self.arms] if self.arms != Sweep.arms else []
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

    def trained(self) -> dict[str, tuple[list[dict[str, float]], bytes]]:
        """By run what must not depend on what happened meanwhile: the epochs without their speed, and the encoder's weights."""
        found = {}
        for run, epochs in self.histories().items():
            kept = [
                {k: v for k, v in e.items() if k not in ("seconds", "records_per_second")} for e in epochs
            ]
            weights = load_state(Store(str(self.storage / "runs" / run)), ENCODER)["encoder"]
            found[run] = kept, b"".join(weights[name].numpy().tobytes() for name in sorted(weights))
        return found

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
        return {r.info.run_name: r.info.status for r in self.records(name)}

    def records(self, name: str = "faults") -> list[Run]:
        """MLflow's runs of an experiment."""
        client = MlflowClient(tracking_uri=self.tracking)
        return client.search_runs([client.get_experiment_by_name(name).experiment_id])

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
    assert len(after) == len(sweep.arms) * len(sweep.seeds), sweep.text()
    for run, epochs in after.items():
        assert [e["epoch"] for e in epochs] == list(range(1, EPOCHS + 1)), run
        assert epochs[: len(before.get(run, []))] == before.get(run, []), f"{run} lost finished epochs"
    _assert_study(sweep)
    _assert_record(sweep)
    (report,) = (sweep.storage / "reports").glob("faults-*/plan.json")
    outcomes = json.loads(report.read_text())["outcomes"]
    assert sorted((o["arm"], o["seed"], o["state"]) for o in outcomes) == sorted(
        (arm, seed, "COMPLETE") for arm in sweep.arms for seed in sweep.seeds
    )


def _assert_study(sweep: Sweep) -> None:
    storage = open_storage(sweep.study)
    (summary,) = optuna.get_all_study_summaries(storage)
    study = optuna.load_study(study_name=summary.study_name, storage=storage)
    states = [(t.params["arm"], t.state.name) for t in study.trials]
    assert sorted(states) == sorted((arm, "COMPLETE") for arm in sweep.arms)
    assert all(len(t.user_attrs["fingerprints"]) == len(sweep.seeds) for t in study.trials)


def _assert_record(sweep: Sweep) -> None:
    client, runs = MlflowClient(tracking_uri=sweep.tracking), sweep.records()
    assert {r.info.status for r in runs} == {"FINISHED"}, [(r.info.run_name, r.info.status) for r in runs]
    trials = [r for r in runs if r.data.tags.get("clef_ray.kind") == "trial"]
    names = [(r.data.tags["arm"], r.data.tags["seed"]) for r in trials]
    assert sorted(names) == sorted((arm, str(seed)) for arm in sweep.arms for seed in sweep.seeds)
    for run in trials:
        rows = client.get_metric_history(run.info.run_id, "train/loss")
        assert sorted(m.step for m in rows) == list(range(1, EPOCHS + 1)), run.info.run_name
