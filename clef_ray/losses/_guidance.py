"""How the guided loss weighs the views an anchor is contrasted with, chunk by chunk."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from clef_ray.losses._dissimilarity import Dissimilarity, Mask, weights
from clef_ray.losses._kernel import Entries, Weigh, Weights
from clef_ray.losses._negatives import Choice, allowed, by_distance, hardest, random_choice, stratified
from clef_ray.losses._views import Views, other_view

WeightNorm = Literal["mean1", "softmax", "none"]
SamePatient = Literal["exclude", "negative", "positive"]


@dataclass(frozen=True, slots=True)
class Guidance:
    """The switches of `losses.guided.Guided` that say which views count how much; weighted, aligned: whether L_w and L_d are asked for."""

    negatives: int | None
    choose: Choice
    mask: Mask
    weight_norm: WeightNorm
    same_patient: SamePatient
    exclude_diag: bool
    weighted: bool
    aligned: bool

    def weigh(self, columns: Views, d: Dissimilarity, key: tuple[int, int]) -> Weigh:
        """The function that `_kernel.sums` asks for each chunk of anchors."""
        codes_V = columns.subject_V if self.same_patient == "negative" else columns.patient_V
        same = columns.same(codes_V)

        def weigh(rows_C: Tensor, s_CV: Tensor) -> Weights:
            own = same.pairs(rows_C)
            positives = self._positives(rows_C, own, columns.batch)
            skip = self._skip(rows_C, own, s_CV, columns, d, key)
            w_CV, pair_CV = weights(d, rows_C, columns, self.mask)
            w_CV[skip] = 0
            positives_C = torch.bincount(positives[0], minlength=len(rows_C)).to(w_CV.dtype)
            base_CV, factor_C = (
                self._denominator(w_CV, skip, positives_C, d.alpha) if self.weighted else (None, positives_C)
            )
            softmax = self.weighted and self.weight_norm == "softmax"
            # as published: the positive is weighted in the denominator too, but not in the numerator
            weight_P = factor_C[positives[0]] if softmax else w_CV.new_ones(len(positives[0]))
            if self.aligned:
                pair_CV = self._pairs(
                    torch.ones_like(w_CV) if pair_CV is None else pair_CV, skip, rows_C, positives
                )
            share_P = 1 / positives_C[positives[0]]
            aligned = (w_CV, pair_CV) if self.aligned else (None, None)
            # α = 0, equal risks: a negative of no weight must not hide the others in the sum's largest term
            weightless = base_CV == 0 if d.alpha == 0 and base_CV is not None else skip
            return Weights(weightless, base_CV, factor_C, positives, weight_P, share_P, *aligned)

        return weigh

    def _skip(
        self,
        rows_C: Tensor,
        own: tuple[Tensor, Tensor],
        s_CV: Tensor,
        columns: Views,
        d: Dissimilarity,
        key: tuple[int, int],
    ) -> Entries:
        """The views that are no negatives of each anchor."""
        if self.negatives is None:
            return own
        allowed_CV = allowed(own, s_CV)
        if self.choose == "random":
            return ~random_choice(allowed_CV, rows_C, self.negatives, key)
        if self.choose == "hardest":
            return ~hardest(allowed_CV, s_CV, self.negatives)
        known_V = columns.known_V
        if self.choose == "stratified":
            return ~stratified(allowed_CV, d.place_VK[:, 0], known_V, rows_C, self.negatives, key)
        distance_CV = d.distance(rows_C)
        if self.choose == "risk_far":
            distance_CV = -distance_CV
        return ~by_distance(allowed_CV, distance_CV, known_V, rows_C, self.negatives, key)

    def _positives(self, rows_C: Tensor, own: tuple[Tensor, Tensor], batch: int) -> tuple[Tensor, Tensor]:
        """The positive pairs as places in the chunk [P] and views [P]."""
        if self.same_patient != "positive":
            return torch.arange(len(rows_C), device=rows_C.device), other_view(rows_C, batch)
        anchor_P, view_P = own
        others_P = rows_C[anchor_P] != view_P
        return anchor_P[others_P], view_P[others_P]

    def _denominator(
        self, w_CV: Tensor, skip: Entries, positives_C: Tensor, alpha: float
    ) -> tuple[Tensor, Tensor]:
        """[C, V] and [C] whose product is each negative's weight in the denominator of L_w."""
        if self.weight_norm == "none":
            return w_CV, torch.ones_like(positives_C)
        if self.weight_norm == "softmax":
            base_CV = w_CV.exp()
            base_CV[skip] = 0
            return base_CV, 1 / (
                base_CV.sum(1) + 1 + positives_C
            )  # the anchor itself and its positives: W = 0
        sum_C, count_C = w_CV.sum(1), _count(skip, w_CV)
        if alpha == 0 and (level_C := (sum_C == 0) & (count_C > 0)).any():
            # equal risks then have weights of 0: no guidance, which is not the same as no negatives
            w_CV = w_CV + level_C[:, None]
            w_CV[skip] = 0
            sum_C = w_CV.sum(1)
        return w_CV, count_C / torch.where(sum_C > 0, sum_C, 1)

    def _pairs(
        self, pair_CV: Tensor, skip: Entries, rows_C: Tensor, positives: tuple[Tensor, Tensor]
    ) -> Tensor:
        """[C, V] weight of each pair in L_d."""
        pair_CV[skip] = 0
        if not self.exclude_diag:
            pair_CV[torch.arange(len(rows_C), device=rows_C.device), rows_C] = 1
            pair_CV[positives] = 1
        return pair_CV


def _count(skip: Entries, like_CV: Tensor) -> Tensor:
    """[C] how many views are not skipped."""
    if isinstance(skip, Tensor):
        return (~skip).sum(1).to(like_CV.dtype)
    return like_CV.shape[1] - torch.bincount(skip[0], minlength=len(like_CV)).to(like_CV.dtype)
