"""The encoder of CLEF: a one-dimensional ResNeXt with squeeze-and-excitation ("Net1D"; size M is also ECGFounder's
backbone).

Sizes and shapes follow the published checkpoints (arXiv 2512.02180; Zenodo 17572734).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.errors import ConfigError
from clef_ray.registry import unknown

KERNEL = 16


@dataclass(frozen=True, slots=True)
class _Size:
    base: int  # channels of the stem
    ratio: float  # bottleneck width / stage width
    filters: tuple[int, ...]  # stage widths
    blocks: tuple[int, ...]
    group_width: int


_SIZES = {
    "S": _Size(32, 0.5, (32, 64, 64, 128, 128, 256), (1, 1, 2, 2, 2, 2), 8),
    "M": _Size(64, 1.0, (64, 160, 160, 400, 400, 1024, 1024), (2, 2, 2, 3, 3, 4, 4), 16),
    "L": _Size(128, 1.5, (128, 256, 256, 512, 512, 1024, 1024, 2048, 2048), (2, 3, 3, 4, 4, 5, 5, 6, 6), 32),
}


def _same_padding(samples: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros (left, right) that give ceil(samples / stride) outputs, the odd one on the right."""
    total = max(0, (-(-samples // stride) - 1) * stride + kernel - samples)
    return total // 2, total - total // 2


class _SameConv(nn.Conv1d):
    """A convolution whose output has ceil(samples / stride) samples, whatever the input's length."""

    def forward(self, x_BCT: Tensor) -> Tensor:
        return super().forward(functional.pad(x_BCT, _same_padding(x_BCT.shape[-1], KERNEL, self.stride[0])))


class _Activation(nn.Sequential):
    """Normalisation (only with norm='bn'), swish, dropout: what precedes each convolution of a block."""

    def __init__(self, channels: int, norm: str, dropout: float) -> None:
        super().__init__()
        if norm == "bn":
            self.append(nn.BatchNorm1d(channels))
        self.append(nn.SiLU())
        if dropout > 0:
            self.append(nn.Dropout(dropout))


class _Block(nn.Module):
    """1x1, grouped k=16, 1x1, squeeze-and-excitation; the identity is max-pooled in time and zero-padded in channels."""

    def __init__(
        self, size: _Size, width_in: int, width: int, stride: int, *, first: bool, norm: str, dropout: float
    ) -> None:
        super().__init__()
        middle = int(width * size.ratio)
        self.stride = stride
        self.grown = width - width_in
        self.before1 = _Activation(width_in, norm, dropout)
        self.conv1 = nn.Conv1d(width_in, middle, 1)
        self.before2 = _Activation(middle, norm, dropout)
        self.conv2 = _SameConv(middle, middle, KERNEL, stride, groups=width // size.group_width)
        self.before3 = _Activation(middle, norm, dropout)
        self.conv3 = nn.Conv1d(middle, width, 1)
        self.squeeze = nn.Linear(width, width // 2)
        self.excite = nn.Linear(width // 2, width)
        self.first = first
        if first:  # follows the stem's own activation; the published weights count its unused normalisation all the same
            self.before1.requires_grad_(False)

    def forward(self, x_BCT: Tensor) -> Tensor:
        y_BCT: Tensor = self.conv1(x_BCT if self.first else self.before1(x_BCT))
        y_BCT = self.conv3(self.before3(self.conv2(self.before2(y_BCT))))
        gate_BC = torch.sigmoid(self.excite(functional.silu(self.squeeze(y_BCT.mean(-1)))))
        if self.stride > 1:
            padded_BCT = functional.pad(x_BCT, _same_padding(x_BCT.shape[-1], self.stride, self.stride))
            x_BCT = functional.max_pool1d(padded_BCT, self.stride)
        left = self.grown // 2
        identity_BCT = functional.pad(x_BCT, (0, 0, left, self.grown - left))
        return identity_BCT + y_BCT * gate_BC.unsqueeze(-1)


class Clef(nn.Module):
    """The CLEF encoder.

    size: S (0.45 M parameters, 256 features), M (30.7 M, 1024) or L (297 M, 2048). in_leads: leads of the input, 1 or
    12 as published.
    norm: `none`, as CLEF runs, or `bn`, batch normalisation before every activation (the published parameter counts
    include its weights, which CLEF never uses). dropout: probability after each activation, 0 as CLEF runs.
    """

    def __init__(
        self,
        size: Literal["S", "M", "L"] = "S",
        in_leads: int = 1,
        norm: Literal["none", "bn"] = "none",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if size not in _SIZES:
            raise unknown("size", size, _SIZES, "encoder clef")
        if norm not in ("none", "bn"):
            raise unknown("norm", norm, ("none", "bn"), "encoder clef")
        if in_leads < 1:
            raise ConfigError(f"encoder clef, in_leads: {in_leads} given; at least 1")
        if not 0 <= dropout < 1:
            raise ConfigError(f"encoder clef, dropout: {dropout:g} given; allowed is 0 <= dropout < 1")
        shape = _SIZES[size]
        self.dim = shape.filters[-1]
        self.stem = nn.Sequential(
            _SameConv(in_leads, shape.base, KERNEL, stride=2), _Activation(shape.base, norm, 0.0)
        )
        blocks: list[_Block] = []
        width_in = shape.base
        for width, repeats in zip(shape.filters, shape.blocks, strict=True):
            for repeat in range(repeats):
                stride = 2 if repeat == 0 else 1
                blocks.append(
                    _Block(shape, width_in, width, stride, first=not blocks, norm=norm, dropout=dropout)
                )
                width_in = width
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Features [records, dim] of signals [records, leads, samples]; any length from 1 sample (500 Hz x 10 s as published)."""
        features_BDT: Tensor = self.blocks(self.stem(x_BCT))
        return features_BDT.mean(-1)
