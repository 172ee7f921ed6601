"""The pictures of tasks that learn nothing from labels: agreement with a risk score, distance between corpora, knowing persons again; and
of arms over all tasks.
"""

from collections.abc import Mapping

from matplotlib.axes import Axes

from clef_ray.report._dots import beside, dots_in_groups, group_height, means
from clef_ray.report._scene import Look, Scene, legend, legend_height, spoken
from clef_ray.report._style import GREY, Drawing, canvas, panels, tidy
from clef_ray.report.by_score import HOW_TO_READ, controls_beside, every_score
from clef_ray.report.overall import Averaged, Overall
from clef_ray.tasks.score_spearman import EVERY

_STATISTICS = ("rsa", "rsa_partial", "rsa_beyond", "readout", "axis")

#: A distance -> its axis and the value that stands for no distance.
_DISTANCES = {
    "domain_auc": ("domain AUC (0.5: not told apart)", 0.5),
    "mmd2": ("squared MMD (0: alike)", 0.0),
    "frechet": ("Fréchet distance / variance", 0.0),
    "coral": ("CORAL distance (0: alike)", 0.0),
}

_FRAME = 0.6  # inches for the scale
_HOME = "of pretraining"


def agreement(scene: Scene) -> list[Drawing]:
    """The zero-shot statistics with their controls: what age alone reaches, and permuted scores. One picture per score and corpus; where all
    scores were asked, one per corpus.
    """
    drawn = {}
    for metric in scene.metrics:
        if metric.endswith(("/rsa_age", "/rsa_permuted")):
            task = metric.rpartition("/")[0]
            every, _, _ = task.rpartition("/")
            several = f"/zeroshot/{EVERY}/" in f"/{every}/"
            drawn[every if several else task] = several
    return [(every_score if several else _agreement)(scene, task) for task, several in drawn.items()]


def _agreement(scene: Scene, task: str) -> Drawing:
    groups = {name: f"{task}/{name}" for name in _STATISTICS if f"{task}/{name}" in scene.metrics}
    looks = scene.having(groups.values())
    height = _FRAME + group_height(len(groups), len(looks)) + legend_height(len(looks) + 2)
    figure, axes = canvas(height, grid="x")
    axes.axvline(0, color=GREY, linewidth=1, zorder=1)
    dots_in_groups(axes, scene, looks, groups)
    controls_beside(axes, scene, groups)
    axes.set_xlabel("Spearman correlation with the risk score (−1 to 1)")
    legend(figure, axes)
    first = next(iter(groups.values()))
    said = spoken(looks, {k.arm: c.mean for k in looks if (c := scene.cell(k.arm, first))})
    return Drawing(
        f"agreement with the risk score: {task}",
        f"Zero-shot statistics per arm beside age alone and permuted scores. {first}: {said}.",
        figure,
        scene.below(groups.values(), scene.unlearnt(first)) + HOW_TO_READ,
    )


def shift(scene: Scene) -> list[Drawing]:
    """Four distances of each corpus from the training patients of pretraining; one picture per way of asking. That corpus itself is the
    control.
    """
    asked: dict[str, dict[str, str]] = {}
    for metric in scene.metrics:
        if metric.endswith("/domain_auc"):
            target, rest = scene.split_target(metric.removesuffix("/domain_auc"))
            asked.setdefault(rest, {})[target or _HOME] = metric.removesuffix("/domain_auc")
    return [_shift(scene, task, corpora) for task, corpora in asked.items()]


def _shift(scene: Scene, task: str, corpora: Mapping[str, str]) -> Drawing:
    corpora = dict(sorted(corpora.items(), key=lambda item: item[0] != _HOME))
    every = [f"{start}/{name}" for start in corpora.values() for name in _DISTANCES]
    looks = scene.having(every)
    height = 2 * (_FRAME + group_height(len(corpora), len(looks))) + legend_height(len(looks) + 1) + 0.2
    figure, grid = panels(2, 2, height)
    for index, (name, (label, none)) in enumerate(_DISTANCES.items()):
        axes = grid[index // 2][index % 2]
        tidy(axes, "x")
        axes.axvline(none, color=GREY, linewidth=1, zorder=1)
        groups = {corpus: f"{start}/{name}" for corpus, start in corpora.items()}
        dots_in_groups(axes, scene, looks, groups, named=index % 2 == 0)
        axes.set_xlabel(label, fontsize=9)
    nulls = {k: f"{start}/frechet_null" for k, start in enumerate(corpora.values())}
    beside(grid[1][0], means(scene, nulls), "Fréchet distance of two random halves", "D")
    legend(figure, grid[1][0])
    counts = ", ".join(f"{scene.count(f'{start}/mmd2')} ({corpus})" for corpus, start in corpora.items())
    apart = {
        corpus: {k.arm: c.mean for k in looks if (c := scene.cell(k.arm, f"{start}/domain_auc"))}
        for corpus, start in corpora.items()
    }
    said = "; ".join(f"{corpus}: {spoken(looks, found)}" for corpus, found in apart.items())
    caption = scene.below(every, f"patients of pretraining and as many judged ones: {counts}")
    return Drawing(
        f"distance from the corpus of pretraining: {task}",
        f"Four distances per corpus and arm. Domain AUC, {said}.",
        figure,
        f"{caption} The corpus of pretraining is the control: its training against its judged patients. The Fréchet distance has no interval.",
    )


def persons(scene: Scene) -> list[Drawing]:
    """The share of persons whose own piece is the most similar, or among the five most similar ones; one picture per task and corpus."""
    tasks = [m.removesuffix("/accuracy_top5") for m in scene.metrics if m.endswith("/accuracy_top5")]
    return [_persons(scene, task) for task in tasks]


def _persons(scene: Scene, task: str) -> Drawing:
    groups = {"the first": f"{task}/accuracy", "among five": f"{task}/accuracy_top5"}
    looks = scene.having(groups.values())
    figure, axes = canvas(_FRAME + 2 * group_height(1, len(looks)) + legend_height(len(looks) + 1), grid="x")
    dots_in_groups(axes, scene, looks, groups)
    guess = means(scene, {0: f"{task}/chance"})
    beside(axes, {k: min(1.0, many * guess[0]) for k, many in enumerate((1, 5)) if guess}, "a guess")
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("share of persons who are known again by rank")
    legend(figure, axes)
    said = spoken(looks, {k.arm: c.mean for k in looks if (c := scene.cell(k.arm, groups["the first"]))})
    n, whom = scene.count(groups["the first"], "persons"), scene.whom(task)
    caption = scene.below(groups.values(), f"{n} persons among {whom}")
    return Drawing(f"persons known again: {task}", f"Share at rank 1 per arm: {said}.", figure, caption)


def over_tasks(scene: Scene) -> list[Drawing]:
    """The interquartile mean over tasks, and the chance to be above the base; one picture per measure."""
    return [_over_tasks(scene, averages) for averages in scene.comparison.overall]


def _over_tasks(scene: Scene, averages: Overall) -> Drawing:
    looks = {look.arm: look for look in scene.looks}
    shown = [s for s in averages.standings if s.arm in looks]
    figure, ((left, right),) = panels(1, 2, _FRAME + 0.4 + 0.3 * len(shown), sharey=True)
    for line, standing in enumerate(shown):
        for axes, found in ((left, standing.mean), (right, standing.above)):
            if found:
                _averaged(axes, line, found, looks[standing.arm])
    for axes in (left, right):
        tidy(axes, "x")
        axes.tick_params(axis="y", length=0)
    left.set_yticks(range(len(shown)), [s.arm for s in shown])
    left.set_ylim(len(shown) - 0.5, -0.5)
    left.set_xlabel(f"interquartile mean of {averages.measure}")
    base = scene.comparison.ablation.base
    right.axvline(0.5, color=GREY, linewidth=1, zorder=1)
    right.set_xlim(-0.03, 1.03)
    right.set_xlabel(f"P(above {base})")
    seeds = ", ".join(sorted({str(s.n) for s in shown}))
    said = spoken(scene.looks, {s.arm: s.mean.value for s in shown})
    caption = f"Of {len(averages.metrics)} tasks, {seeds} seeds; bars: 95 % intervals over resampled seeds. {scene.which()}"
    return Drawing(
        f"{averages.measure} over {len(averages.metrics)} tasks",
        f"Interquartile mean of {averages.measure} per arm: {said}.",
        figure,
        caption.strip(),
    )


def _averaged(axes: Axes, line: int, found: Averaged, look: Look) -> None:
    if found.seeds:
        axes.hlines(line, found.seeds.low, found.seeds.high, color=look.colour, linewidth=1.6, zorder=2)
    axes.plot([found.value], [line], markersize=6, zorder=3, **look.points)
