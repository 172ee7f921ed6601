"""The figures of a sweep: its progress, the two objectives against each other, what mattered, and each setting by itself."""

from collections.abc import Sequence
from itertools import accumulate
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clef_ray.report._style import COLOURS, GREY, Drawing, canvas, panels, tidy
from clef_ray.report.findings import front
from clef_ray.report.study import StudyView
from clef_ray.report.wording import counted, number
from clef_ray.search import Configuration

_FOUND, _STOPPED = COLOURS[1], COLOURS[4]
_COLUMNS = 3
_EDGE = 0.03  # of the axes' height: where configurations without a value stand
_NONE = "none keeps the limits"


def study_figures(study: StudyView) -> list[Drawing]:
    """All that can be drawn, in the order of the page."""
    drawn = (progress(study), pareto(study), importance(study), slices(study))
    return [drawing for drawing in drawn if drawing is not None]


def progress(study: StudyView) -> Drawing | None:
    """The first objective of each finished configuration over its number, and the best so far that keeps the limits; None where none finished."""
    done = [row for row in study.rows if study.metric in row.values and row.state == "COMPLETE"]
    if not done:
        return None
    figure, axes = canvas(3.2)
    better = max if study.objectives[0][1] == "maximize" else min
    kept = [row for row in done if row.feasible]
    best = list(accumulate((row.values[study.metric] for row in kept), better))
    _points(axes, [row.number for row in done], done, study)
    axes.step([row.number for row in kept], best, where="post", color=_FOUND, linewidth=1.6)
    axes.set_xlabel("configuration")
    axes.set_ylabel(study.metric)
    step = Line2D([], [], color=_FOUND, linewidth=1.6, label="best so far")
    axes.legend(handles=[*_dots(done), *([step] if kept else [])], **_BELOW)
    reached = f"the best so far goes from {number(best[0])} to {number(best[-1])}" if kept else _NONE
    alt = f"{study.metric} of {counted(len(done), 'finished configuration')} in their order; {reached}."
    return Drawing("progress of the sweep", alt, figure)


def pareto(study: StudyView) -> Drawing | None:
    """The second objective against the first, the front as a line; None where there is one objective or nothing finished."""
    if len(study.objectives) < 2:
        return None
    first, second = (name for name, _ in study.objectives[:2])
    done = [row for row in study.rows if row.state == "COMPLETE" and {first, second} <= set(row.values)]
    if not done:
        return None
    figure, axes = canvas(3.8)
    _points(axes, [row.values[second] for row in done], done, study)
    best = front(study)
    if best:
        axes.plot(
            [row.values[second] for row in best],
            [row.values[first] for row in best],
            color=_FOUND,
            marker="o",
            markersize=6,
            linewidth=1.4,
        )
    for row in {
        row.number: row for row in (*best[:1], *best[-1:])
    }.values():  # more names would cover one another
        axes.annotate(
            row.arm,
            (row.values[second], row.values[first]),
            xytext=(5, 5),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_xlabel(second)
    axes.set_ylabel(first)
    line = Line2D([], [], color=_FOUND, marker="o", label="Pareto front")
    axes.legend(handles=[*_dots(done), *([line] if best else [])], **_BELOW)
    points = ", ".join(
        f"{row.arm} {number(row.values[first])} at {number(row.values[second])}" for row in best
    )
    told = f"On the front: {points}" if best else _NONE.capitalize()
    return Drawing("Pareto front", f"{first} against {second}. {told}.", figure)


def importance(study: StudyView) -> Drawing | None:
    """Share of the first objective's variance that each setting explains, as bars; None where it was not computed."""
    if not study.importance:
        return None
    names, shares = list(study.importance), list(study.importance.values())
    figure, axes = canvas(0.8 + 0.3 * len(names), grid="x")
    axes.barh(range(len(names)), shares, height=0.62, color=COLOURS[0])
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    for place, share in enumerate(shares):
        axes.annotate(
            f"{share:.0%}", (share, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.set_xlim(0, 1.12 * max(shares))
    axes.set_xlabel(f"share of the variance of {study.metric}")
    listed = ", ".join(f"{name} {share:.0%}" for name, share in study.importance.items())
    return Drawing(
        "importance of the settings", f"Share of the variance of {study.metric}: {listed}.", figure
    )


def slices(study: StudyView) -> Drawing | None:
    """The first objective over each setting, one panel each; stopped and failed configurations stand at the lower edge. None without any."""
    names = [name for name in study.parameters if any(name in row.params for row in study.rows)]
    if not names:
        return None
    count = ceil(len(names) / _COLUMNS)
    figure, grid = panels(count, min(_COLUMNS, len(names)), 0.5 + 2.1 * count, sharey=True)
    places = [axes for row in grid for axes in row]
    for axes, name in zip(places[: len(names)], names, strict=True):
        tidy(axes)
        _slice(axes, name, study)
    for axes in places[len(names) :]:
        axes.set_visible(False)
    for row in grid:
        row[0].set_ylabel(study.metric)
    _legend(figure, study)
    states = f"{study.count('COMPLETE')} finished, {study.count('PRUNED')} stopped early, {study.count('FAIL')} failed"
    return Drawing("each setting by itself", f"{study.metric} over {', '.join(names)}: {states}.", figure)


def _slice(axes: Axes, name: str, study: StudyView) -> None:
    rows = [row for row in study.rows if name in row.params]
    given = [row.params[name] for row in rows]
    numbers = [v for v in given if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) == len(given):
        x = {row.number: float(v) for row, v in zip(rows, numbers, strict=True)}
        if name in study.logarithmic:
            axes.set_xscale("log")
    else:
        names = sorted({str(v) for v in given})
        x = {row.number: float(names.index(str(row.params[name]))) for row in rows}
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
    done = [row for row in rows if row.state == "COMPLETE" and study.metric in row.values]
    _points(axes, [x[row.number] for row in done], done, study)
    edge = axes.get_xaxis_transform()
    for state, marker, colour, height in (
        ("PRUNED", "v", _STOPPED, _EDGE),
        ("FAIL", "x", COLOURS[3], 3 * _EDGE),
    ):
        own = [x[row.number] for row in rows if row.state == state]
        axes.plot(own, [height] * len(own), marker, transform=edge, color=colour, markersize=4, alpha=0.7)
    axes.set_xlabel(name, fontsize=9)
    axes.tick_params(labelsize=8)


def _points(axes: Axes, x: Sequence[float], rows: Sequence[Configuration], study: StudyView) -> None:
    """A dot per configuration with its standard error; those that were found in vermilion, those that break a limit as rings."""
    kinds: dict[str, list[tuple[float, Configuration]]] = {"kept": [], "broken": [], "found": []}
    for place, row in zip(x, rows, strict=True):
        kind = "found" if row.number in study.best else "kept" if row.feasible else "broken"
        kinds[kind].append((place, row))
    for kind, own in kinds.items():
        if not own:
            continue
        found = kind == "found"
        colour, layer = (_FOUND, 4) if found else (GREY, 2)
        places, means = [place for place, _ in own], [row.values[study.metric] for _, row in own]
        errors = [row.standard_errors.get(study.metric, 0.0) for _, row in own]
        low, high = ([m + sign * e for m, e in zip(means, errors, strict=True)] for sign in (-1, 1))
        axes.vlines(places, low, high, color=colour, linewidth=0.8, alpha=0.6, zorder=layer)
        axes.scatter(
            places,
            means,
            s=30 if found else 12,
            facecolors="none" if kind == "broken" else colour,
            edgecolors=colour,
            alpha=1 if found else 0.6,
            linewidths=0.8 if kind == "broken" else 0,
            zorder=layer,
        )


def _dots(rows: Sequence[Configuration]) -> list[Line2D]:
    """What the dots of these configurations mean, for the legend."""
    broken = any(row.state == "COMPLETE" and not row.feasible for row in rows)
    fills = {"finished ± standard error": GREY, **({"breaks a limit": "none"} if broken else {})}
    return [
        Line2D([], [], color=GREY, markerfacecolor=fill, marker="o", linestyle=" ", markersize=4, label=label)
        for label, fill in fills.items()
    ]


def _legend(figure: Figure, study: StudyView) -> None:
    marks = ((_FOUND, "o", "best"), (_STOPPED, "v", "stopped early"), (COLOURS[3], "x", "failed"))
    handles = [
        Line2D([], [], color=c, marker=m, linestyle=" ", markersize=5, label=text) for c, m, text in marks
    ]
    figure.legend(
        handles=[*_dots(study.rows), *handles],
        loc="outside lower center",
        ncols=4,
        frameon=False,
    )


_BELOW = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.18), "ncols": 3, "frameon": False}
