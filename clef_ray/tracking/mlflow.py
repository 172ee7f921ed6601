"""Results in MLflow: one experiment per question, a parent run per plan, a child run per arm and seed.

Only `MlflowClient` is used (no global active run), by one process: several writers that meet a fresh SQLite file break its migration.
Runs are found again by their tags, so nothing has to be remembered between two starts.
"""

import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

# A clinical site's runs tell nobody that they ran. MLflow reads this when it is imported; `false` opts in.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Two lines per trial would tear the progress display apart; the experiment says once where to look.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.config import flatten, to_dict
from clef_ray.errors import TrackingError
from clef_ray.store import Store
from clef_ray.tracking import Summary, public
from clef_ray.tracking.reach import reach, sqlite_path

_BATCH = 1000  # MLflow's own limit of metrics in one call
_TEXT = 5000  # MLflow refuses tags and parameters of more than 6000 characters


def check(uri: str) -> None:
    """Reach the tracking store within about 10 s, creating and migrating a new database. Raises TrackingError that says what to do."""
    reach(uri)
    with _errors(uri):
        _client(uri).search_experiments(max_results=1)


@contextmanager
def _errors(uri: str) -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        raise TrackingError(f"MLflow at {public(uri)}: {public(str(error).splitlines()[0])}") from error
    except ModuleNotFoundError as error:
        raise TrackingError(
            f"MLflow at {public(uri)} needs the Python package {error.name!r}: install it"
        ) from error


def _client(uri: str) -> MlflowClient:
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@dataclass
class _Child:
    """One open child run: what it has already been told."""

    run_id: str
    status: str
    metrics: dict[str, float]
    epochs: set[int] = field(default_factory=set)


@dataclass
class _Parent:
    experiment: str
    run_id: str
    plan: Plan
    children: dict[tuple[str, int], _Child] = field(default_factory=dict)


class MlflowTracker:
    """A `Tracker` that writes to the MLflow store at `uri` (sqlite:///file, postgresql://..., http://server).

    Raises TrackingError, at once where the store does not answer, so before any work. With SQLite the artifacts lie in `artifacts/` beside the file;
    otherwise the server decides.
    """

    def __init__(self, uri: str) -> None:
        check(uri)
        self.uri = uri
        self._client = _client(uri)
        self._opened: _Parent | None = None

    @property
    def _parent(self) -> _Parent:
        if self._opened is None:
            raise RuntimeError("open_ablation comes first")
        return self._opened

    def open_ablation(self, plan: Plan, lineage: Mapping[str, str]) -> None:
        with _errors(self.uri):
            experiment = self._experiment(plan.ablation.name)
            found = self._find(experiment, {"clef_ray.plan": plan.fingerprint()})
            run_id = found[0].info.run_id if found else self._create_parent(experiment, plan, lineage)
            self._client.update_run(run_id, status="RUNNING")
            tags = {f"clef_ray.{name}": value for name, value in lineage.items()}
            if commit := lineage.get("git_commit"):
                tags["mlflow.source.git.commit"] = commit
            self._batch(run_id, [], tags)
            self._opened = _Parent(experiment, run_id, plan)

    def open_trial(self, trial: Trial) -> None:
        with _errors(self.uri):
            child = self._child(trial)
            if child.status in ("FAILED", "KILLED"):  # a second attempt; a finished run keeps its times
                self._client.update_run(child.run_id, status="RUNNING")
                self._client.set_tag(child.run_id, "reason", "")  # of the attempt before
                child.status = "RUNNING"

    def log_epochs(self, trial: Trial, rows: Sequence[Mapping[str, float]]) -> None:
        with _errors(self.uri):
            child = self._child(trial)
            new = [row for row in rows if int(row["epoch"]) not in child.epochs]
            if new:
                now = _now()
                metrics = [
                    Metric(f"train/{name}", float(value), now, int(row["epoch"]))
                    for row in new
                    for name, value in row.items()
                    if name != "epoch" and math.isfinite(value)
                ]
                self._batch(child.run_id, metrics, {})
                child.epochs.update(int(row["epoch"]) for row in new)

    def close_trial(self, outcome: Outcome) -> None:
        self.open_trial(outcome.trial)
        self.log_epochs(outcome.trial, outcome.history)
        with _errors(self.uri):
            child = self._child(outcome.trial)
            values = _final_metrics(outcome, self._parent.plan.ablation.headline)
            finite = {name: value for name, value in values.items() if math.isfinite(value)}
            new = {name: value for name, value in finite.items() if child.metrics.get(name) != value}
            tags = _final_tags(outcome) | {"not_finite": ", ".join(sorted(set(values) - set(finite)))}
            now = _now()
            self._batch(child.run_id, [Metric(name, value, now, 0) for name, value in new.items()], tags)
            child.metrics |= new
            status = "FINISHED" if outcome.state == "COMPLETE" else "FAILED"
            if child.status != status:
                self._client.set_terminated(child.run_id, status)
                child.status = status

    def close_ablation(self, comparison: Summary, files: Mapping[str, str]) -> None:
        with _errors(self.uri), tempfile.TemporaryDirectory() as folder:
            parent = self._parent
            for name, place in files.items():
                where, _, last = place.rpartition("/")
                (Path(folder) / name).write_bytes(Store(where).read_bytes(last))
            (Path(folder) / "comparison.csv").write_text(comparison.csv(), encoding="utf-8")
            self._client.log_artifacts(parent.run_id, folder)
            self._batch(parent.run_id, [], {"answer": comparison.answer})
            self._kill_children()
            self._client.set_terminated(parent.run_id, "FINISHED")

    def interrupt(self) -> None:
        if self._opened is None:
            return
        reach(self.uri)
        with _errors(self.uri):
            self._kill_children()
            self._client.set_terminated(self._opened.run_id, "KILLED")

    def _experiment(self, name: str) -> str:
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            beside = (
                sqlite_path(self.uri).parent / "artifacts" / name if self.uri.startswith("sqlite:") else None
            )
            location = beside.as_uri() if beside else None
            return str(self._client.create_experiment(name, artifact_location=location))
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def _create_parent(self, experiment: str, plan: Plan, lineage: Mapping[str, str]) -> str:
        ablation = plan.ablation
        tags = {
            "clef_ray.plan": plan.fingerprint(),
            "clef_ray.kind": "ablation",
            "mlflow.note.content": _note(plan),
        }
        run = self._client.create_run(experiment, tags=tags, run_name=ablation.name)
        place = lineage.get("data", "")
        source = {"source_type": urlsplit(place).scheme or "local", "source": json.dumps({"uri": place})}
        shards = Dataset(
            name="shards", digest=plan.data[:36], **source
        )  # metadata only: no patient's data leave the shards
        inputs = [DatasetInput(shards, tags=[InputTag("mlflow.data.context", "pretrain and evaluate")])]
        self._client.log_inputs(run.info.run_id, datasets=inputs)
        return str(run.info.run_id)

    def _child(self, trial: Trial) -> _Child:
        """The trial's run: remembered, found by its tags, or created."""
        key = (trial.arm.name, trial.seed)
        if key not in self._parent.children:
            parent = self._parent
            identity = {"mlflow.parentRunId": parent.run_id, "arm": trial.arm.name, "seed": str(trial.seed)}
            found = self._find(parent.experiment, identity)
            parent.children[key] = self._recall(found[0]) if found else self._create_child(trial, identity)
        return self._parent.children[key]

    def _create_child(self, trial: Trial, identity: Mapping[str, str]) -> _Child:
        tags = {**identity, "fingerprint": trial.run.fingerprint(), "family": trial.arm.family}
        run = self._client.create_run(
            self._parent.experiment, tags=tags, run_name=f"{trial.arm.name} seed {trial.seed}"
        )
        settings = {"arm": trial.arm.name, **flatten(to_dict(trial.run.canonical()))}
        params = [Param(name, str(value)[:_TEXT]) for name, value in settings.items()]
        self._client.log_batch(run.info.run_id, params=params)
        return _Child(run.info.run_id, "RUNNING", {})

    def _recall(self, run: Run) -> _Child:
        run_id, metrics = run.info.run_id, dict(run.data.metrics)
        trained = [name for name in metrics if name.startswith("train/")]
        # Every metric, since one that was not finite in an epoch has no entry there.
        epochs = {m.step for name in trained for m in self._client.get_metric_history(run_id, name)}
        return _Child(run_id, run.info.status, metrics, epochs)

    def _find(self, experiment: str, tags: Mapping[str, str]) -> list[Run]:
        """Active runs with all these tags, the oldest first."""
        condition = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        return list(self._client.search_runs([experiment], condition, order_by=["attributes.start_time ASC"]))

    def _batch(self, run_id: str, metrics: list[Metric], tags: Mapping[str, str]) -> None:
        marks = [RunTag(name, value[:_TEXT]) for name, value in tags.items() if value]
        for start in range(0, max(len(metrics), 1), _BATCH):
            self._client.log_batch(run_id, metrics[start : start + _BATCH], tags=marks if start == 0 else [])

    def _kill_children(self) -> None:
        """Whatever still says RUNNING below the parent, this process's or an older one's."""
        parent = self._parent
        for run in self._find(parent.experiment, {"mlflow.parentRunId": parent.run_id}):
            if run.info.status == "RUNNING":
                self._client.set_terminated(run.info.run_id, "KILLED")
        parent.children.clear()


def _now() -> int:
    return int(time.time() * 1000)


def _note(plan: Plan) -> str:
    """The parent run's description, as the UI shows it (Markdown)."""
    ablation = plan.ablation
    differing = ", ".join(f"`{key}`" for key in plan.differing_settings())
    return (
        f"**Question.** {ablation.question}\n\n**Expected.** {ablation.expect}\n\n"
        f"**Arms.** {', '.join(dict.fromkeys(t.arm.name for t in plan.trials))}; compared with `{ablation.base}`. "
        f"**Headline.** {', '.join(f'`{name}`' for name in ablation.headline)}.\n\n**Settings that differ.** {differing}.\n\n"
        "The child runs are the trials: select them and choose *Compare*. The report is `report.html` under *Artifacts*."
    )


def _final_metrics(outcome: Outcome, headline: Sequence[str]) -> dict[str, float]:
    values = dict(outcome.metrics) | {f"seconds/{name}": value for name, value in outcome.seconds.items()}
    for result in outcome.results.values():
        for name in headline:
            if estimate := result.estimates.get(name):
                values |= {f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return values


def _final_tags(outcome: Outcome) -> dict[str, str]:
    skipped = {f"skipped.{name}": result.skipped or "" for name, result in outcome.results.items()}
    return {
        "state": outcome.state,
        "reason": outcome.reason or "",
        "shared_with": outcome.shared_with or "",
        **skipped,
    }
