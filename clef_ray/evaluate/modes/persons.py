"""An encoder and a linear head with one class per person, trained on one piece of each (method.md §8, user identification; ESI's fine-tuned variant).

Nobody outside sees how ESI trained it: rate, decay and steps are those of all fine-tuning here (`_training.py`). There is no second piece of
anybody to stop by, so training takes all its epochs. One recording per class is little: the head starts as the persons' own embeddings, the
nearest neighbour's answer on standardised ones (imprinted weights, Qi et al. 2018, CVPR), and every step sees another half of each piece.

Shape letters: P persons, T samples.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.evaluate.modes._training import Fit, Records
from clef_ray.evaluate.problem import Trainable
from clef_ray.randomness import fold
from clef_ray.tasks import Task
from clef_ray.tasks.identification import SHORTEST
from clef_ray.tasks.identification_finetuned import IdentificationFinetuned

#: How much of a known piece a step sees.
SHARE = 0.5

#: How far the logits of a piece are from those of its opposite, halved, before anything is learnt.
SCALE = 10.0


@dataclass(frozen=True, eq=False)
class Pieces:
    """One piece of each person: record and seconds of it."""

    source: Trainable
    rows_P: NDArray[np.int64]
    span: tuple[float, float]
    seed: int = 0

    @property
    def device(self) -> torch.device:
        return self.source.device

    def inputs(self, task: Task, rows_N: NDArray[np.int64]) -> Tensor:
        """Of the persons at these places, [places, 1, T]: whole; where a gradient is wanted, one part of them all, as long as SHARE of the
        piece and SHORTEST s at least. Where it begins follows from the seed and how many have been asked for.
        """
        if not torch.is_grad_enabled():
            return self.source.inputs(task, self.rows_P[rows_N], self.span)
        first, last = self.span
        length = min(last - first, max(SHARE * (last - first), SHORTEST))
        start = first + float(self.chance.random()) * (last - first - length)
        return self.source.inputs(task, self.rows_P[rows_N], (start, start + length))

    @cached_property
    def chance(self) -> np.random.Generator:
        """Of the parts."""
        return np.random.default_rng([self.seed, 7])


def learnt(
    encoder: nn.Module, known: Pieces, asked: Pieces, task: IdentificationFinetuned, seed: int
) -> NDArray[np.float64]:
    """Train `encoder` (in place) on the known pieces; the log probability of each person (columns) of each piece asked about (rows), [P, P].

    On a CPU the same call gives the same bits. Raises TrainingError where the loss is not finite.
    """
    places_P = np.arange(len(known.rows_P))
    truth_PP = torch.eye(len(places_P))
    fit = Fit(
        encoder,
        Records(replace(known), task, "exclusive", truth_PP),  # whose parts begin anew
        places_P,
        task,
        task.layer_decay,
        fold("persons", seed, len(places_P)),
    )
    _imprint(fit)
    fit.to_the_end()
    score_PP = Records(asked, task, "exclusive", truth_PP).outputs(fit.model, places_P)
    return np.asarray(functional.log_softmax(score_PP.double(), dim=1).cpu().numpy())


def _imprint(fit: Fit) -> None:
    """The head's weights of each person: the direction of its embedding among the others, so long that logits are about SCALE x cosine."""
    head = fit.head
    with torch.no_grad():
        u_PD = (fit.embeddings - head.mean_D) / head.scale_D
        head.weight_KD.copy_(
            SCALE * functional.normalize(u_PD, dim=1) / u_PD.norm(dim=1).mean().clamp_min(1e-6)
        )
