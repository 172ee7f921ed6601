"""The extrema of a batch's similarities, which a published form of the guided loss rescales them by."""

import torch
from torch import Tensor

from clef_ray.losses._kernel import chunks
from clef_ray.losses._share import Share


def extrema(u_ND: Tensor, share: Share) -> tuple[Tensor, Tensor]:
    """The least and the largest cosine similarity of all pairs of rows (a row with itself too), with gradient. N > 0.

    share: whose the search is. The gradient needs no exchange: every worker has all rows.
    """
    found_W23 = share.exchanged(_own(u_ND.detach(), share).flatten()).reshape(-1, 2, 3)
    low_3 = found_W23[found_W23[:, 0, 0].argmin(), 0].long()
    high_3 = found_W23[found_W23[:, 1, 0].argmax(), 1].long()
    low, high = ((u_ND[i] * u_ND[k]).sum() for _, i, k in (low_3, high_3))
    return low, high


def _own(u_ND: Tensor, share: Share) -> Tensor:
    """[2, 3] the least and the largest of this worker's anchors: value, row and column, exact in double precision."""
    rows_R = share.of(len(u_ND))
    half = len(rows_R) == len(u_ND)
    found = u_ND.new_tensor([[2, 0, 0], [-2, 0, 0]], dtype=torch.float64)  # no cosine is as far out
    for part, rows_C in chunks(rows_R, len(u_ND), half=half):
        first = part.start if half else 0
        s_CT = u_ND[rows_C] @ u_ND[first:].T
        at_2 = torch.stack([s_CT.argmin(), s_CT.argmax()])
        places = rows_C[at_2 // s_CT.shape[1]], first + at_2 % s_CT.shape[1]
        new_23 = torch.stack([s_CT.flatten()[at_2], *places], dim=1).double()
        better_2 = torch.stack([new_23[0, 0] < found[0, 0], new_23[1, 0] > found[1, 0]])
        found = torch.where(better_2[:, None], new_23, found)
    return found
