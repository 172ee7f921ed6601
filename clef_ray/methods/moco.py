"""MoCo (He et al. 2020, arXiv 1911.05722) as of its second version (Chen et al. 2020, arXiv 2003.04297): a query against its key and a
queue of earlier keys.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.losses import Parts
from clef_ray.methods import At, Head, Learner, Setting, projection, width
from clef_ray.methods._momentum import Momentum, check_momentum


class Moco:
    """head: `mlp2` is the second version's (dim -> dim, ReLU -> 128); `none` as in CLEF's comparison (method.md §3). momentum: of the key encoder.

    View a makes the queries, view b the keys, and not the other way round too. The training loop enqueues the keys, once a step, those of
    the whole batch whatever the number of workers; the queue's length and the temperature are options of the loss (losses/moco.py).
    With batch normalisation in the encoder (one worker, no pieces) a query and its key can recognise each other by their batches' statistics,
    which the paper prevents by shuffling the keys over several GPUs; there is nothing to shuffle over here, so norm=none, gn or ln is the
    choice that is to be trusted. ConfigError for a momentum outside 0 to 1.
    """

    trains: ClassVar[bool] = True
    gives: ClassVar[Parts] = "keys"
    default_loss: ClassVar[str] = "moco"

    def __init__(self, head: Head = "none", momentum: float = 0.999) -> None:
        check_momentum(momentum, "method.momentum")
        self.head = head
        self.momentum = momentum

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:  # noqa: ARG002 - as every method
        return _Queries(encoder, projection(self.head, width(encoder)), self.momentum)


class _Queries(Learner):
    """Encoder and head, and a copy of both that makes the keys."""

    def __init__(self, encoder: nn.Module, head: nn.Module, momentum: float) -> None:
        super().__init__(encoder)
        self.head = head
        self.keys = Momentum(nn.Sequential(encoder, head))
        self.momentum = momentum

    def forward(self, x_2mCT: Tensor, at: At) -> Tensor:  # noqa: ARG002 - as every learner
        """[2m, D] float32: q_a of all records, of any norm; then k_b, of norm 1 as they go into the queue."""
        x_mCT, other_mCT = x_2mCT.chunk(2)
        q_mD = self.head(self.encoder(x_mCT)).float()
        k_mD = functional.normalize(self.keys(other_mCT).float(), dim=-1)
        return torch.cat([q_mD, k_mD])

    def after_step(self, step: int) -> None:  # noqa: ARG002 - as every learner
        """The keys' weights: θ_k <- m θ_k + (1 - m) θ_q (He et al. 2020, eq. 2)."""
        self.keys.follow(nn.Sequential(self.encoder, self.head), self.momentum)
