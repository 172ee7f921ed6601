"""How the guided loss weighs the views an anchor is contrasted with, chunk by chunk."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from clef_ray.losses._dissimilarity import Dissimilarity, Mask, weights
from clef_ray.losses._kernel import Entries, Negatives, Weigh, Weights
from clef_ray.losses._negatives import Choice, allowed, by_distance, hardest, random_choice, stratified
from clef_ray.losses._positives import contrast
from clef_ray.losses._views import Same, Views, other_view

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

    def same(self, columns: Views) -> Same:
        """Which views are no negatives of each other, whatever is chosen."""
        return columns.same(columns.subject_V if self.same_patient == "negative" else columns.patient_V)

    def symmetric(self, alpha: float) -> bool:
        """Whether k sees i as i sees k."""
        return self.negatives is None and (alpha > 0 or self.weight_norm != "mean1")

    def weigh(self, columns: Views, same: Same, d: Dissimilarity, key: tuple[int, int]) -> Weigh:
        """The function that `_kernel.negatives` asks for each chunk of anchors."""

        def weigh(rows_C: Tensor, first: int, x_CT: Tensor) -> Weights:
            skip = self._skip(rows_C, same.pairs(rows_C, first), x_CT, columns, d, key)
            w_CT, pair_CT = weights(d, rows_C, first, columns, self.mask)
            base_CT = self._base(w_CT, skip, d.alpha) if self.weighted else None
            if not self.aligned:
                return Weights(base_CT)
            pair_CT = torch.ones_like(w_CT) if pair_CT is None else pair_CT
            pair_CT[skip] = 0
            return Weights(base_CT, w_CT, pair_CT)

        return weigh

    def positives(self, rows_R: Tensor, same: Same, batch: int) -> tuple[Tensor, Tensor]:
        """The positive pairs as places in rows_R [P] and views [P]."""
        if self.same_patient != "positive":
            return torch.arange(len(rows_R), device=rows_R.device), other_view(rows_R, batch)
        anchor_P, view_P = same.pairs(rows_R)
        others_P = rows_R[anchor_P] != view_P
        return anchor_P[others_P], view_P[others_P]

    def contrast(
        self, found: Negatives, x_P: Tensor, anchor_P: Tensor, positives_R: Tensor, candidates_R: Tensor
    ) -> Tensor:
        """L_w's total: of its positives, x = s / τ; how many an anchor has, and how many candidates for negatives."""
        share_P = 1 / positives_R[anchor_P]
        if self.weight_norm == "softmax":  # the anchor itself and its positives have W = 0
            # as published: the positive is weighted in the denominator too, but not in the numerator
            total_R = found.total_R + 1 + positives_R
            return contrast(x_P, found.log_R.index_select(0, anchor_P), share_P) - total_R.log().sum()
        log_R = found.log_R
        if self.weight_norm == "mean1":
            used_R = candidates_R if self.negatives is None else candidates_R.clamp(max=self.negatives)
            log_R = log_R + (used_R / torch.where(found.total_R > 0, found.total_R, 1)).log()
        return contrast(x_P, log_R.index_select(0, anchor_P), share_P)

    def _skip(
        self,
        rows_C: Tensor,
        own: tuple[Tensor, Tensor],
        x_CT: Tensor,
        columns: Views,
        d: Dissimilarity,
        key: tuple[int, int],
    ) -> Entries:
        """The views that are no negatives of each anchor."""
        if self.negatives is None:
            return own
        allowed_CT = allowed(own, x_CT)
        if self.choose == "random":
            return ~random_choice(allowed_CT, rows_C, self.negatives, key)
        if self.choose == "hardest":
            return ~hardest(allowed_CT, x_CT, self.negatives)
        known_V = columns.known_V
        if self.choose == "stratified":
            return ~stratified(allowed_CT, d.place_VK[:, 0], known_V, rows_C, self.negatives, key)
        distance_CT = d.distance(rows_C)
        if self.choose == "risk_far":
            distance_CT = -distance_CT
        return ~by_distance(allowed_CT, distance_CT, known_V, rows_C, self.negatives, key)

    def _base(self, w_CT: Tensor, skip: Entries, alpha: float) -> Tensor:
        """[C, T] the weights in the denominator of L_w, up to the anchor's factor. May overwrite W where skipped."""
        if self.weight_norm == "softmax":
            w_CT = w_CT.exp()
        w_CT[skip] = 0
        if self.weight_norm == "mean1" and alpha == 0:
            # equal risks then have weights of 0: no guidance, which is not the same as no negatives
            w_CT = w_CT + (w_CT.sum(1, keepdim=True) == 0)
            w_CT[skip] = 0
        return w_CT
