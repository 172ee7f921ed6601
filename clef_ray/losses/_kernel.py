"""The sums of contrastive losses over anchors, in chunks: memory stays O(chunk), whatever the number of negatives.

Autograd would keep every similarity until the backward pass, (2B)^2 of them several times over. Here the forward pass
keeps one number per anchor, and the backward pass computes the similarities again, chunk by chunk: four matrix
products where the plain way needs three, and no temporary larger than a chunk. A chunk fits into the processor's
cache, so that the elementwise work between the products costs little.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Similarities per chunk: 2 MB of float32, about a core's cache.
CHUNK = 2**19

#: A GPU is kept busy by larger pieces.
CUDA_FACTOR = 8

#: exp of more than this leaves float32; shares are at most 1, so only columns of weight 0 come near.
_LARGEST_EXPONENT = 80.0


#: Some entries of a [C, V] matrix: two index tensors [P] (places in the chunk, views), or a mask [C, V].
Entries = tuple[Tensor, Tensor] | Tensor


@dataclass(frozen=True, slots=True)
class Weights:
    """How a chunk of C anchors sees the V views; no gradient.

    skip: the views of no weight in the denominator: those that are no negatives, the anchor itself and its positives among them.
    base_CV, factor_C: their product is a negative's weight in the denominator of L_w; 0 where skipped. None: no L_w.
    positives: the positive pairs, [P]; weight_P: the positive's own weight in the denominator; share_P: its share in the anchor's mean over
    positives (1 where there is one).
    dissimilar_CV, pair_CV: of L_d, W (a similarity of 1 - W is asked for) and the pair's weight; None: no L_d.
    """

    skip: Entries
    base_CV: Tensor | None
    factor_C: Tensor
    positives: tuple[Tensor, Tensor]
    weight_P: Tensor
    share_P: Tensor
    dissimilar_CV: Tensor | None
    pair_CV: Tensor | None


#: (anchors as rows of the batch [C], similarities [C, V]) -> Weights. Called twice per chunk: it must answer the same.
Weigh = Callable[[Tensor, Tensor], Weights]


def sums(
    u_VD: Tensor, rows_R: Tensor, weigh: Weigh, inverse_temperature: Tensor, slope: Tensor, offset: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(total of L_w over the anchors, total of L_d over the pairs, the pairs' weights in all); the first two with gradient.

    L_w(i) = mean over positives p of log(v_p e^{s_ip / τ} + Σ_k v_ik e^{s_ik / τ}) - s_ip / τ;
    L_d = Σ_ik pair_ik (slope s_ik + offset - (1 - W_ik))². s = cosine similarity: u_VD has rows of norm 1.
    """
    totals: tuple[Tensor, Tensor, Tensor] = _Sums.apply(  # type: ignore[no-untyped-call]
        u_VD, inverse_temperature, slope, offset, rows_R, weigh
    )
    return totals


def chunks(rows_R: Tensor, views: int) -> Iterator[tuple[slice, Tensor]]:
    """The anchors in pieces: their places in rows_R, and themselves."""
    size = CHUNK * (CUDA_FACTOR if rows_R.is_cuda else 1)
    step = max(size // max(views, 1), 1)
    for start in range(0, len(rows_R), step):
        part = slice(start, start + step)
        yield part, rows_R[part]


def extrema(u_ND: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest cosine similarity of all pairs of rows (a row with itself too), with gradient. N > 0."""
    unit_ND = u_ND.detach()
    low: list[Tensor] = []
    high: list[Tensor] = []
    for _, rows_C in chunks(torch.arange(len(u_ND), device=u_ND.device), len(u_ND)):
        s_CN = unit_ND[rows_C] @ unit_ND.T
        for found, place in ((low, s_CN.argmin()), (high, s_CN.argmax())):
            i, j = rows_C[place // len(u_ND)], place % len(u_ND)
            found.append((u_ND[i] * u_ND[j]).sum())
    return torch.stack(low).min(), torch.stack(high).max()


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, u_VD: Tensor, kappa: Tensor, slope: Tensor, offset: Tensor, rows_R: Tensor, weigh: Weigh
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.scalars = scalars = _Scalars(float(kappa), float(slope), float(offset))
        log_negatives_R = u_VD.new_full((len(rows_R),), -torch.inf)
        weighted, aligned, counted = (u_VD.new_zeros(()) for _ in range(3))
        for part, rows_C in chunks(rows_R, len(u_VD)):
            s_CV = u_VD[rows_C] @ u_VD.T
            w = weigh(rows_C, s_CV)
            if w.pair_CV is not None:
                away_CV = _away(s_CV, w, scalars)
                aligned += away_CV.square_().mul_(w.pair_CV).sum()
                counted += w.pair_CV.sum()
            if w.base_CV is not None:
                x_P = s_CV[w.positives] * scalars.kappa
                log_C = _log_sum(s_CV, w, scalars.kappa)
                beside_P = torch.logaddexp(x_P + w.weight_P.log(), log_C[w.positives[0]])
                weighted += (w.share_P * (beside_P - x_P)).sum()
                log_negatives_R[part] = log_C
        ctx.weigh = weigh
        ctx.save_for_backward(u_VD, rows_R, log_negatives_R)
        ctx.mark_non_differentiable(counted)
        return weighted, aligned, counted

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_weighted: Tensor, g_aligned: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        # whoever calls backward() within autocast gets float32 all the same, as the forward pass does
        with torch.autocast(g_weighted.device.type, enabled=False):
            return _Sums._backward(ctx, g_weighted, g_aligned)

    @staticmethod
    def _backward(ctx: Any, g_weighted: Tensor, g_aligned: Tensor) -> tuple[Tensor | None, ...]:
        u_VD, rows_R, log_negatives_R = ctx.saved_tensors
        scalars: _Scalars = ctx.scalars
        g_VD = torch.zeros_like(u_VD)
        g_kappa, g_slope, g_offset = (u_VD.new_zeros(()) for _ in range(3))
        for part, rows_C in chunks(rows_R, len(u_VD)):
            u_CD = u_VD[rows_C]
            s_CV = u_CD @ u_VD.T
            w = ctx.weigh(rows_C, s_CV)
            g_CV = None
            if w.pair_CV is not None:
                g_CV = _away(s_CV, w, scalars).mul_(w.pair_CV)
                if ctx.needs_input_grad[2]:
                    g_slope += 2 * g_aligned * (g_CV * s_CV).sum()
                    g_offset += 2 * g_aligned * g_CV.sum()
                g_CV.mul_(2 * g_aligned * scalars.slope)
            if w.base_CV is not None:
                g_kappa_C, g_s_CV = _softmax_gradient(
                    s_CV, w, scalars.kappa, log_negatives_R[part], g_weighted, ctx.needs_input_grad[1]
                )
                g_kappa += g_kappa_C.sum()
                g_CV = g_s_CV if g_CV is None else g_CV.add_(g_s_CV)
            if g_CV is not None:
                g_VD.index_add_(0, rows_C, g_CV @ u_VD)
                g_VD.addmm_(g_CV.T, u_CD)
        return g_VD, g_kappa, g_slope, g_offset, None, None


@dataclass(frozen=True, slots=True)
class _Scalars:
    """1 / τ and L_d's slope and offset as plain numbers, which enter an elementwise pass for nothing."""

    kappa: float
    slope: float
    offset: float


def _away(s_CV: Tensor, w: Weights, scalars: _Scalars) -> Tensor:
    """[C, V] similarity minus what is asked for."""
    assert w.dissimilar_CV is not None
    return torch.add(w.dissimilar_CV, s_CV, alpha=scalars.slope).add_(scalars.offset - 1)


def _log_sum(s_CV: Tensor, w: Weights, kappa: float) -> Tensor:
    """[C] log Σ weight exp(κ s) over the negatives, -inf without any. Overwrites s_CV.

    The largest s of a negative is taken out first: nothing overflows, and what underflows is below the rounding of the rest.
    """
    assert w.base_CV is not None
    s_CV[w.skip] = -torch.inf
    top_C1 = s_CV.amax(dim=1, keepdim=True)
    top_C1 = torch.where(torch.isfinite(top_C1), top_C1, 0)
    sum_C = s_CV.sub_(top_C1).mul_(kappa).exp_().mul_(w.base_CV).sum(dim=1)
    return sum_C.mul_(w.factor_C).log_().add_(top_C1[:, 0], alpha=kappa)


def _softmax_gradient(
    s_CV: Tensor, w: Weights, kappa: float, log_C: Tensor, g: Tensor, temperature_too: bool
) -> tuple[Tensor, Tensor]:
    """The derivatives, times g, of L_w's total with respect to κ, per anchor [C], and to s [C, V]. Overwrites s_CV."""
    assert w.base_CV is not None
    anchor_P, s_P = w.positives[0], s_CV[w.positives]
    # the share that the negatives have beside this positive: by it they are pushed away and the positive is pulled closer
    pull_P = g * w.share_P * torch.sigmoid(log_C[anchor_P] - s_P * kappa - w.weight_P.log())
    push_C = torch.zeros_like(log_C).index_add_(0, anchor_P, pull_P).mul_(w.factor_C)
    s_CV[w.skip] = 0
    g_CV = (s_CV * kappa).sub_(log_C[:, None]).clamp_(max=_LARGEST_EXPONENT).exp_()
    g_CV.mul_(w.base_CV).mul_(kappa * push_C[:, None])
    g_kappa_C = torch.zeros_like(log_C)
    if temperature_too:
        g_kappa_C = ((g_CV * s_CV).sum(1) / kappa).index_add_(0, anchor_P, -pull_P * s_P)
    g_CV.index_put_(w.positives, -kappa * pull_P, accumulate=True)
    return g_kappa_C, g_CV
