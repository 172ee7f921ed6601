"""BYOL (Grill et al. 2020, arXiv 2006.07733): each view predicts what a slow copy of the encoder makes of the other; no negatives."""

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from clef_ray.losses import Parts
from clef_ray.methods import At, Learner, Setting, width
from clef_ray.methods._momentum import Momentum, check_momentum

Projector = Literal["none", "byol"]
Schedule = Literal["constant", "cosine"]
Norm = Literal["bn", "ln", "none"]

#: Width of the hidden layers and of the output of the paper's projector and predictor.
HIDDEN, OUTPUT = 4096, 256


class Byol:
    """head: `none` as in CLEF's comparison (method.md §3): no projector, the predictor is dim -> dim/2 -> dim; `byol` as in the paper: projector
    dim -> 4096 -> 256, predictor 256 -> 4096 -> 256. ema: momentum of the target network; schedule: `constant`, or `cosine`, which
    brings it to 1 over the training. norm: what precedes the ReLU of projector and predictor.

    Each view goes through on its own, so that a batch normalisation has the statistics of one view, as in the paper. Its `bn` is refused on
    several workers and where a batch is encoded in pieces; `ln` and `none` are not, and other than the paper's.
    ConfigError for an ema outside 0 to 1.
    """

    trains: ClassVar[bool] = True
    gives: ClassVar[Parts] = "predictions"
    default_loss: ClassVar[str] = "byol"

    def __init__(
        self, head: Projector = "none", ema: float = 0.996, schedule: Schedule = "constant", norm: Norm = "bn"
    ) -> None:
        check_momentum(ema, "method.ema")
        self.head, self.ema, self.schedule, self.norm = head, ema, schedule, norm

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:
        dim = width(encoder)
        if self.head == "none":
            projector: nn.Module = nn.Identity()
            predictor = _mlp(dim, max(dim // 2, 1), dim, self.norm)
        else:
            projector = _mlp(dim, HIDDEN, OUTPUT, self.norm)
            predictor = _mlp(OUTPUT, HIDDEN, OUTPUT, self.norm)
        steps = setting.steps if self.schedule == "cosine" else None
        return _Predictions(encoder, projector, predictor, self.ema, steps)


class _Predictions(Learner):
    """Encoder, projector and predictor, and a copy of the first two that makes the targets. steps: over which ema rises to 1; None: it does not."""

    parts = 4

    def __init__(
        self, encoder: nn.Module, projector: nn.Module, predictor: nn.Module, ema: float, steps: int | None
    ) -> None:
        super().__init__(encoder)
        self.projector, self.predictor = projector, predictor
        self.target = Momentum(nn.Sequential(encoder, projector))
        self.ema, self.steps = ema, steps

    def forward(self, x_2mCT: Tensor, at: At) -> Tensor:  # noqa: ARG002 - as every learner
        """[4m, D]: p_a, p_b, and the targets they are to meet, t_b, t_a, each of all records and of any norm."""
        views = x_2mCT.chunk(2)
        p_a, p_b = (self.predictor(self.projector(self.encoder(x_mCT))) for x_mCT in views)
        t_a, t_b = (self.target(x_mCT) for x_mCT in views)
        return torch.cat([p_a, p_b, t_b, t_a])

    def after_step(self, step: int) -> None:
        """ξ <- τ ξ + (1 - τ) θ (Grill et al. 2020, eq. 1)."""
        self.target.follow(nn.Sequential(self.encoder, self.projector), self.momentum(step))

    def momentum(self, step: int) -> float:
        """τ after step 1, 2, ...; `cosine`: 1 - (1 - ema) (cos(π k / K) + 1) / 2 with k = step - 1 of K, so that the first is ema itself
        (section 3.2).
        """
        if self.steps is None:
            return self.ema
        return 1 - (1 - self.ema) * (math.cos(math.pi * (step - 1) / self.steps) + 1) / 2


def _mlp(dim: int, hidden: int, output: int, norm: Norm) -> nn.Sequential:
    layers: dict[Norm, list[nn.Module]] = {
        "bn": [nn.BatchNorm1d(hidden)],
        "ln": [nn.LayerNorm(hidden)],
        "none": [],
    }
    return nn.Sequential(nn.Linear(dim, hidden), *layers[norm], nn.ReLU(), nn.Linear(hidden, output))
