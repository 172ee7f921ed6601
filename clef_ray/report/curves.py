"""The pictures of a task's curves: are probabilities right, are predicted values right, do patients of like risk lie close together?

A curve is of one encoder: shown is the first seed of each arm that has one, with its interval over resampled patients.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clef_ray.evaluate.result import Curve
from clef_ray.report._scene import Look, Scene, draw_line, legend, legend_height
from clef_ray.report._style import GREY, Drawing, canvas, panels, tidy
from clef_ray.report.wording import number, span

#: Panels beside one another; more would be too small to read.
COLUMNS = 3

#: From this ratio of the largest to the smallest difference on, the axis is logarithmic.
_LOGARITHMIC = 20

_DASHED: Mapping[str, Any] = {"color": GREY, "linewidth": 1, "linestyle": (0, (5, 3)), "zorder": 1}

#: Arm's look -> seed and curve.
_Curves = Mapping[Look, tuple[int, Curve]]


def reliability(scene: Scene) -> list[Drawing]:
    """Observed share by predicted probability with the diagonal, a panel per arm with ECE and n per bin. One picture per task."""
    return [_reliability(scene, name) for name in scene.curve_names("reliability") if _found(scene, name)]


def values(scene: Scene) -> list[Drawing]:
    """Mean true by mean predicted value with the diagonal, in the unit; below the error of each bin. A panel per arm, a picture per task."""
    return [_values(scene, name) for name in scene.curve_names("true_by_predicted") if _found(scene, name)]


def deciles(scene: Scene) -> list[Drawing]:
    """Mean cosine of two patients by tenth of their difference in risk. One picture per task."""
    return [_by_risk(scene, name) for name in scene.curve_names("cosine_by_risk") if _found(scene, name)]


def _found(scene: Scene, name: str) -> _Curves:
    of = scene.curves(name)
    return {look: of[look.arm] for look in scene.looks if look.arm in of}


def _reliability(scene: Scene, name: str) -> Drawing:
    found, task = _found(scene, name), name.rpartition("/")[0]
    figure, (panels_of,) = _panels(found, (1.75,))
    errors = {look.arm: cell for look in found if (cell := scene.cell(look.arm, f"{task}/ece"))}
    for axes, (look, (_, curve)) in zip(panels_of, found.items(), strict=True):
        _points(axes, look, curve, curve.y - curve.x, curve.x)
        _diagonal(axes, found)
        told = [f"ECE {number(errors[look.arm].mean)}"] if look.arm in errors else []
        _note(axes, [*told, f"n per bin {_range(curve.n)}"])
    said = ", ".join(f"{arm} {number(cell.mean)}" for arm, cell in errors.items())
    intervals = ", ".join(f"{arm} {span(cell.patients)}" for arm, cell in errors.items() if cell.patients)
    title = f"reliability of the probabilities: {task}"
    alt = f"Observed share by predicted probability, a panel per arm. Calibration error (ECE): {said or 'not computed'}."
    more = " Dashed: as predicted. Bins of equally many decisions, those of fewer than 20 patients left out."
    if intervals:
        more += f" ECE: mean over seeds, with its 95 % interval over resampled patients: {intervals}."
    return Drawing(title, alt, figure, _caption(scene, found, f"decisions on {scene.learnt(name)}") + more)


def _values(scene: Scene, name: str) -> Drawing:
    found, task = _found(scene, name), name.rpartition("/")[0]
    figure, (upper, lower) = _panels(found, (1.7, 1.05))
    errors = {look.arm: cell for look in found if (cell := scene.cell(look.arm, f"{task}/mae"))}
    for above, below, (look, (_, curve)) in zip(upper, lower, found.items(), strict=True):
        error = curve.y - curve.x
        _points(above, look, curve, error, curve.x)
        _points(below, look, curve, error, np.zeros_like(error))
        _diagonal(above, found)
        below.axhline(0, **_DASHED)
        told = [f"MAE {errors[look.arm].mean:.3g}"] if look.arm in errors else []
        _note(above, [*told, f"n per bin {_range(curve.n)}"])
    for axes in lower[::COLUMNS]:
        axes.set_ylabel("true −\npredicted", fontsize=9)
    said = ", ".join(f"{arm} {number(cell.mean)}" for arm, cell in errors.items())
    title = f"predicted and true values: {task}"
    alt = f"Mean true by mean predicted value in bins, a panel per arm. Mean absolute error: {said or 'not computed'}."
    more = " Dashed: as predicted. Below: how far a bin's mean lies from what was predicted for it."
    return Drawing(title, alt, figure, _caption(scene, found, f"of {scene.learnt(name)}") + more)


def _by_risk(scene: Scene, name: str) -> Drawing:
    found = _found(scene, name)
    figure, axes = canvas(3.3 + legend_height(len(found)))
    for look, (_, curve) in found.items():
        points = {"x": curve.x, "y": curve.y, "low": curve.low, "high": curve.high}
        draw_line(axes, look, points, look.arm, len(found))
    curve = next(iter(found.values()))[1]
    least, most = curve.x.min(), curve.x.max()
    if least > 0 and most / least >= _LOGARITHMIC:
        axes.set_xscale("log")
        rounded = [step * 10.0**power for power in range(-6, 9) for step in (1, 2, 5)]
        ticks = [tick for tick in rounded if least <= tick <= most]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.set_xlabel(curve.x_label)
    axes.set_ylabel(curve.y_label)
    legend(figure, axes)
    said = "; ".join(
        f"{look.arm} from {number(float(own.y[0]))} in the nearest tenth to {number(float(own.y[-1]))} in the furthest"
        for look, (_, own) in found.items()
    )
    title = f"likeness by difference in risk: {name.rpartition('/')[0]}"
    caption = (
        _caption(scene, found, f"pairs among {scene.unlearnt(name)}") + " Each point: a tenth of the pairs."
    )
    return Drawing(title, f"Mean cosine of two patients. {said}.", figure, caption)


def _panels(found: _Curves, heights: tuple[float, ...]) -> tuple[Figure, list[list[Axes]]]:
    """A panel per arm, COLUMNS to a row; where there are two heights, a lower one below each. Their axes, one list per height."""
    rows, columns = -(-len(found) // COLUMNS), min(COLUMNS, len(found))
    every = heights * rows
    figure, grid = panels(
        len(every),
        columns,
        0.5 + sum(every),
        height_ratios=every,
        sharex=True,
        sharey="row" if rows == 1 else False,
    )
    lists = [[axes for row in grid[k :: len(heights)] for axes in row] for k in range(len(heights))]
    for own in lists:
        for axes in own[1 : len(found)]:
            axes.sharey(own[0])
        for axes in own[len(found) :]:
            axes.set_visible(False)
        for index, axes in enumerate(own):
            tidy(axes)
            axes.tick_params(labelsize=9, labelleft=index % columns == 0)
    for axes in lists[-1][max(0, len(found) - columns) : len(found)]:
        axes.tick_params(labelbottom=True)
    for axes, look in zip(lists[0][: len(found)], found, strict=True):
        axes.set_title(look.arm, loc="left", fontsize=9)
    curve = next(iter(found.values()))[1]
    for axes in lists[0][::COLUMNS]:
        axes.set_ylabel(curve.y_label, fontsize=9)
    figure.supxlabel(curve.x_label, fontsize=9)
    figure.align_ylabels()
    return figure, [own[: len(found)] for own in lists]


def _points(
    axes: Axes, look: Look, curve: Curve, error: NDArray[np.float64], base: NDArray[np.float64]
) -> None:
    """The curve's points at base + error, with their band."""
    aside = curve.x - base
    axes.plot(curve.x, base + error, markersize=4, linewidth=1.3, zorder=3, **look.points)
    axes.fill_between(
        curve.x, curve.low - aside, curve.high - aside, color=look.colour, alpha=0.2, linewidth=0
    )


def _diagonal(axes: Axes, found: _Curves) -> None:
    both = np.concatenate([np.concatenate([curve.x, curve.y]) for _, curve in found.values()])
    axes.plot([both.min(), both.max()], [both.min(), both.max()], **_DASHED)


def _note(axes: Axes, lines: Sequence[str]) -> None:
    axes.text(0.03, 0.98, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=9)


def _range(counts: NDArray[np.float64]) -> str:
    least, most = int(counts.min()), int(counts.max())
    return f"{least}" if least == most else f"{least}–{most}"


def _caption(scene: Scene, found: _Curves, of: str) -> str:
    """of: what the points are averages of, whom they are of."""
    seeds = sorted({seed for seed, _ in found.values()})
    which = f"Seed {seeds[0]}" if len(seeds) == 1 else "Each arm's first seed"
    n = _range(np.array([curve.n.sum() for _, curve in found.values()]))
    told = (
        f"{which}; bands or bars: 95 % intervals over resampled patients.",
        f"n = {n} {of}.",
        scene.which(),
    )
    return " ".join(filter(None, told))
