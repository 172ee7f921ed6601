"""Supervised pretraining on a label set of the corpus: what the labels are worth that the other methods do without (method.md §7)."""

from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.errors import ConfigError, DataError
from clef_ray.losses import Parts
from clef_ray.methods import At, Learner, Setting, width
from clef_ray.registry import unknown

_COLUMN = "label_"


class Supervised:
    """labels: a label set of the corpus, by the name that tasks know it by; None: its headline, the first of the table. exclusive: exactly one class per record,
    so that a softmax decides; else each class is decided by itself, and the loss is the mean over the classes.

    A linear layer on the encoder's output tells the classes apart that the training records have; it is thrown away after pretraining. Of the
    two views only view a is looked at. Labels are read of training records alone; a record that was not annotated is out of the loss
    and its count, one that was annotated with no class has none of them.
    """

    trains: ClassVar[bool] = True
    gives: ClassVar[Parts] = "own"
    default_loss: ClassVar[str] = "own"

    def __init__(self, labels: str | None = None, exclusive: bool = False) -> None:
        self.labels = labels
        self.exclusive = exclusive

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:
        """ConfigError: no such label set, or not one class per record where they are exclusive; DataError:
        no training record is annotated with any class.
        """
        labels = _label_set(setting.table, self.labels)
        target_NK, annotated_N = _targets(setting.table[_COLUMN + labels], setting.rows, labels)
        several = int((target_NK[annotated_N].sum(axis=1) != 1).sum())
        if self.exclusive and several:
            raise ConfigError(
                f"method.exclusive: {several} of {int(annotated_N.sum())} annotated training records have not exactly one class of "
                f"{labels!r}; leave it out"
            )
        return _Classifier(encoder, target_NK, annotated_N, exclusive=self.exclusive)


class _Classifier(Learner):
    """target_NK: which classes each record of the corpus has; annotated_N: of whom that is known. Neither is in a checkpoint."""

    parts = 1

    def __init__(
        self,
        encoder: nn.Module,
        target_NK: NDArray[np.bool_],
        annotated_N: NDArray[np.bool_],
        *,
        exclusive: bool,
    ) -> None:
        super().__init__(encoder)
        self.readout = nn.Linear(width(encoder), target_NK.shape[1])
        self.exclusive = exclusive
        self.target_NK: Tensor
        self.annotated_N: Tensor
        self.register_buffer("target_NK", torch.from_numpy(target_NK), persistent=False)
        self.register_buffer("annotated_N", torch.from_numpy(annotated_N), persistent=False)

    def forward(self, x_2mCT: Tensor, at: At) -> Tensor:
        """[m, 1]: the cross-entropy of each record in nats, -inf of one that was not annotated."""
        rows_m = at.rows_m.to(self.target_NK.device)
        logit_mK = self.readout(self.encoder(x_2mCT[: len(rows_m)])).float()
        target_mK = self.target_NK[rows_m].float()
        if self.exclusive:
            loss_m = functional.cross_entropy(logit_mK, target_mK, reduction="none")
        else:
            loss_m = functional.binary_cross_entropy_with_logits(logit_mK, target_mK, reduction="none").mean(
                1
            )
        return torch.where(self.annotated_N[rows_m], loss_m, -torch.inf)[:, None]


def _label_set(table: pd.DataFrame, given: str | None) -> str:
    """The label set asked for, among those of the table; its first where none was."""
    sets = [name.removeprefix(_COLUMN) for name in table.columns if name.startswith(_COLUMN)]
    if not sets:
        raise ConfigError("method supervised: the corpus has no label set to learn from")
    if given is not None and given not in sets:
        raise unknown("label set", given, sets, "method.labels")
    return given or sets[0]


def _targets(
    lists_N: pd.Series, rows: NDArray[np.int64], labels: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(has [N, K], annotated [N]) of the records `rows`, False for all others, which are not read. Classes: those that occur, by name."""
    found = {
        int(row): names
        for row, names in zip(rows, lists_N.iloc[rows], strict=True)
        if isinstance(names, list | tuple | np.ndarray)
    }
    classes = sorted({name for names in found.values() for name in names})
    if not classes:
        raise DataError(
            f"method supervised: of the {len(rows)} training records none is annotated with a class of {labels!r}"
        )
    place = {name: k for k, name in enumerate(classes)}
    has_NK = np.zeros((len(lists_N), len(classes)), dtype=bool)
    annotated_N = np.zeros(len(lists_N), dtype=bool)
    for row, names in found.items():
        annotated_N[row] = True
        has_NK[row, [place[name] for name in names]] = True
    return has_NK, annotated_N
