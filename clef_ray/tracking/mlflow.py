"""Results in MLflow: one experiment per question; a parent run per plan, a child run per arm and seed, and at the end one per arm.

Only `MlflowClient` is used (no global active run). Runs are found again by their tags, so nothing has to be remembered between two starts.
The tag `clef_ray.kind` (ablation, trial, arm) tells the three kinds apart in the UI.
"""

import json
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlflow.entities import Metric, Param, Run, RunTag

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.store import Store
from clef_ray.tracking import Summary, environment, notes, record
from clef_ray.tracking.client import check, client, errors, find_runs, recorded
from clef_ray.tracking.reach import reach, sqlite_path

_BATCH = 1000  # MLflow's own limit of metrics in one call
_TEXT = 5000  # MLflow refuses parameters of more than 6000 characters, and tags of more than 8000
_NOTE = "mlflow.note.content"
_PARENT = "mlflow.parentRunId"

_Key = tuple[str, int | None]  # an arm and a seed; no seed: the arm's own run


@dataclass
class _Child:
    """A child run, and what it has already been told. epochs: (metric, epoch) pairs, None until they have been asked for."""

    run_id: str
    status: str = "RUNNING"
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    epochs: set[tuple[str, int]] | None = field(default_factory=set)

    @property
    def closed(self) -> bool:
        """Whether everything is there: the status is written last."""
        return self.status == "FINISHED" and self.tags.get("state") == "COMPLETE"


@dataclass
class _Parent:
    experiment: str
    run_id: str
    started: int
    plan: Plan
    lineage: Mapping[str, str]
    children: dict[_Key, _Child] = field(default_factory=dict)


class MlflowTracker:
    """A `Tracker` that writes to the MLflow store at `uri` (sqlite:///file, postgresql://..., http://server) and waits for its answer.

    Raises TrackingError, at once where the store does not answer, so before any work. With SQLite the artifacts lie in `artifacts/` beside the file;
    otherwise the server decides.
    """

    def __init__(self, uri: str) -> None:
        check(uri)
        self.uri = uri
        self._client = client(uri)
        self._opened: _Parent | None = None

    @property
    def _parent(self) -> _Parent:
        if self._opened is None:
            raise RuntimeError("open_ablation comes first")
        return self._opened

    @property
    def run_id(self) -> str:
        """The opened ablation's run; its trials' are its children."""
        return self._parent.run_id

    @property
    def page(self) -> str:
        """The opened experiment in the UI, as the part of an address behind the server's: `/#/experiments/1/runs?...`."""
        # Without the parameter the UI opens with what it has for language models.
        return f"/#/experiments/{self._parent.experiment}/runs?workflowType=machine_learning"

    def open_ablation(self, plan: Plan, lineage: Mapping[str, str]) -> None:
        with errors(self.uri):
            experiment = self._experiment(plan)
            found = find_runs(self._client, [experiment], {"clef_ray.plan": plan.fingerprint()})
            run = found[0] if found else self._create_parent(experiment, plan, lineage)
            self._client.update_run(run.info.run_id, status="RUNNING")
            self._opened = _Parent(experiment, run.info.run_id, run.info.start_time, plan, lineage)
            machine = environment.machine()
            self._batch(run.info.run_id, [], record.parent_tags(lineage, machine))
            self._client.log_text(run.info.run_id, environment.packages(), "environment.txt")
            self._client.log_text(run.info.run_id, json.dumps(machine, indent=1), "machine.json")
            self._read_children()

    def open_trial(self, trial: Trial, at: int | None = None) -> None:
        with errors(self.uri):
            child = self._trial(trial, at)
            if (
                child.status != "RUNNING" and not child.closed
            ):  # a second attempt; a finished run keeps its times
                self._client.update_run(child.run_id, status="RUNNING")
                child.status = "RUNNING"
                self._tell(child, {}, dict.fromkeys(("state", "reason"), ""), at)  # of the attempt before

    def log_epochs(
        self, trial: Trial, rows: Sequence[Mapping[str, float]], at: Sequence[int] | None = None
    ) -> None:
        with errors(self.uri):
            child = self._trial(trial, at[0] if at else None)
            if child.closed:
                return
            known = self._epochs(child)
            times = at or [_now()] * len(rows)
            metrics = [
                Metric(name, value, when, epoch)
                for row, when in zip(rows, times, strict=True)
                for name, value, epoch in record.epoch_metrics(row)
                if (name, epoch) not in known
            ]
            if metrics:
                self._batch(child.run_id, metrics, {})
                known |= {(metric.key, metric.step) for metric in metrics}

    def close_trial(self, outcome: Outcome, at: int | None = None) -> None:
        when = _now() if at is None else at
        self.log_epochs(outcome.trial, outcome.history, [when] * len(outcome.history))
        with errors(self.uri):
            parent, child = self._parent, self._trial(outcome.trial, at)
            values = record.final_metrics(outcome, parent.plan.ablation.headline)
            tags = record.final_tags(outcome, values)
            linked = child.tags.get("linked_run") or self._trained_elsewhere(outcome, child)
            shown = record.settings(parent.plan, outcome.trial)
            note = notes.of_outcome(parent.plan, shown, outcome, linked)
            self._tell(child, values, {**tags, "linked_run": linked or "", _NOTE: note}, when)
            # A trial that a rule has stopped did what was planned: FINISHED, and the tag `state` says PRUNED. KILLED is an interruption.
            self._end(child, "FAILED" if outcome.state == "FAILED" else "FINISHED", when)

    def log_machine(self, metrics: Mapping[str, float], at: int) -> None:
        with errors(self.uri):
            step = max(0, at - self._parent.started) // 1000
            found = [Metric(name, value, at, step) for name, value in metrics.items()]
            self._batch(self._parent.run_id, found, {})

    def close_ablation(self, comparison: Summary, files: Mapping[str, str]) -> None:
        with errors(self.uri), tempfile.TemporaryDirectory() as folder:
            parent = self._parent
            for name, place in files.items():
                where, last = Store.holding(place)
                (Path(folder) / name).write_bytes(where.read_bytes(last))
            (Path(folder) / "comparison.csv").write_text(comparison.csv(), encoding="utf-8")
            (Path(folder) / "arms.json").write_text(record.arms_table(comparison), encoding="utf-8")
            self._client.log_artifacts(parent.run_id, folder)
            self._write_arms(comparison)
            table = json.dumps([{"path": "arms.json", "type": "table"}])  # what the UI's table view looks for
            note = notes.of_plan(parent.plan, parent.lineage, comparison)
            tags = {"answer": comparison.answer, _NOTE: note, "mlflow.loggedArtifacts": table}
            self._batch(parent.run_id, [], tags)
            self._kill_children()
            self._client.set_terminated(parent.run_id, "FINISHED")

    def interrupt(self) -> None:
        if self._opened is None:
            return
        self.recover()
        with errors(self.uri):
            self._kill_children()
            self._client.set_terminated(self._opened.run_id, "KILLED")

    def recover(self) -> None:
        reach(self.uri)
        with errors(self.uri):
            self._read_children()

    def _experiment(self, plan: Plan) -> str:
        name = plan.ablation.name
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            location = None
            if self.uri.startswith("sqlite:"):
                location = (sqlite_path(self.uri).parent / "artifacts" / name).as_uri()
            return str(self._client.create_experiment(name, location, record.experiment_tags(plan)))
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def _create_parent(self, experiment: str, plan: Plan, lineage: Mapping[str, str]) -> Run:
        tags = {"clef_ray.plan": plan.fingerprint(), "clef_ray.kind": "ablation"}
        tags[_NOTE] = notes.of_plan(plan, lineage)
        run = self._client.create_run(experiment, tags=tags, run_name=plan.ablation.name)
        self._client.log_inputs(run.info.run_id, datasets=record.dataset_inputs(plan, lineage))
        return run

    def _trial(self, trial: Trial, at: int | None) -> _Child:
        """The trial's run: known, or created."""
        parent, arm = self._parent, trial.arm
        key = (arm.name, trial.seed)
        if key not in parent.children:
            tags = {"arm": arm.name, "seed": str(trial.seed), "fingerprint": trial.run.fingerprint()}
            tags |= {"clef_ray.kind": "trial", "family": arm.family, "config": record.config(trial)}
            shown = record.settings(parent.plan, trial)
            parent.children[key] = self._create_child(f"{arm.name} seed {trial.seed}", tags, shown, at)
            inputs = record.dataset_inputs(parent.plan, parent.lineage)
            self._client.log_inputs(parent.children[key].run_id, datasets=inputs)
        return parent.children[key]

    def _create_child(
        self, name: str, tags: Mapping[str, str], params: Mapping[str, str], at: int | None
    ) -> _Child:
        own = {**tags, _PARENT: self._parent.run_id}
        run = self._client.create_run(self._parent.experiment, start_time=at, tags=own, run_name=name)
        sent = [Param(key, value[:_TEXT]) for key, value in params.items()]
        self._client.log_batch(run.info.run_id, params=sent)
        return _Child(run.info.run_id, tags=dict(own))

    def _read_children(self) -> None:
        """What the store holds below the parent. Of a run that was made twice, since its first answer got lost, the older one counts."""
        parent = self._parent
        parent.children = {}
        for run in find_runs(self._client, [parent.experiment], {_PARENT: parent.run_id}):
            seed = run.data.tags.get("seed")
            key = (run.data.tags["arm"], None if seed is None else int(seed))
            if key not in parent.children:
                metrics, tags = dict(run.data.metrics), dict(run.data.tags)
                parent.children[key] = _Child(run.info.run_id, run.info.status, metrics, tags, epochs=None)
            elif not run.data.metrics:
                self._client.delete_run(run.info.run_id)

    def _epochs(self, child: _Child) -> set[tuple[str, int]]:
        if child.epochs is None:
            # Every metric's own, since one that was not finite in an epoch has no entry there.
            names = [name for name in child.metrics if record.per_epoch(name)]
            found = {name: self._client.get_metric_history(child.run_id, name) for name in names}
            child.epochs = {(name, metric.step) for name in names for metric in found[name]}
        return child.epochs

    def _trained_elsewhere(self, outcome: Outcome, child: _Child) -> str | None:
        """The run, of any ablation, that recorded the same pretraining first."""
        if outcome.state != "COMPLETE" or child.closed:
            return None
        found = recorded(self._client, outcome.trial.run.fingerprint())
        return next((run.info.run_id for run in found if run.info.run_id != child.run_id), None)

    def _write_arms(self, comparison: Summary) -> None:
        """One finished run per arm: few enough to compare where the trials are hundreds."""
        parent = self._parent
        first = {trial.arm.name: trial for trial in reversed(parent.plan.trials)}
        for row in comparison.rows:
            key = (row.arm.name, None)
            if key not in parent.children:
                tags = {"arm": row.arm.name, "family": row.arm.family, "clef_ray.kind": "arm"}
                tags[_NOTE] = notes.of_arm(parent.plan, row.arm.name)
                shown = record.arm_settings(parent.plan, row.arm, first.get(row.arm.name))
                parent.children[key] = self._create_child(row.arm.name, tags, shown, None)
            child = parent.children[key]
            self._tell(child, record.arm_metrics(row), {}, None)
            self._end(child, "FINISHED", None)

    def _tell(
        self, child: _Child, values: Mapping[str, float], tags: Mapping[str, str], at: int | None
    ) -> None:
        """Final metrics and tags, those that the run does not hold yet."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        new = {name: value for name, value in finite.items() if child.metrics.get(name) != value}
        marks = {
            name: text[:_TEXT] for name, text in tags.items() if child.tags.get(name, "") != text[:_TEXT]
        }
        if new or marks:
            when = _now() if at is None else at
            self._batch(child.run_id, [Metric(name, value, when, 0) for name, value in new.items()], marks)
            child.metrics |= new
            child.tags |= marks

    def _batch(self, run_id: str, metrics: Sequence[Metric], tags: Mapping[str, str]) -> None:
        marks = [RunTag(name, value[:_TEXT]) for name, value in tags.items()]
        for start in range(0, max(len(metrics), 1), _BATCH):
            self._client.log_batch(run_id, metrics[start : start + _BATCH], tags=marks if start == 0 else [])

    def _end(self, child: _Child, status: str, at: int | None) -> None:
        if child.status != status:
            self._client.set_terminated(child.run_id, status, end_time=at)
            child.status = status

    def _kill_children(self) -> None:
        """Whatever still says RUNNING below the parent, this process's or an older one's."""
        for child in self._parent.children.values():
            if child.status == "RUNNING":
                self._end(child, "KILLED", None)


def _now() -> int:
    return int(time.time() * 1000)
