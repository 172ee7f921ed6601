"""Barlow Twins (Zbontar et al., ICML 2021, arXiv 2103.03230, eq. 1-2): the views' cross-correlation is to be the identity."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, Parts, Term
from clef_ray.losses._batch import both_views, own_dimensions, part

#: Added to a dimension's variance, as batch normalisation does in the released code: a constant dimension correlates with none.
EPSILON = 1e-5


class Barlow(nn.Module):
    """Sum over the dimensions of (1 - C_ii)^2 + redundancy * sum over pairs of different ones of C_ij^2.

    C [D, D]: mean over the batch of all workers of a_i b_j, each dimension of each view standardised over that batch (divided by B).
    redundancy: lambda, .0051 as published. No record is a negative of another, so that there is nothing to leave out where several are one
    patient's: they count in the statistics as others do.
    """

    takes: ClassVar[Parts] = "views"
    uses_risk: ClassVar[bool] = False
    queue = 0
    current_temperature = math.nan

    def __init__(self, redundancy: float = 0.0051) -> None:
        super().__init__()
        if not 0 <= redundancy < math.inf:
            raise ConfigError(f"barlow.redundancy: {redundancy:g} given; it must be 0 or more")
        self.redundancy = redundancy

    def forward(self, z_all: Tensor, rows: Tensor, pairs: Pairs) -> list[Term]:  # noqa: ARG002 - as every loss
        """Two terms, each a sum over the dimensions, of which a worker has its part. z_all: [2B, D], B > 1."""
        with torch.autocast(z_all.device.type, enabled=False):
            first, second = (_standardised(z_BD) for z_BD in both_views(z_all))
            own_d = own_dimensions(rows, z_all)
            c_dD = first[:, own_d].T @ second / len(first)
            place_d = torch.arange(len(own_d), device=own_d.device)
            own = (1 - c_dD[place_d, own_d]).square().sum()
            diagonal_dD = own_d[:, None] == torch.arange(c_dD.shape[1], device=own_d.device)
            other = c_dD.masked_fill(diagonal_dD, 0).square().sum()
        return [
            part("invariance", 1.0, own, rows, z_all),
            part("redundancy", self.redundancy, other, rows, z_all),
        ]


def _standardised(z_BD: Tensor) -> Tensor:
    centred_BD = z_BD - z_BD.mean(dim=0)
    return centred_BD * (centred_BD.square().mean(dim=0) + EPSILON).rsqrt()
