"""The sums of contrastive losses over an anchor's negatives, in chunks: memory stays O(chunk), whatever the number of negatives.

Autograd would keep every similarity until the backward pass, (2B)^2 of them several times over. Here the forward pass
keeps a few numbers per anchor, and the backward pass computes the similarities again, chunk by chunk. Where the anchors
are all views and every weight is the same both ways, only the chunks on and right of the diagonal are computed: two
matrix products of (2B)^2 in all, where the plain way needs three. A chunk fits into the processor's cache, so that the
elementwise work between the products costs little.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Similarities per chunk: 2 MB of float32, about a core's cache.
CHUNK = 2**19

#: Anchors per chunk: with more, the similarities on both sides of the diagonal that a chunk at it computes would be more, too.
ROWS = 256

#: A GPU is kept busy by larger pieces.
CUDA_FACTOR = 8

#: Up to this 1 / τ no row's largest term is taken out: e^±40, and the sums of such, lie far within float32.
_LARGEST_KAPPA = 40.0

#: Some entries of a [C, T] matrix: two index tensors [P] (places in the chunk, columns), or a mask [C, T].
Entries = tuple[Tensor, Tensor] | Tensor


@dataclass(frozen=True, slots=True)
class Weights:
    """How C anchors see T views; no gradient. 0 where a view is no negative, as the anchor itself and its positives never are.

    base_CT: a view's weight in the anchor's sum of exponentials; None: no such sums.
    dissimilar_CT, pair_CT: of L_d, W (a similarity of 1 - W is asked for) and the pair's weight; None: no L_d.
    """

    base_CT: Tensor | None
    dissimilar_CT: Tensor | None = None
    pair_CT: Tensor | None = None


#: (anchors as rows of the batch [C], first view, similarities / τ with the views from there on [C, T]) -> Weights.
#: Called again for the backward pass: it must answer the same.
Weigh = Callable[[Tensor, int, Tensor], Weights]


class Negatives(NamedTuple):
    """log_R: log Σ_k base_ik e^{s_ik / τ} of each anchor, -inf without negatives; total_R: Σ_k base_ik.

    aligned: L_d's total Σ_ik pair_ik (slope s_ik + offset - (1 - W_ik))²; counted: Σ_ik pair_ik. log_R and aligned with gradient.
    """

    log_R: Tensor
    total_R: Tensor
    aligned: Tensor
    counted: Tensor


def negatives(
    u_VD: Tensor,
    rows_R: Tensor,
    weigh: Weigh,
    inverse_temperature: Tensor,
    slope: Tensor,
    offset: Tensor,
    *,
    symmetric: bool,
) -> Negatives:
    """The sums over the negatives of the anchors. s = cosine similarity: u_VD has rows of norm 1.

    symmetric: whether all weights of (i, k) are those of (k, i).
    """
    half = (
        symmetric
        and float(inverse_temperature.detach()) <= _LARGEST_KAPPA
        and torch.equal(rows_R, torch.arange(len(u_VD), device=rows_R.device))
    )
    return Negatives(*_Sums.apply(u_VD, inverse_temperature, slope, offset, rows_R, weigh, half))  # type: ignore[no-untyped-call]


def chunks(rows_R: Tensor, views: int, *, half: bool = False) -> Iterator[tuple[slice, Tensor]]:
    """The anchors in pieces: their places in rows_R, and themselves. half: each with the views from its first on, not with all."""
    factor = CUDA_FACTOR if rows_R.is_cuda else 1
    start = 0
    while start < len(rows_R):
        fitting = CHUNK * factor // max(views - start if half else views, 1)
        step = max(min(fitting, ROWS * factor), 1)
        part = slice(start, min(start + step, len(rows_R)))
        yield part, rows_R[part]
        start = part.stop


@dataclass(frozen=True, slots=True)
class _Scalars:
    """1 / τ and L_d's slope and offset as plain numbers, which enter an elementwise pass for nothing."""

    kappa: float
    slope: float
    offset: float


@dataclass(frozen=True, slots=True)
class _Tile:
    """C anchors, and the T views from `first` on. half: what lies right of the first C columns stands for its mirror image too.

    u_CD: of the anchors; x_CT: similarities / τ.
    """

    part: slice
    rows_C: Tensor
    first: int
    half: bool
    u_CD: Tensor
    x_CT: Tensor
    w: Weights

    def exponentials(self, top_R1: Tensor | None) -> Tensor:
        """[C, T] base e^{x - top}."""
        assert self.w.base_CT is not None
        # what lies above the top has no weight
        x_CT = self.x_CT if top_R1 is None else (self.x_CT - top_R1[self.part]).clamp_(max=0)
        return x_CT.exp().mul_(self.w.base_CT)

    def top(self) -> Tensor:
        """[C, 1] the largest x of a view of some weight, -inf without any."""
        assert self.w.base_CT is not None
        return self.x_CT.masked_fill(self.w.base_CT == 0, -torch.inf).amax(1, keepdim=True)

    def away(self, scalars: _Scalars) -> Tensor:
        """[C, T] similarity minus what is asked for."""
        assert self.w.dissimilar_CT is not None
        away_CT = torch.add(self.w.dissimilar_CT, self.x_CT, alpha=scalars.slope / scalars.kappa)
        return away_CT.add_(scalars.offset - 1)

    def whole(self, m_CT: Tensor) -> Tensor:
        """The sum over the pairs."""
        return 2 * m_CT.sum() - m_CT[:, : len(m_CT)].sum() if self.half else m_CT.sum()

    def add_rows(self, sum_R: Tensor, m_CT: Tensor) -> None:
        """The sums over each anchor's pairs, added to sum_R."""
        sum_R[self.part] += m_CT.sum(1)
        if self.half:
            sum_R[self.part.stop :] += m_CT[:, len(m_CT) :].sum(0)


class _Totals:
    """What the forward pass adds up, and, where somebody wants it (of κ; of slope or offset), what the backward pass needs of it."""

    def __init__(self, like_VD: Tensor, anchors: int, scalars: _Scalars, wanted: tuple[bool, bool]) -> None:
        self.scalars, self.wanted = scalars, wanted
        self.sum_R, self.total_R, self.by_kappa_R = like_VD.new_zeros(3, anchors)
        self.top_R1 = None if scalars.kappa <= _LARGEST_KAPPA else like_VD.new_zeros(anchors, 1)
        self.aligned, self.counted, self.by_slope, self.by_offset = like_VD.new_zeros(4)

    def add(self, tile: _Tile) -> None:
        base_CT, pair_CT = tile.w.base_CT, tile.w.pair_CT
        if pair_CT is not None:
            away_CT = tile.away(self.scalars)
            pushed_CT = away_CT * pair_CT
            if self.wanted[1]:
                self.by_offset += 2 * tile.whole(pushed_CT)
                self.by_slope += 2 / self.scalars.kappa * tile.whole(pushed_CT * tile.x_CT)
            self.aligned += tile.whole(pushed_CT.mul_(away_CT))
            self.counted += tile.whole(pair_CT)
        if base_CT is not None:
            if self.top_R1 is not None:
                self.top_R1[tile.part] = tile.top()
            e_CT = tile.exponentials(self.top_R1)
            tile.add_rows(self.sum_R, e_CT)
            tile.add_rows(self.total_R, base_CT)
            if self.wanted[0]:
                tile.add_rows(self.by_kappa_R, e_CT.mul_(tile.x_CT))


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        u_VD: Tensor,
        kappa: Tensor,
        slope: Tensor,
        offset: Tensor,
        rows_R: Tensor,
        weigh: Weigh,
        half: bool,
    ) -> tuple[Tensor, ...]:
        ctx.scalars = scalars = _Scalars(float(kappa), float(slope), float(offset))
        ctx.weigh, ctx.half, ctx.kept = weigh, half, None
        found = _Totals(u_VD, len(rows_R), scalars, ctx.needs_input_grad[1:3])
        for part, rows_C in chunks(rows_R, len(u_VD), half=half):
            tile = _tile(ctx, u_VD, part, rows_C)
            found.add(tile)
            if len(rows_C) == len(rows_R):
                ctx.kept = tile  # all in one chunk: nothing need be computed again
            del tile
        by_kappa_R = found.by_kappa_R / (scalars.kappa * torch.where(found.sum_R > 0, found.sum_R, 1))
        ctx.save_for_backward(
            u_VD, rows_R, found.sum_R, found.top_R1, by_kappa_R, found.by_slope, found.by_offset
        )
        ctx.mark_non_differentiable(found.total_R, found.counted)
        log_R = found.sum_R.log()
        if found.top_R1 is not None:
            log_R += found.top_R1[:, 0]
        return log_R, found.total_R, found.aligned, found.counted

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *g: Tensor) -> tuple[Tensor | None, ...]:
        # whoever calls backward() within autocast gets float32 all the same, as the forward pass does
        with torch.autocast(g[0].device.type, enabled=False):
            return _Sums._backward(ctx, g[0], g[2])

    @staticmethod
    def _backward(ctx: Any, g_R: Tensor, g_aligned: Tensor) -> tuple[Tensor | None, ...]:
        u_VD, rows_R, sum_R, top_R1, by_kappa_R, by_slope, by_offset = ctx.saved_tensors
        each_R = ctx.scalars.kappa * torch.where(sum_R > 0, g_R / sum_R, 0)
        pull = 2 * ctx.scalars.slope * float(g_aligned)
        g_VD = torch.zeros_like(u_VD)
        for part, rows_C in chunks(rows_R, len(u_VD), half=ctx.half):
            tile = ctx.kept or _tile(ctx, u_VD, part, rows_C)
            _add_gradient(g_VD, u_VD, tile, ctx.scalars, each_R, top_R1, pull)
            del tile
        return g_VD, g_R @ by_kappa_R, g_aligned * by_slope, g_aligned * by_offset, None, None, None


def _tile(ctx: Any, u_VD: Tensor, part: slice, rows_C: Tensor) -> _Tile:
    first = part.start if ctx.half else 0
    u_CD = u_VD.index_select(0, rows_C)
    x_CT = (u_CD * ctx.scalars.kappa) @ u_VD[first:].T
    return _Tile(part, rows_C, first, ctx.half, u_CD, x_CT, ctx.weigh(rows_C, first, x_CT))


def _add_gradient(
    g_VD: Tensor,
    u_VD: Tensor,
    tile: _Tile,
    scalars: _Scalars,
    each_R: Tensor,
    top_R1: Tensor | None,
    pull: float,
) -> None:
    """What a tile adds to the gradient of u_VD. A half tile's similarities stand for their mirror images: the derivatives of both."""
    g_CT = None
    if tile.w.base_CT is not None:
        each_C1 = each_R[tile.part, None]
        g_CT = tile.exponentials(top_R1)
        g_CT.mul_(each_C1 + each_R[tile.first :] if tile.half else each_C1)
    if tile.w.pair_CT is not None:
        pull = 2 * pull if tile.half else pull
        away_CT = tile.away(scalars)
        if g_CT is None:
            g_CT = away_CT.mul_(tile.w.pair_CT).mul_(pull)
        else:
            g_CT.addcmul_(away_CT, tile.w.pair_CT, value=pull)
    if g_CT is not None:
        after = tile.part.stop if tile.half else 0
        g_VD.index_add_(0, tile.rows_C, g_CT @ u_VD[tile.first :])
        g_VD[after:].addmm_(g_CT[:, after - tile.first :].T, tile.u_CD)
