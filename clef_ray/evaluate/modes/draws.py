"""Whom a learner may learn from: all training patients, or nested, stratified draws of a share of them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from clef_ray.evaluate.problem import Problem
from clef_ray.tasks import Learnt


def training_sets(problem: Problem, task: Learnt, seed: int) -> Iterator[NDArray[np.bool_]]:
    """The training records of each draw, [N] masks."""
    if task.fraction < 1 or task.shots:
        raise NotImplementedError
    yield problem.rows.train
