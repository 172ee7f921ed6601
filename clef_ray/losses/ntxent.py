"""NT-Xent, the loss of SimCLR (Chen et al. 2020, arXiv 2002.05709, eq. 1): every negative counts the same."""

from typing import ClassVar

import torch
from torch import Tensor

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, Term
from clef_ray.losses._contrast import cosine, cross_entropy, positive_columns
from clef_ray.losses._negatives import candidates, check_negatives, sample


class Ntxent:
    """Contrast of two views of a record with views of other patients; the unguided counterpart of `Guided`.

    temperature: of the softmax, .07 as CLEF. negatives: per anchor, sampled anew each step at constant batch size;
    None: all of the batch. Other records of the anchor's patient are left out: they are no negatives.
    """

    uses_risk: ClassVar[bool] = False

    def __init__(self, temperature: float = 0.07, negatives: int | None = None) -> None:
        if not 0 < temperature < float("inf"):
            raise ConfigError(f"ntxent.temperature: {temperature:g} given; it must be above 0")
        check_negatives(negatives, "ntxent")
        self.temperature = temperature
        self.negatives = negatives

    def __call__(self, z_all: Tensor, rows: Tensor, pairs: Pairs) -> list[Term]:
        """One term, `nce`: mean over anchors of -log softmax of the positive."""
        s_RK = cosine(z_all, rows)
        used_RK = sample(candidates(rows, pairs.patient_B), rows, self.negatives, pairs.key)
        positive_RK = positive_columns(rows, len(z_all))
        loss_R = cross_entropy(s_RK / self.temperature, positive_RK, (used_RK | positive_RK).to(s_RK.dtype))
        return [Term("nce", 1.0, loss_R.sum(), torch.tensor(len(rows), dtype=s_RK.dtype, device=s_RK.device))]
