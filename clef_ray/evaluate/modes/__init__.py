"""How a question is answered, one learner per file: `answer(problem, task, material) -> Answer`.

linear    L2 logistic regression on frozen features: one per class, or a softmax over exclusive ones
ridge     ridge regression on frozen features, for values
knn       cosine nearest neighbours among the training records' frozen features
finetune  the encoder and a linear head, trained together from the pretrained weights
scratch   the same from initial weights: what the architecture learns from the task's own labels
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from clef_ray.evaluate.modes.draws import training_sets
from clef_ray.evaluate.problem import Answer, Material, Problem
from clef_ray.tasks import Learnt


def answers(problem: Problem, task: Learnt, material: Material) -> Iterator[Answer]:
    """The learner's answer, once for each draw of the patients it may learn from: one draw where it may learn from all."""
    # scikit-learn and torch cost seconds to import: only the learner that needs them does.
    learner = import_module(f"clef_ray.evaluate.modes.{task.mode}")
    for train_N in training_sets(problem, task, material):
        yield learner.answer(problem.learning_from(train_N), task, material)


def over_draws(
    statistics: Sequence[Mapping[str, NDArray[np.float64]]], names: tuple[str, ...]
) -> dict[str, float]:
    """`<name>_sd_draws`: how far a metric moves with the patients that were drawn to learn from, which no interval holds; empty for one draw."""
    if len(statistics) < 2:
        return {}
    return {f"{name}_sd_draws": float(np.std([s[name][0] for s in statistics], ddof=1)) for name in names}
