"""XResNet1d101, the strongest single network of the PTB-XL benchmark (Strodthoff et al. 2020, arXiv 2004.13701).

A 101-layer bottleneck ResNet in one dimension with the tweaks of He et al. 2019 (arXiv 1812.01187): a stem of three convolutions, the
stride of a block on its middle convolution ("ResNet-B"), average pooling before the 1x1 convolution of a shortcut ("ResNet-D"), and
branches whose last normalisation starts at zero. Unlike its two-dimensional relative it does not widen: all four stages have 64 channels
inside and 256 outside, which is why 101 layers take 1.8 M parameters.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.encoders._residual import (
    ConvNorm,
    Norm,
    Pool,
    Residual,
    StemPool,
    bottleneck,
    check_options,
    pool_time,
    pooled_width,
)

KERNEL = 5
STEM = (32, 32, 64)
BLOCKS = (3, 4, 23, 3)
MIDDLE, WIDTH = 64, 256


class _PairMean(nn.Module):
    """Means of neighbouring samples: [*, T] -> [*, ceil(T / 2)]; of an odd length, the last sample alone is the last mean.

    The last sample is doubled first, which an even length ignores: unlike torch's ceil_mode it can be exported for any length.
    """

    def forward(self, x_BCT: Tensor) -> Tensor:
        return functional.avg_pool1d(torch.cat([x_BCT, x_BCT[..., -1:]], -1), 2)


def _shortcut(width_in: int, norm: str, stride: int) -> nn.Sequential:
    layers = nn.Sequential()
    if stride > 1:
        layers.append(_PairMean())
    if width_in != WIDTH:
        layers.append(ConvNorm(width_in, WIDTH, 1, norm, relu=False))
    return layers


class Xresnet1d101(nn.Module):
    """XResNet1d101, kernel 5.

    Without a classifier and with `bn` it has 1,804,672 parameters for 12 leads (published: 1.80 M) and 1,802,912 for one.
    in_leads: leads of the input, at least 1. norm: `bn` as published; `gn`, group normalisation with 16 channels a group, looks at one
    record at a time and so serves several workers and --micro-batch, where `bn` is refused; `none` leaves it out and starts the last
    convolution of each branch at zero instead (as Fixup does, arXiv 1901.09321). pool: `mean_max` as published (512 features), or `mean`
    (256). Training with `bn` needs two records where the input is so short that one time step is left (32 samples or fewer).
    Layer widths, kernels and initialisation after the benchmark's and fastai's description; no published weights were compared.
    """

    def __init__(self, in_leads: int = 1, norm: Norm = "bn", pool: Pool = "mean_max") -> None:
        super().__init__()
        check_options("xresnet1d101", in_leads, norm, pool)
        self.pool = pool
        self.dim = pooled_width(WIDTH, pool)
        self.stem = nn.Sequential()
        width_in = in_leads
        for width in STEM:
            self.stem.append(ConvNorm(width_in, width, KERNEL, norm, stride=1 if len(self.stem) else 2))
            width_in = width
        self.stem.append(StemPool())
        self.blocks = nn.Sequential()
        for stage, repeats in enumerate(BLOCKS):
            for repeat in range(repeats):
                stride = 2 if stage > 0 and repeat == 0 else 1
                self.blocks.append(
                    Residual(
                        bottleneck(width_in, MIDDLE, WIDTH, KERNEL, norm, stride),
                        _shortcut(width_in, norm, stride),
                    )
                )
                width_in = WIDTH
        self._initialise()

    def _initialise(self) -> None:
        residuals = []
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, Residual):
                residuals.append(module)
        for residual in residuals:  # after their convolutions have been drawn
            residual.start_as_shortcut()

    def tokens(self, x_BCT: Tensor) -> Tensor:
        """Features of every time step [records, N, 256] of signals [records, leads, samples]: N = ceil(samples / 32)."""
        y_BDN: Tensor = self.blocks(self.stem(x_BCT))
        return y_BDN.transpose(1, 2)

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Features [records, dim] of signals [records, leads, samples], any length from 1 sample (250 at 100 Hz as published).

        Pooling: the mean of `tokens` over time, followed (pool=mean_max) by their maximum.
        """
        return pool_time(self.tokens(x_BCT), self.pool)
