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

from clef_ray.evaluate.bootstrap import seed_interval
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
    """How far a metric moves with the patients that were drawn to learn from, which no interval over test patients holds; empty for one draw.

    `<name>_sd_draws`: the standard deviation over draws (n - 1); `<name>_low_draws`, `<name>_high_draws`: the 95 % t interval of the mean over
    draws, on the test patients as they are; absent where all draws have one value.
    """
    if len(statistics) < 2:
        return {}
    found: dict[str, float] = {}
    for name in names:
        over = seed_interval([float(s[name][0]) for s in statistics])
        ends = {f"{name}_low_draws": over.low, f"{name}_high_draws": over.high}
        found |= {f"{name}_sd_draws": over.sd} | (ends if np.isfinite(over.low) else {})
    return found
