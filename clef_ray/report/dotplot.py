"""The figure of an ablation whose arms are categories: one line per arm, the metric to the right."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clef_ray.report._style import COLOURS, GREY, MARKERS, RULE, Drawing, canvas, draw_levels
from clef_ray.report.comparison import Comparison
from clef_ray.report.figures import caption, from_age
from clef_ray.report.rows import Cell, Row
from clef_ray.report.wording import number

_LINE = 0.27  # inches per arm or heading
_FRAME = 1.3  # inches for the scale and the legend


def dots(comparison: Comparison, metric: str) -> Drawing | None:
    """The metric of each arm; None where no category (an arm of a family that has no place on the axis at all) has it.

    Small dots are the seeds, the marker their mean, the bar the 95 % t interval over seeds. Families one after the other, controls below
    them in grey with open markers; vertical lines: the base arm's mean, and what age alone reaches.
    """
    groups = _groups(comparison, metric)
    if not any(groups):  # a family's name; controls have none
        return None
    figure, axes = canvas(_FRAME + _LINE * sum(1 + len(rows) for rows in groups.values()), grid="x")
    labels: list[str] = []
    headings: list[int] = []
    for index, (family, rows) in enumerate(groups.items()):
        headings.append(len(labels))
        labels.append(family or "controls")
        for row in rows:
            _arm(axes, len(labels), row.cells[metric], index if family else None)
            labels.append(row.arm.name + (" (base)" if row.arm.name == comparison.ablation.base else ""))
    _verticals(axes, comparison, metric)
    _name_lines(axes, labels, headings)
    axes.set_xlabel(metric)
    _legend(figure, axes)
    told = caption([row for rows in groups.values() for row in rows], metric, "bars")
    return Drawing(f"{metric} by arm", _alt(groups, metric), figure, told)


def _alt(groups: Mapping[str, Sequence[Row]], metric: str) -> str:
    parts = (
        f"{family or 'controls'}: {', '.join(f'{r.arm.name} {number(r.cells[metric].mean)}' for r in rows)}"
        for family, rows in groups.items()
    )
    return f"{metric} by arm, mean over seeds. {'; '.join(parts)}."


def _groups(comparison: Comparison, metric: str) -> dict[str, list[Row]]:
    """Family -> its arms that have the metric, in the plan's order; the controls, under no name, at the end."""
    rows = [r for r in comparison.leading if metric in r.cells]
    on_axis = {r.arm.family for r in comparison.rows if r.arm.x is not None}
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda r: r.control):
        if row.control or row.arm.family not in on_axis:
            groups.setdefault(row.arm.family, []).append(row)
    return groups


def _arm(axes: Axes, line: int, cell: Cell, family: int | None) -> None:
    """One arm on its line; family: its number, None for a control."""
    colour = GREY if family is None else COLOURS[family % len(COLOURS)]
    marker = "o" if family is None else MARKERS[family % len(MARKERS)]
    values = list(cell.values.values())
    below = [line + 0.27] * len(values)  # where the marker does not hide them
    axes.scatter(values, below, s=9, color=colour, alpha=0.6, linewidths=0, zorder=3)
    if cell.seeds:
        axes.hlines(line, cell.seeds.low, cell.seeds.high, color=colour, linewidth=1.6, alpha=0.8, zorder=2)
    face = "white" if family is None else colour
    axes.plot([cell.mean], [line], color=colour, marker=marker, markerfacecolor=face, markersize=6, zorder=4)


def _name_lines(axes: Axes, labels: Sequence[str], headings: Sequence[int]) -> None:
    """From the top; headings are bold, with a rule above all but the first."""
    axes.set_ylim(len(labels) - 0.3, -0.7)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)
    for line in headings:
        axes.get_yticklabels()[line].set_fontweight("bold")
    for line in headings[1:]:
        axes.axhline(line - 0.5, color=RULE, linewidth=0.8)


def _verticals(axes: Axes, comparison: Comparison, metric: str) -> None:
    """The base arm and age alone as lines through all arms."""
    base = {
        f"{r.arm.name} (base)": r.cells[metric].mean
        for r in comparison.rows
        if r.arm.name == comparison.ablation.base and metric in r.cells
    }
    draw_levels(axes, base | from_age(comparison, metric), GREY, "vertical")


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    interval = Line2D([], [], color=GREY, linewidth=1.6)
    seed = Line2D([], [], color=GREY, marker="o", linestyle=" ", markersize=3)
    figure.legend(
        [*handles, seed, interval],
        [*labels, "one seed", "95 % t interval over seeds"],
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
