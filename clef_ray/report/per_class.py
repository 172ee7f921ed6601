"""The pictures of classes: a metric of each of them, per arm; and of beats, with the losses of the challenge."""

from clef_ray.report._dots import dots_in_groups, group_height
from clef_ray.report._scene import Scene, legend, legend_height, spoken
from clef_ray.report._style import Drawing, canvas, panels, tidy
from clef_ray.report.rows import AMOUNT

#: Fewest classes that make a picture, and the most that one holds; those where the arms differ most are taken.
LEAST_CLASSES = 2
MOST_CLASSES = 24

_FRAME = 0.6  # inches for the scale


def per_class(scene: Scene) -> list[Drawing]:
    """The AUROC of each class, one picture per task that was learnt from all training patients."""
    drawn = []
    for mean in (m for m in scene.metrics if m.rpartition("/")[2] == "auroc"):
        groups = {m.removeprefix(f"{mean}/"): m for m in scene.metrics if m.startswith(f"{mean}/")}
        if len(groups) >= LEAST_CLASSES and not _limited(mean):
            drawn.append(_classes(scene, mean, groups))
    return drawn


def _limited(metric: str) -> bool:
    """Whether few patients were learnt from: that picture is another one."""
    return any(AMOUNT.fullmatch(part) for part in metric.split("/"))


def _classes(scene: Scene, mean: str, groups: dict[str, str]) -> Drawing:
    looks = scene.having(groups.values())
    chosen = sorted(groups, key=lambda name: -_spread(scene, groups[name]))[:MOST_CLASSES]
    shown = {"macro mean": mean, **{name: groups[name] for name in sorted(chosen)}}
    height = _FRAME + group_height(len(shown), len(looks)) + legend_height(len(looks))
    figure, axes = canvas(height, grid="x")
    dots_in_groups(axes, scene, looks, shown)
    axes.set_xlabel("AUROC (0.5: chance, 1: perfect)")
    legend(figure, axes)
    left = (
        f" {len(chosen)} of {len(groups)} classes: where the arms differ most."
        if len(chosen) < len(groups)
        else ""
    )
    said = spoken(looks, {k.arm: c.mean for k in looks if (c := scene.cell(k.arm, mean))})
    return Drawing(
        f"{mean} per class",
        f"{mean} of {len(chosen)} classes per arm. Their mean: {said}.",
        figure,
        scene.below(shown.values(), scene.learnt(mean)) + left,
    )


def _spread(scene: Scene, metric: str) -> float:
    means = [cell.mean for look in scene.looks if (cell := scene.cell(look.arm, metric))]
    return max(means) - min(means) if means else 0.0


def beats(scene: Scene) -> list[Drawing]:
    """F1 of each class of beats above, below the challenge's loss as its script counts and strictly; one picture per task on beats."""
    drawn = []
    for loss in (m for m in scene.metrics if m.endswith("/loss_official")):
        task = loss.removesuffix("/loss_official")
        starts = {"F1 of windows": f"{task}/f1/", "F1 of events": f"{task}/event_f1/"}
        scores = {
            f"{name.removeprefix(start)}, {of.removeprefix('F1 of ')}": name
            for of, start in starts.items()
            for name in scene.metrics
            if name.startswith(start)
        }
        losses = {
            name: f"{task}/loss_{name}"
            for name in ("official", "revised", "strict")
            if f"{task}/loss_{name}" in scene.metrics
        }
        if scores:
            drawn.append(_beats(scene, task, scores, losses))
    return drawn


def _beats(scene: Scene, task: str, scores: dict[str, str], losses: dict[str, str]) -> Drawing:
    looks = scene.having([*scores.values(), *losses.values()])
    heights = [group_height(len(groups), len(looks)) + 0.5 for groups in (scores, losses)]
    figure, column = panels(2, 1, sum(heights) + legend_height(len(looks)) + 0.2, height_ratios=heights)
    for (axes,), groups in zip(column, (scores, losses), strict=True):
        tidy(axes, "x")
        dots_in_groups(axes, scene, looks, groups)
    column[0][0].set_xlabel("F1 (1: all beats right)")
    column[1][0].set_xlabel("loss of the challenge: 1 per false, 5 per missed beat (0: none)")
    legend(figure, column[0][0])
    official = f"{task}/loss_official"
    said = spoken(looks, {k.arm: c.mean for k in looks if (c := scene.cell(k.arm, official))})
    caption = scene.below(
        [*scores.values(), *losses.values()],
        f"{scene.count(official)} windows of {scene.count(official, 'recordings')} recordings",
        "95 % intervals over resampled recordings, each judged by a learner that saw none of it",
    )
    return Drawing(
        f"{task}: beats by class", f"F1 per class of beats and the loss. Loss: {said}.", figure, caption
    )
