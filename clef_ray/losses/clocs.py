"""The loss of CLOCS (Kiyasseh et al., ICML 2021, arXiv 2005.13249): records of one patient attract each other, too."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from clef_ray.losses import Pairs, Parts, Term
from clef_ray.losses._kernel import Weights, negatives
from clef_ray.losses._positives import cosines
from clef_ray.losses._temperature import Temperature
from clef_ray.losses._views import Views, other_view, views


class Clocs(nn.Module):
    """Softmax of view a of a record over the views b of the batch, and of view b over the views a, as in the published code.

    With s_ij = exp(cos(a_i, b_j) / temperature): -log of s_ii over its row's sum (`record_a`) and over its column's (`record_b`), each
    averaged over the records; for two records i < j of one patient s_ij over the sum of row i (`patient_a`), and s_ji over that of column i
    (`patient_b`), each averaged over such pairs. The loss is the mean of those of the four terms that the batch has: without two records
    of a patient it has the first two only. Which of two records anchors their pair follows from their order in the batch, as published.
    Other records of the patient are positives; they stay in the sums of the other terms, as published. temperature: .1 as published.
    """

    takes: ClassVar[Parts] = "views"
    uses_risk: ClassVar[bool] = False
    queue = 0

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = Temperature(temperature, False, "clocs")

    @property
    def current_temperature(self) -> float:
        return self.temperature.current()

    def forward(self, z_all: Tensor, rows: Tensor, pairs: Pairs) -> list[Term]:
        """Four terms, always: of a batch without two records of a patient the last two are 0 and count nothing."""
        with torch.autocast(z_all.device.type, enabled=False):
            columns = views(z_all, pairs)
            kappa, nothing = self.temperature.inverse(columns.u_VD), columns.u_VD.new_zeros(())
            side_V = torch.arange(len(z_all), device=z_all.device) < columns.batch

            def weigh(rows_C: Tensor, first: int, x_CT: Tensor) -> Weights:
                return Weights((side_V[rows_C, None] != side_V[first:]).to(x_CT.dtype))

            found = negatives(columns.u_VD, rows, weigh, kappa, nothing, nothing, symmetric=True)
            same = columns.same(columns.patient_V)
            at_P, view_P = _later(columns, rows, *same.pairs(rows))
            x_R = kappa * cosines(columns.u_VD, rows, other_view(rows, columns.batch))
            x_P = kappa * cosines(columns.u_VD, rows[at_P], view_P)
            record_R, patient_P = found.log_R - x_R, found.log_R[at_P] - x_P
        share = 1 / 4 if bool((same.size_V > 2).any()) else 1 / 2
        first_R = side_V[rows]
        return [
            _term("record_a", share, record_R[first_R]),
            _term("record_b", share, record_R[~first_R]),
            _term("patient_a", share, patient_P[first_R[at_P]]),
            _term("patient_b", share, patient_P[~first_R[at_P]]),
        ]


def _later(columns: Views, rows: Tensor, at_P: Tensor, view_P: Tensor) -> tuple[Tensor, Tensor]:
    """Of an anchor's views of the same patient the other side's, of records that stand further behind in the batch."""
    batch, anchor_P = columns.batch, rows[at_P]
    opposite_P = (anchor_P < batch) != (view_P < batch)
    kept_P = opposite_P & (view_P % batch > anchor_P % batch)
    return at_P[kept_P], view_P[kept_P]


def _term(name: str, share: float, each_P: Tensor) -> Term:
    return Term(name, share, each_P.sum(), each_P.new_tensor(len(each_P)))
