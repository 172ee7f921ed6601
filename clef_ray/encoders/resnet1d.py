"""One-dimensional ResNets (He et al. 2016, arXiv 1512.03385) in the three forms that the literature on ECGs compares with.

18: the ECG encoder of MERL (Liu et al. 2024, arXiv 2403.06659), also the usual reading of the ResNet1d-18 of METS (Li et al. 2023), whose
    paper names no more: stem 7 with stride 2 and no max-pooling, basic blocks of kernel 3, widths 64 to 512; 5000 samples make 313 time
    steps.
50: the resnet1d50 of the PTB-XL benchmark (Strodthoff et al. 2020, arXiv 2004.13701): stem 5 with stride 2 and max-pooling, bottlenecks of
    kernel 5, all stages 128 channels inside and 512 outside.
wang: the benchmark's resnet1d_wang, named after Wang et al. 2017 (arXiv 1611.06455) though no longer their network (three convolutions of
    8, 5 and 3 a block): stem 7 without stride, three basic blocks of 128 channels. Kernels 5 and 5, the ones of the benchmark's published
    weights; its function's own default, which its runs overrode, is 5 and 3.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

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
from clef_ray.registry import unknown


@dataclass(frozen=True, slots=True)
class _Form:
    stem_kernel: int
    stem_stride: int
    stem_pool: bool  # max-pooling 3 with stride 2 after the stem
    kernel: int
    blocks: tuple[int, ...]
    widths: tuple[int, ...]  # channels inside a block, by stage
    expansion: int  # channels outside / inside: 1 for basic blocks, 4 for bottlenecks


_FORMS: dict[int | str, _Form] = {
    18: _Form(7, 2, False, 3, (2, 2, 2, 2), (64, 128, 256, 512), 1),
    50: _Form(5, 2, True, 5, (3, 4, 6, 3), (128, 128, 128, 128), 4),
    "wang": _Form(7, 1, False, 5, (1, 1, 1), (128, 128, 128), 1),
}


def _block(form: _Form, width_in: int, middle: int, norm: str, stride: int) -> Residual:
    width = middle * form.expansion
    if form.expansion > 1:
        branch = bottleneck(width_in, middle, width, form.kernel, norm, stride)
    else:
        branch = nn.Sequential(
            ConvNorm(width_in, width, form.kernel, norm, stride),
            ConvNorm(width, width, form.kernel, norm, relu=False),
        )
    same = stride == 1 and width_in == width
    shortcut = nn.Identity() if same else ConvNorm(width_in, width, 1, norm, stride, relu=False)
    block = Residual(branch, shortcut)
    if norm == "none":  # unnormalised sums would grow from block to block
        block.start_as_shortcut()
    return block


class Resnet1d(nn.Module):
    """ResNet1d-18, -50 or -wang.

    variant: 18, 50 or wang, as this file's head describes them: 3,843,904, 4,240,256 and 527,488 parameters for one lead with `bn`.
    in_leads: leads of the input, at least 1. norm: `bn` as published; `gn`, group normalisation with 16 channels a group, looks at one
    record at a time and so serves several workers and --micro-batch, where `bn` is refused; `none` leaves it out and starts the last
    convolution of each branch at zero (as Fixup does, arXiv 1901.09321). pool: `mean_max` as in the benchmark, or `mean` as in He et al.
    (MERL pools by attention, which is a part of its method and takes `tokens`). dim: 512, 512 and 128, twice that with mean_max.
    Training with `bn` needs two records where a single time step is left (up to 16, 32 and 4 samples). Initial weights are torch's.
    """

    def __init__(
        self,
        variant: Literal[18, 50, "wang"] = 18,
        in_leads: int = 1,
        norm: Norm = "bn",
        pool: Pool = "mean_max",
    ) -> None:
        super().__init__()
        if variant not in _FORMS:
            raise unknown("variant", str(variant), map(str, _FORMS), "encoder resnet1d")
        check_options("resnet1d", in_leads, norm, pool)
        form = _FORMS[variant]
        width_in = form.widths[0]
        self.pool = pool
        self.stem = nn.Sequential(ConvNorm(in_leads, width_in, form.stem_kernel, norm, form.stem_stride))
        if form.stem_pool:
            self.stem.append(StemPool())
        self.blocks = nn.Sequential()
        for stage, (middle, repeats) in enumerate(zip(form.widths, form.blocks, strict=True)):
            for repeat in range(repeats):
                stride = 2 if stage > 0 and repeat == 0 else 1
                self.blocks.append(_block(form, width_in, middle, norm, stride))
                width_in = middle * form.expansion
        self.dim = pooled_width(width_in, pool)

    def tokens(self, x_BCT: Tensor) -> Tensor:
        """Features of every time step [records, N, channels] of signals [records, leads, samples].

        N = ceil(samples / s) with s = 16 (18), 32 (50) or 4 (wang).
        """
        y_BDN: Tensor = self.blocks(self.stem(x_BCT))
        return y_BDN.transpose(1, 2)

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Features [records, dim] of signals [records, leads, samples], any length from 1 sample.

        Pooling: the mean of `tokens` over time, followed (pool=mean_max) by their maximum.
        """
        return pool_time(self.tokens(x_BCT), self.pool)
