"""The columns an anchor may be contrasted with: the views of the batch, then those of the queue."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from clef_ray.losses import Pairs, Queue

#: What an unknown risk becomes (losses.guided).
Unknown = Literal["average", "zero", "drop"]


@dataclass(frozen=True, slots=True)
class Views:
    """What is known of the V = 2B + Q views.

    u_VD: embeddings of norm 1 (the queue's without gradient). subject_V: position in the batch, -1 in the queue.
    patient_V: codes. risk_VK: 0 where unknown, which known_V tells. completeness_V: 0 where the risk is unknown.
    batch: B.
    """

    u_VD: Tensor
    subject_V: Tensor
    patient_V: Tensor
    risk_VK: Tensor
    known_V: Tensor
    completeness_V: Tensor
    batch: int

    def same(self, codes_V: Tensor) -> "Same":
        """Who shares a code (`patient_V` or `subject_V`) with whom."""
        order_V = codes_V.argsort(stable=True)
        sorted_V = codes_V[order_V]
        begin_V = torch.searchsorted(sorted_V, codes_V, right=False)
        return Same(order_V, begin_V, torch.searchsorted(sorted_V, codes_V, right=True) - begin_V)


@dataclass(frozen=True, slots=True)
class Same:
    """The groups of views with one code: each view's group is order_V[begin_V ... begin_V + size_V]."""

    order_V: Tensor
    begin_V: Tensor
    size_V: Tensor

    def pairs(self, rows_C: Tensor, first: int = 0) -> tuple[Tensor, Tensor]:
        """Every anchor with every view of its group, itself too: places in the chunk [P], views [P] counted from `first` on.

        Few among all [C, T]: naming them is cheaper than comparing all.
        """
        size_C = self.size_V[rows_C]
        anchor_P = torch.repeat_interleave(size_C)
        first_C = size_C.cumsum(0) - size_C
        within_P = torch.arange(len(anchor_P), device=rows_C.device) - first_C[anchor_P]
        view_P = self.order_V[self.begin_V[rows_C][anchor_P] + within_P]
        if first:
            right_P = view_P >= first
            anchor_P, view_P = anchor_P[right_P], view_P[right_P] - first
        return anchor_P, view_P


def views(z_all: Tensor, pairs: Pairs, unknown: Unknown = "average") -> Views:
    """Batch and queue side by side, in float32 at least: half precision loses the small terms that a temperature of .07 makes large."""
    batch, queue = len(pairs.patient_B), pairs.queue
    z_VD = z_all if z_all.dtype == torch.float64 else z_all.float()
    subject_V = torch.arange(batch, device=z_all.device).repeat(2)
    patient_V, risk_VK = pairs.patient_B.repeat(2), pairs.risk_BK.repeat(2, 1)
    completeness_V = pairs.completeness_B.repeat(2)
    if queue is not None:
        z_VD = torch.cat([z_VD, queue.z_QD.detach().to(z_VD.dtype)])
        subject_V = torch.cat([subject_V, subject_V.new_full((len(queue.patient_Q),), -1)])
        patient_V = torch.cat([patient_V, queue.patient_Q])
        risk_VK = torch.cat([risk_VK, queue.risk_QK])
        completeness_V = torch.cat([completeness_V, queue.completeness_Q])
    known_V = ~torch.isnan(risk_VK).any(-1)
    risk_VK = torch.where(known_V[:, None], risk_VK, 0).to(z_VD.dtype)
    if unknown == "zero":
        known_V = torch.ones_like(known_V)
    completeness_V = torch.where(known_V, completeness_V, 0).to(z_VD.dtype)
    u_VD = functional.normalize(z_VD, dim=-1)
    return Views(u_VD, subject_V, patient_V, risk_VK, known_V, completeness_V, batch)


def other_view(rows_R: Tensor, batch: int) -> Tensor:
    """The view that shows the same record as each anchor."""
    return (rows_R + batch) % (2 * batch)


def without_unknown(z_all: Tensor, rows_R: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor, Pairs]:
    """The batch (and queue) of the subjects whose risk is known, as if the others had never been drawn."""
    known_B = ~torch.isnan(pairs.risk_BK).any(-1)
    kept_V = known_B.repeat(2)
    new_V = torch.cumsum(kept_V, dim=0) - 1
    queue = pairs.queue
    if queue is not None:
        known_Q = ~torch.isnan(queue.risk_QK).any(-1)
        queue = Queue(
            queue.z_QD[known_Q],
            queue.risk_QK[known_Q],
            queue.completeness_Q[known_Q],
            queue.patient_Q[known_Q],
        )
    kept = replace(
        pairs,
        risk_BK=pairs.risk_BK[known_B],
        completeness_B=pairs.completeness_B[known_B],
        patient_B=pairs.patient_B[known_B],
        queue=queue,
    )
    return z_all[kept_V], new_V[rows_R[kept_V[rows_R]]], kept
