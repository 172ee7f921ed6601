"""The clinically guided loss of CLEF (arXiv 2512.02180): negatives that differ in risk are pushed further away.

L = lambda_w L_w + lambda_d L_d. L_w is NT-Xent whose negatives are weighted by clinical dissimilarity; L_d aligns the
cosine similarity of two embeddings with the clinical similarity of their patients. Every choice that the paper, its
published code and its reviewers disagree on is a switch; the defaults are argued in `Guided`.
"""

from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clef_ray.errors import ConfigError, DataError
from clef_ray.losses import Pairs, RiskReference, Term
from clef_ray.losses._contrast import cosine, cross_entropy, positive_columns
from clef_ray.losses._dissimilarity import EPS, Mask, Normaliser, dissimilarity, masked
from clef_ray.losses._negatives import candidates, check_negatives, sample
from clef_ray.registry import unknown

Power = Literal[1, 2]
WeightNorm = Literal["mean1", "softmax", "none"]
Similarity = Literal["half_cosine", "batch_minmax"]
SamePatient = Literal["exclude", "negative"]
_ALLOWED = {
    "power": get_args(Power),
    "normaliser": get_args(Normaliser),
    "mask": get_args(Mask),
    "weight_norm": get_args(WeightNorm),
    "similarity": get_args(Similarity),
    "same_patient": get_args(SamePatient),
}

#: Enough order statistics for every pair of them (2 million) to stand for all pairs of any number of patients.
_QUANTILES = 2048


def risk_reference(risk_N: NDArray[np.float64], power: int, alpha: float) -> RiskReference:
    """Scale and mean of the dissimilarity over pairs of training patients.

    risk_N: one risk per training patient, NaN where unknown (left out). More than 2048 are thinned to as many evenly
    spaced quantiles: deterministic, the same for any order of the patients, and small in memory. Raises DataError
    where fewer than two risks are known.
    """
    known_N = np.sort(risk_N[~np.isnan(risk_N)])
    if len(known_N) < 2:
        raise DataError(
            f"a guided loss needs two training patients with a known risk; {len(known_N)} of {len(risk_N)} have one"
        )
    thin = min(len(known_N), _QUANTILES)
    spread_Q = known_N[((np.arange(thin) + 0.5) * len(known_N) / thin).astype(np.int64)]
    one, other = np.triu_indices(thin, k=1)
    delta_P = (spread_Q[other] - spread_Q[one]) ** power
    scale = float(np.quantile(delta_P, 0.99)) or float(delta_P.max()) or 1.0  # equal risks: Δ / 1 = 0
    return RiskReference(scale, float((1 - alpha) * np.minimum(delta_P / scale, 1).mean() + alpha))


class Guided:
    """CLEF's loss.

    temperature: .07, CLEF's. negatives: per anchor, sampled anew each step at constant batch size, the same for L_w
    and L_d; None: all.
    alpha: least dissimilarity of two different patients, .2 as CLEF: no negative loses all its weight.
    power: of the risk difference, Δ = abs(r_i - r_k)^power; 2 as CLEF.
    normaliser: `fixed_scale` divides Δ by its 99 % quantile over the training patients and clips to 1; `batch_minmax`
    (published) divides by the largest Δ of the batch, so that one outlier shrinks all others and a pair's
    dissimilarity changes from batch to batch.
    mask: how incomplete covariates enter W. `neutral` draws W towards the mean dissimilarity the less is known, and
    weights the pair in L_d by c_ik = sqrt(c_i c_k); `literal` (paper) W = D exp(-c_i c_k) pushes well-known pairs
    apart least; `mirrored` W = D exp(-(1 - c_i)(1 - c_k)); `none` (published).
    weight_norm: `mean1` scales the negatives' weights of an anchor to mean 1, so that guidance changes their balance
    and not their sum; `softmax` (published) takes the softmax over the anchor's row with itself and the positive in
    it, which makes the negatives' sum a mean; `none` (paper) W itself.
    lambda_w, lambda_d: coefficients of L_w and L_d, 1 and 1 as the paper (published code: .5 and .5).
    similarity: in L_d, `half_cosine` (1 + s) / 2 over the negatives used; `batch_minmax` (published) rescales s by
    the batch's extrema, gradient through them, and includes the anchor itself and its positive with target 1.
    same_patient: `exclude` other records of the anchor's patient from the negatives; `negative` (published) keeps
    them.

    An unknown (NaN) risk counts as completeness 0 and mean dissimilarity.
    """

    uses_risk: ClassVar[bool] = True

    def __init__(
        self,
        *,
        temperature: float = 0.07,
        negatives: int | None = None,
        alpha: float = 0.2,
        power: Power = 2,
        normaliser: Normaliser = "fixed_scale",
        mask: Mask = "neutral",
        weight_norm: WeightNorm = "mean1",
        lambda_w: float = 1.0,
        lambda_d: float = 1.0,
        similarity: Similarity = "half_cosine",
        same_patient: SamePatient = "exclude",
    ) -> None:
        if not 0 < temperature < float("inf"):
            raise ConfigError(f"guided.temperature: {temperature:g} given; it must be above 0")
        if not 0 <= alpha <= 1:
            raise ConfigError(f"guided.alpha: {alpha:g} given; allowed is 0 to 1")
        if not (lambda_w >= 0 and lambda_d >= 0 and 0 < lambda_w + lambda_d < float("inf")):
            raise ConfigError(
                f"guided: lambda_w = {lambda_w:g}, lambda_d = {lambda_d:g} given; neither below 0, one above"
            )
        chosen = (power, normaliser, mask, weight_norm, similarity, same_patient)
        for (name, allowed), value in zip(_ALLOWED.items(), chosen, strict=True):
            if value not in allowed:
                raise unknown("value", str(value), map(str, allowed), f"guided.{name}")
        check_negatives(negatives, "guided")
        self.temperature = temperature
        self.negatives = negatives
        self.alpha = alpha
        self.power: Power = power
        self.normaliser: Normaliser = normaliser
        self.mask: Mask = mask
        self.weight_norm = weight_norm
        self.lambda_w = lambda_w
        self.lambda_d = lambda_d
        self.similarity = similarity
        self.same_patient = same_patient

    def reference(self, risk_N: NDArray[np.float64]) -> RiskReference:
        """`risk_reference` for this loss's power and alpha."""
        return risk_reference(risk_N, self.power, self.alpha)

    def __call__(self, z_all: Tensor, rows: Tensor, pairs: Pairs) -> list[Term]:
        """Two terms, `weighted` (L_w) and `alignment` (L_d); one with coefficient 0 is left out."""
        s_RK = cosine(z_all, rows)
        allowed_RK = candidates(rows, pairs.patient_B, same_patient=self.same_patient == "negative")
        used_RK = sample(allowed_RK, rows, self.negatives, pairs.key)
        positive_RK = positive_columns(rows, len(z_all))
        d_RB, average = dissimilarity(rows, pairs, self.alpha, self.power, self.normaliser)
        w_RB, c_RB = masked(d_RB, average, rows, pairs, self.mask)
        w_RK, c_RK = w_RB.repeat(1, 2).to(s_RK.dtype), c_RB.repeat(1, 2).to(s_RK.dtype)
        terms = []
        if self.lambda_w > 0:
            weight_RK = self._weights(w_RK, used_RK, positive_RK, rows)
            loss_R = cross_entropy(s_RK / self.temperature, positive_RK, weight_RK)
            terms.append(Term("weighted", self.lambda_w, loss_R.sum(), loss_R.new_tensor(len(rows))))
        if self.lambda_d > 0:
            similarity_RK, c_RK = self._similarities(z_all, s_RK, c_RK * used_RK, positive_RK, rows)
            total = (c_RK * (similarity_RK - (1 - w_RK)) ** 2).sum()
            terms.append(Term("alignment", self.lambda_d, total, c_RK.sum()))
        return terms

    def _weights(self, w_RK: Tensor, used_RK: Tensor, positive_RK: Tensor, rows_R: Tensor) -> Tensor:
        """[R, 2B] weight of each column in the denominator of L_w; 0 for those not in it."""
        if self.weight_norm == "softmax":
            # as published: the positive is weighted in the denominator too, but not in the numerator
            row_RK = used_RK | positive_RK | _itself(w_RK, rows_R)
            return torch.softmax(w_RK.masked_fill(~row_RK, -torch.inf), dim=-1) * (used_RK | positive_RK)
        weight_RK = w_RK * used_RK
        if self.weight_norm == "mean1":
            sum_R1 = weight_RK.sum(-1, keepdim=True)
            scaled_RK = weight_RK * used_RK.sum(-1, keepdim=True) / torch.where(sum_R1 > 0, sum_R1, 1)
            # α = 0 among equal risks gives weights of 0: no guidance, which is not the same as no negatives
            weight_RK = torch.where(sum_R1 > 0, scaled_RK, used_RK.to(w_RK.dtype))
        return weight_RK + positive_RK

    def _similarities(
        self, z_all: Tensor, s_RK: Tensor, c_RK: Tensor, positive_RK: Tensor, rows_R: Tensor
    ) -> tuple[Tensor, Tensor]:
        """[R, 2B] similarities in 0..1, and the weights of L_d with all pairs that enter it."""
        if self.similarity == "half_cosine":
            return (1 + s_RK) / 2, c_RK
        # the extrema are those of the whole batch, whichever rows are ours
        s_KK = cosine(z_all, torch.arange(len(z_all), device=z_all.device))
        low, high = s_KK.min(), s_KK.max()
        return (s_RK - low) / (high - low + EPS), c_RK + positive_RK + _itself(s_RK, rows_R)


def _itself(like_RK: Tensor, rows_R: Tensor) -> Tensor:
    return rows_R[:, None] == torch.arange(like_RK.shape[1], device=rows_R.device)
