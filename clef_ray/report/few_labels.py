"""The picture of few labels: a metric over the share of the training patients, or over the patients of each class, that was learnt from."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from clef_ray.report._scene import Look, Scene, draw_line, ends, legend, legend_height, spoken
from clef_ray.report._style import Drawing, canvas
from clef_ray.report.rows import AMOUNT

#: The metrics that a picture is drawn of: the first that the task has and the headline holds, else the first that the task has.
_MEASURES = ("auroc", "f1", "mae")

_DRAWS = (
    "; dashes: its 95 % t interval over these draws, of one encoder, on average over the seeds. Other people to learn from, the same people to be "
    "judged on"
)

_AXIS = {
    "pct": "training patients learnt from [%], logarithmic",
    "shot": "training patients of each class, logarithmic",
}


def few_labels(scene: Scene) -> list[Drawing]:
    """One picture per task and way of limiting (share, shots) that holds at least two amounts; all patients are 100 %, or `all`."""
    series: dict[tuple[str, str, str], dict[float, str]] = {}
    for metric in scene.metrics:
        parts = metric.split("/")
        for place, part in enumerate(parts[:-1]):
            if found := AMOUNT.fullmatch(part):
                whole = "/".join([*parts[:place], *parts[place + 1 :]])
                series.setdefault((*whole.rpartition("/")[::2], found[2]), {})[float(found[1])] = metric
    drawn, headline = [], set(scene.comparison.ablation.headline)
    for task, unit in dict.fromkeys((task, unit) for task, _, unit in series):
        held = [m for m in _MEASURES if (task, m, unit) in series]
        measure = next((m for m in held if headline & {f"{task}/{m}", *series[task, m, unit].values()}), None)
        if measure := measure or next(iter(held), None):
            drawn.append(_picture(scene, f"{task}/{measure}", unit, series[task, measure, unit]))
    return [drawing for drawing in drawn if drawing is not None]


def _picture(scene: Scene, whole: str, unit: str, amounts: Mapping[float, str]) -> Drawing | None:
    metric_at = dict(sorted(amounts.items()))
    if whole in scene.metrics:
        metric_at[100.0 if unit == "pct" else 3 * max(metric_at)] = whole
    looks = scene.having(metric_at.values())
    if len(metric_at) < 2 or not looks:
        return None
    figure, axes = canvas(3.2 + legend_height(len(looks)))
    axes.set_xscale("log")
    drawn = False
    for k, look in enumerate(looks):
        points: dict[str, list[float]] = {"x": [], "y": [], "low": [], "high": []}
        aside = 1 + 0.02 * (k - (len(looks) - 1) / 2)
        for amount, metric in metric_at.items():
            if unit == "shot" and metric == whole:  # not a number of shots: no line leads there
                for values in points.values():
                    values.append(float("nan"))
            if cell := scene.cell(look.arm, metric):
                for key, value in zip(points, (amount * aside, cell.mean, *ends(cell)), strict=True):
                    points[key].append(value)
        draw_line(axes, look, points, look.arm, len(looks))
        drawn |= _over_draws(axes, scene, look, {a * aside: m for a, m in metric_at.items()})
    _ticks(axes, list(metric_at), unit, whole in metric_at.values())
    axes.set_ylabel(whole)
    legend(figure, axes)
    least, most = min(metric_at), max(metric_at)
    said = [
        f"at {name} {spoken(looks, {look.arm: c.mean for look in looks if (c := scene.cell(look.arm, metric_at[at]))})}"
        for name, at in (("the fewest labels", least), ("the most", most))
    ]
    title = f"{whole} over {'the share of labels' if unit == 'pct' else 'shots per class'}"
    caption = scene.below(metric_at.values(), scene.learnt(metric_at[least]))
    return Drawing(
        title,
        f"{title}: {'; '.join(said)}.",
        figure,
        f"{caption} Each amount is the mean over its draws of training patients{_DRAWS if drawn else ''}.",
    )


def _over_draws(axes: Axes, scene: Scene, look: Look, metric_at: Mapping[float, str]) -> bool:
    """Two short dashes at the ends of the interval over draws, where it is known; whether any is. metric_at: place -> metric."""
    known = False
    for place, metric in metric_at.items():
        ends = [scene.cell(look.arm, f"{metric}_{end}_draws") for end in ("low", "high")]
        both = [cell.mean for cell in ends if cell]
        if len(both) == 2:
            axes.plot(
                [place, place], both, linestyle=" ", marker="_", markersize=8, color=look.colour, zorder=4
            )
            known = True
    return known


def _ticks(axes: Axes, amounts: list[float], unit: str, has_all: bool) -> None:
    names = [f"{amount:g}" for amount in amounts]
    if has_all and unit == "shot":
        names[-1] = "all"
    axes.set_xticks(amounts, names)
    axes.minorticks_off()
    axes.set_xlabel(_AXIS[unit])
