"""What an anchor's positives add to a contrastive loss: few pairs, so that autograd may keep a number for each."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from clef_ray.losses._kernel import chunks


def cosines(u_VD: Tensor, one_P: Tensor, other_P: Tensor) -> Tensor:
    """[P] s of the pairs of views, with gradient; no temporary is larger than a chunk."""
    s_P: Tensor = _Cosines.apply(u_VD, one_P, other_P)  # type: ignore[no-untyped-call]
    return s_P


def contrast(x_P: Tensor, log_P: Tensor, share_P: Tensor | float = 1.0) -> Tensor:
    """Σ share (log(e^x + e^log) - x): the positives' x = s / τ beside their anchors' negatives, log -inf without any."""
    return -(share_P * functional.logsigmoid(x_P - log_P)).sum()


class _Cosines(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u_VD: Tensor, one_P: Tensor, other_P: Tensor) -> Tensor:
        ctx.save_for_backward(u_VD, one_P, other_P)
        s_P = u_VD.new_empty(len(one_P))
        for part, one_C in chunks(one_P, u_VD.shape[1]):
            s_P[part] = (u_VD.index_select(0, one_C) * u_VD.index_select(0, other_P[part])).sum(1)
        return s_P

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_P: Tensor) -> tuple[Tensor | None, ...]:
        u_VD, one_P, other_P = ctx.saved_tensors
        g_VD = torch.zeros_like(u_VD)
        for part, one_C in chunks(one_P, u_VD.shape[1]):
            for to_C, from_C in ((one_C, other_P[part]), (other_P[part], one_C)):
                g_VD.index_add_(0, to_C, u_VD.index_select(0, from_C).mul_(g_P[part, None]))
        return g_VD, None, None
