"""What of a plan, a trial and an outcome goes into a run: parameters, metrics, tags, dataset inputs. Plain values; nothing is sent from here."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from mlflow.entities import Dataset, DatasetInput, InputTag

from clef_ray.ablation import Arm, Outcome, Plan, Trial
from clef_ray.config import flatten, to_dict
from clef_ray.registry import PRESET
from clef_ray.tracking import Summary, SummaryRow

#: Groups of per-epoch metrics that are not the loss's own; everything else of an epoch stands under `train/`.
GROUPS = ("valid/", "embedding/")


def asked_about(plan: Plan) -> list[str]:
    """The settings that the plan's arms name, sorted: what is varied, without what merely follows from it."""
    return sorted({key for trial in plan.trials for key in trial.arm.settings})


def settings(plan: Plan, trial: Trial) -> dict[str, str]:
    """A trial's parameters: its arm, its seed, and the settings that the plan's arms name themselves.

    Not all settings, and not all that differ: the UI compares runs by the first three parameters that differ, and thirty that follow from
    another loss would hide the one that was asked about. The whole configuration stands in the tag `config`.
    """
    flat = flatten(to_dict(trial.run.canonical())) | {
        key: value for key, value in trial.arm.settings.items() if key.endswith(f".{PRESET}")
    }
    asked = {*asked_about(plan), *trial.arm.settings}
    shown = {key: "none" if flat[key] is None else str(flat[key]) for key in sorted(asked & flat.keys())}
    return {"arm": trial.arm.name, **shown, "seed": str(trial.seed)}


def config(trial: Trial) -> str:
    """The whole configuration as JSON."""
    return json.dumps(to_dict(trial.run.canonical()), sort_keys=True)


def epoch_metrics(row: Mapping[str, float]) -> Iterator[tuple[str, float, int]]:
    """(name, value, epoch) of an epoch's finite numbers."""
    for name, value in row.items():
        if name != "epoch" and math.isfinite(value):
            yield name if name.startswith(GROUPS) else f"train/{name}", float(value), int(row["epoch"])


def per_epoch(name: str) -> bool:
    """Whether a recorded metric is one of an epoch's."""
    return name.startswith(("train/", *GROUPS))


def final_metrics(outcome: Outcome, headline: Sequence[str]) -> dict[str, float]:
    """All metrics, the headline's with their interval over patients (`_low`, `_high`), the seconds it took and its costs."""
    values = dict(outcome.metrics) | {f"seconds/{name}": value for name, value in outcome.seconds.items()}
    values |= {f"cost/{name}": value for name, value in outcome.cost.items()}
    for result in outcome.results.values():
        for name in headline:
            if estimate := result.estimates.get(name):
                values |= {f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return values


def final_tags(outcome: Outcome, metrics: Mapping[str, float]) -> dict[str, str]:
    """How the trial ended."""
    skipped = {f"skipped.{name}": result.skipped or "" for name, result in outcome.results.items()}
    return {
        "state": outcome.state,
        "reason": outcome.reason or "",
        "shared_with": outcome.shared_with or "",
        "not_finite": ", ".join(sorted(name for name, value in metrics.items() if not math.isfinite(value))),
        **skipped,
    }


def arm_settings(plan: Plan, arm: Arm, trial: Trial | None) -> dict[str, str]:
    """An arm's parameters: those of its trials without the seed.

    trial: one of its trials; None where the plan lists none (a sweep), whose arms name every setting that is searched.
    """
    if trial is None:
        return {"arm": arm.name, **{key: str(value) for key, value in arm.settings.items()}}
    return {key: value for key, value in settings(plan, trial).items() if key != "seed"}


def arm_metrics(row: SummaryRow) -> dict[str, float]:
    """Means over seeds under the trials' own names; `_low`, `_high`: the interval over seeds."""
    values: dict[str, float] = {}
    for name, cell in row.cells.items():
        values[name] = cell.mean
        if cell.seeds:
            values |= {f"{name}_low": cell.seeds.low, f"{name}_high": cell.seeds.high}
    return values | {"seeds": float(max((len(cell.values) for cell in row.cells.values()), default=0))}


def arms_table(comparison: Summary) -> str:
    """All arms as the UI's tables are written: JSON with `columns` and `data`."""
    metrics = list(dict.fromkeys(name for row in comparison.rows for name in row.cells))
    parts = ("", "_low", "_high")
    columns = ["arm", "seeds", *(f"{name}{part}" for name in metrics for part in parts)]
    lines = [
        {"arm": row.arm.name, **{name: float(f"{value:.4g}") for name, value in arm_metrics(row).items()}}
        for row in comparison.rows
    ]
    return json.dumps({"columns": columns, "data": [[line.get(name) for name in columns] for line in lines]})


def experiment_tags(plan: Plan) -> dict[str, str]:
    """The question, and that the UI shall open with training runs rather than with chats of language models."""
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return {"mlflow.note.content": f"**{plan.ablation.question}**\n\n{plan.ablation.expect}", **kind}


def parent_tags(lineage: Mapping[str, str], machine: Mapping[str, str]) -> dict[str, str]:
    """Where the results come from, under our names and where the UI looks for the commit and the script."""
    tags = {f"clef_ray.{name}": value for name, value in {**machine, **lineage}.items()}
    if commit := lineage.get("git_commit"):
        tags["mlflow.source.git.commit"] = commit.removesuffix("-dirty")
        tags["clef_ray.git_dirty"] = str(commit.endswith("-dirty")).lower()
    if scripts := [word for word in lineage.get("command", "").split() if word.endswith(".py")]:
        tags |= {"mlflow.source.name": scripts[0].rpartition("/")[2], "mlflow.source.type": "LOCAL"}
    return tags


def dataset_inputs(plan: Plan, lineage: Mapping[str, str]) -> list[DatasetInput]:
    """The shards by place and digest, once for what they served in: pretraining, and judging. Counts only; no patient's data."""
    place = lineage.get("data", "")
    source = {"source_type": urlsplit(place).scheme or "local", "source": json.dumps({"uri": place})}
    about = {name: lineage[name] for name in ("dataset", "leakage") if name in lineage} | {
        "split": plan.dealt
    }
    shards = Dataset(name=plan.data_name[:500], digest=plan.data[:36], profile=json.dumps(about), **source)
    return [DatasetInput(shards, tags=[InputTag("mlflow.data.context", "pretrain and evaluate")])]
