"""The report as one HTML page that needs nothing else: style, figures and numbers are all inside it."""

import base64
from collections.abc import Mapping, Sequence
from statistics import fmean

from jinja2 import Environment, PackageLoader, StrictUndefined

from clef_ray.ablation import Arm, Outcome, Plan
from clef_ray.config import flatten, to_dict
from clef_ray.report.comparison import Comparison
from clef_ray.report.rows import Interval
from clef_ray.report.wording import LEGEND, number, signed


def page(
    plan: Plan,
    outcomes: Sequence[Outcome],
    comparison: Comparison,
    lineage: Mapping[str, str],
    figures: Mapping[str, bytes],
) -> str:
    """The whole page. lineage: what the results came from, free names to texts (`command` is shown under *How to reproduce*).

    figures: title -> PNG, in the order of the page.
    """
    environment = Environment(
        loader=PackageLoader("clef_ray", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "signed": signed,
        "interval": _interval,
        "datauri": _data_uri,
        "duration": _duration,
    }
    return environment.get_template("page.html").render(
        ablation=plan.ablation,
        comparison=comparison,
        trials=len(plan.trials),
        runs=len(plan.unique()),
        legend=LEGEND,
        figures=figures,
        lineage={k: v for k, v in lineage.items() if k != "command"} | {"data_fingerprint": plan.data},
        command=lineage.get("command", ""),
        metrics=_other_metrics(comparison),
        classes=_classes(comparison),
        costs=_costs(plan, outcomes),
        failures=[o for o in outcomes if o.state == "FAILED"],
        notes=_notes(outcomes),
        settings=_settings(plan),
    )


def _interval(interval: Interval | None) -> str:
    return f"{number(interval.low)} to {number(interval.high)}" if interval else "–"


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _classes(comparison: Comparison) -> dict[str, list[str]]:
    """Headline metric -> its classes: the metrics named `<headline>/<class>`."""
    names = {name for row in comparison.rows for name in row.cells}
    found = {
        m: sorted(n.removeprefix(f"{m}/") for n in names if n.startswith(f"{m}/"))
        for m in comparison.ablation.headline
    }
    return {metric: classes for metric, classes in found.items() if classes}


def _other_metrics(comparison: Comparison) -> list[str]:
    """What is neither in the table nor a class of one of its metrics."""
    headline = comparison.ablation.headline
    names = {name for row in comparison.rows for name in row.cells}
    return sorted(n for n in names if not any(n == m or n.startswith(f"{m}/") for m in headline))


def _costs(plan: Plan, outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Arm -> kind -> mean seconds over the trials that measured it; a trial that shares another one's run trained nothing."""
    costs = {}
    for arm in dict.fromkeys(t.arm.name for t in plan.trials):
        own = [o.seconds for o in outcomes if o.trial.arm.name == arm and o.shared_with is None]
        kinds = {kind: [s[kind] for s in own if kind in s] for kind in ("pretrain", "evaluate", "wall")}
        costs[arm] = {kind: fmean(seconds) for kind, seconds in kinds.items() if seconds}
    return costs


def _notes(outcomes: Sequence[Outcome]) -> list[str]:
    """What the tasks say of themselves, once each: why one was skipped, what was left out."""
    notes: dict[str, None] = {}
    for outcome in outcomes:
        for task, result in outcome.results.items():
            texts = [*([f"skipped: {result.skipped}"] if result.skipped else []), *result.notes]
            notes |= dict.fromkeys(f"{task}: {text}" for text in texts)
    return list(notes)


def _settings(plan: Plan) -> tuple[list[str], list[tuple[Arm, list[str]]]]:
    """The keys in which the arms differ (the seed apart), and each arm's values."""
    keys = [key for key in plan.differing_settings() if key != "seed"]
    first = {t.arm.name: t for t in reversed(plan.trials)}
    arms = dict.fromkeys(t.arm.name for t in plan.trials)
    flats = [(first[name].arm, flatten(to_dict(first[name].run.canonical()))) for name in arms]
    return keys, [(arm, [_text(flat.get(key)) for key in keys]) for arm, flat in flats]


def _text(value: object) -> str:
    return "–" if value is None else str(value)
