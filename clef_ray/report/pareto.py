"""The figure of accuracy against cost: what an arm reaches, and what its pretraining took."""

from collections.abc import Sequence

from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from clef_ray.ablation import Outcome
from clef_ray.report._style import COLOURS, GREY, MARKERS, Drawing, canvas, draw_levels
from clef_ray.report.comparison import Comparison
from clef_ray.report.costs import mean_cost
from clef_ray.report.wording import number, prefixed

#: Arms whose FLOPs are nearer than this cost the same: an ablation that only varies its loss's numbers gets no figure.
_APART = 1.05

Point = tuple[str, float, float]  # arm, FLOPs, metric


def accuracy_against_cost(comparison: Comparison, outcomes: Sequence[Outcome]) -> Drawing | None:
    """The first headline metric of each arm, mean over seeds, against the FLOPs of pretraining one run; the arms that no other arm beats in
    both are joined. FLOPs and not seconds, which depend on what else the machine did. Arms that train nothing are levels.

    None for a sweep (it has its own front), for a gap (more is not better), and where fewer than two arms know their FLOPs or all have the same.
    """
    metric = comparison.ablation.headline[0]
    flops = {
        row.arm.name: mean_cost([o for o in outcomes if o.trial.arm.name == row.arm.name], "flops")
        for row in comparison.rows
        if metric in row.cells
    }
    rows = {row.arm.name: row for row in comparison.rows if flops.get(row.arm.name) is not None}
    points = [(name, value, rows[name].cells[metric].mean) for name, value in flops.items() if value]
    costs = [cost for _, cost, _ in points]
    if comparison.study or metric in comparison.ablation.gaps or len(points) < 2:
        return None
    if max(costs) < _APART * min(costs):
        return None
    figure, axes = canvas(4.2)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # within a decade, too
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    for index, (name, cost, mean) in enumerate(points):  # names beside the points would cover one another
        colour = COLOURS[index % len(COLOURS)]
        marker = MARKERS[index // len(COLOURS) % len(MARKERS)]
        if interval := rows[name].cells[metric].seeds:
            axes.vlines(cost, interval.low, interval.high, color=colour, alpha=0.5, linewidth=1.2)
        axes.plot([cost], [mean], linestyle=" ", markersize=6, color=colour, marker=marker, label=name)
    best = front(points)
    axes.plot(
        [cost for _, cost, _ in best], [mean for _, _, mean in best], color=GREY, linewidth=1.0, zorder=1
    )
    untrained = {name: rows[name].cells[metric].mean for name, value in flops.items() if value == 0}
    draw_levels(axes, untrained, GREY, "horizontal")
    axes.set_xlabel("FLOPs of pretraining one run")
    axes.set_ylabel(metric)
    axes.plot([], [], color=GREY, linewidth=1.0, label="no arm has more for less")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    told = "; ".join(f"{name} {number(mean)} at {prefixed(cost)}FLOP" for name, cost, mean in best)
    return Drawing(
        "accuracy against cost",
        f"{metric} against the FLOPs of pretraining. On the front: {told}.",
        figure,
        f"Mean over seeds; bars: 95 % t interval over seeds. n = {len(points)} arms.",
    )


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other one beats in one of the two and equals or beats in the other, from the cheapest on."""
    return sorted(
        (p for p in points if not any(_beats(other, p) for other in points)), key=lambda p: (p[1], p[2])
    )


def _beats(one: Point, other: Point) -> bool:
    cheaper, better = one[1] <= other[1], one[2] >= other[2]
    return cheaper and better and (one[1] < other[1] or one[2] > other[2])
