"""Clinical dissimilarity of patients: D from their risks, W from D and how much is known."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from clef_ray.errors import ConfigError
from clef_ray.losses import RiskReference
from clef_ray.losses._kernel import chunks
from clef_ray.losses._reference import Normaliser, ranks
from clef_ray.losses._share import Share
from clef_ray.losses._views import Views

Mask = Literal["neutral", "none", "literal", "mirrored"]

#: The published code's guard against division by zero in its min-max.
EPS = 1e-6


@dataclass(frozen=True, slots=True)
class Dissimilarity:
    """D of any two views' patients: (1 - α) min(Δ / scale, 1) + α with Δ = distance^power.

    place_VK: the risks, or their ranks, in units of the distance that counts as far; average: D̄, the mean over pairs of
    patients, what an unknown pair gets.
    """

    place_VK: Tensor
    known_V: Tensor
    alpha: float
    power: int
    average: Tensor

    def distance(self, rows_C: Tensor) -> Tensor:
        """[C, V] distance of the places; meaningless where one is unknown."""
        return _distance(self.place_VK[rows_C], self.place_VK, 1)

    def trusted(self, rows_C: Tensor, first: int, trust_V: Tensor) -> tuple[Tensor, Tensor]:
        """D̄ + t (D - D̄) and t = trust_i trust_k, both [C, T] with the views from `first` on.

        Where trust is 0 the risk that is compared does not matter.
        """
        d_CT = _distance(self.place_VK[rows_C], self.place_VK[first:], self.power).clamp_(max=1)
        t_CT = trust_V[rows_C, None] * trust_V[first:]
        torch.add(self.alpha - self.average, d_CT, alpha=1 - self.alpha, out=d_CT)
        return torch.addcmul(self.average, d_CT, t_CT, out=d_CT), t_CT


def dissimilarity(
    views: Views,
    reference: RiskReference | None,
    alpha: float,
    power: int,
    normaliser: Normaliser,
    share: Share,
) -> Dissimilarity:
    """D by one of the four normalisers; all but batch_minmax need the reference. share: whose the search for the batch's own extrema is."""
    risk_VK, known_V = views.risk_VK, views.known_V
    if normaliser == "batch_minmax":
        scale = _batch_maximum(views, power, share) + EPS  # the least Δ is 0, on the diagonal
        found = Dissimilarity(risk_VK / scale ** (1 / power), known_V, alpha, power, risk_VK.new_tensor(1.0))
        return replace(found, average=_batch_average(found, views.batch, share))
    if reference is None:
        raise ConfigError(
            f"normaliser {normaliser} needs the reference of the training patients' risks (`Guided.reference`)"
        )
    if normaliser == "rank":
        assert reference.sorted_PK is not None, "made by risk_reference for this normaliser"
        risk_VK = ranks(risk_VK, reference.sorted_PK)
    average = risk_VK.new_tensor(reference.mean_dissimilarity)
    return Dissimilarity(risk_VK / reference.scale ** (1 / power), known_V, alpha, power, average)


def weights(
    d: Dissimilarity, rows_C: Tensor, first: int, views: Views, mask: Mask
) -> tuple[Tensor, Tensor | None]:
    """W [C, T] of the views from `first` on, and each pair's weight in L_d [C, T] (None: 1 for all).

    `neutral` W = c D + (1 - c) D̄ with c = sqrt(c_i c_k), also the weight; `literal` W = D exp(-c_i c_k); `mirrored`
    W = D exp(-(1 - c_i)(1 - c_k)); `none` W = D. Under the last three D̄ stands for a D that is unknown.
    """
    c_V = views.completeness_V
    if mask == "neutral":
        return d.trusted(rows_C, first, c_V.sqrt())
    w_CT, _ = d.trusted(rows_C, first, views.known_V.to(c_V.dtype))
    if mask == "literal":
        w_CT.mul_((-c_V[rows_C, None] * c_V[first:]).exp_())
    elif mask == "mirrored":
        w_CT.mul_((-(1 - c_V[rows_C, None]) * (1 - c_V[first:])).exp_())
    return w_CT, None


def _distance(one_CK: Tensor, other_VK: Tensor, power: int) -> Tensor:
    """[C, V] Euclidean distance to the power 1 or 2, without the temporary [C, V, K]."""
    if one_CK.shape[1] == 1:
        difference_CV = one_CK - other_VK[:, 0]
        return difference_CV.square_() if power == 2 else difference_CV.abs_()
    squares_CV = torch.zeros(len(one_CK), len(other_VK), dtype=one_CK.dtype, device=one_CK.device)
    for one_C, other_V in zip(one_CK.T, other_VK.T, strict=True):
        squares_CV += (one_C[:, None] - other_V).square_()
    return squares_CV if power == 2 else squares_CV.sqrt_()


def _batch_maximum(views: Views, power: int, share: Share) -> Tensor:
    """The largest Δ between known risks of the views; 0 without any."""
    known_UK = views.risk_VK[views.known_V]
    if not len(known_UK):
        return views.risk_VK.new_zeros(())
    if known_UK.shape[1] == 1:
        return torch.as_tensor((known_UK.max() - known_UK.min()) ** power)
    each = [known_UK.new_zeros(())]
    for _, rows in chunks(share.of(len(known_UK)), len(known_UK)):
        each.append(_distance(known_UK[rows], known_UK, power).max())
    return share.exchanged(torch.stack(each).max()[None]).max()


def _batch_average(d: Dissimilarity, batch: int, share: Share) -> Tensor:
    """Mean D over pairs of different subjects of the batch with known risks; 1 without any."""
    own_B = torch.arange(batch, device=d.place_VK.device)[d.known_V[:batch]]
    pairs = len(own_B) * (len(own_B) - 1)
    if not pairs:
        return d.average
    within = replace(d, place_VK=d.place_VK[own_B], known_V=d.known_V[own_B])
    one_B = torch.ones_like(d.place_VK[own_B, 0])
    each = [one_B.new_zeros(())]
    for _, rows in chunks(share.of(len(own_B)), len(own_B)):
        each.append(within.trusted(rows, 0, one_B)[0].sum())
    total = share.exchanged(torch.stack(each).sum()[None]).sum()
    return (total - len(own_B) * d.alpha) / pairs  # a subject and itself: Δ = 0, D = α
