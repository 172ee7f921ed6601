"""The parts of CLEF's training step on a CPU, with channels last in memory ([records, time, channels], "time-major").

The same functions as in clef.py, with other arithmetic where PyTorch's is slow (profiled on an AMD EPYC with AVX-512, size S, batch 128):

- 1x1 convolutions on channels that lie side by side need no reordering: 2.4 times as fast, forwards and backwards together.
- The weight gradient of a grouped convolution with few channels per group has no kernel in oneDNN but a copy of every window and tiny
  products: a third of the whole step. `grouped_weight_gradient` gets it from a few large products.
- Pooling keeps which of two steps was larger, not where it was; the gate's gradient is one pass over the features.

Each is differentiable once. Only float32.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.utils import flop_counter

#: Steps of the signal in one block of `grouped_weight_gradient`: at least kernel - 1.
_BLOCK = 16


#: Operations of their own, so that their cost is what any convolution of the shape costs (`train.cost`), not what their parts do. Not by
#: torch.library.custom_op, which imports the compiler at its first call: seconds in every process.
_OPERATIONS: Any = torch.library.Library("clef_ray", "DEF")  # type: ignore[no-untyped-call]
_OPERATIONS.define(
    "grouped_convolution(Tensor x, Tensor weight, Tensor bias, int stride, int groups) -> Tensor"
)
_OPERATIONS.define(
    "grouped_convolution_gradient(Tensor g, Tensor x, Tensor weight, int stride, int groups) -> (Tensor, Tensor)"
)


def _forward(x_BTC: Tensor, weight: Tensor, bias: Tensor, stride: int, groups: int) -> Tensor:
    one_more, padding = _even(weight)
    y_BC1T = functional.conv2d(_as_image(x_BTC), one_more, bias, (1, stride), (0, padding), groups=groups)
    return _from_image(y_BC1T)


def _gradients(
    g_BTC: Tensor, x_BTC: Tensor, weight: Tensor, stride: int, groups: int
) -> tuple[Tensor, Tensor]:
    """Those of the signal and of the weights."""
    one_more, padding = _even(weight)
    to_x, _, _ = torch.ops.aten.convolution_backward(
        _as_image(g_BTC), _as_image(x_BTC), one_more, [len(weight)], [1, stride], [0, padding], [1, 1],
        False, [0, 0], groups, [True, False, False],
    )  # fmt: skip
    return _from_image(to_x), grouped_weight_gradient(x_BTC, g_BTC, weight.shape, stride)


_OPERATIONS.impl("grouped_convolution", _forward, "CPU")
_OPERATIONS.impl("grouped_convolution_gradient", _gradients, "CPU")


class _GroupedConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BTC: Tensor, weight: Tensor, bias: Tensor, stride: int, groups: int) -> Tensor:
        ctx.save_for_backward(x_BTC, weight)
        ctx.stride, ctx.groups = stride, groups
        y_BTC: Tensor = torch.ops.clef_ray.grouped_convolution(x_BTC, weight, bias, stride, groups)
        return y_BTC

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        g_BTC = gradients[0].contiguous()
        to_x, to_weight = torch.ops.clef_ray.grouped_convolution_gradient(
            g_BTC, *ctx.saved_tensors, ctx.stride, ctx.groups
        )
        return to_x, to_weight, g_BTC.sum((0, 1)), None, None


@flop_counter.register_flop_formula(torch.ops.clef_ray.grouped_convolution)
def _operations(
    _x: Sequence[int], weight: Sequence[int], *_: object, out_shape: Sequence[int], **__: object
) -> int:
    return 2 * prod(out_shape[:2]) * prod(weight)


@flop_counter.register_flop_formula(torch.ops.clef_ray.grouped_convolution_gradient)
def _operations_of_gradients(
    g: Sequence[int], _x: Sequence[int], weight: Sequence[int], *_: object, **__: object
) -> int:
    return 2 * 2 * prod(g[:2]) * prod(weight)


def _even(weight: Tensor) -> tuple[Tensor, int]:
    """With one more tap, a leading 0, the zeros needed on the left (k/2 - 1) and right (k/2 or one fewer) are k/2 on both sides."""
    return functional.pad(weight, (1, 0)).unsqueeze(2), weight.shape[2] // 2


def _as_image(x_BTC: Tensor) -> Tensor:
    """[records, channels, 1, time]: the same memory, which torch calls channels_last."""
    return x_BTC.transpose(1, 2).unsqueeze(2)


def _from_image(x_BC1T: Tensor) -> Tensor:
    return x_BC1T.squeeze(2).transpose(1, 2).contiguous()


def grouped_weight_gradient(x_BTC: Tensor, g_BTC: Tensor, shape: torch.Size, stride: int) -> Tensor:
    """dL/dw [out, channels c of a group, k] of y[t, o] = sum_{c, j} w[o, c, j] x[stride t + j - (k/2 - 1), c], from x and dL/dy.

    With time cut into blocks, the products of all of a block's outputs with all of its inputs are one matrix per group, summed over blocks and
    records by one matrix product; w's gradient is the sum along its diagonals. Twice the arithmetic, in products of 64 x 124 numbers
    instead of 4 x 64.
    """
    _, per, kernel = shape
    records, outputs = g_BTC.shape[:2]
    span = stride * (outputs - 1) + kernel  # inputs that all outputs see, zeros on both sides included
    left = kernel // 2 - 1
    if outputs <= _BLOCK:
        block, width = outputs, span
        x_GNK = _blocks(x_BTC, per, span, left).view(-1, records, span * per)
        g_GNK = _blocks(g_BTC, per, outputs).view(-1, records, outputs * per)
        products = torch.bmm(g_GNK.transpose(1, 2), x_GNK)
    else:
        # The inputs of a block begin where those of the one before end; its last outputs also see the first kernel - 1 of the next one's.
        block = _BLOCK // stride
        count, width = -(-span // _BLOCK), _BLOCK + kernel - 1
        x_GNK = _blocks(x_BTC, per, count * _BLOCK, left, more=_BLOCK).view(
            -1, records * count + 1, _BLOCK * per
        )
        g_GKN = _blocks(g_BTC, per, count * block).view(-1, records * count, block * per).transpose(1, 2)
        after = x_GNK[:, 1:, : (kernel - 1) * per]
        products = torch.cat([torch.bmm(g_GKN, x_GNK[:, :-1]), torch.bmm(g_GKN, after)], dim=2)
    row = width * per
    diagonals = products.as_strided(
        (len(products), per, per, kernel, block), (block * per * row, row, 1, per, per * row + stride * per)
    )
    return diagonals.sum(-1).reshape(shape)


def _blocks(x_BTC: Tensor, per: int, steps: int, at: int = 0, more: int = 0) -> Tensor:
    """Each group's channels by themselves, [groups, records * steps + more, per], zero but for x, which begins at step `at` of its record's."""
    records, time, channels = x_BTC.shape
    groups = channels // per
    if (
        per == 4 and x_BTC.dtype == torch.float32
    ):  # four float32 are moved as one complex128: four times as fast
        out = x_BTC.new_zeros(groups, records * steps + more, dtype=torch.complex128)
        to = out[:, : records * steps].view(groups, records, steps)[:, :, at : at + time]
        to.copy_(x_BTC.reshape(-1).view(torch.complex128).view(records, time, groups).permute(2, 0, 1))
        return out.view(torch.float32)
    out = x_BTC.new_zeros(groups, records * steps + more, per)
    to = out[:, : records * steps].view(groups, records, steps, per)[:, :, at : at + time]
    to.copy_(x_BTC.view(records, time, groups, per).permute(2, 0, 1, 3))
    return out


class _Stem(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BCT: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        kernel, samples = weight.shape[2], x_BCT.shape[2]
        outputs, left = -(-samples // 2), kernel // 2 - 1
        padded_BCT = functional.pad(x_BCT, (left, 2 * (outputs - 1) + kernel - left - samples))
        window_NK = padded_BCT.unfold(2, kernel, 2).transpose(1, 2).reshape(len(x_BCT) * outputs, -1)
        ctx.save_for_backward(window_NK)
        ctx.shape = weight.shape
        return torch.addmm(bias, window_NK, weight.flatten(1).t()).view(len(x_BCT), outputs, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (window_NK,) = ctx.saved_tensors
        g_NF = gradients[0].reshape(len(window_NK), -1)
        return None, (g_NF.t() @ window_NK).view(ctx.shape), g_NF.sum(0)


class _LargerOfTwo(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BTC: Tensor) -> Tensor:
        ctx.steps = x_BTC.shape[1]
        if ctx.steps % 2:
            x_BTC = functional.pad(x_BTC, (0, 0, 0, 1))
        first, second = x_BTC[:, 0::2], x_BTC[:, 1::2]
        ctx.save_for_backward(second > first)
        return torch.maximum(first, second)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (is_second,) = ctx.saved_tensors
        (g_BTC,) = gradients
        out_BT2C = g_BTC.new_empty(*g_BTC.shape[:2], 2, g_BTC.shape[2])
        torch.mul(g_BTC, is_second, out=out_BT2C[:, :, 1])
        torch.sub(g_BTC, out_BT2C[:, :, 1], out=out_BT2C[:, :, 0])
        return out_BT2C.flatten(1, 2)[:, : ctx.steps]


class _Excite(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_BTC: Tensor, y_BTC: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor
    ) -> Tensor:
        mean_BC = y_BTC.mean(1)
        inner_BH = torch.addmm(b1, mean_BC, w1.t())
        swish_BH = functional.silu(inner_BH)
        gate_BC = torch.addmm(b2, swish_BH, w2.t()).sigmoid_()
        ctx.save_for_backward(y_BTC, w1, w2, mean_BC, inner_BH, swish_BH, gate_BC)
        left, channels = (y_BTC.shape[2] - x_BTC.shape[2]) // 2, x_BTC.shape[2]
        ctx.middle = slice(left, left + channels)
        out_BTC = y_BTC * gate_BC[:, None]
        out_BTC[:, :, ctx.middle] += x_BTC
        return out_BTC

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        y_BTC, w1, w2, mean_BC, inner_BH, swish_BH, gate_BC = ctx.saved_tensors
        (g_BTC,) = gradients
        to_b2_BC = (g_BTC * y_BTC).sum(1) * gate_BC * (1 - gate_BC)
        to_b1_BH = torch.ops.aten.silu_backward(to_b2_BC @ w2, inner_BH)
        to_mean_BC = (to_b1_BH @ w1) / y_BTC.shape[1]
        to_y_BTC = torch.addcmul(to_mean_BC[:, None], g_BTC, gate_BC[:, None])
        of_gate = to_b1_BH.t() @ mean_BC, to_b1_BH.sum(0), to_b2_BC.t() @ swish_BH, to_b2_BC.sum(0)
        return g_BTC[:, :, ctx.middle], to_y_BTC, *of_gate


def grouped_convolution(x_BTC: Tensor, convolution: nn.Conv1d) -> Tensor:
    """A convolution of even kernel k, stride 1 or 2, with ceil(T / stride) outputs."""
    options = convolution.stride[0], convolution.groups
    return _applied(_GroupedConvolution, x_BTC, convolution.weight, convolution.bias, *options)


def stem(x_BCT: Tensor, convolution: nn.Conv1d) -> Tensor:
    """The first convolution, kernel k, stride 2: x_BCT -> [B, ceil(T / 2), out] by one matrix product. The signal gets no gradient."""
    return _applied(_Stem, x_BCT, convolution.weight, convolution.bias)


def larger_of_two(x_BTC: Tensor) -> Tensor:
    """The maximum of steps 2t and 2t + 1; a zero follows an odd number of steps. Of two equal ones the first has the gradient."""
    return _applied(_LargerOfTwo, x_BTC)


def excite(x_BTC: Tensor, y_BTC: Tensor, squeeze: nn.Linear, excitation: nn.Linear) -> Tensor:
    """X + y * gate, gate = sigmoid(W2 swish(W1 mean_t(y) + b1) + b2); x's channels lie in the middle of y's."""
    return _applied(_Excite, x_BTC, y_BTC, squeeze.weight, squeeze.bias, excitation.weight, excitation.bias)


def pointwise(x_BTC: Tensor, convolution: nn.Conv1d) -> Tensor:
    """A convolution of kernel 1."""
    return _from_image(functional.conv2d(_as_image(x_BTC), convolution.weight.unsqueeze(2), convolution.bias))


def _applied(function: type[torch.autograd.Function], *inputs: Tensor | int | None) -> Tensor:
    out: Tensor = function.apply(*inputs)  # type: ignore[no-untyped-call]
    return out
