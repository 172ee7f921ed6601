"""NT-Xent, the loss of SimCLR (Chen et al. 2020, arXiv 2002.05709, eq. 1): every negative counts the same."""

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from clef_ray.losses import Pairs, Parts, Term
from clef_ray.losses._kernel import Entries, Weights, negatives
from clef_ray.losses._negatives import allowed, check_negatives, hardest, random_choice, refuse_too_many
from clef_ray.losses._positives import contrast, cosines
from clef_ray.losses._temperature import Temperature
from clef_ray.losses._views import other_view, views
from clef_ray.registry import unknown

Choice = Literal["random", "hardest"]


class Ntxent(nn.Module):
    """Contrast of two views of a record with views of other patients; the unguided counterpart of `Guided`.

    temperature: of the softmax, .07 as CLEF; learn_temperature: trained with the encoder, within .01 to 1.
    negatives: per anchor, at constant batch size; None: all of the batch and the queue. choose: which ones, `random`
    anew each step or the `hardest`, the most similar. queue: views of earlier steps that are kept as further negatives.
    Other records of the anchor's patient are left out: they are no negatives.
    """

    takes: ClassVar[Parts] = "views"
    uses_risk: ClassVar[bool] = False

    def __init__(
        self,
        temperature: float = 0.07,
        negatives: int | None = None,
        choose: Choice = "random",
        queue: int = 0,
        learn_temperature: bool = False,
    ) -> None:
        super().__init__()
        if choose not in get_args(Choice):
            raise unknown("value", choose, get_args(Choice), "ntxent.choose")
        check_negatives(negatives, queue, "ntxent")
        self.temperature = Temperature(temperature, learn_temperature, "ntxent")
        self.negatives = negatives
        self.choose = choose
        self.queue = queue

    @property
    def current_temperature(self) -> float:
        return self.temperature.current()

    def forward(self, z_all: Tensor, rows: Tensor, pairs: Pairs) -> list[Term]:
        """One term, `nce`: mean over anchors of -log softmax of the positive."""
        refuse_too_many(self.negatives, len(pairs.patient_B), self.queue, "ntxent")
        with torch.autocast(z_all.device.type, enabled=False):
            columns = views(z_all, pairs)
            same = columns.same(columns.patient_V)
            kappa, nothing = self.temperature.inverse(columns.u_VD), columns.u_VD.new_zeros(())

            def weigh(rows_C: Tensor, first: int, x_CT: Tensor) -> Weights:
                base_CT = torch.ones_like(x_CT)
                base_CT[self._skip(rows_C, same.pairs(rows_C, first), x_CT, pairs.key)] = 0
                return Weights(base_CT)

            symmetric = self.negatives is None
            found = negatives(columns.u_VD, rows, weigh, kappa, nothing, nothing, symmetric=symmetric)
            x_R = kappa * cosines(columns.u_VD, rows, other_view(rows, columns.batch))
            total = contrast(x_R, found.log_R)
        return [Term("nce", 1.0, total, total.new_tensor(len(rows)))]

    def _skip(
        self, rows_C: Tensor, own: tuple[Tensor, Tensor], x_CT: Tensor, key: tuple[int, int]
    ) -> Entries:
        if self.negatives is None:
            return own
        if self.choose == "hardest":
            return ~hardest(allowed(own, x_CT), x_CT, self.negatives)
        return ~random_choice(allowed(own, x_CT), rows_C, self.negatives, key)
