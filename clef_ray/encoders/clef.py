"""The encoder of CLEF: a one-dimensional ResNeXt with squeeze-and-excitation ("Net1D"; size M is also ECGFounder's
backbone).

Sizes and shapes follow the published checkpoints (arXiv 2512.02180; Zenodo 17572734). The published numbers of parameters count batch
normalisation that CLEF never uses, so they are those of norm='bn'; norm='none' holds no such weights:

| size | norm='bn', 1 lead | norm='bn', 12 leads | norm='none', 1 lead | tensors of norm='bn' | time steps of 5000 samples |
|---|---|---|---|---|---|
| S | 447,792 | 453,424 | 443,184 | 257 | 40 |
| M | 30,654,000 | 30,665,264 | 30,587,632 | 507 | 20 |
| L | 296,623,360 | 296,645,888 | 296,301,312 | 957 | 5 |
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.encoders._time_major import excite, grouped_convolution, larger_of_two, pointwise, stem
from clef_ray.errors import ConfigError
from clef_ray.registry import unknown

KERNEL = 16

#: Groups of channels of norm='gn': the most that leave two channels in each group of the narrowest layer (S has one of 16).
GROUPS = 8

Norm = Literal["none", "bn", "gn", "ln"]


@dataclass(frozen=True, slots=True)
class Size:
    """Channels of the stem, bottleneck width / stage width, and of each stage its width and how many blocks it has."""

    base: int
    ratio: float
    filters: tuple[int, ...]
    blocks: tuple[int, ...]
    group_width: int


SIZES = {
    "S": Size(32, 0.5, (32, 64, 64, 128, 128, 256), (1, 1, 2, 2, 2, 2), 8),
    "M": Size(64, 1.0, (64, 160, 160, 400, 400, 1024, 1024), (2, 2, 2, 3, 3, 4, 4), 16),
    "L": Size(128, 1.5, (128, 256, 256, 512, 512, 1024, 1024, 2048, 2048), (2, 3, 3, 4, 4, 5, 5, 6, 6), 32),
}


def _same_padding(samples: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros (left, right) that give ceil(samples / stride) outputs, the odd one on the right."""
    # not -(-samples // stride): ONNX rounds the quotient of a negative number towards 0
    out = (samples + stride - 1) // stride
    total = max(0, (out - 1) * stride + kernel - samples)
    return total // 2, total - total // 2


class _SameConv(nn.Conv1d):
    """A convolution whose output has ceil(samples / stride) samples, whatever the input's length."""

    def forward(self, x_BCT: Tensor) -> Tensor:
        return super().forward(functional.pad(x_BCT, _same_padding(x_BCT.shape[-1], KERNEL, self.stride[0])))


class _StepNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each time step by itself."""

    def forward(self, x_BCT: Tensor) -> Tensor:
        return super().forward(x_BCT.transpose(1, 2)).transpose(1, 2)


def _normalisation(norm: Norm, channels: int) -> list[nn.Module]:
    """The layer, in a list that is empty for `none`."""
    if norm == "bn":
        return [nn.BatchNorm1d(channels)]
    if norm == "gn":
        return [nn.GroupNorm(GROUPS, channels)]
    return [_StepNorm(channels)] if norm == "ln" else []


class _Activation(nn.Sequential):
    """Normalisation, swish, dropout: what precedes each convolution of a block."""

    def __init__(self, channels: int, norm: Norm, dropout: float) -> None:
        super().__init__(*_normalisation(norm, channels), nn.SiLU())
        if dropout > 0:
            self.append(nn.Dropout(dropout))


class _Block(nn.Module):
    """1x1, grouped k=16, 1x1, squeeze-and-excitation; the identity is max-pooled in time and zero-padded in channels."""

    def __init__(
        self, size: Size, width_in: int, width: int, stride: int, *, first: bool, norm: Norm, dropout: float
    ) -> None:
        super().__init__()
        middle = int(width * size.ratio)
        self.stride = stride
        self.grown = width - width_in
        # The first block follows the stem's own activation and skips this one; the published weights hold its batch normalisation all the same.
        self.before1 = _Activation(width_in, "none" if first and norm != "bn" else norm, dropout)
        self.conv1 = nn.Conv1d(width_in, middle, 1)
        self.before2 = _Activation(middle, norm, dropout)
        self.conv2 = _SameConv(middle, middle, KERNEL, stride, groups=width // size.group_width)
        self.before3 = _Activation(middle, norm, dropout)
        self.conv3 = nn.Conv1d(middle, width, 1)
        self.squeeze = nn.Linear(width, width // 2)
        self.excite = nn.Linear(width // 2, width)
        self.first = first
        if first:
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

    def time_major(self, x_BTC: Tensor) -> Tensor:
        """`forward` as a CPU trains it, with channels last (_time_major.py)."""
        y_BTC = pointwise(x_BTC if self.first else _channels_first(self.before1, x_BTC), self.conv1)
        y_BTC = grouped_convolution(_channels_first(self.before2, y_BTC), self.conv2)
        y_BTC = pointwise(_channels_first(self.before3, y_BTC), self.conv3)
        if self.stride > 1:
            x_BTC = larger_of_two(x_BTC)
        return excite(x_BTC, y_BTC, self.squeeze, self.excite)


def _channels_first(layers: nn.Module, x_BTC: Tensor) -> Tensor:
    y_BCT: Tensor = layers(x_BTC.transpose(1, 2))
    return y_BCT.transpose(1, 2)


def _trains_on_cpu(x_BCT: Tensor) -> bool:
    """Whether the time-major arithmetic serves: gradients of the weights are wanted, and none of the signal, in float32."""
    return (
        torch.is_grad_enabled()
        and x_BCT.device.type == "cpu"
        and x_BCT.dtype == torch.float32
        and not x_BCT.requires_grad
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class Clef(nn.Module):
    """The CLEF encoder.

    size: S (0.45 M parameters, 256 features), M (30.7 M, 1024) or L (297 M, 2048). in_leads: leads of the input, 1 or
    12 as published.
    norm: what precedes every activation: `none`, as CLEF runs; `bn`, batch normalisation; `gn`, group normalisation (GROUPS groups of channels,
    over all time steps of a record); `ln`, layer normalisation over the channels of each time step. dropout: probability after each
    activation of a block, 0 as CLEF runs. ConfigError for other values.
    """

    def __init__(
        self,
        size: Literal["S", "M", "L"] = "S",
        in_leads: int = 1,
        norm: Norm = "none",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if size not in SIZES:
            raise unknown("size", size, SIZES, "encoder clef")
        if norm not in get_args(Norm):
            raise unknown("norm", norm, get_args(Norm), "encoder clef")
        if in_leads < 1:
            raise ConfigError(f"encoder clef, in_leads: {in_leads} given; at least 1")
        if not 0 <= dropout < 1:
            raise ConfigError(f"encoder clef, dropout: {dropout:g} given; allowed is 0 <= dropout < 1")
        shape = SIZES[size]
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
        """Features [records, dim] of signals [records, leads, samples]: the mean of `tokens` over time. Any length from 1 sample (500 Hz x 10 s
        as published).
        """
        return self._steps(x_BCT).mean(-1)

    def tokens(self, x_BCT: Tensor) -> Tensor:
        """The features of every time step, [records, steps, dim]. Each stage halves the time, as the stem does, and rounds up."""
        return self._steps(x_BCT).transpose(1, 2)

    def _steps(self, x_BCT: Tensor) -> Tensor:
        if not (self.training and _trains_on_cpu(x_BCT)):
            features_BDT: Tensor = self.blocks(self.stem(x_BCT))
            return features_BDT
        convolution, activation = self.stem
        assert isinstance(convolution, nn.Conv1d)
        y_BTC = _channels_first(activation, stem(x_BCT, convolution))
        for block in self.blocks:
            assert isinstance(block, _Block)
            y_BTC = block.time_major(y_BTC)
        return y_BTC.transpose(1, 2)
