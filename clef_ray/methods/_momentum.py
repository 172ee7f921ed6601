"""A copy of a module that follows it slowly: the key encoder of MoCo, the target network of BYOL."""

import copy

import torch
from torch import Tensor, nn

from clef_ray.errors import ConfigError


def check_momentum(momentum: float, where: str) -> None:
    """ConfigError outside 0 (the copy is always the module itself) to 1 (it never moves)."""
    if not 0 <= momentum <= 1:
        raise ConfigError(f"{where}: {momentum:g} given; allowed is 0 to 1")


class Momentum(nn.Module):
    """Starts as the module is; no gradient reaches it, and nothing but `follow` changes it.

    Buffers follow like the weights: the running statistics of a batch normalisation belong to the weights they were collected with, so that
    those of averaged weights are nearest to the averaged ones. Whole numbers (counts of batches) are copied. In training, batch
    normalisation uses the batch's own statistics here as it does in the module, as the papers have it, and collects none.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.copy = copy.deepcopy(module).requires_grad_(False)
        for layer in self.copy.modules():
            if isinstance(layer, nn.BatchNorm1d):
                layer.momentum = 0.0

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """What the copy makes of x, without gradient."""
        y: Tensor = self.copy(x)
        return y

    @torch.no_grad()
    def follow(self, module: nn.Module, momentum: float) -> None:
        """Every number of the copy becomes momentum * itself + (1 - momentum) * the module's. To be called after the optimiser's step."""
        for own, new in zip(_tensors(self.copy), _tensors(module), strict=True):
            if own.is_floating_point():
                own.lerp_(new, 1 - momentum)
            else:
                own.copy_(new)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
