"""VICReg (Bardes, Ponce, LeCun, ICLR 2022, arXiv 2105.04906, eq. 1-6): no negatives, collapse is kept off by variance and covariance."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, Parts, Term
from clef_ray.losses._batch import both_views, whole

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
        """Three terms, each the same on all workers. z_all: [2B, D], B > 1; nothing is normalised."""
        with torch.autocast(z_all.device.type, enabled=False):
            first, second = both_views(z_all)
            found = {
                "invariance": (first - second).square().mean(),
                "variance": _too_narrow(first) + _too_narrow(second),
                "covariance": _shared(first) + _shared(second),
            }
        return [whole(name, self.weights[name], value, rows, z_all) for name, value in found.items()]


def _too_narrow(z_BD: Tensor) -> Tensor:
    return torch.relu(GAMMA - (z_BD.var(dim=0) + EPSILON).sqrt()).mean()


def _shared(z_BD: Tensor) -> Tensor:
    centred_BD = z_BD - z_BD.mean(dim=0)
    covariance_DD = centred_BD.T @ centred_BD / (len(z_BD) - 1)
    # one triangle twice: less is lost than by taking the diagonal, which is larger, out of the whole sum
    return 2 * covariance_DD.triu(1).square().sum() / z_BD.shape[1]
