"""The report as one HTML page that needs nothing else: style, figures and numbers are all inside it, and it may load nothing."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from clef_ray.ablation import Outcome, Plan
from clef_ray.config import flatten, to_dict
from clef_ray.report._style import Drawing, svg
from clef_ray.report._templates import templates
from clef_ray.report.comparison import Comparison
from clef_ray.report.costs import KINDS, MEASURED, costs
from clef_ray.report.findings import front, winner_cells
from clef_ray.report.record import Report
from clef_ray.report.testing import GAPS, OVERALL, TESTS, effect, probability
from clef_ray.report.wording import LEGEND, counted, half, number, prefixed, signed, span, were

_DATA = ("data", "dataset", "data_fingerprint")
_CODE = ("git_commit", "clef-ray")
_SAID = ("command", "options", "leakage", "finished")  # elsewhere on the page


def page(report: Report, comparison: Comparison, drawings: Sequence[Drawing]) -> str:
    """The whole page. Of the lineage's free names `command`, `leakage` and `finished` have places of their own."""
    filters = {
        "number": number,
        "signed": signed,
        "interval": span,
        "probability": probability,
        "effect": effect,
        "half": half,
        "duration": _duration,
        "amount": _amount,
        "text": _text,
        "counted": counted,
        "were": were,
    }
    environment = templates()
    environment.filters |= filters
    plan, outcomes, lineage, study = report.plan, report.outcomes, report.lineage, report.study
    differing, common = _settings(plan)
    script = files("clef_ray").joinpath("report/script.html").read_text(encoding="utf-8").strip()
    return environment.get_template("page.html").render(
        ablation=plan.ablation,
        plan=plan,
        comparison=comparison,
        legend=LEGEND,
        about_gaps=GAPS,
        about_tests=TESTS,
        about_overall=OVERALL,
        drawings=[(d.title, Markup(svg(d)), d.caption) for d in drawings],  # noqa: S704 - drawn here, escaped there
        script=Markup(script),  # noqa: S704 - ours
        script_digest=_digest(script),
        lineage=lineage,
        origins=_origins(plan, lineage),
        metrics=_other_metrics(comparison),
        classes=_classes(comparison),
        costs=costs(plan, outcomes, report.resources or {}),
        kinds=dict(zip(KINDS, ("pretraining", "evaluation", "wall time"), strict=True)),
        measured=MEASURED,
        failed=[o for o in outcomes if o.state == "FAILED"],
        stopped=[o for o in outcomes if o.state == "PRUNED"],
        notes=_notes(outcomes),
        differing=differing,
        common=common,
        study=study,
        front=front(study) if study else [],
        broken=any(not row.feasible for row in study.rows) if study else False,
        winner=winner_cells(study, plan.ablation.headline) if study else {},
    )


def _digest(script: str) -> str:
    """What the page's policy allows to run: this script and no other, whatever text finds its way into the page."""
    body = script.removeprefix("<script>").removesuffix("</script>")
    return "sha256-" + base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _amount(value: float, kind: str) -> str:
    """Records as they are, memory in MB, FLOPs with their prefix."""
    if kind == "records":
        return f"{value:.0f}"
    return f"{value / 1e6:.0f} MB" if kind == "memory_bytes" else prefixed(value)


def _text(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _origins(plan: Plan, lineage: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What the results came from: configuration, data, code, environment."""
    data = [k for k in lineage if k in _DATA or k.startswith("target ")]
    rest = {k: v for k, v in lineage.items() if k not in (*data, *_CODE, *_SAID)}
    return {
        "Configuration": {
            "plan": plan.fingerprint(),
            "tasks": ", ".join(plan.ablation.tasks),
            "split": plan.dealt,
        },
        "Data": {k: lineage[k] for k in data} | {"data_fingerprint": plan.data},
        "Code": {k: lineage[k] for k in _CODE if k in lineage},
        "Environment": rest,
    }


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


def _notes(outcomes: Sequence[Outcome]) -> list[str]:
    """What the tasks say of themselves, once each: why one was skipped, what was left out."""
    notes: dict[str, None] = {}
    for outcome in outcomes:
        for task, result in outcome.results.items():
            texts = [*([f"skipped: {result.skipped}"] if result.skipped else []), *result.notes]
            notes |= dict.fromkeys(f"{task}: {text}" for text in texts)
    return list(notes)


def _settings(plan: Plan) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Arm -> the settings in which arms differ (the seed apart), and the settings that all of them have."""
    keys = [key for key in plan.differing_settings() if key != "seed"]
    runs = {t.arm.name: t.run for t in plan.trials}
    flats = {arm: flatten(to_dict(run.canonical())) for arm, run in runs.items()}
    differing = {arm: {key: flat.get(key) for key in keys} for arm, flat in flats.items()}
    every = next(iter(flats.values()))
    return differing, {k: v for k, v in every.items() if k not in {*keys, "seed", "data"}}
