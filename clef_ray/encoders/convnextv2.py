"""ConvNeXt V2 in one dimension, the ECG encoder of ESI (its sizes tiny and base).

Block and stages of Woo et al. 2023 (arXiv 2301.00808, section 3.3 and algorithm 1 for the global response normalisation),
two-dimensional there; every normalisation is over the channels of one time step, as in that paper.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.errors import ConfigError
from clef_ray.registry import unknown

KERNEL = 7


@dataclass(frozen=True, slots=True)
class _Size:
    blocks: tuple[int, ...]
    widths: tuple[int, ...]


_SIZES = {
    "tiny": _Size((3, 3, 9, 3), (96, 192, 384, 768)),
    "base": _Size((3, 3, 27, 3), (128, 256, 512, 1024)),
}


class _Down(nn.Conv1d):
    """Windows of `stride` time steps, side by side: [records, time, in] -> [records, ceil(time / stride), out].

    The last window is filled with zeros: no sample is dropped and no signal is too short.
    """

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__(width_in, width, stride, stride)

    def forward(self, x_BTC: Tensor) -> Tensor:
        time, stride = x_BTC.shape[1], self.stride[0]
        windows = (time + stride - 1) // stride  # no negative number: ONNX rounds those towards 0
        padded_BCT = functional.pad(x_BTC.transpose(1, 2), (0, windows * stride - time))
        # Contiguous, as the blocks' branches are: a sum of two layouts is slow, and cannot be exported at any length.
        return super().forward(padded_BCT).transpose(1, 2).contiguous()


class _ResponseNorm(nn.Module):
    """Global response normalisation: a channel is scaled by its norm over time relative to the channels' mean norm.

    It starts as the identity (gamma = beta = 0).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(width))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, x_BTC: Tensor) -> Tensor:
        norm_B1C = torch.linalg.vector_norm(x_BTC, dim=1, keepdim=True)
        relative_B1C = norm_B1C / (norm_B1C.mean(-1, keepdim=True) + 1e-6)
        y_BTC: Tensor = x_BTC + self.gamma * (x_BTC * relative_B1C) + self.beta
        return y_BTC


class _Block(nn.Module):
    """Depthwise convolution, normalisation, 1x1 to four times the width, GELU, response normalisation, 1x1 back; added to x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.mix = nn.Sequential(
            nn.LayerNorm(width, eps=1e-6),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            _ResponseNorm(4 * width),
            nn.Linear(4 * width, width),
        )

    def forward(self, x_BTC: Tensor) -> Tensor:
        y_BTC: Tensor = self.mix(self.depthwise(x_BTC.transpose(1, 2)).transpose(1, 2))
        return x_BTC + y_BTC


def _initialise(module: nn.Module) -> None:
    """As ConvNeXt starts: truncated normal weights of standard deviation 0.02, biases 0."""
    if isinstance(module, nn.Linear | nn.Conv1d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Convnextv2(nn.Module):
    """ConvNeXt V2-1D: a stem of 4 samples a step, four stages that halve the time axis between them.

    size: tiny (26,814,144 parameters at 12 leads, 768 features) or base (85,558,528, 1024), the counts of ESI's encoders.
    in_leads: leads of the input.
    The time axis is ceil(T / 4), then halved three times, rounded up (5000 samples: 1250, 625, 313, 157); the original
    rounds down, so the two agree where T is a multiple of 32.
    ESI's published code normalises stem and downsampling over time instead of channels: not so here.
    """

    def __init__(self, size: Literal["tiny", "base"] = "tiny", in_leads: int = 1) -> None:
        super().__init__()
        if size not in _SIZES:
            raise unknown("size", size, _SIZES, "encoder convnextv2")
        if in_leads < 1:
            raise ConfigError(f"encoder convnextv2, in_leads: {in_leads} given; at least 1")
        shape = _SIZES[size]
        self.dim = shape.widths[-1]
        stages: list[nn.Module] = []
        width_in = in_leads
        for width, repeats in zip(shape.widths, shape.blocks, strict=True):
            stage = nn.Sequential()
            if not stages:
                stage.extend((_Down(width_in, width, 4), nn.LayerNorm(width, eps=1e-6)))
            else:
                stage.extend((nn.LayerNorm(width_in, eps=1e-6), _Down(width_in, width, 2)))
            stages.append(stage.extend(_Block(width) for _ in range(repeats)))
            width_in = width
        self.stages = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(self.dim, eps=1e-6)
        self.apply(_initialise)

    def tokens(self, x_BCT: Tensor) -> Tensor:
        """Features [records, time steps, dim] of signals [records, leads, samples >= 1], before pooling and the last normalisation."""
        y_BND: Tensor = self.stages(x_BCT.transpose(1, 2))
        return y_BND

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Features [records, dim] of signals [records, leads, samples], any length: the normalised mean over the tokens."""
        z_BD: Tensor = self.norm(self.tokens(x_BCT).mean(1))
        return z_BD
