"""What a person reads: the comparison in the terminal, as figures, as CSV and as one HTML page.

outcomes --comparison--> rows, trends --wording--> answer, caveats
|-- terminal
|-- figures, dotplot --> PNG --+
+-- html ----------------------+--> report.html
"""

import csv
import io
from collections.abc import Mapping, Sequence

from clef_ray.ablation import Outcome, Plan
from clef_ray.report.comparison import Comparison, compare
from clef_ray.report.dotplot import dots
from clef_ray.report.figures import curve, training_curves
from clef_ray.report.html import page
from clef_ray.report.terminal import print_comparison
from clef_ray.store import Store

__all__ = ["Comparison", "compare", "print_comparison", "write_report"]


def write_report(
    store: Store,
    plan: Plan,
    outcomes: Sequence[Outcome],
    comparison: Comparison,
    lineage: Mapping[str, str],
) -> dict[str, str]:
    """Write report.html, the figures and table.csv into `<ablation>-<plan's fingerprint>/`; returns name -> path or URI.

    Figures: curve-<metric>.png of the families on the axis, arms-<metric>.png of those that are categories, training.png.
    Another plan (other data, arms, settings, --smoke) has another folder, so that no comparison overwrites another.
    Figures for which there is nothing to draw are left out. Raises StorageError where the store cannot be written.
    """
    axis, headline = plan.ablation.axis, plan.ablation.headline
    drawn = {}
    for metric in headline:
        file = metric.replace("/", "-")
        drawn[f"curve-{file}.png"] = (f"{metric} over {axis}", curve(comparison, metric))
        drawn[f"arms-{file}.png"] = (f"{metric} by arm", dots(comparison, metric))
    drawn["training.png"] = ("training loss over epochs", training_curves(outcomes))
    images = {name: (title, png) for name, (title, png) in drawn.items() if png is not None}
    html = page(plan, outcomes, comparison, lineage, dict(images.values()))
    files = {
        "report.html": html.encode(),
        "table.csv": _table(outcomes).encode(),
        **{name: png for name, (_, png) in images.items()},
    }
    folder = store.child(f"{plan.ablation.name}-{plan.fingerprint()[:8]}")
    for name, content in files.items():
        folder.write_bytes(name, content)
    return {name: folder.path(name) for name in files}


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
