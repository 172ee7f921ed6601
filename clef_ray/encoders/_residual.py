"""What the residual encoders share: convolution with normalisation, the residual sum, pooling over time.

Every convolution has an odd kernel and pads (kernel - 1) / 2 zeros on both sides, so stride s turns T samples into ceil(T / s) and no
length is too short.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.errors import ConfigError
from clef_ray.registry import unknown

Norm = Literal["bn", "gn", "none"]
Pool = Literal["mean_max", "mean"]

#: Wu and He 2018 (arXiv 1803.08494) found 16 channels a group as good as 32 groups; a group of one channel would also wipe out a record of
#: which a single time step is left.
GROUP_CHANNELS = 16


def check_options(encoder: str, in_leads: int, norm: str, pool: str) -> None:
    """ConfigError for a value that the residual encoders do not know."""
    if in_leads < 1:
        raise ConfigError(f"encoder {encoder}, in_leads: {in_leads} given; at least 1")
    if norm not in get_args(Norm):
        raise unknown("norm", norm, get_args(Norm), f"encoder {encoder}")
    if pool not in get_args(Pool):
        raise unknown("pool", pool, get_args(Pool), f"encoder {encoder}")


class ConvNorm(nn.Sequential):
    """Convolution, normalisation, ReLU (not with relu=False): [*, width_in, T] -> [*, width, ceil(T / stride)].

    The convolution has a bias only where no normalisation follows, whose own shift would undo it.
    """

    def __init__(
        self, width_in: int, width: int, kernel: int, norm: str, stride: int = 1, *, relu: bool = True
    ) -> None:
        super().__init__()
        padding = (kernel - 1) // 2
        self.append(nn.Conv1d(width_in, width, kernel, stride, padding, bias=norm == "none"))
        if norm == "bn":
            self.append(nn.BatchNorm1d(width))
        elif norm == "gn":
            self.append(nn.GroupNorm(width // GROUP_CHANNELS, width))
        if relu:
            self.append(nn.ReLU())


class StemPool(nn.Module):
    """The maximum of 3 samples at every second one: [*, T] -> [*, ceil(T / 2)].

    Pooled as an image of one row, since torch.export would fix the length of a one-dimensional max-pooling.
    """

    def forward(self, x_BCT: Tensor) -> Tensor:
        return functional.max_pool2d(x_BCT.unsqueeze(-2), (1, 3), (1, 2), (0, 1)).squeeze(-2)


class Residual(nn.Module):
    """relu(branch(x) + shortcut(x)) (He et al. 2016, arXiv 1512.03385, fig. 2)."""

    def __init__(self, branch: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def start_as_shortcut(self) -> None:
        """Let the branch start at 0: by the scale of its last normalisation, or without one by its last convolution."""
        end = self.branch[-1]
        assert isinstance(end, ConvNorm)
        last = end[-1]
        assert isinstance(last, nn.Conv1d | nn.BatchNorm1d | nn.GroupNorm), "a branch has no ReLU at its end"
        for parameter in last.parameters():  # the shift too: torch draws the bias of a convolution
            nn.init.zeros_(parameter)

    def forward(self, x_BCT: Tensor) -> Tensor:
        return functional.relu(self.branch(x_BCT) + self.shortcut(x_BCT))


def bottleneck(width_in: int, middle: int, width: int, kernel: int, norm: str, stride: int) -> nn.Sequential:
    """The branch of deep residual networks: 1x1 to `middle` channels, `kernel` with the stride, 1x1 to `width`; no ReLU at its end."""
    return nn.Sequential(
        ConvNorm(width_in, middle, 1, norm),
        ConvNorm(middle, middle, kernel, norm, stride),
        ConvNorm(middle, width, 1, norm, relu=False),
    )


def pooled_width(width: int, pool: str) -> int:
    """Features per record of `pool_time` for `width` channels."""
    return 2 * width if pool == "mean_max" else width


def pool_time(y_BND: Tensor, pool: str) -> Tensor:
    """Over the time steps: the mean, followed (mean_max) by the maximum. [B, N, D] -> [B, D] or [B, 2 D]."""
    mean_BD = y_BND.mean(1)
    return torch.cat([mean_BD, y_BND.amax(1)], 1) if pool == "mean_max" else mean_BD
