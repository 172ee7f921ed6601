"""From scratch: the encoder's architecture at initial weights and a linear head, trained as fine-tuning trains them (method.md §8)."""

from clef_ray.evaluate.modes._training import draw_seed, train, trainable_of
from clef_ray.evaluate.problem import Answer, Material, Problem
from clef_ray.tasks import Learnt


def answer(problem: Problem, task: Learnt, material: Material) -> Answer:
    """The budget, the rate and the order of the records are those of `finetune`, but all stages learn at one rate: there is nothing in the
    early ones to be kept. extras and errors as there.
    """
    encoder = trainable_of(material).blank(draw_seed(problem, material))
    return train(encoder, problem, task, material, layer_decay=1.0)
