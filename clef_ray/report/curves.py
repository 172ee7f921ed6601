"""The pictures of a task's curves: are probabilities right, are predicted values right, do patients of like risk lie close together?

A curve is of one encoder: shown is the first seed of each arm that has one, with its interval over resampled patients.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clef_ray.evaluate.result import Curve
from clef_ray.report._scene import Look, Scene, draw_line, legend, legend_height
from clef_ray.report._style import GREY, Drawing, canvas, panels, tidy
from clef_ray.report.rows import Cell
from clef_ray.report.wording import number

#: Arm's look -> seed and curve.
_Curves = Mapping[Look, tuple[int, Curve]]


def reliability(scene: Scene) -> list[Drawing]:
    """Observed share by predicted probability with the diagonal; below how many decisions a bin holds. One picture per task."""
    return [_with_counts(scene, name) for name in scene.curve_names("reliability") if _found(scene, name)]


def values(scene: Scene) -> list[Drawing]:
    """Mean true by mean predicted value with the diagonal, in the unit; below the error of each bin. One picture per task."""
    return [
        _with_errors(scene, name) for name in scene.curve_names("true_by_predicted") if _found(scene, name)
    ]


def deciles(scene: Scene) -> list[Drawing]:
    """Mean cosine of two patients by tenth of their difference in risk. One picture per task."""
    return [_by_risk(scene, name) for name in scene.curve_names("cosine_by_risk") if _found(scene, name)]


def _found(scene: Scene, name: str) -> _Curves:
    of = scene.curves(name)
    return {look: of[look.arm] for look in scene.looks if look.arm in of}


def _with_counts(scene: Scene, name: str) -> Drawing:
    found, task = _found(scene, name), name.rpartition("/")[0]
    errors = {look.arm: cell for look in found if (cell := scene.cell(look.arm, f"{task}/ece"))}
    figure, upper, lower = _two(found, "n per bin")
    _lines(upper, found, lambda c: (c.y, c.low, c.high), errors)
    _diagonal(upper, found, "as predicted")
    for look, (_, curve) in found.items():
        lower.plot(
            curve.x, curve.n, color=look.colour, marker=look.marker, markerfacecolor=look.face, **_THIN
        )
    lower.set_ylim(bottom=0)
    legend(figure, upper, 1)
    said = ", ".join(f"{arm} {number(cell.mean)}" for arm, cell in errors.items())
    title = f"reliability of the probabilities: {task}"
    alt = f"Observed share by predicted probability. Calibration error (ECE): {said or 'not computed'}."
    more = " Bins of equally many decisions, those of fewer than 20 patients left out; ECE: mean over seeds."
    return Drawing(title, alt, figure, _caption(scene, found, name, "decisions") + more)


def _with_errors(scene: Scene, name: str) -> Drawing:
    found, task = _found(scene, name), name.rpartition("/")[0]
    figure, upper, lower = _two(found, "true − predicted")
    errors = {look.arm: cell for look in found if (cell := scene.cell(look.arm, f"{task}/mae"))}
    _lines(upper, found, lambda c: (c.y, c.low, c.high), {})
    _diagonal(upper, found, "as predicted")
    lower.axhline(0, color=GREY, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
    _lines(lower, found, lambda c: (c.y - c.x, c.low - c.x, c.high - c.x), {})
    legend(figure, upper)
    said = ", ".join(f"{arm} {number(cell.mean)}" for arm, cell in errors.items())
    title = f"predicted and true values: {task}"
    alt = f"Mean true by mean predicted value in bins. Mean absolute error: {said or 'not computed'}."
    more = " Below: how far a bin's mean lies from what was predicted for it."
    return Drawing(title, alt, figure, _caption(scene, found, name, "records") + more)


def _by_risk(scene: Scene, name: str) -> Drawing:
    found = _found(scene, name)
    figure, axes = canvas(3.3 + legend_height(len(found)))
    _lines(axes, found, lambda c: (c.y, c.low, c.high), {})
    _label(axes, found)
    legend(figure, axes)
    said = "; ".join(
        f"{look.arm} from {number(curve.y[0])} in the nearest tenth to {number(curve.y[-1])} in the furthest"
        for look, (_, curve) in found.items()
    )
    title = f"likeness by difference in risk: {name.rpartition('/')[0]}"
    return Drawing(
        title, f"Mean cosine of two patients. {said}.", figure, _caption(scene, found, name, "pairs")
    )


_THIN = {"markersize": 3.5, "linewidth": 1.0}


def _two(found: _Curves, below: str) -> tuple[Figure, Axes, Axes]:
    """A high panel above a low one, on one x axis."""
    height = 4.6 + legend_height(len(found) + 1, 1)
    figure, ((upper,), (lower,)) = panels(2, 1, height, sharex=True, height_ratios=(3, 1.2))
    for axes in (upper, lower):
        tidy(axes)
    curve = next(iter(found.values()))[1]
    upper.set_ylabel(curve.y_label)
    lower.set_ylabel(below)
    lower.set_xlabel(curve.x_label)
    figure.align_ylabels()
    return figure, upper, lower


def _lines(
    axes: Axes,
    found: _Curves,
    of: Callable[[Curve], Sequence[np.ndarray]],
    errors: Mapping[str, Cell],
) -> None:
    """One line per arm; errors: what the legend says behind its name."""
    for look, (_, curve) in found.items():
        points = dict(zip(("x", "y", "low", "high"), (curve.x, *of(curve)), strict=True))
        draw_line(axes, look, points, look.arm + _ece(errors.get(look.arm)), len(found))


def _ece(cell: Cell | None) -> str:
    if cell is None:
        return ""
    interval = f" ({number(cell.patients.low)} to {number(cell.patients.high)})" if cell.patients else ""
    return f": ECE {number(cell.mean)}{interval}"


def _diagonal(axes: Axes, found: _Curves, label: str) -> None:
    both = np.concatenate([np.concatenate([curve.x, curve.y]) for _, curve in found.values()])
    ends = [both.min(), both.max()]
    axes.plot(ends, ends, color=GREY, linewidth=1, linestyle=(0, (5, 3)), label=label, zorder=1)


def _label(axes: Axes, found: _Curves) -> None:
    curve = next(iter(found.values()))[1]
    axes.set_xlabel(curve.x_label)
    axes.set_ylabel(curve.y_label)


def _caption(scene: Scene, found: _Curves, name: str, points: str) -> str:
    totals = sorted({int(curve.n.sum()) for _, curve in found.values()})
    seeds = sorted({seed for seed, _ in found.values()})
    many = f"{totals[0]}" if len(totals) == 1 else f"{totals[0]} to {totals[-1]}"
    judged = scene.count(name)
    n = f"{many} {points}" + (f" of n_test {judged}" if judged else "")
    of = f"seed {seeds[0]}" if len(seeds) == 1 else "each arm's first seed"
    bars = f"Of {of}; bands or bars: 95 % intervals over resampled patients."
    return " ".join(filter(None, (bars, scene.on(n), scene.which())))
