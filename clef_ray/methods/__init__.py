"""Pretraining methods, one per file: what sits on the encoder, and which loss compares what comes out.

To add one: a file NAME.py with class Name; `trains` says whether there is anything to optimise, `gives` what its learner
returns, `default_loss` names a file of losses/ that takes just that, and the constructor's parameters are its switches.
`pairs_records = True`, where it has that, asks for batches of pairs of records of one patient (train/pairs.py).
`learner(encoder, setting)` returns the module that is trained; all of it but its `encoder` is thrown away after pretraining.

What a learner may return, in parts of one row per subject, one part after the other (so that the parts of all workers can
be put together, and a batch can be encoded in pieces):

    views        z_a, z_b: embeddings of two views; the losses of pairs take them (losses/guided.py, ntxent.py, ...)
    keys         q_a, k_b: queries, and keys that no gradient reaches (losses/moco.py)
    predictions  p_a, p_b, t_b, t_a: predictions, and their targets, which no gradient reaches (losses/byol.py)
    own          the loss of each subject itself, one column, -inf where it has none (losses/own.py)
    own_views    such a loss and both views' embeddings, in one row (losses/crt.py)

A result may not depend on how a batch is divided among workers and pieces: randomness is drawn from (`At.key`, record), and
layers that look across the records of a batch are refused where it is divided (train/pieces.py).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from clef_ray.losses import Parts
from clef_ray.sections import Signals, Views

Head = Literal["none", "mlp2"]


@dataclass(frozen=True)
class Setting:
    """What a method may look at when it makes its learner.

    steps: of the whole training; table: the corpus' table, of which only the rows `rows` are training records.
    """

    signals: Signals
    views: Views
    steps: int
    table: pd.DataFrame
    rows: NDArray[np.int64]

    @property
    def seconds(self) -> float:
        """How long a view is [s]."""
        return self.signals.seconds if self.views.seconds is None else self.views.seconds

    @property
    def samples(self) -> int:
        """How long a view is, in samples."""
        return round(self.seconds * self.signals.fs)


@dataclass(frozen=True, slots=True)
class At:
    """Where in training a piece of a batch is: the records' positions in the corpus, and a key of (seed, epoch) to draw from."""

    rows_m: Tensor
    key: int


class Learner(nn.Module):
    """What is trained: an encoder, which is kept, and what a method puts on it.

    parts: how many it returns; records: of the corpus that make up one subject, next to each other in a batch.
    """

    parts = 2
    records = 1

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x_2mCT: Tensor, at: At) -> Tensor:
        """[parts * m / records, D] of two views of m records, view a of all, then view b, one lead each."""
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """Called after each optimiser step, counted from 1 over the whole training: what follows the weights moves here."""


class Projected(Learner):
    """Encoder and head, both views through both: for methods that differ in their loss alone."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__(encoder)
        self.head = head

    def forward(self, x_2mCT: Tensor, at: At) -> Tensor:  # noqa: ARG002 - as every learner
        """[2m, D]: z_a of all records, then z_b."""
        z_2mD: Tensor = self.head(self.encoder(x_2mCT))
        return z_2mD


class Method(Protocol):
    """What training needs of a method."""

    trains: ClassVar[bool]
    gives: ClassVar[Parts]
    default_loss: ClassVar[str]

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:
        """Made anew, with its initial weights drawn from torch's generator. ConfigError where the setting cannot be learned from."""
        ...


def projection(head: Head, dim: int) -> nn.Module:
    """`none`: the loss acts on the encoder's output, as published for CLEF; `mlp2`: SimCLR's dim -> dim -> 128 (Chen et al. 2020)."""
    if head == "none":
        return nn.Identity()
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 128))


def width(encoder: nn.Module) -> int:
    """The length of the encoder's output."""
    return int(encoder.dim)  # type: ignore[arg-type]
