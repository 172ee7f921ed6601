"""The encoder of sizes S and M and the guided loss as one writes them down in eager PyTorch, straight from the equations.

The plain side of the training step, and an independent check of it: it shares no code with clef_ray/encoders and clef_ray/losses.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.losses import Pairs


@dataclass(frozen=True)
class Shape:
    """stem: its channels; narrow: a block's inner channels per outer one; group: outer channels per group of the grouped convolution; blocks:
    (channels, stride) of each.
    """

    stem: int
    narrow: float
    group: int
    blocks: tuple[tuple[int, int], ...]


def _stages(*widths_and_blocks: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """The first block of each stage halves the time."""
    return tuple((width, 2 if n == 0 else 1) for width, count in widths_and_blocks for n in range(count))


#: arXiv 2512.02180: 0.45 M and 30.6 M parameters.
SHAPES = {
    "S": Shape(32, 0.5, 8, _stages((32, 1), (64, 1), (64, 2), (128, 2), (128, 2), (256, 2))),
    "M": Shape(64, 1.0, 16, _stages((64, 2), (160, 2), (160, 2), (400, 3), (400, 3), (1024, 4), (1024, 4))),
}
KERNEL = 16


def pad_same(x_BCT: Tensor, kernel: int, stride: int) -> Tensor:
    """Zeros on both sides, the odd one on the right, for ceil(T / stride) outputs."""
    outputs = math.ceil(x_BCT.shape[-1] / stride)
    zeros = max((outputs - 1) * stride + kernel - x_BCT.shape[-1], 0)
    return functional.pad(x_BCT, (zeros // 2, zeros - zeros // 2))


class NaiveBlock(nn.Module):
    """swish, 1x1, swish, grouped k=16, swish, 1x1, squeeze and excitation, plus the identity."""

    def __init__(self, shape: Shape, width_in: int, width: int, stride: int, *, first: bool) -> None:
        super().__init__()
        middle = int(width * shape.narrow)
        self.first, self.stride, self.grown = first, stride, width - width_in
        self.narrow = nn.Conv1d(width_in, middle, 1)
        self.grouped = nn.Conv1d(middle, middle, KERNEL, stride=stride, groups=width // shape.group)
        self.widen = nn.Conv1d(middle, width, 1)
        self.squeeze = nn.Linear(width, width // 2)
        self.excite = nn.Linear(width // 2, width)

    def forward(self, x_BCT: Tensor) -> Tensor:
        y_BCT: Tensor = x_BCT if self.first else functional.silu(x_BCT)
        y_BCT = functional.silu(self.narrow(y_BCT))
        y_BCT = functional.silu(self.grouped(pad_same(y_BCT, KERNEL, self.stride)))
        y_BCT = self.widen(y_BCT)
        gate_BC = torch.sigmoid(self.excite(functional.silu(self.squeeze(y_BCT.mean(dim=2)))))
        y_BCT = y_BCT * gate_BC[:, :, None]
        if self.stride == 2:
            x_BCT = functional.max_pool1d(pad_same(x_BCT, 2, 2), 2)
        below = self.grown // 2
        identity_BCT = functional.pad(x_BCT, (0, 0, below, self.grown - below))
        return identity_BCT + y_BCT


class NaiveEncoder(nn.Module):
    """[B, 1, T] -> [B, 256] (S) or [B, 1024] (M)."""

    def __init__(self, size: str = "S") -> None:
        super().__init__()
        shape = SHAPES[size]
        self.stem = nn.Conv1d(1, shape.stem, KERNEL, stride=2)
        widths = (shape.stem, *(width for width, _ in shape.blocks))
        self.blocks = nn.ModuleList(
            NaiveBlock(shape, width_in, width, stride, first=number == 0)
            for number, (width_in, (width, stride)) in enumerate(zip(widths[:-1], shape.blocks, strict=True))
        )

    def forward(self, x_BCT: Tensor) -> Tensor:
        x_BCT = functional.silu(self.stem(pad_same(x_BCT, KERNEL, 2)))
        for block in self.blocks:
            x_BCT = block(x_BCT)
        return x_BCT.mean(dim=2)


def naive_loss(z_2BD: Tensor, pairs: Pairs, temperature: float = 0.07, alpha: float = 0.2) -> Tensor:
    """L_w + L_d with the default switches of `clef_ray.losses.guided.Guided`, all 2B x 2B pairs written out.

    pairs.reference must be given; an unknown (NaN) risk counts as completeness 0.
    """
    assert pairs.reference is not None, "the default normaliser needs the training patients' scale"
    scale, average = pairs.reference.scale, pairs.reference.mean_dissimilarity
    risk_B = pairs.risk_BK[:, 0]  # a number, not a point
    risk_K = torch.nan_to_num(risk_B, nan=0.0).repeat(2)
    completeness_K = torch.where(risk_B.isnan(), 0.0, pairs.completeness_B).repeat(2)
    patient_K = pairs.patient_B.repeat(2)
    views = len(z_2BD)

    unit_KD = z_2BD / z_2BD.norm(dim=1, keepdim=True)
    s_KK = unit_KD @ unit_KD.T
    negative_KK = (patient_K[:, None] != patient_K[None, :]).float()
    positive_K = s_KK[torch.arange(views), torch.arange(views).roll(views // 2)]

    delta_KK = (risk_K[:, None] - risk_K[None, :]) ** 2 / scale
    d_KK = (1 - alpha) * delta_KK.clamp(max=1.0) + alpha
    c_KK = torch.sqrt(completeness_K[:, None] * completeness_K[None, :])
    w_KK = c_KK * d_KK + (1 - c_KK) * average

    weight_KK = w_KK * negative_KK
    weight_KK = weight_KK * negative_KK.sum(1, keepdim=True) / weight_KK.sum(1, keepdim=True)
    numerator_K = torch.exp(positive_K / temperature)
    denominator_K = numerator_K + (weight_KK * torch.exp(s_KK / temperature)).sum(1)
    weighted = -torch.log(numerator_K / denominator_K).mean()

    known_KK = c_KK * negative_KK
    alignment: Tensor = (known_KK * ((1 + s_KK) / 2 - (1 - w_KK)) ** 2).sum() / known_KK.sum()
    return weighted + alignment
