"""What a person reads: the comparison in the terminal, as figures, as tables for a paper and as one HTML page.

outcomes --comparison--> rows, trends --wording, findings--> answer, caveats
|-- terminal                                |-- paper --> table.md, table.tex
|-- figures, dotplot, training, study_figures,               |
|   pictures (of the tasks) --------------------> PNG, SVG --+
|-- costs --> hours -----------------------------------------+--> html --> report.html
record: plan.json, from which `clef-ray report` makes all of it again.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from clef_ray.ablation import Outcome, Plan
from clef_ray.report import paper, record
from clef_ray.report._style import Drawing, png, svg_file
from clef_ray.report.comparison import Comparison, compare
from clef_ray.report.dotplot import dots
from clef_ray.report.figures import curve
from clef_ray.report.html import page
from clef_ray.report.pareto import accuracy_against_cost
from clef_ray.report.pictures import pictures
from clef_ray.report.study import Gain, StudyView
from clef_ray.report.study_figures import study_figures
from clef_ray.report.terminal import print_comparison
from clef_ray.report.training import training_curves
from clef_ray.store import Store

__all__ = ["Comparison", "Gain", "StudyView", "compare", "print_comparison", "write_report"]


def write_report(
    store: Store,
    plan: Plan,
    outcomes: Sequence[Outcome],
    comparison: Comparison,
    lineage: Mapping[str, str],
    study: StudyView | None = None,
    resources: Mapping[str, float] | None = None,
    more: Sequence[Drawing] = (),
) -> dict[str, str]:
    """Write a report into `<ablation>-<plan's fingerprint>/`; returns name -> path or URI.

    report.html; table.csv (every value), table.md and table.tex (the headline table); plan.json; and the page's figures as PNG and SVG:
    curve-<metric>.png of the families on the axis, arms-<metric>.png of those that are categories, accuracy-against-cost.png, training.png, a sweep's, and those of the tasks (`pictures.py`).
    study: the sweep whose configurations the arms are, the same that `compare` was given; resources: what one run held, e.g.
    {"CPU": 2, "GPU": 0.5}, for the page's hours; more: further figures for the page.
    Another plan (other data, arms, settings, --smoke) has another folder, so that no comparison overwrites another.
    Figures for which there is nothing to draw are left out. Raises StorageError where the store cannot be written.
    """
    told = {"finished": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **lineage}
    made = record.Report(plan, outcomes, told, study, resources)
    drawings = _drawings(made, comparison, more)
    files = {
        "report.html": page(made, comparison, list(drawings.values())).encode(),
        "table.csv": _table(outcomes).encode(),
        "table.md": paper.markdown(comparison).encode(),
        "table.tex": paper.latex(comparison).encode(),
        record.RECORD: record.dump(made, comparison.answer),
        **{f"{name}.png": png(drawing) for name, drawing in drawings.items()},
        **{f"{name}.svg": svg_file(drawing) for name, drawing in drawings.items()},
    }
    folder = store.child(f"{plan.ablation.name}-{plan.fingerprint()[:8]}")
    for name, content in files.items():
        folder.write_bytes(name, content)
    return {name: folder.path(name) for name in files}


def _drawings(made: record.Report, comparison: Comparison, more: Sequence[Drawing]) -> dict[str, Drawing]:
    """File name without its ending -> drawing, in the order of the page."""
    drawn: dict[str, Drawing | None] = {}
    if made.study is not None:
        drawn |= {_file(d.title): d for d in study_figures(made.study)}
    for metric in made.plan.ablation.headline:
        file = metric.replace("/", "-")
        drawn[f"curve-{file}"] = curve(comparison, metric)
        drawn[f"arms-{file}"] = dots(comparison, metric)
    drawn["accuracy-against-cost"] = accuracy_against_cost(comparison, made.outcomes)
    drawn |= {_file(d.title): d for d in (*more, *pictures(made.plan, made.outcomes, comparison))}
    drawn["training"] = training_curves(made.outcomes)
    return {name: drawing for name, drawing in drawn.items() if drawing is not None}


def _file(title: str) -> str:
    """A title as a file's name, without spaces, slashes and what else shells and addresses read as something else."""
    return re.sub(r"[^\w.+-]+", "-", title)


def _table(outcomes: Sequence[Outcome]) -> str:
    """Long format: one line per arm, seed and metric; low and high are the patient bootstrap's, empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["arm", "seed", "metric", "value", "low", "high"])
    for outcome in outcomes:
        head = [outcome.trial.arm.name, outcome.trial.seed]
        for result in outcome.results.values():
            writer.writerows([*head, name, e.value, e.low, e.high] for name, e in result.estimates.items())
            writer.writerows([*head, name, value, "", ""] for name, value in result.extras.items())
    return out.getvalue()
