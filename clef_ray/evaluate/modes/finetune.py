"""Fine-tuning: the whole encoder and a linear head, from the weights of pretraining (method.md §8)."""

from clef_ray.evaluate.modes._training import train, trainable_of
from clef_ray.evaluate.problem import Answer, Material, Problem
from clef_ray.tasks import Learnt


def answer(problem: Problem, task: Learnt, material: Material) -> Answer:
    """Early stages learn more slowly than late ones (`layer_decay`). extras: `epochs`, `valid_loss` (`_training.train`).

    The encoder of the material stays as it is. Raises Unanswerable where it is not at hand, TrainingError where a loss is not finite.
    """
    return train(trainable_of(material).pretrained(), problem, task, material, task.layer_decay)
