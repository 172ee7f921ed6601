"""The distance of predictions from their targets (BYOL: Grill et al. 2020, arXiv 2006.07733, eq. 2 both ways)."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.losses import Pairs, Parts, Term


class Byol(nn.Module):
    """|p - t|^2 of predictions and targets of norm 1, that is 2 - 2 cos: of view a's prediction plus that of view b's, 0 to 8 a record.

    Nothing is compared with other records, so other records of a patient do not matter. No temperature.
    """

    takes: ClassVar[Parts] = "predictions"
    uses_risk: ClassVar[bool] = False
    queue = 0
    current_temperature = float("nan")

    def forward(self, z_all: Tensor, rows: Tensor, pairs: Pairs) -> list[Term]:
        """One term, `prediction`: mean over the records. z_all: [4B, D]: p_a, p_b, t_b, t_a of every subject; no gradient reaches the targets."""
        batch = len(pairs.patient_B)
        p_R = rows[rows < 2 * batch]
        z_4BD = z_all if z_all.dtype == torch.float64 else z_all.float()
        p_RD = functional.normalize(z_4BD[p_R], dim=-1)
        t_RD = functional.normalize(z_4BD[p_R + 2 * batch].detach(), dim=-1)
        total = (2 - 2 * (p_RD * t_RD).sum(-1)).sum()
        return [Term("prediction", 1.0, total, total.new_tensor(len(p_R) / 2))]
