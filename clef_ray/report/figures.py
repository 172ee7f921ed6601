"""The report's figures as PNG bytes. Drawn with matplotlib's objects, not pyplot, so that nothing global is touched.

Colours are Okabe and Ito's (2008), told apart by colour-blind readers; every line also has its own marker and dash, for grey print.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from clef_ray.ablation import Outcome
from clef_ray.report.comparison import Comparison
from clef_ray.report.rows import Cell

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_MARKERS = ("o", "s", "^", "D")
_DASHES = ("-", (0, (6, 1.5)), (0, (4, 1, 1, 1)), (0, (2, 1)))
_GREY = "#555555"
_SIZE = (6.8, 4.2)  # inches; a text column of A4
_DPI = 160


def curve(comparison: Comparison, metric: str) -> bytes | None:
    """The metric along the ablation's axis as PNG; None where no arm on the axis has it.

    One line per family through the means, a dot per seed, a band for the 95 % t interval over seeds; controls are dashed levels.
    """
    ablation = comparison.ablation
    placed = [
        (r, r.arm.x, r.cells[metric]) for r in comparison.rows if metric in r.cells and r.arm.x is not None
    ]
    if not placed:
        return None
    figure, axes = _canvas()
    for index, family in enumerate(dict.fromkeys(row.arm.family for row, _, _ in placed)):
        points = [(x, cell) for row, x, cell in placed if row.arm.family == family]
        _family(axes, index, family, sorted(points, key=lambda point: point[0]))
    _levels(axes, _controls(comparison, metric))
    ticks = sorted({x for _, x, _ in placed})
    if ticks[0] > 0 and ticks[-1] / ticks[0] >= 8:
        axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.minorticks_off()
    axes.set_xlabel(ablation.axis)
    axes.set_ylabel(metric)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False)
    return _png(figure)


def _family(axes: Axes, index: int, family: str, points: Sequence[tuple[float, Cell]]) -> None:
    style = index % len(_COLOURS)
    colour = _COLOURS[style]
    x = [x for x, _ in points]
    axes.plot(
        x,
        [c.mean for _, c in points],
        color=colour,
        marker=_MARKERS[style],
        linestyle=_DASHES[style],
        label=family,
        zorder=3,
    )
    for place, cell in points:
        values = list(cell.values.values())
        axes.scatter([place] * len(values), values, s=9, color=colour, alpha=0.55, linewidths=0, zorder=2)
    banded = [(place, cell.seeds) for place, cell in points if cell.seeds]
    axes.fill_between(
        [p for p, _ in banded],
        [i.low for _, i in banded],
        [i.high for _, i in banded],
        color=colour,
        alpha=0.15,
        linewidth=0,
    )


def _controls(comparison: Comparison, metric: str) -> dict[str, float]:
    """Levels to compare with: the control arms' means, and what the same statistic reaches from age alone."""
    levels = {r.arm.name: r.cells[metric].mean for r in comparison.rows if r.control and metric in r.cells}
    from_age = [r.cells[f"{metric}_age"].mean for r in comparison.rows if f"{metric}_age" in r.cells]
    return levels | ({"age only": from_age[0]} if from_age else {})


def _levels(axes: Axes, levels: Mapping[str, float]) -> None:
    """Horizontal levels; one so far off that it would flatten the curves is told in the legend only."""
    dashes = ((0, (5, 3)), (0, (1, 1.5)), (0, (8, 2, 1, 2)), (0, (3, 5)))
    low, high = axes.get_ylim()
    for index, (name, level) in enumerate(levels.items()):
        if not low - 3 * (high - low) < level < high + 3 * (high - low):
            axes.plot([], [], " ", label=f"{name}: {level:.2f} (off the scale)")
            continue
        axes.axhline(
            level, color=_GREY, linewidth=1.1, linestyle=dashes[index % len(dashes)], label=name, zorder=1
        )


def training_curves(outcomes: Sequence[Outcome]) -> bytes | None:
    """Loss per epoch as PNG, one panel per family: the mean over seeds, and each seed as a thin line. None where nothing was trained."""
    trained = [o for o in outcomes if o.history]
    if not trained:
        return None
    families = list(dict.fromkeys(o.trial.arm.family for o in trained))
    figure = Figure(figsize=(_SIZE[0], 0.4 + 2.7 * len(families)), dpi=_DPI, layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(families), 1, sharex=True))
    for axes, family in zip(panels, families, strict=True):
        _tidy(axes)
        _losses(axes, [o for o in trained if o.trial.arm.family == family])
        axes.set_title(family or "controls", loc="left", fontsize=10)
        axes.set_ylabel("training loss")
    panels[-1].set_xlabel("epoch")
    return _png(figure)


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
        axes.plot(
            epochs, mean, color=colour, linewidth=1.8, linestyle=_DASHES[index % len(_DASHES)], label=arm
        )
        for seed in seeds:
            axes.plot(list(seed), list(seed.values()), color=colour, linewidth=0.5, alpha=0.6)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)


def _canvas() -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    _tidy(axes)
    return figure, axes


def _tidy(axes: Axes) -> None:
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
