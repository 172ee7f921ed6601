"""The picture of zero-shot agreement with every risk score at once, and what stands beside the dots of any score."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from clef_ray.report._dots import beside, dots_in_groups, means
from clef_ray.report._scene import Look, Scene, legend, legend_height, spoken
from clef_ray.report._style import GREY, Drawing, panels, tidy

HOW_TO_READ = " A dot left of the diamond says no more than age; a square should lie near 0."

#: A panel each.
_STATISTICS = ("rsa", "readout", "axis")

#: What ends a control's name -> what it is, and its marker.
_CONTROLS = (("age", "age only", "D"), ("permuted", "permuted score, mean of arms", "s"))


def controls_beside(axes: Axes, scene: Scene, groups: Mapping[str, str]) -> None:
    """What age alone reaches, and permuted scores. groups: as of `dots_in_groups`."""
    for control, label, marker in _CONTROLS:
        metrics = {k: f"{metric}_{control}" for k, metric in enumerate(groups.values())}
        beside(axes, means(scene, metrics), label, marker)


def every_score(scene: Scene, task: str) -> Drawing:
    """A panel per statistic, a line per score. task: what the names of all of them begin with."""
    held = {m.removeprefix(f"{task}/") for m in scene.metrics if m.startswith(f"{task}/")}
    scores = sorted({name.partition("/")[0] for name in held if name.endswith("/rsa")})
    shown = [s for s in _STATISTICS if any(f"{score}/{s}" in held for score in scores)]
    every = [f"{task}/{score}/{s}" for score in scores for s in shown]
    looks = scene.having(every)
    # A score has three panels: its dots may stand closer than those of one panel.
    lines = len(scores) * max(0.3, 0.08 * len(looks) + 0.1)
    figure, (grid,) = panels(1, len(shown), 0.8 + lines + legend_height(len(looks) + 2), sharey=True)
    for axes, statistic in zip(grid, shown, strict=True):
        tidy(axes, "x")
        axes.axvline(0, color=GREY, linewidth=1, zorder=1)
        groups = {score: f"{task}/{score}/{statistic}" for score in scores}
        dots_in_groups(axes, scene, looks, groups)
        controls_beside(axes, scene, groups)
        axes.set_xlabel(statistic)
    middle = len(shown) // 2
    grid[middle].set_xlabel(f"{shown[middle]}\nSpearman correlation with the risk score (−1 to 1)")
    legend(figure, grid[0])
    return Drawing(
        f"agreement with every risk score: {task}",
        f"Zero-shot statistics per score and arm beside age alone and permuted scores. {shown[0]}: "
        f"{_said(scene, looks, {score: f'{task}/{score}/{shown[0]}' for score in scores})}.",
        figure,
        scene.below(every, _counted(scene, [f"{task}/{score}/{shown[0]}" for score in scores])) + HOW_TO_READ,
    )


def _said(scene: Scene, looks: Sequence[Look], metrics: Mapping[str, str]) -> str:
    """`age clef 0.322, random 0.086; score2 clef ...`."""
    values = {
        score: {k.arm: c.mean for k in looks if (c := scene.cell(k.arm, metric))}
        for score, metric in metrics.items()
    }
    return "; ".join(f"{score} {spoken(looks, own)}" for score, own in values.items())


def _counted(scene: Scene, metrics: Sequence[str]) -> str:
    """How many are judged, and whom; by score where the scores differ in that."""
    told = [scene.unlearnt(metric) for metric in metrics]
    if len(set(told)) == 1:
        return told[0]
    return ", ".join(
        f"{many} ({metric.split('/')[-2]})" for metric, many in zip(metrics, told, strict=True) if many
    )
