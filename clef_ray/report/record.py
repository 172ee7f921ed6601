"""plan.json: what a report was made of, so that it can be made again from the store alone, without Ray and without MLflow.

The results of finished runs are not in it: they lie in the store under the runs' names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from clef_ray.ablation import Ablation, Arm, Outcome, Plan, Trial
from clef_ray.config import Run, Spec, SplitName, from_dict, spec, to_dict
from clef_ray.errors import DataError
from clef_ray.registry import TASKS
from clef_ray.report.study import Gain, StudyView
from clef_ray.rotation import load as rotated
from clef_ray.search import Configuration
from clef_ray.store import Store
from clef_ray.trial import load_outcome

RECORD = "plan.json"


@dataclass(frozen=True)
class Report:
    """All that `write_report` is given, but for the comparison. resources: what one run held, e.g. {"CPU": 2}, empty where not known."""

    plan: Plan
    outcomes: Sequence[Outcome]
    lineage: Mapping[str, str]
    study: StudyView | None = None
    resources: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Summary:
    """What the record says of itself, without the results. complete, planned: trials; data: the shards' fingerprint."""

    finished: str
    complete: int
    planned: int
    answer: str
    data: str


def dump(report: Report, answer: str) -> bytes:
    """The record's JSON. answer: the comparison's, for the list of experiments."""
    plan, study = report.plan, report.study
    content = {
        "answer": answer,
        "ablation": _ablation(plan),
        "trials": [_trial(t) for t in plan.trials],
        "tasks": [to_dict(task) for task in plan.tasks],
        "plan": {
            key: getattr(plan, key)
            for key in ("data", "smoke", "data_name", "identity", "split", "targets", "rotation")
        },
        "outcomes": [_outcome(o) for o in report.outcomes],
        "lineage": dict(report.lineage),
        "resources": dict(report.resources or {}),
        "study": None if study is None else {**asdict(replace(study, winner=())), "winner": _winner(study)},
    }
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def _ablation(plan: Plan) -> dict[str, Any]:
    """The declaration; a trial's arm that it does not list (a sweep's) is kept with its arms."""
    ablation = plan.ablation
    arms = {arm.name: arm for arm in (*ablation.every, *(t.arm for t in plan.trials))}
    kept = [arm for name, arm in arms.items() if name not in {more.name for more in ablation.more}]
    return {**asdict(ablation), "arms": [asdict(arm) for arm in kept]}


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "arm": trial.arm.name,
        "seed": trial.seed,
        "fingerprint": trial.run.fingerprint(),
        "run": to_dict(trial.run),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    """A finished run's history is in the store; a stopped or failed run's may be gone."""
    trial = {"arm": outcome.trial.arm.name, "seed": outcome.trial.seed}
    history = [] if outcome.state == "COMPLETE" else [dict(epoch) for epoch in outcome.history]
    return trial | {
        "state": outcome.state,
        "history": history,
        "seconds": dict(outcome.seconds),
        "shared_with": outcome.shared_with,
        "reason": outcome.reason,
        "lost": outcome.lost,
    }


def _winner(study: StudyView) -> list[dict[str, Any]]:
    return [{"arm_settings": asdict(o.trial.arm), **_trial(o.trial), **_outcome(o)} for o in study.winner]


def summary(folder: Store) -> Summary:
    """What the list of experiments shows of this folder, from the record alone."""
    content = json.loads(folder.read_bytes(RECORD))
    complete = sum(o["state"] == "COMPLETE" for o in content["outcomes"])
    finished, data = content["lineage"]["finished"], content["plan"]["data"]
    return Summary(finished, complete, len(content["trials"]), content["answer"], data)


def load(folder: Store, storage: str) -> Report:
    """The report of this folder, its results read from the store's runs.

    A run that was finished and is no longer in the store counts as missing. DataError where the record was written by a version whose runs
    have other names.
    """
    content = json.loads(folder.read_bytes(RECORD))
    declared = content["ablation"]
    lists = {key: tuple(declared[key]) for key in ("seeds", "tasks", "headline")}
    arms = {key: tuple(Arm(**arm) for arm in declared[key]) for key in ("arms", "more")}
    gaps = {name: tuple(pair) for name, pair in declared.get("gaps", {}).items()}
    ablation = Ablation(**{**declared, **lists, **arms, "gaps": gaps})
    named = {arm.name: arm for arm in ablation.every}
    trials = tuple(_read_trial(named[t["arm"]], t, folder) for t in content["trials"])
    tasks = tuple(_task(task) for task in content["tasks"])
    targets = tuple((name, data) for name, data in content["plan"].get("targets", ()))
    rotation = tuple(content["plan"].get("rotation", ()))
    plan = Plan(ablation, trials, tasks, **{**content["plan"], "targets": targets, "rotation": rotation})
    by_key = {(t.arm.name, t.seed): t for t in trials}
    known = [(by_key[o["arm"], o["seed"]], o) for o in content["outcomes"]]
    read = [_read_outcome(trial, o, plan, storage) for trial, o in known]
    study = content["study"] and _study(content["study"], plan, folder, storage)
    found = [o for o in read if o is not None]
    return Report(plan, found, content["lineage"], study or None, content["resources"])


def _task(values: Mapping[str, Any]) -> Spec:
    return spec(TASKS, values["name"], {k: v for k, v in values.items() if k != "name"}, RECORD)


def _read_trial(arm: Arm, values: Mapping[str, Any], folder: Store) -> Trial:
    trial = Trial(arm, values["seed"], from_dict(Run, values["run"], RECORD))
    if (name := trial.run.fingerprint()) != values["fingerprint"]:
        raise DataError(
            f"{folder.path(RECORD)}: {arm.name} seed {trial.seed} was run {values['fingerprint']} and is run {name} in this version of "
            "clef_ray, whose runs mean something else; start the experiment again"
        )
    return trial


def _read_outcome(trial: Trial, values: Mapping[str, Any], plan: Plan, storage: str) -> Outcome | None:
    kept = {key: values[key] for key in ("seconds", "shared_with", "reason")}
    if values["state"] != "COMPLETE":
        lost = values.get("lost", False)
        return Outcome(trial, values["state"], history=values["history"], lost=lost, **kept)
    stored = rotated(plan, trial, storage) if plan.rotation else load_outcome(trial, plan.judging, storage)
    return stored and replace(stored, **kept)


def _study(values: Mapping[str, Any], plan: Plan, folder: Store, storage: str) -> StudyView:
    official: SplitName = "official"
    judged = replace(plan, split=official)
    trials = [(_read_trial(Arm(**o["arm_settings"]), o, folder), o) for o in values["winner"]]
    winner = [_read_outcome(trial, o, judged, storage) for trial, o in trials]
    return StudyView(
        **{
            **values,
            "objectives": tuple((metric, direction) for metric, direction in values["objectives"]),
            "rows": tuple(Configuration(**row) for row in values["rows"]),
            "best": tuple(values["best"]),
            "logarithmic": tuple(values["logarithmic"]),
            "winner": tuple(o for o in winner if o is not None),
            "gain": tuple(Gain(**gain) for gain in values.get("gain", ())),
        }
    )
