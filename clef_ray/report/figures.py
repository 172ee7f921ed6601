"""The report's curves as PNG bytes: a metric along the ablation's axis, and the training loss over epochs."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clef_ray.ablation import Outcome
from clef_ray.report._style import (
    COLOURS,
    DASHES,
    DPI,
    GREY,
    MARKERS,
    WIDTH,
    canvas,
    draw_levels,
    png,
    tidy,
)
from clef_ray.report.comparison import Comparison
from clef_ray.report.rows import Cell

#: The bands of more families would cover one another: bars side by side in their place.
_MOST_BANDS = 2


def curve(comparison: Comparison, metric: str) -> bytes | None:
    """The metric along the ablation's axis as PNG; None where no arm on the axis has it.

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
    return png(figure)


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


def training_curves(outcomes: Sequence[Outcome]) -> bytes | None:
    """Loss per epoch as PNG, one panel per family: the mean over seeds, and each seed as a thin line. None where nothing was trained."""
    trained = [o for o in outcomes if o.history]
    if not trained:
        return None
    families = list(dict.fromkeys(o.trial.arm.family for o in trained))
    arms = [len({o.trial.arm.name for o in trained if o.trial.arm.family == f}) for f in families]
    heights = [max(2.7, 0.4 + 0.2 * count) for count in arms]  # inches: the legend needs 0.2 per arm
    figure = Figure(figsize=(WIDTH, 0.4 + sum(heights)), dpi=DPI, layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(families), 1, sharex=True, height_ratios=heights))
    for axes, family in zip(panels, families, strict=True):
        tidy(axes)
        _losses(axes, [o for o in trained if o.trial.arm.family == family])
        axes.set_title(family or "controls", loc="left", fontsize=10)
        axes.set_ylabel("training loss")
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return png(figure)


def _losses(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    arms = list({o.trial.arm.name: o.trial.arm for o in outcomes})
    colours = colormaps["viridis"](np.linspace(0.0, 0.85, len(arms)))
    for index, (arm, colour) in enumerate(zip(arms, colours, strict=True)):
        seeds = [
            {int(e["epoch"]): e["loss"] for e in o.history if "loss" in e}
            for o in outcomes
            if o.trial.arm.name == arm
        ]
        epochs = sorted(set[int]().union(*seeds))
        mean = [float(np.mean([s[epoch] for s in seeds if epoch in s])) for epoch in epochs]
        axes.plot(epochs, mean, color=colour, linewidth=1.8, linestyle=DASHES[index % len(DASHES)], label=arm)
        for seed in seeds:
            axes.plot(list(seed), list(seed.values()), color=colour, linewidth=0.5, alpha=0.6)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
