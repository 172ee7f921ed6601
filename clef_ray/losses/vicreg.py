"""VICReg (Bardes, Ponce, LeCun, ICLR 2022, arXiv 2105.04906, eq. 1-6): no negatives, collapse is kept off by variance and covariance."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, Parts, Term
from clef_ray.losses._batch import both_views, own_dimensions, part

#: The standard deviation that each dimension is to have, and what is added to its variance (paper, eq. 1-2 and section 4.2).
GAMMA, EPSILON = 1.0, 1e-4


class Vicreg(nn.Module):
    """invariance * mean squared difference of the views + variance * [v(a) + v(b)] + covariance * [c(a) + c(b)].

    v: mean over the dimensions of max(0, 1 - sqrt(variance + 1e-4)); c: sum of the squared covariances of two different dimensions / D;
    both over the whole batch of all workers, divided by B - 1. The squared difference is averaged over the dimensions, too, as in the
    paper's pseudo-code (its eq. 5 sums over them); v(a) + v(b) is eq. 6, of which the released code takes half.
    invariance, variance, covariance: 25, 25, 1 as published. No record is a negative of another, so that there is nothing to leave out
    where several are one patient's: they count in the statistics as others do.
    """

    takes: ClassVar[Parts] = "views"
    uses_risk: ClassVar[bool] = False
    queue = 0
    current_temperature = math.nan

    def __init__(self, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0) -> None:
        super().__init__()
        self.weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
        for name, weight in self.weights.items():
            if not 0 <= weight < math.inf:
                raise ConfigError(f"vicreg.{name}: {weight:g} given; it must be 0 or more")

    def forward(self, z_all: Tensor, rows: Tensor, pairs: Pairs) -> list[Term]:  # noqa: ARG002 - as every loss
        """Three terms, each a sum over the dimensions, of which a worker has its part. z_all: [2B, D], B > 1; nothing is normalised."""
        with torch.autocast(z_all.device.type, enabled=False):
            first, second = both_views(z_all)
            own_d = own_dimensions(rows, z_all)
            found = {
                "invariance": (first[:, own_d] - second[:, own_d]).square().mean(dim=0).sum()
                / z_all.shape[1],
                "variance": (_too_narrow(first, own_d) + _too_narrow(second, own_d)) / z_all.shape[1],
                "covariance": _shared(first, own_d) + _shared(second, own_d),
            }
        return [part(name, self.weights[name], value, rows, z_all) for name, value in found.items()]


def _too_narrow(z_BD: Tensor, own_d: Tensor) -> Tensor:
    return torch.relu(GAMMA - (z_BD.var(dim=0) + EPSILON).sqrt())[own_d].sum()


def _shared(z_BD: Tensor, own_d: Tensor) -> Tensor:
    """The own dimensions' part of c."""
    centred_BD = z_BD - z_BD.mean(dim=0)
    covariance_dD = centred_BD[:, own_d].T @ centred_BD / (len(z_BD) - 1)
    # one triangle twice: less is lost than by taking the diagonal, which is larger, out of the whole sum
    above_dD = torch.arange(z_BD.shape[1], device=own_d.device) > own_d[:, None]
    return 2 * torch.where(above_dD, covariance_dD, 0).square().sum() / z_BD.shape[1]
