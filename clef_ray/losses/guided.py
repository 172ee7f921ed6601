"""The clinically guided loss of CLEF (arXiv 2512.02180): negatives that differ in risk are pushed further away.

L = lambda_w L_w + lambda_d L_d. L_w is NT-Xent whose negatives are weighted by clinical dissimilarity; L_d aligns the
cosine similarity of two embeddings with the clinical similarity of their patients. Every choice that the paper, its
published code and its reviewers disagree on is a switch; the defaults are argued in `Guided`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, Parts, RiskReference, Term
from clef_ray.losses._dissimilarity import EPS, Mask, dissimilarity
from clef_ray.losses._extrema import extrema
from clef_ray.losses._guidance import Guidance, SamePatient, WeightNorm
from clef_ray.losses._kernel import negatives
from clef_ray.losses._negatives import Choice, check_negatives, refuse_too_many
from clef_ray.losses._positives import cosines
from clef_ray.losses._reference import Normaliser, risk_reference
from clef_ray.losses._share import Share
from clef_ray.losses._temperature import Temperature
from clef_ray.losses._views import Unknown, Views, views, without_unknown
from clef_ray.registry import unknown as unknown_name

Power = Literal[1, 2]
Similarity = Literal["half_cosine", "batch_minmax"]
_ALLOWED = {
    "choose": get_args(Choice),
    "power": get_args(Power),
    "normaliser": get_args(Normaliser),
    "mask": get_args(Mask),
    "unknown": get_args(Unknown),
    "weight_norm": get_args(WeightNorm),
    "similarity": get_args(Similarity),
    "same_patient": get_args(SamePatient),
}


class Guided(nn.Module):
    """CLEF's loss.

    temperature: .07, CLEF's. learn_temperature: trained with the encoder, within .01 to 1; off, since a temperature that
    moves also moves how much guidance weighs.
    negatives: per anchor, at constant batch size, the same for L_w and L_d; None: all of the batch and the queue.
    choose: which ones. `random` anew each step, so that only their number varies; `hardest`, the most similar;
    `risk_near` and `risk_far` by distance in risk (in its ranks under `rank`); `stratified`, one of each quantile of risk
    (of a point: of its first coordinate, the age of age_sex).
    queue: views of earlier steps kept as further negatives (Wang et al. 2020, arXiv 1912.06798); 0, since they lag
    behind the encoder.
    alpha: least dissimilarity of two different patients, .2 as CLEF: no negative loses all its weight.
    power: of the risk difference, Δ = abs(r_i - r_k)^power; 2 as CLEF.
    normaliser: `fixed_scale` divides Δ by its 99 % quantile over the training patients and clips to 1; `global_max`
    by its largest value there, which one outlier sets; `rank` takes differences of the risks' ranks there, so that every
    part of the risk's distribution counts the same; `batch_minmax` (published) divides by the largest Δ of the batch, so
    that a pair's dissimilarity changes from batch to batch.
    mask: how incomplete covariates enter W. `neutral` draws W towards the mean dissimilarity the less is known, and
    weights the pair in L_d by c_ik = sqrt(c_i c_k); `literal` (paper) W = D exp(-c_i c_k) pushes well-known pairs
    apart least; `mirrored` W = D exp(-(1 - c_i)(1 - c_k)); `none` (published).
    unknown: what a NaN risk does. `average`: completeness 0 and mean dissimilarity, an average negative; `zero`
    (published) takes it for 0 %, the healthiest, still of completeness 0; `drop` leaves the patient out of the loss.
    weight_norm: `mean1` scales the negatives' weights of an anchor to mean 1, so that guidance changes their balance
    and not their sum; `softmax` (published) takes the softmax over the anchor's row with itself and the positive in
    it, which makes the negatives' sum a mean: their number drops out; `none` (paper) W itself.
    lambda_w, lambda_d: coefficients of L_w and L_d, 1 and 1 as the paper (published code: .5 and .5).
    similarity: in L_d, `half_cosine` (1 + s) / 2 compares with fixed ends; `batch_minmax` (published) rescales s by
    the batch's extrema, gradient through them.
    exclude_diag: L_d is over the negatives used; off (published), the anchor itself and its positive enter with target 1,
    though they say nothing about risk.
    same_patient: `exclude` other records of the anchor's patient from the negatives, `negative` (published) keeps
    them, `positive` takes them for further positives.

    PRESETS: `default`; `published`, the released code, whose missing risks are those of imputation=none; `paper`, the formulas as
    its reviewers quote them. Choose one with the setting loss.preset.
    """

    takes: ClassVar[Parts] = "views"
    uses_risk: ClassVar[bool] = True
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {
            "normaliser": "fixed_scale",
            "mask": "neutral",
            "unknown": "average",
            "weight_norm": "mean1",
            "lambda_w": 1.0,
            "lambda_d": 1.0,
            "similarity": "half_cosine",
            "exclude_diag": True,
            "same_patient": "exclude",
        },
        "published": {
            "normaliser": "batch_minmax",
            "mask": "none",
            "unknown": "zero",
            "weight_norm": "softmax",
            "lambda_w": 0.5,
            "lambda_d": 0.5,
            "similarity": "batch_minmax",
            "exclude_diag": False,
            "same_patient": "negative",
        },
        "paper": {
            "normaliser": "batch_minmax",
            "mask": "literal",
            "unknown": "average",
            "weight_norm": "none",
            "lambda_w": 1.0,
            "lambda_d": 1.0,
            "similarity": "batch_minmax",
            "exclude_diag": False,
            "same_patient": "negative",
        },
    }

    def __init__(
        self,
        *,
        temperature: float = 0.07,
        learn_temperature: bool = False,
        negatives: int | None = None,
        choose: Choice = "random",
        queue: int = 0,
        alpha: float = 0.2,
        power: Power = 2,
        normaliser: Normaliser = "fixed_scale",
        mask: Mask = "neutral",
        unknown: Unknown = "average",
        weight_norm: WeightNorm = "mean1",
        lambda_w: float = 1.0,
        lambda_d: float = 1.0,
        similarity: Similarity = "half_cosine",
        exclude_diag: bool = True,
        same_patient: SamePatient = "exclude",
    ) -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise ConfigError(f"guided.alpha: {alpha:g} given; allowed is 0 to 1")
        if not (lambda_w >= 0 and lambda_d >= 0 and 0 < lambda_w + lambda_d < float("inf")):
            raise ConfigError(
                f"guided: lambda_w = {lambda_w:g}, lambda_d = {lambda_d:g} given; neither below 0, one above"
            )
        chosen = (choose, power, normaliser, mask, unknown, weight_norm, similarity, same_patient)
        for (name, allowed), value in zip(_ALLOWED.items(), chosen, strict=True):
            if value not in allowed:
                raise unknown_name("value", str(value), map(str, allowed), f"guided.{name}")
        check_negatives(negatives, queue, "guided")
        self.temperature = Temperature(temperature, learn_temperature, "guided")
        self.negatives = negatives
        self.queue = queue
        self.alpha = alpha
        self.power: Power = power
        self.normaliser: Normaliser = normaliser
        self.unknown: Unknown = unknown
        self.lambda_w = lambda_w
        self.lambda_d = lambda_d
        self.similarity = similarity
        self.guidance = Guidance(
            negatives, choose, mask, weight_norm, same_patient, exclude_diag, lambda_w > 0, lambda_d > 0
        )

    @property
    def current_temperature(self) -> float:
        return self.temperature.current()

    def reference(self, risk_PK: NDArray[np.float64]) -> RiskReference:
        """`risk_reference` for this loss's power, alpha and normaliser."""
        if self.normaliser == "batch_minmax":
            return RiskReference(
                1.0, 1.0
            )  # both are taken from the batch: the published code needs no known risk
        return risk_reference(risk_PK, self.power, self.alpha, self.normaliser)

    def forward(self, z_all: Tensor, rows: Tensor, pairs: Pairs) -> list[Term]:
        """Two terms, `weighted` (L_w) and `alignment` (L_d); one with coefficient 0 is left out."""
        refuse_too_many(self.negatives, len(pairs.patient_B), self.queue, "guided")
        if self.unknown == "drop":
            z_all, rows, pairs = without_unknown(z_all, rows, pairs)
        with torch.autocast(z_all.device.type, enabled=False):
            columns = views(z_all, pairs, self.unknown)
            share = Share(rows, 2 * columns.batch, pairs.everyone)
            d = dissimilarity(columns, pairs.reference, self.alpha, self.power, self.normaliser, share)
            inverse = self.temperature.inverse(columns.u_VD)
            slope, offset = self._scale(columns, share)
            same = self.guidance.same(columns)
            weigh = self.guidance.weigh(columns, same, d, pairs.key)
            symmetric = self.guidance.symmetric(self.alpha)
            found = negatives(columns.u_VD, rows, weigh, inverse, slope, offset, symmetric=symmetric)
            anchor_P, view_P = self.guidance.positives(rows, same, columns.batch)
            s_P = cosines(columns.u_VD, rows[anchor_P], view_P)
            terms = []
            if self.lambda_w > 0:
                positives_R = torch.bincount(anchor_P, minlength=len(rows)).to(s_P.dtype)
                candidates_R = len(columns.u_VD) - same.size_V[rows]
                total = self.guidance.contrast(found, inverse * s_P, anchor_P, positives_R, candidates_R)
                terms.append(Term("weighted", self.lambda_w, total, total.new_tensor(len(rows))))
            if self.lambda_d > 0:
                total, count = found.aligned, found.counted
                if not self.guidance.exclude_diag:
                    s_2 = torch.cat([s_P, cosines(columns.u_VD, rows, rows)])
                    total = total + (slope * s_2 + offset - 1).square().sum()
                    count = count + len(s_2)
                terms.append(Term("alignment", self.lambda_d, total, count))
        return terms

    def _scale(self, columns: Views, share: Share) -> tuple[Tensor, Tensor]:
        """Slope and offset that bring cosine similarities to 0..1 for L_d."""
        half = columns.u_VD.new_tensor(0.5)
        if self.similarity == "half_cosine" or self.lambda_d == 0 or columns.batch == 0:
            return half, half
        # the extrema are those of the whole batch, whichever rows are ours
        low, high = extrema(columns.u_VD[: 2 * columns.batch], share)
        slope = 1 / (high - low + EPS)
        return slope, -low * slope
