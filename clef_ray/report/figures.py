"""The figure of an ablation whose arms lie on an axis: a metric along it, one line per family."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from clef_ray.report._style import COLOURS, DASHES, GREY, MARKERS, Drawing, canvas, draw_levels
from clef_ray.report.comparison import Comparison
from clef_ray.report.rows import Cell, Row
from clef_ray.report.testing import judged
from clef_ray.report.wording import least_to_most, number

#: The bands of more families would cover one another: bars side by side in their place.
_MOST_BANDS = 2


def curve(comparison: Comparison, metric: str) -> Drawing | None:
    """The metric along the ablation's axis; None where no arm on the axis has it.

    One line per family through the means, a dot per seed, the 95 % t interval over seeds as a band (as bars where there are more than two
    families). Levels: the controls in grey, and in a family's colour those of its arms that have no place on the axis.
    """
    rows = [r for r in comparison.rows if metric in r.cells]
    placed = [(r.arm.family, r.arm.x, r.cells[metric]) for r in rows if r.arm.x is not None]
    if not placed:
        return None
    figure, axes = canvas()
    ticks = sorted({x for _, x, _ in placed})
    logarithmic = ticks[0] > 0 and ticks[-1] / ticks[0] >= 8
    if logarithmic:
        axes.set_xscale("log", base=2)
    families = list(dict.fromkeys(family for family, _, _ in placed))
    bands = len(families) <= _MOST_BANDS
    for index, family in enumerate(families):
        aside = 0.0 if bands else index - (len(families) - 1) / 2
        points = sorted(((x, c) for own, x, c in placed if own == family), key=lambda point: point[0])
        moved = _aside([x for x, _ in points], ticks, aside, logarithmic)
        _family(axes, index, family, list(zip(moved, (c for _, c in points), strict=True)), bands)
        apart = {r.arm.name: r.cells[metric].mean for r in rows if r.arm.family == family and r.arm.x is None}
        draw_levels(axes, apart, COLOURS[index % len(COLOURS)], "horizontal")
    draw_levels(axes, controls(comparison, metric), GREY, "horizontal")
    axes.set_xticks(ticks, _labels(ticks, logarithmic))
    axes.minorticks_off()
    axes.set_xlabel(comparison.ablation.axis)
    axes.set_ylabel(metric)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False)
    told = caption([r for r in rows if r.arm.x is not None], metric, "bands" if bands else "bars")
    alt = _alt(comparison, metric, families)
    return Drawing(f"{metric} over {comparison.ablation.axis}", alt, figure, told)


def caption(rows: Sequence[Row], metric: str, drawn: str) -> str:
    """How many seeds the means are of, what the intervals are (drawn: as `bands` or `bars`), and on how many the metric was judged."""
    seeds = {len(row.cells[metric].values) for row in rows}
    what = (
        f"Means over {least_to_most(seeds)} seeds, a small dot each; {drawn}: 95 % t intervals over seeds (not over patients)."
        if max(seeds) > 1
        else "One seed, so no interval over seeds."
    )
    return " ".join(filter(None, (what, judged([metric], rows))))


def _alt(comparison: Comparison, metric: str, families: Sequence[str]) -> str:
    parts = []
    for family in families:
        rows = [r for r in comparison.rows if r.arm.family == family and metric in r.cells]
        places = sorted((r.arm.x, r.cells[metric].mean) for r in rows if r.arm.x is not None)
        parts.append(f"{family}: {', '.join(f'{number(mean)} at {x:g}' for x, mean in places)}")
    levels = [f"{name} {number(value)}" for name, value in controls(comparison, metric).items()]
    return f"{metric} over {comparison.ablation.axis}, mean over seeds. {'; '.join(parts + levels)}."


def _aside(x: Sequence[float], ticks: Sequence[float], steps: float, logarithmic: bool) -> list[float]:
    """The places, moved by some hundredths of the axis so that families stand side by side."""
    if logarithmic:
        return [place * (ticks[-1] / ticks[0]) ** (0.012 * steps) for place in x]
    return [place + 0.012 * steps * (ticks[-1] - ticks[0] or 1.0) for place in x]


def _labels(ticks: Sequence[float], logarithmic: bool) -> list[str]:
    """One per tick; empty where it would run into the one before."""
    axis = np.log(ticks) if logarithmic else np.asarray(ticks)
    least = 0.06 * (axis[-1] - axis[0])
    labels, last = [], -np.inf
    for place, tick in zip(axis, ticks, strict=True):
        labels.append(f"{tick:g}" if place - last >= least else "")
        last = place if labels[-1] else last
    return labels


def _family(axes: Axes, index: int, family: str, points: Sequence[tuple[float, Cell]], bands: bool) -> None:
    colour = COLOURS[index % len(COLOURS)]
    axes.plot(
        [x for x, _ in points],
        [c.mean for _, c in points],
        color=colour,
        marker=MARKERS[index % len(MARKERS)],
        linestyle=DASHES[index % len(DASHES)],
        label=family,
        zorder=3,
    )
    for place, cell in points:
        values = list(cell.values.values())
        axes.scatter([place] * len(values), values, s=9, color=colour, alpha=0.55, linewidths=0, zorder=2)
    ends = [(place, cell.seeds) for place, cell in points if cell.seeds]
    x, low, high = [p for p, _ in ends], [i.low for _, i in ends], [i.high for _, i in ends]
    if bands:
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    else:
        axes.vlines(x, low, high, color=colour, alpha=0.6, linewidth=1.2, zorder=2)


def controls(comparison: Comparison, metric: str) -> dict[str, float]:
    """Levels to compare with: the control arms' means, and what the same statistic reaches from age alone."""
    levels = {r.arm.name: r.cells[metric].mean for r in comparison.rows if r.control and metric in r.cells}
    return levels | from_age(comparison, metric)


def from_age(comparison: Comparison, metric: str) -> dict[str, float]:
    """What the same statistic reaches from age alone, under the name of that level; nothing where it was not computed."""
    found = [r.cells[f"{metric}_age"].mean for r in comparison.rows if f"{metric}_age" in r.cells]
    return {"age only": found[0]} if found else {}
