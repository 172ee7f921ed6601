"""The loss of the cross reconstruction transformer (Zhang et al. 2022, arXiv 2205.09928), after the paper's description."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, Parts, Term
from clef_ray.losses.ntxent import Ntxent


class Crt(nn.Module):
    """Reconstruction, and a constraint that keeps records apart: NT-Xent of the two views' encodings.

    weight: of the constraint, 0 or more; temperature: of its softmax. That the constraint is NT-Xent and counts as much as
    the reconstruction is our choice; its temperature is SimCLR's own. Other records of a patient are no negatives.
    """

    takes: ClassVar[Parts] = "own_views"
    uses_risk: ClassVar[bool] = False
    queue: int = 0

    def __init__(self, weight: float = 1.0, temperature: float = 0.5) -> None:
        super().__init__()
        if not 0 <= weight < math.inf:
            raise ConfigError(f"loss crt, weight: {weight:g} given; allowed is 0 and above")
        self.weight = weight
        self.contrast = Ntxent(temperature)

    @property
    def current_temperature(self) -> float:
        return self.contrast.current_temperature

    def forward(self, z_all: Tensor, rows: Tensor, pairs: Pairs) -> list[Term]:
        """Terms `reconstruction` and `instance`. z_all: [B, 1 + 2 D], error and encodings of both views, from methods/crt.py."""
        error_B1, z_a, z_b = z_all.tensor_split((1, (1 + z_all.shape[1]) // 2), dim=1)
        anchors = torch.cat((rows, rows + len(z_all)))
        contrast = self.contrast(torch.cat((z_a, z_b)), anchors, pairs)[0]
        total = error_B1[rows].sum()
        return [
            Term("reconstruction", 1.0, total, total.new_tensor(len(rows))),
            Term("instance", self.weight, contrast.total, contrast.count),
        ]
