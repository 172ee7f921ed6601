"""Dots in groups: one line per group (a class, a corpus, a statistic), in it one dot per arm with its interval over patients."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from clef_ray.report._scene import Look, Scene, ends
from clef_ray.report._style import GREY, RULE

#: Share of a group's height that its arms are spread over.
_SPREAD = 0.72


def group_height(groups: int, arms: int) -> float:
    """Inches that so many groups of so many arms need."""
    return groups * max(0.3, 0.12 * arms + 0.1)


def dots_in_groups(
    axes: Axes, scene: Scene, looks: Sequence[Look], groups: Mapping[str, str], *, named: bool = True
) -> None:
    """groups: a group's name -> its metric, from the top. named: whether the names stand on the left."""
    for index, metric in enumerate(groups.values()):
        for look, place in zip(looks, places(index, len(looks)), strict=True):
            if cell := scene.cell(look.arm, metric):
                low, high = ends(cell)
                axes.hlines(place, low, high, color=look.colour, linewidth=1.4, alpha=0.8, zorder=2)
                axes.plot(
                    [cell.mean],
                    [place],
                    linestyle=" ",
                    markersize=5,
                    label=look.arm,
                    zorder=3,
                    **look.points,
                )
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_yticks(range(len(groups)), list(groups) if named else [""] * len(groups))
    axes.tick_params(axis="y", length=0)
    for index in range(1, len(groups)):
        axes.axhline(index - 0.5, color=RULE, linewidth=0.6)


def beside(
    axes: Axes,
    values: Mapping[int, float],
    label: str,
    marker: str = "D",
) -> None:
    """What the dots of a group are to be compared with: a grey open marker through the middle of the group. values: group's index -> value."""
    axes.plot(
        list(values.values()),
        list(values),
        linestyle=" ",
        color=GREY,
        marker=marker,
        markerfacecolor="none",
        markersize=9,
        label=label,
        zorder=4,
    )


def means(scene: Scene, metrics: Mapping[int, str]) -> dict[int, float]:
    """Group -> the mean over the shown arms; of what does not depend on the encoder that is its value."""
    found: dict[int, float] = {}
    for index, metric in metrics.items():
        own = [cell.mean for look in scene.looks if (cell := scene.cell(look.arm, metric))]
        if own:
            found[index] = sum(own) / len(own)
    return found


def places(index: int, arms: int) -> list[float]:
    """Where the arms of a group stand, the first one on top."""
    return [index + _SPREAD * ((k + 0.5) / arms - 0.5) for k in range(arms)]
