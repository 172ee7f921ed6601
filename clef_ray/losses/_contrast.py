"""Cosine similarities of anchors with all views, and the contrast of the positive with the negatives."""

import torch
from torch import Tensor
from torch.nn import functional


def cosine(z_all: Tensor, rows_R: Tensor) -> Tensor:
    """[R, 2B] cosine similarities in float32 at least: half precision loses the small terms that a temperature of .07 makes large."""
    with torch.autocast(z_all.device.type, enabled=False):
        unit_KD = functional.normalize(z_all if z_all.dtype == torch.float64 else z_all.float(), dim=-1)
        return unit_KD[rows_R] @ unit_KD.T


def positive_columns(rows_R: Tensor, views: int) -> Tensor:
    """[R, 2B] True where the column is the anchor's other view."""
    column_K = torch.arange(views, device=rows_R.device)
    return ((rows_R + views // 2) % views)[:, None] == column_K


def cross_entropy(logits_RK: Tensor, positive_RK: Tensor, weight_RK: Tensor) -> Tensor:
    """[R] -log of the share that the positive has in Σ_k weight_k exp(logit_k); weight 0 leaves a column out.

    The weights enter as logarithms and the sum by logsumexp, so nothing underflows at small temperatures.
    """
    positive_R = logits_RK.masked_fill(~positive_RK, 0).sum(-1)
    return torch.logsumexp(logits_RK + weight_RK.log(), dim=-1) - positive_R
