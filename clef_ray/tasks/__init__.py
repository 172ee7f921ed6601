"""Downstream tasks, one per file: small frozen declarations of what a trained encoder is judged by.

A task says *what* is asked: of which dataset, which labels, target or score, in which lead, and whom to learn from. Its `kind` says *how*
it is answered, which `clef_ray.evaluate.run` looks up; its `mode`, where it has one, with which learner. A new question of a known kind is
a new file here and nothing else.

    kind            asks                                                       base class
    classes         which of these classes?                                    Classes
    values          how much?                                                  Values
    beats           which class is each beat, leave-record-out?                (cpsc2020_beats)
    identification  whose ECG is it?                                           (identification, identification_finetuned)
    zeroshot        does the geometry follow a risk score?                     (score_spearman)
    geometry        how is the cloud of embeddings spread and grouped?         (geometry)
    shift           how far from the corpus of pretraining?                    (shift)
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import pandas as pd

from clef_ray.datasets import LEADS
from clef_ray.errors import ConfigError
from clef_ray.registry import unknown

#: How a question is answered: an L2-regularised linear readout, ridge regression, nearest neighbours on frozen features; the whole encoder
#: fine-tuned, or trained from scratch.
Mode = Literal["linear", "ridge", "knn", "finetune", "scratch"]

#: The options that only some learners have, and which.
_TRAINING: dict[str, tuple[Mode, ...]] = {
    "epochs": ("finetune", "scratch"),
    "lr": ("finetune", "scratch"),
    "layer_decay": ("finetune",),
}

#: Which records serve what: the folds, one per patient; or the rule of the paper the task is from, however leaky.
SplitRule = Literal["leak_free", "published"]

#: One record's part in a published split.
PARTS = ("train", "validation", "test")

#: What a lead may be called: the twelve, and of single-lead recordings what their datasets call it.
TASK_LEADS = (*LEADS, "any")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all tasks share.

    lead: the lead that is embedded; `any` takes lead I where the corpus has it, else its first (a wearable's only lead). rate [Hz]: the
    signals as if they had been recorded at this rate, before they are brought to the encoder's; None: as they are.
    """

    lead: str = "I"
    rate: float | None = None

    kind: ClassVar[str]
    #: The dataset whose shards it asks about, empty: any that holds what it needs.
    dataset: ClassVar[str] = ""
    #: Made-up datasets in the same layout, which it can be asked of as well.
    alike: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.lead not in TASK_LEADS:
            raise unknown("lead", self.lead, TASK_LEADS, f"task {self.name}.lead")
        if self.rate is not None and not 10 <= self.rate <= 10_000:
            raise ConfigError(f"task {self.name}.rate: {self.rate:g} Hz given; allowed is 10 to 10000 Hz")

    @property
    def name(self) -> str:
        """The file's name."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def more_leads(self) -> tuple[str, ...]:
        """Leads beside `lead` that it looks at."""
        return ()

    @property
    def prefix(self) -> str:
        """What its metrics' names start with. Two tasks that ask something else have different prefixes; how well it is
        measured (draws, permutations, the fewest positives of a class) is not in them, so a run may be asked with one of each only.
        """
        return "/".join([self._head(), *self._variant()])

    def _head(self) -> str:
        return self.name

    def _variant(self) -> list[str]:
        """What tells this task from the same one with its default options, as parts of a metric's name."""
        parts = [] if self.lead == type(self).lead else [f"lead_{self.lead}"]
        return parts if self.rate is None else [*parts, f"{self.rate:g}Hz"]


@dataclass(frozen=True, kw_only=True)
class Learnt(Task):
    """A task with a learner that is fitted on training records.

    mode: the learner; split: `leak_free` (the folds) or `published`; fraction: the share of the training patients that are learnt from, in
    nested, stratified draws; shots: instead, so many training patients of each class (0: no limit); draws: how many draws the metrics are
    averaged over where not all patients are learnt from.
    Of finetune and scratch: epochs at most, lr the largest learning rate; of finetune: layer_decay, how much slower each stage of the
    encoder learns than the one after it (1: all alike).
    """

    #: What the published split is where `published` does not make it from a table; said when it is asked for.
    published_is: ClassVar[str] = "its published split is the folds; leave it out"

    mode: Mode = "linear"
    split: SplitRule = "leak_free"
    fraction: float = 1.0
    shots: int = 0
    draws: int = 5
    epochs: int = 20
    lr: float = 1e-3
    layer_decay: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.fraction <= 1:
            raise ConfigError(
                f"task {self.name}.fraction: {self.fraction:g} given; more than 0 and at most 1 is allowed"
            )
        check_at_least(self.shots, 0, f"task {self.name}.shots")
        check_at_least(self.draws, 1, f"task {self.name}.draws")
        if self.shots and self.fraction < 1:
            raise ConfigError(
                f"task {self.name}: fraction and shots both limit the patients learnt from; give one"
            )
        if self.split == "published" and type(self).published is Learnt.published:
            raise self._unpublished()
        check_training(self)
        for option in self._changed(_TRAINING):
            if self.mode not in _TRAINING[option]:
                raise ConfigError(
                    f"task {self.name}.{option}: mode {self.mode} has none; mode={' or '.join(_TRAINING[option])} has"
                )

    def _changed(self, options: Iterable[str]) -> list[str]:
        """Those options that are not at their default."""
        return [option for option in options if getattr(self, option) != getattr(type(self), option)]

    def _variant(self) -> list[str]:
        parts = super()._variant()
        if self.mode != type(self).mode:
            parts.append(self.mode)
        if self.split != "leak_free":
            parts.append(self.split)
        if self.fraction < 1:
            parts.append(f"{100 * self.fraction:g}pct")
        if self.shots:
            parts.append(f"{self.shots}shot")
        return [*parts, *(f"{option}_{getattr(self, option):g}" for option in self._changed(_TRAINING))]

    def published(self, table: pd.DataFrame) -> pd.Series:  # noqa: ARG002  # those that have one read it
        """The part of each record in the published split: one of PARTS, or empty for none. ConfigError: it is the folds, or the table does
        not hold what it is made from.
        """
        raise self._unpublished()

    def _unpublished(self) -> ConfigError:
        return ConfigError(f"task {self.name}.split: {self.published_is}")


@dataclass(frozen=True, kw_only=True)
class Classes(Learnt):
    """Which of some classes?

    min_positives: a class with fewer training positives (or negatives) is left out and counted. exclusive: exactly one class per record, so
    that a softmax decides.
    """

    min_positives: int = 5

    kind: ClassVar[str] = "classes"
    exclusive: ClassVar[bool] = False
    #: A challenge's own scores besides: the name of a function in clef_ray/evaluate/metrics/challenge.py; empty for none.
    scorer: ClassVar[str] = ""

    @property
    def labels(self) -> str:
        """The label set, "headline" for the one the dataset names itself. A task declares it as a class variable, or as an option."""
        raise NotImplementedError

    def made(self, table: pd.DataFrame) -> tuple[tuple[str, ...], pd.Series] | None:  # noqa: ARG002
        """Of a task whose classes are not just a label set of the corpus but made from its table: their names, and of each record the list
        of those that it has (None: not known). None: they are the label set, or the table lacks what they are made from.
        """
        return None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self.min_positives, 1, f"task {self.name}.min_positives")
        if self.mode == "ridge":
            raise ConfigError(
                f"task {self.name}.mode: ridge is for values; classes take linear, knn, finetune or scratch"
            )


@dataclass(frozen=True, kw_only=True)
class Values(Learnt):
    """How much? target: a target of the dataset, or a covariate."""

    mode: Mode = "ridge"

    kind: ClassVar[str] = "values"
    target: ClassVar[str]
    unit: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode == "linear":
            raise ConfigError(
                f"task {self.name}.mode: linear is for classes; values take ridge, knn, finetune or scratch"
            )
        if self.shots:
            raise ConfigError(f"task {self.name}.shots: values have no classes; limit them with fraction")


class Trains(Protocol):
    """A task whose learner may train the encoder: for how long, and how fast at most."""

    @property
    def name(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def epochs(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def layer_decay(self) -> float: ...


def check_training(task: Trains) -> None:
    """ConfigError where its options make no training."""
    check_at_least(task.epochs, 1, f"task {task.name}.epochs")
    if not 0 < task.lr < math.inf:
        raise ConfigError(f"task {task.name}.lr: {task.lr:g} given; a number more than 0 is needed")
    if not 0 < task.layer_decay <= 1:
        raise ConfigError(
            f"task {task.name}.layer_decay: {task.layer_decay:g} given; more than 0 and at most 1 is allowed"
        )


def check_at_least(value: int, least: int, where: str) -> None:
    """ConfigError when a count is smaller than the least that makes sense."""
    if value < least:
        raise ConfigError(f"{where}: {value} was given, at least {least} is needed")


def lead_in(task: Task, leads: tuple[str, ...]) -> str | None:
    """The lead of a corpus that a task looks at; None where it has none."""
    if task.lead == "any":
        return "I" if "I" in leads else leads[0]
    return task.lead if task.lead in leads else None
