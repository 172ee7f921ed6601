"""For methods whose learner computes each subject's loss itself: the mean."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from clef_ray.losses import Pairs, Parts, Term


class Own(nn.Module):
    """The mean over the subjects that have a loss. One of -inf stands for none (a record without a label): such a subject is neither in the
    sum nor in the count. NaN and +inf are what they are, and end the training.
    """

    takes: ClassVar[Parts] = "own"
    uses_risk: ClassVar[bool] = False
    queue = 0
    current_temperature = float("nan")

    def forward(self, z_all: Tensor, rows: Tensor, pairs: Pairs) -> list[Term]:  # noqa: ARG002 - as every loss
        """One term, `own`. z_all: [B, 1]."""
        z_R = z_all[rows, 0]
        has_R = z_R != -torch.inf
        return [Term("own", 1.0, torch.where(has_R, z_R, 0).sum(), has_R.sum().to(z_R.dtype))]
