"""Clinical dissimilarity of patients: D from their risks, W from D and how much is known."""

from typing import Literal

import torch
from torch import Tensor

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs

Normaliser = Literal["fixed_scale", "batch_minmax"]
Mask = Literal["neutral", "none", "literal", "mirrored"]

#: The published code's guard against division by zero in its min-max.
EPS = 1e-6


def dissimilarity(
    rows_R: Tensor, pairs: Pairs, alpha: float, power: int, normaliser: Normaliser
) -> tuple[Tensor, Tensor]:
    """D [R, B] of the anchors' subjects with all subjects, and its mean over pairs of patients D̄ (scalar).

    D = (1 - α) Δ' + α with Δ' = abs(r_i - r_k)^power brought to 0..1 by `normaliser`; D̄ where a risk is unknown (the
    number that stands in for the NaN during the computation reaches neither). The diagonal is left to `masked`.
    """
    known_B = ~torch.isnan(pairs.risk_B)
    risk_B = torch.where(known_B, pairs.risk_B, 0)
    risk_R1 = risk_B[rows_R % len(risk_B)][:, None]
    both_RB = known_B[rows_R % len(risk_B)][:, None] & known_B
    if normaliser == "fixed_scale":
        if pairs.reference is None:
            raise ConfigError(
                "normaliser fixed_scale needs the reference of the training patients' risks (`Guided.reference`)"
            )
        d_RB = _scaled((risk_R1 - risk_B).abs() ** power, pairs.reference.scale, alpha)
        average = d_RB.new_tensor(pairs.reference.mean_dissimilarity)
        return torch.where(both_RB, d_RB, average), average
    # min-max over the whole batch with its diagonal, where Δ = 0: the least Δ is 0, the greatest that of the extreme risks
    low = torch.where(known_B, pairs.risk_B, torch.inf).min()
    high = torch.where(known_B, pairs.risk_B, -torch.inf).max()
    scale = (high - low).clamp(min=0) ** power + EPS
    pair_BB = (known_B[:, None] & known_B).fill_diagonal_(False)
    total = (_scaled((risk_B[:, None] - risk_B).abs() ** power, scale, alpha) * pair_BB).sum()
    average = torch.where(pair_BB.any(), total / pair_BB.sum().clamp(min=1), 1.0)
    return torch.where(both_RB, _scaled((risk_R1 - risk_B).abs() ** power, scale, alpha), average), average


def _scaled(delta: Tensor, scale: float | Tensor, alpha: float) -> Tensor:
    return (1 - alpha) * (delta / scale).clamp(max=1) + alpha


def masked(d_RB: Tensor, average: Tensor, rows_R: Tensor, pairs: Pairs, mask: Mask) -> tuple[Tensor, Tensor]:
    """W [R, B], 0 between a subject and itself, and each pair's weight in L_d [R, B].

    `neutral` W = c D + (1 - c) D̄ with c = sqrt(c_i c_k), also the weight; `literal` W = D exp(-c_i c_k); `mirrored`
    W = D exp(-(1 - c_i)(1 - c_k)); `none` W = D.
    """
    c_B = torch.where(torch.isnan(pairs.risk_B), 0, pairs.completeness_B).to(d_RB.dtype)
    own_R = rows_R % len(c_B)
    c_R1 = c_B[own_R][:, None]
    weight_RB = torch.ones_like(d_RB)
    if mask == "neutral":
        weight_RB = (c_R1 * c_B).sqrt()
        w_RB = weight_RB * d_RB + (1 - weight_RB) * average
    elif mask == "literal":
        w_RB = d_RB * torch.exp(-c_R1 * c_B)
    elif mask == "mirrored":
        w_RB = d_RB * torch.exp(-(1 - c_R1) * (1 - c_B))
    else:
        w_RB = d_RB
    itself_RB = own_R[:, None] == torch.arange(len(c_B), device=own_R.device)
    return w_RB.masked_fill(itself_RB, 0), weight_RB
