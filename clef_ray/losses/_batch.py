"""Losses that are functions of the batch as a whole, rather than sums over anchors."""

from torch import Tensor

from clef_ray.losses import Term
from clef_ray.losses._share import owned


def both_views(z_all: Tensor) -> tuple[Tensor, Tensor]:
    """z_a, z_b [B, D], in float32 at least: variances of half precision are too coarse."""
    z_2BD = z_all if z_all.dtype.itemsize >= 4 else z_all.float()
    first, second = z_2BD.chunk(2)
    return first, second


def own_dimensions(rows: Tensor, z_all: Tensor) -> Tensor:
    """[d] the dimensions, in ascending order, whose rows of a [D, D] matrix are this worker's to compute."""
    return owned(z_all.shape[1], rows, len(z_all))


def part(name: str, coefficient: float, own: Tensor, rows: Tensor, z_all: Tensor) -> Term:
    """A term that is a sum over the dimensions, of which `own` is this worker's part: the sum over all workers is the term."""
    return Term(name, coefficient, own, own.new_tensor(len(rows) / len(z_all)))
