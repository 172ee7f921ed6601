"""Losses, one per file: pure functions of gathered tensors, so they know nothing of workers.

To add a loss: write `losses/my_loss.py` with a class `MyLoss`, a torch Module whose constructor's parameters are its
options, with `takes`, `uses_risk`, `queue`, `current_temperature` and `forward(z_all, rows, pairs) -> list[Term]`. It sees every
embedding of the global batch and returns the sums over the anchors `rows` only; training adds the sums of all workers. What it needs of
the batch as a whole it divides by `_share`, so that its work falls with the number of workers (tests/losses/test_share.py counts).
A loss with `uses_risk = True` also has `reference(risk_PK) -> RiskReference`, asked once for the training patients'
risks. Take columns from `_views`, negatives from `_negatives`, and the sums, computed in chunks, from `_kernel`; test
the loss against an explicit loop over pairs. The contract tests find it by its file name.

Shape suffixes: B subjects of the batch, V = 2B + Q views (first views, second views, then the queue's), R anchors of
this worker, D embedding, K coordinates of a risk (1 for a number), P training patients.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from clef_ray.losses._share import Everyone

#: What a method's learner returns and a loss takes, in parts of one row per subject (clef_ray/methods/__init__.py).
Parts = Literal["views", "keys", "predictions", "own", "own_views"]


@dataclass(frozen=True, slots=True)
class RiskReference:
    """What the training patients' risks say about pairs; fixed before training, so no batch changes what a pair means.

    scale: the dissimilarity Δ that counts as far, by the loss's normaliser. mean_dissimilarity: mean of D over pairs of
    training patients, what a pair of unknown dissimilarity gets. sorted_PK: their known risks, each coordinate sorted,
    for the normaliser that goes by ranks.
    """

    scale: float
    mean_dissimilarity: float
    sorted_PK: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """Views of earlier steps, oldest first, that serve as further negatives: no gradient reaches them.

    z_QD: embeddings of any norm; risk_QK, completeness_Q, patient_Q: as in Pairs, per view.
    """

    z_QD: Tensor
    risk_QK: Tensor
    completeness_Q: Tensor
    patient_Q: Tensor


@dataclass(frozen=True, slots=True)
class Pairs:
    """What is known of the B subjects of the global batch, in the order of the embeddings.

    risk_BK: risk score, NaN where unknown; K = 1 but for a score that is a point, whose differences are Euclidean.
    completeness_B: share of the score's fields that were observed, 0 to 1.
    patient_B: int64 code, equal for records of one patient. key: (seed, step), which choose the negatives. reference:
    needed by losses with `uses_risk`. queue: views of earlier steps, for losses with `queue` > 0. everyone: where several workers each have
    their anchors, a few numbers of each go to all by it, so that none does work that concerns the whole batch for itself; None: it does.
    """

    risk_BK: Tensor
    completeness_B: Tensor
    patient_B: Tensor
    key: tuple[int, int]
    reference: RiskReference | None = None
    queue: Queue | None = None
    everyone: Everyone | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a loss over some anchors: its mean is total / count, both summed over workers.

    name: short, for logs; coefficient: its weight in the loss; total: scalar with gradient; count: scalar without.
    """

    name: str
    coefficient: float
    total: Tensor
    count: Tensor


class Loss(Protocol):
    """A loss of what is returned for B subjects: a torch Module; its parameters, where it has any, are trained too.

    takes: which parts; the sizes below are those of `views`, others are one or several B long. queue: how many views of earlier steps it wants as negatives; current_temperature: of its softmax.
    """

    takes: ClassVar[Parts]
    uses_risk: ClassVar[bool]
    queue: int

    @property
    def current_temperature(self) -> float: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def __call__(self, z_all: Tensor, rows: Tensor, pairs: Pairs) -> list[Term]:
        """Sums over the anchors `rows`.

        z_all: [2B, D] embeddings of any norm, first view of every subject, then second view, the same on all workers,
        with gradient.
        rows: [R] int64, the anchors (rows of z_all) this worker is responsible for; every row belongs to one worker.
        """
        ...


def mean(total: Tensor, count: Tensor) -> Tensor:
    """The mean total / count, and 0 (with gradient 0) where nothing was counted."""
    return total / torch.where(count > 0, count, torch.ones_like(count))


def reduce(terms: Sequence[Term]) -> Tensor:
    """The scalar loss of one process: Σ coefficient * total / count."""
    return torch.stack([term.coefficient * mean(term.total, term.count) for term in terms]).sum()
