"""Losses that are functions of the batch as a whole, rather than sums over anchors."""

from torch import Tensor

from clef_ray.losses import Term


def both_views(z_all: Tensor) -> tuple[Tensor, Tensor]:
    """z_a, z_b [B, D], in float32 at least: variances of half precision are too coarse."""
    z_2BD = z_all if z_all.dtype.itemsize >= 4 else z_all.float()
    first, second = z_2BD.chunk(2)
    return first, second


def whole(name: str, coefficient: float, value: Tensor, rows: Tensor, z_all: Tensor) -> Term:
    """A term that every worker computes alike and returns its share of, so that the sum over all workers is the term."""
    share = len(rows) / len(z_all)
    return Term(name, coefficient, share * value, value.new_tensor(share))
