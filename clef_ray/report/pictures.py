"""The pictures of the tasks, chosen by what the results hold: nothing is drawn where nothing is there."""

from collections.abc import Sequence

from clef_ray.ablation import Outcome, Plan
from clef_ray.report import by_corpus, curves, few_labels, per_class
from clef_ray.report._scene import Scene
from clef_ray.report._style import Drawing
from clef_ray.report.comparison import Comparison

#: In the order of the page.
KINDS = (
    by_corpus.over_tasks,
    few_labels.few_labels,
    per_class.per_class,
    curves.reliability,
    curves.deciles,
    by_corpus.agreement,
    by_corpus.shift,
    curves.values,
    by_corpus.persons,
    per_class.beats,
)


def pictures(plan: Plan, outcomes: Sequence[Outcome], comparison: Comparison) -> list[Drawing]:
    """One of each kind first, then the further ones (of other tasks and corpora), so that the first ones on the page are unlike."""
    scene = Scene.of(plan, outcomes, comparison)
    if not scene.looks:
        return []
    drawn = [kind(scene) for kind in KINDS]
    longest = max(len(own) for own in drawn)
    return [own[k] for k in range(longest) for own in drawn if k < len(own)]
