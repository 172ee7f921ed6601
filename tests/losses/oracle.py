"""The losses as explicit loops over anchors and columns, from their equations alone: slow, and with no code of the package.

Numbers that carry a gradient are scalar float64 tensors, so that autograd gives the reference gradient; all others are
Python floats. Columns: views a, views b, then the queue's views.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

Risk = tuple[float, ...]
NAN = float("nan")
EPS = 1e-6

#: Every switch of the guided loss, each with every value that is a name.
SWITCHES: Mapping[str, Sequence[str | int | bool]] = {
    "power": (2, 1),
    "normaliser": ("fixed_scale", "batch_minmax", "global_max", "rank"),
    "mask": ("neutral", "none", "literal", "mirrored"),
    "unknown": ("average", "zero", "drop"),
    "weight_norm": ("mean1", "softmax", "none"),
    "similarity": ("half_cosine", "batch_minmax"),
    "exclude_diag": (True, False),
    "same_patient": ("exclude", "negative", "positive"),
    "choose": ("random", "hardest", "risk_near", "risk_far", "stratified"),
}
DEFAULTS: Mapping[str, str | int | float | bool | None] = {
    **{name: values[0] for name, values in SWITCHES.items()},
    "alpha": 0.2,
    "negatives": None,
}


@dataclass(frozen=True)
class Subject:
    """One record (or, in the queue, one view of it)."""

    risk: Risk
    completeness: float
    patient: int


@dataclass(frozen=True)
class Case:
    """B subjects with two views each, a queue of past views, and the risks of the training patients."""

    z: Tensor  # [2B, D]
    batch: tuple[Subject, ...]
    training: tuple[Risk, ...]
    queue_z: Tensor | None = None  # [Q, D]
    queue: tuple[Subject, ...] = ()
    key: tuple[int, int] = (3, 11)


def is_known(risk: Risk) -> bool:
    return not any(math.isnan(r) for r in risk)


def distance(one: Risk, other: Risk) -> float:
    return math.sqrt(sum((r - q) ** 2 for r, q in zip(one, other, strict=True)))


@dataclass(frozen=True)
class Reference:
    """Δ' of two known risks by the training patients' alone, and D̄ over the pairs of those."""

    normaliser: str
    power: int
    training: tuple[Risk, ...]
    scale: float = field(init=False)

    def __post_init__(self):
        known = [r for r in self.training if is_known(r)]
        object.__setattr__(self, "training", tuple(known))
        if self.normaliser == "global_max":  # the diagonal of the bounding box
            scale = math.sqrt(sum((max(x) - min(x)) ** 2 for x in zip(*known, strict=True))) ** self.power
        else:
            deltas = [distance(r, q) ** self.power for i, r in enumerate(known) for q in known[:i]]
            scale = float(np.quantile(deltas, 0.99)) or max(deltas)
        object.__setattr__(self, "scale", scale or 1.0)

    def _rank(self, risk: Risk) -> Risk:
        n = len(self.training)
        return tuple(
            (sum(t[j] < r for t in self.training) + sum(t[j] <= r for t in self.training)) / (2 * n)
            for j, r in enumerate(risk)
        )

    def delta(self, one: Risk, other: Risk) -> float:
        if self.normaliser == "rank":
            apart = distance(self._rank(one), self._rank(other)) / math.sqrt(len(one))
            return apart**self.power
        return min(distance(one, other) ** self.power / self.scale, 1)

    def mean(self, alpha: float) -> float:
        pairs = [self.delta(r, q) for i, r in enumerate(self.training) for q in self.training[:i]]
        return (1 - alpha) * sum(pairs) / len(pairs) + alpha


@dataclass(frozen=True)
class Columns:
    """All columns by number; those that `unknown` drops are in none of the lists of the loss."""

    subjects: tuple[Subject, ...]  # one per column
    own: tuple[int, ...]  # equal for the views of one subject
    anchors: tuple[int, ...]
    alive: tuple[int, ...]
    views: int  # 2B


def columns_of(case: Case, unknown: str) -> Columns:
    subjects = [*case.batch, *case.batch, *case.queue]
    if unknown == "zero":
        subjects = [
            Subject(tuple(0.0 if math.isnan(r) else r for r in s.risk), s.completeness, s.patient)
            for s in subjects
        ]
    b = len(case.batch)
    own = [*range(b), *range(b), *range(b, b + len(case.queue))]
    alive = [k for k, s in enumerate(subjects) if unknown != "drop" or is_known(s.risk)]
    return Columns(tuple(subjects), tuple(own), tuple(k for k in alive if k < 2 * b), tuple(alive), 2 * b)


def candidates(columns: Columns, i: int, same_patient: str) -> list[int]:
    """What may be a negative of anchor i."""
    patient = columns.subjects[i].patient
    return [
        k
        for k in columns.alive
        if columns.own[k] != columns.own[i]
        and (same_patient == "negative" or columns.subjects[k].patient != patient)
    ]


def positives(columns: Columns, i: int, same_patient: str) -> list[int]:
    patient = columns.subjects[i].patient
    return [
        k
        for k in columns.alive
        if k != i
        and (
            columns.own[k] == columns.own[i]
            or (same_patient == "positive" and columns.subjects[k].patient == patient)
        )
    ]


def dissimilarities(case: Case, o: Mapping, columns: Columns) -> tuple[dict[tuple[int, int], float], float]:
    """D of every anchor with every column, unknown ones at D̄; and D̄."""
    alpha, power = o["alpha"], o["power"]
    risks = [s.risk for s in columns.subjects]
    if o["normaliser"] == "batch_minmax":
        known = [risks[k] for k in columns.alive if is_known(risks[k])]
        top = max((distance(r, q) ** power for r in known for q in known), default=0.0) + EPS

        def delta(r: Risk, q: Risk) -> float:
            return distance(r, q) ** power / top

        batch = [risks[k] for k in columns.anchors if k < len(case.batch) and is_known(risks[k])]
        pairs = [
            (1 - alpha) * delta(r, q) + alpha
            for i, r in enumerate(batch)
            for k, q in enumerate(batch)
            if i != k
        ]
        average = sum(pairs) / len(pairs) if pairs else 1.0
    else:
        reference = Reference(o["normaliser"], power, case.training)
        delta, average = reference.delta, reference.mean(alpha)
    return {
        (i, k): (1 - alpha) * delta(risks[i], risks[k]) + alpha
        if is_known(risks[i]) and is_known(risks[k])
        else average
        for i in columns.anchors
        for k in columns.alive
    }, average


def clinical(
    case: Case, o: Mapping, columns: Columns
) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
    """W of every anchor with every column as if it were a negative, and the pair's weight in L_d."""
    d, average = dissimilarities(case, o, columns)
    c = [s.completeness if is_known(s.risk) else 0.0 for s in columns.subjects]
    w, weight = {}, {}
    for (i, k), d_ik in d.items():
        weight[i, k] = 1.0
        if o["mask"] == "neutral":
            weight[i, k] = math.sqrt(c[i] * c[k])
            w[i, k] = weight[i, k] * d_ik + (1 - weight[i, k]) * average
        elif o["mask"] == "literal":
            w[i, k] = d_ik * math.exp(-c[i] * c[k])
        elif o["mask"] == "mirrored":
            w[i, k] = d_ik * math.exp(-(1 - c[i]) * (1 - c[k]))
        else:
            w[i, k] = d_ik
    return w, weight


def cosines(case: Case, columns: Columns) -> dict[tuple[int, int], Tensor]:
    rows = [*case.z, *(() if case.queue_z is None else case.queue_z)]
    unit = {k: rows[k] / rows[k].norm() for k in columns.alive}
    return {(i, k): torch.dot(unit[i], unit[k]) for i in columns.anchors for k in columns.alive}


def all_or_hardest(case: Case, o: Mapping) -> dict[int, list[int]]:
    """The negatives of each anchor where nothing is drawn: all candidates, or the most similar."""
    columns = columns_of(case, o["unknown"])
    s = cosines(case, columns)
    chosen = {}
    for i in columns.anchors:
        allowed = candidates(columns, i, o["same_patient"])
        if o["negatives"] is not None:
            assert o["choose"] == "hardest", "what is drawn is the caller's to say"
            allowed.sort(key=lambda k: -s[i, k].item())
        chosen[i] = allowed[: o["negatives"]]
    return chosen


def row_weights(w: dict[int, float], positive: int, weight_norm: str) -> tuple[dict[int, float], float]:
    """v of the negatives (keys of w) and of each of the positives."""
    if weight_norm == "softmax":  # over the row with the anchor itself and its positives, all of W = 0
        total = sum(math.exp(x) for x in w.values()) + 1 + positive
        return {k: math.exp(x) / total for k, x in w.items()}, 1 / total
    if weight_norm == "mean1":
        total = sum(w.values())
        return {k: x * len(w) / total if total > 0 else 1.0 for k, x in w.items()}, 1.0
    return w, 1.0


def contrast(
    s_i: Mapping[int, Tensor], p: int, v: dict[int, float], v_p: float, tau: float | Tensor
) -> Tensor:
    """-log of e^{s_p/τ} over the weighted sum; s ≤ 1 in float64, so plain sums of exponentials do."""
    denominator = v_p * torch.exp(s_i[p] / tau)
    for k, v_k in v.items():
        denominator = denominator + v_k * torch.exp(s_i[k] / tau)
    return torch.log(denominator) - s_i[p] / tau


def guided(
    case: Case, o: Mapping, used: Mapping[int, Sequence[int]], tau: float | Tensor
) -> tuple[Tensor, Tensor]:
    """(L_w, L_d), means over anchors and over pairs; `used` are the columns that are negatives of each anchor."""
    columns = columns_of(case, o["unknown"])
    s = cosines(case, columns)
    w, weight = clinical(case, o, columns)
    low = high = None
    if o["similarity"] == "batch_minmax" and columns.anchors:
        square = [s[i, k] for i in columns.anchors for k in columns.anchors]
        low, high = min(square, key=Tensor.item), max(square, key=Tensor.item)
    zero = case.z.sum() * 0
    l_w, squares, weights = zero, zero, 0.0
    for i in columns.anchors:
        plus = positives(columns, i, o["same_patient"])
        v, v_p = row_weights({k: w[i, k] for k in used[i]}, len(plus), o["weight_norm"])
        s_i = {k: s[i, k] for k in columns.alive}
        for p in plus:
            l_w = l_w + contrast(s_i, p, v, v_p, tau) / len(plus)
        aligned = [(k, 1 - w[i, k], weight[i, k]) for k in used[i]]
        if not o["exclude_diag"]:
            aligned += [(k, 1.0, 1.0) for k in (i, *plus)]
        for k, target, c in aligned:
            t = (1 + s_i[k]) / 2 if low is None else (s_i[k] - low) / (high - low + EPS)
            squares = squares + c * (t - target) ** 2
            weights += c
    return l_w / max(len(columns.anchors), 1), squares / (weights or 1.0)


def ntxent(case: Case, used: Mapping[int, Sequence[int]], tau: float | Tensor) -> Tensor:
    """Chen et al. 2020, eq. 1, over the anchors."""
    columns = columns_of(case, "average")
    s = cosines(case, columns)
    total = case.z.sum() * 0
    for i in columns.anchors:
        plus = (i + columns.views // 2) % columns.views
        total = total + contrast(
            {k: s[i, k] for k in columns.alive}, plus, dict.fromkeys(used[i], 1.0), 1.0, tau
        )
    return total / columns.views
