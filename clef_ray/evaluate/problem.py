"""What a learner is given and what it gives back: a question about the records of one corpus, and a score for each of them.

    task, material --problem.py--> Problem --modes/NAME.py--> Answer --classes.py, values.py--> TaskResult

Shape letters: N records, K classes (1 for values), T samples.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import COVARIATES
from clef_ray.errors import ConfigError, DataError
from clef_ray.evaluate.inputs import OFFICIAL, Rows, Split, label_matrix, patients
from clef_ray.registry import unknown
from clef_ray.tasks import PARTS, Classes, Learnt, Task, Values, lead_in

if TYPE_CHECKING:
    from torch import Tensor, device, nn

#: `multilabel`: any number of classes per record, each decided by itself; `exclusive`: exactly one; `values`: a number.
Kind = Literal["multilabel", "exclusive", "values"]


class Unanswerable(Exception):  # noqa: N818  # it is no error: the run says why and goes on
    """A corpus lacks what a task needs; the text says what. notes: the details, for the result."""

    def __init__(self, reason: str, notes: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.notes = notes


class Facts(Protocol):
    """What a corpus is, as its manifest says it."""

    @property
    def dataset(self) -> str: ...
    @property
    def leads(self) -> tuple[str, ...]: ...
    @property
    def label_sets(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def headline(self) -> str: ...
    @property
    def targets(self) -> Mapping[str, str]: ...


class Trainable(Protocol):
    """The encoder itself, for learners that change it."""

    @property
    def device(self) -> "device": ...

    def pretrained(self) -> "nn.Module":
        """A copy of its own, with the weights of pretraining: x_B1T -> z_BD."""
        ...

    def blank(self, seed: int) -> "nn.Module":
        """The same architecture, initialised anew."""
        ...

    @property
    def window(self) -> float:
        """How much of each record the encoder is given [s]."""
        ...

    def inputs(
        self, task: Task, rows_N: NDArray[np.int64], span: tuple[float, float] | None = None
    ) -> "Tensor":
        """What the encoder is given for these records, on `device`: [rows, 1, T], filtered and standardised.

        span: only the piece from the one second of the window to the other, as if nothing else had been recorded.
        """
        ...


@dataclass(frozen=True, eq=False)
class Material:
    """One encoder on one corpus: all that an answer may be made from.

    table: record, patient, fold, covariates, targets, `label_<set>`, one row per record; facts: of the corpus; features: the frozen embeddings
    that a task looks at, [N, D]; trainable: None where only features are at hand; home: the corpus of pretraining, where this is
    another one; seed, n_boot: of the draws and of the patient bootstrap, the same for all encoders that are to be compared.
    """

    table: pd.DataFrame
    facts: Facts
    features: Callable[[Task], NDArray[np.floating]]
    trainable: Trainable | None = None
    home: "Material | None" = None
    split: Split = OFFICIAL
    seed: int = 0
    n_boot: int = 1000


@dataclass(frozen=True, eq=False)
class Problem:
    """A question with its truth.

    names: of the classes in order, or of the one target; truth_NK: 1 or 0 per class, or the value in `unit`, NaN where it is not known (such
    records are in none of `rows`); rows: who is learnt from, chosen by and judged; patient_N: whose record it is; left_out: classes of
    the label set that are not judged.
    """

    kind: Kind
    names: tuple[str, ...]
    truth_NK: NDArray[np.float64]
    rows: Rows
    patient_N: NDArray[np.str_]
    unit: str = ""
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def positives(self) -> NDArray[np.bool_]:
        """Of classes: which each record has, [N, K]."""
        return np.asarray(self.truth_NK == 1)

    @property
    def judged(self) -> dict[str, float]:
        """How many test records, of how many patients, as a result's extras."""
        patient_N = self.patient_N[self.rows.test]
        return {"n_test": float(len(patient_N)), "n_patients": float(len(np.unique(patient_N)))}

    def learning_from(self, train_N: NDArray[np.bool_]) -> "Problem":
        """The same with these training records only."""
        return replace(self, rows=self.rows._replace(train=train_N))


@dataclass(frozen=True, eq=False)
class Answer:
    """What a learner makes of every record.

    score_NK: `multilabel`: log odds of each class; `exclusive`: logits, whose softmax are probabilities; `values`: the value in its unit. Only
    validation and test records are looked at; others may be NaN. extras: what the learner chose (`c`, `k`, `epochs`, ...).
    """

    score_NK: NDArray[np.float64]
    extras: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def class_problem(task: Classes, material: Material) -> Problem:
    """Records annotated for the task's label set. A class needs `min_positives` training records on either side and one on either side in
    validation and in test; others are left out, counted and named in the notes. Of an exclusive set so are the records of such classes.

    Raises Unanswerable where the corpus lacks the labels or enough of them, DataError for a label outside the vocabulary.
    """
    labels, vocabulary, table = _label_set(task, material.facts, material.table)
    annotated_N, positive_NK = label_matrix(table, labels, vocabulary)
    rows, notes = _rows(task, material)
    rows = Rows(*(part_N & annotated_N for part_N in rows))
    if task.exclusive:
        _require_one_each(positive_NK[rows.train | rows.validation | rows.test], labels)
    judged, left_out = _judged_classes(positive_NK, rows, vocabulary, task.min_positives)
    if not judged or (task.exclusive and len(judged) < 2):
        reason = f"no class of {labels!r} has enough records in train, validation and test"
        raise Unanswerable(reason, (*notes, *left_out))
    if task.exclusive:
        known_N = positive_NK[:, judged].any(axis=1)
        rows = Rows(*(part_N & known_N for part_N in rows))
    kind: Kind = "exclusive" if task.exclusive else "multilabel"
    names = tuple(vocabulary[k] for k in judged)
    truth_NK = positive_NK[:, judged].astype(np.float64)
    absent = tuple(name for name in vocabulary if name not in names)
    told = (*notes, *left_out)
    return Problem(kind, names, truth_NK, rows, patients(material.table), notes=told, left_out=absent)


def value_problem(task: Values, material: Material) -> Problem:
    """Records whose target is known. Raises Unanswerable where the corpus lacks it, or has no two different values to learn from."""
    require(task, material.facts)
    column = task.target if task.target in COVARIATES else f"target_{task.target}"
    if column not in material.table:
        raise Unanswerable(f"the corpus has no {task.target!r}")
    value_N = material.table[column].to_numpy(dtype=np.float64)
    rows, notes = _rows(task, material)
    rows = Rows(*(part_N & np.isfinite(value_N) for part_N in rows))
    for name, part_N in zip(PARTS, rows, strict=True):
        if len(np.unique(value_N[part_N])) < 2:
            raise Unanswerable(f"{task.target!r} is known with fewer than two values in {name}")
    patient_N = patients(material.table)
    return Problem("values", (task.target,), value_N[:, None], rows, patient_N, task.unit, notes)


def refusal(task: Task, facts: Facts) -> str | None:
    """Why a corpus cannot answer a task, as far as its manifest tells (dataset, lead, label set, target); None where nothing speaks against it.

    Classes that a task makes from the table are not in the manifest: those it cannot tell.
    """
    if task.dataset and facts.dataset not in (task.dataset, *task.alike):
        return f"it asks about {task.dataset}, and these are records of {facts.dataset}"
    if lead_in(task, facts.leads) is None or (absent := set(task.more_leads) - {*facts.leads}):
        wanted = task.lead if lead_in(task, facts.leads) is None else ", ".join(sorted(absent))
        return f"it needs lead {wanted}; the shards hold {', '.join(facts.leads)}"
    if isinstance(task, Classes) and type(task).made is Classes.made:
        return _no_label_set(task, facts)
    if isinstance(task, Values) and task.target not in (*COVARIATES, *facts.targets):
        return str(unknown("target", task.target, facts.targets, f"task {task.name}"))
    return None


def require_answerable(tasks: Iterable[Task], corpora: Mapping[str, Facts]) -> None:
    """ConfigError where a task can be answered on none of the corpora: a typo, or the wrong data. corpora: by what the user calls them."""
    for task in tasks:
        reasons = {name: refusal(task, facts) for name, facts in corpora.items()}
        if all(reasons.values()):
            each = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            raise ConfigError(f"no corpus can answer task {task.prefix!r} ({task.name}): {each}")


def require(task: Task, facts: Facts) -> None:
    """Unanswerable where the corpus is not what the task asks about, as `refusal`."""
    if reason := refusal(task, facts):
        raise Unanswerable(reason)


def _label_set(task: Classes, facts: Facts, table: pd.DataFrame) -> tuple[str, tuple[str, ...], pd.DataFrame]:
    """The label set's name, its classes, and the table whose column label_<name> has them."""
    require(task, facts)
    if (made := task.made(table)) is not None:
        return task.labels, made[0], table.assign(**{f"label_{task.labels}": made[1]})
    if reason := _no_label_set(task, facts):
        raise Unanswerable(reason)
    labels = facts.headline if task.labels == "headline" else task.labels
    if f"label_{labels}" not in table:
        raise DataError(f"the table has no column label_{labels}; ingest the dataset again")
    return labels, tuple(facts.label_sets[labels]), table


def _no_label_set(task: Classes, facts: Facts) -> str | None:
    if task.labels == "headline" and not facts.headline:
        return f"{facts.dataset} has no label set of its own choice; name one of {', '.join(facts.label_sets) or 'none'}"
    labels = facts.headline if task.labels == "headline" else task.labels
    if labels in facts.label_sets:
        return None
    return str(unknown("label set", labels, facts.label_sets, f"task {task.name}.labels"))


def _rows(task: Learnt, material: Material) -> tuple[Rows, tuple[str, ...]]:
    if task.split == "leak_free":
        return material.split.rows(material.table), ()
    if material.split != OFFICIAL:
        raise Unanswerable("a published split has no patients for choosing between configurations")
    part_N = task.published(material.table).to_numpy(dtype=str)
    rows = Rows(*(part_N == part for part in PARTS))
    patient_N = patients(material.table)
    test_P, notes = np.unique(patient_N[rows.test]), []
    if shared := len(np.intersect1d(test_P, patient_N[rows.train | rows.validation])):
        notes.append(
            f"{task.split} split: {shared} test patients ({shared / len(test_P):.0%}) are also learnt from"
        )
    if material.home is None:
        seen = len(np.intersect1d(test_P, patient_N[material.split.rows(material.table).train]))
        notes.append(
            f"{task.split} split: {seen} of {len(test_P)} test patients are in the folds of pretraining"
        )
    return rows, tuple(notes)


def _require_one_each(positive_NK: NDArray[np.bool_], labels: str) -> None:
    wrong = int((positive_NK.sum(axis=1) != 1).sum())
    if wrong:
        raise Unanswerable(
            f"of label set {labels!r}, {wrong} of {len(positive_NK)} annotated records have not exactly one class, as the task needs"
        )


def _judged_classes(
    positive_NK: NDArray[np.bool_], rows: Rows, vocabulary: tuple[str, ...], min_positives: int
) -> tuple[list[int], tuple[str, ...]]:
    judged, notes = [], []
    for k, name in enumerate(vocabulary):
        have = [int(positive_NK[part_N, k].sum()) for part_N in rows]
        lack = [int(part_N.sum()) - count for part_N, count in zip(rows, have, strict=True)]
        if min(have[0], lack[0]) >= min_positives and min(*have, *lack) >= 1:
            judged.append(k)
        else:
            notes.append(
                f"class {name} left out: positives {have}, negatives {lack} in train, validation, test; "
                f"at least {min_positives}, 1, 1 of each are needed"
            )
    return judged, tuple(notes)
