"""Whether anything that is judged was seen before: by pretraining, or by what is fitted on the encoder. Counts only, no names.

    corpus of pretraining, targets --Known.read--> patients, folds, signatures --leakage--> Leakage --told--> the report's first line

Two parts share a patient where both hold the patient's name and their corpora name the same people; two of a recording where their 256-bit
signatures say so (`clef_ray.signal.signature`), at whatever rate, gain or rounding, whatever the patient is called. What it cannot see:
copies with other leads than the original's, pieces that do not start where the original starts, and the same person in two datasets.
Parts are those of the folds, and of every task with `split=published` its own (`DealtParts`): what such a rule learns from and judges is
compared too, so that the first line says how many judged patients a leaky rule has learnt from.

Shape letters: N records of one corpus or of all, B bytes of a signature.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clef_ray.config import Spec
from clef_ray.evaluate.inputs import OFFICIAL, Split
from clef_ray.evaluate.known import Copies, Known
from clef_ray.evaluate.problem import refusal
from clef_ray.registry import TASKS
from clef_ray.shards import Manifest
from clef_ray.shards.corpus import read_table
from clef_ray.tasks import PARTS, Learnt

#: How the text begins where something was found, and where nothing was.
FOUND, NONE = "FOUND", "none found"


@dataclass(frozen=True)
class Pair:
    """Two parts that should share nothing. seen: what was looked at first (`pretraining`, `train`, `validation`); part: what is judged or
    chosen by, of `corpus` (a target's name, or the dataset's of the corpus of pretraining).

    patients, records: of the part; shared_patients, shared_records: how many of them were seen.
    """

    seen: str
    part: str
    corpus: str
    patients: int
    records: int
    shared_patients: int
    shared_records: int

    @property
    def clean(self) -> bool:
        """Whether they share nothing."""
        return not self.shared_patients and not self.shared_records


@dataclass(frozen=True)
class Leakage:
    """What the check found. patients: that pretraining saw; held_out: the other patients of its corpus; unsigned: corpus -> records without
    a signature, whose copies nobody can find; other_leads: targets whose leads are not those of the corpus of pretraining.
    """

    patients: int
    held_out: int
    pairs: tuple[Pair, ...]
    unsigned: Mapping[str, int]
    other_leads: tuple[str, ...]

    @property
    def found(self) -> tuple[Pair, ...]:
        """The pairs of parts that share patients or recordings."""
        return tuple(pair for pair in self.pairs if not pair.clean)

    def told(self) -> str:
        """The whole result in words, without a full stop: `none found: ...` or `FOUND: ...`."""
        saw = f"pretraining saw {self.patients} patients; the other {self.held_out} were held out of it"
        corpora = ", ".join(dict.fromkeys(pair.corpus for pair in self.pairs))
        looked = f"{len(self.pairs)} pairs of parts ({corpora}) were compared by patient and by the recordings' signatures"
        limits = [
            f"records of {corpus} without a signature: {count}, copies of which were not looked for"
            for corpus, count in self.unsigned.items()
        ]
        limits += [
            f"{corpus} has other leads than the pretraining's records, so copies may be missed"
            for corpus in self.other_leads
        ]
        if self.found:
            return "; ".join([f"{FOUND}: {', '.join(map(_told, self.found))}", saw, looked, *limits])
        return "; ".join([f"{NONE}: {saw}", looked, *limits])


class DealtParts(NamedTuple):
    """How a task's own rule deals the records of a corpus. task: what its metrics begin with; target: the corpus, empty for that of
    pretraining; part_N: one of PARTS or empty, in the order of the shards.
    """

    task: str
    target: str
    part_N: NDArray[np.str_]


def dealt_parts(tasks: Iterable[Spec], folders: Mapping[str, str], split: Split) -> tuple[DealtParts, ...]:
    """Of the tasks with `split=published`, on each corpus that can answer them. folders: of shards, by the target's name, empty for the corpus
    of pretraining; split: by which all others are judged: none but the official one leaves a published split to be asked.
    """
    built = [task.build(TASKS) for task in tasks]
    asked = [task for task in built if isinstance(task, Learnt) and task.split == "published"]
    found: list[DealtParts] = []
    for target, folder in folders.items() if asked and split == OFFICIAL else ():
        facts, table = Manifest.load(folder), read_table(folder)
        found += [
            DealtParts(task.prefix, target, task.published(table).to_numpy(dtype=np.str_))
            for task in asked
            if refusal(task, facts) is None
        ]
    return tuple(found)


def leakage(
    home: Known,
    targets: Mapping[str, Known],
    train_folds: Sequence[int],
    split: Split,
    dealt: Sequence[DealtParts] = (),
) -> Leakage:
    """Compare pretraining (the folds `train_folds` of `home`) with every part of every target and with the validation and test parts of
    `home`; and, within each corpus, the train, validation and test parts with one another. The same with the parts of each of `dealt`, but
    for targets and pretraining, of which the folds say all.

    A validation fold that `split` lets pretraining see is not compared with it.
    """
    own_name = f"{home.name} (own corpus)" if home.name in targets else home.name
    corpora = {own_name: home, **targets}
    copies, saw_N = Copies(list(corpora.values())), np.isin(home.fold_N, train_folds)
    pretraining = _Part("pretraining", 0, home, saw_N)
    pairs = []
    for place, (name, known) in enumerate(corpora.items()):
        folds = {"train": split.train, "validation": split.validation, "test": split.test}
        parts = {n: _Part(n, place, known, np.isin(known.fold_N, own)) for n, own in folds.items()}
        pairs += [_pair(copies, pretraining, part, name) for part in _judged(parts, place == 0, split)]
        for seen, judged in (("train", "validation"), ("train", "test"), ("validation", "test")):
            if not (place == 0 and _said(parts[seen], parts[judged], pretraining)):
                pairs.append(_pair(copies, parts[seen], parts[judged], name))
    for own in dealt:
        pairs += _of_dealt(own, corpora, own_name, copies, pretraining)
    seen_patients = set(home.patient[saw_N])
    return Leakage(
        len(seen_patients),
        len(set(home.patient) - seen_patients),
        tuple(pair for pair in pairs if pair.records),
        {name: n for name, known in corpora.items() if (n := int((~known.signature_NB.any(axis=1)).sum()))},
        tuple(name for name, known in targets.items() if known.leads != home.leads),
    )


class _Part(NamedTuple):
    """Some records of one corpus. place: of the corpus among all."""

    name: str
    place: int
    known: Known
    rows_N: NDArray[np.bool_]

    @property
    def patients(self) -> set[str]:
        return set(self.known.patient[self.rows_N])


def _of_dealt(
    own: DealtParts, corpora: Mapping[str, Known], own_name: str, copies: Copies, pretraining: _Part
) -> list[Pair]:
    """What a task's own rule learns from against what it chooses by and judges; and pretraining against those two of its own corpus."""
    name = own.target or own_name
    place, known = list(corpora).index(name), corpora[name]
    train, validation, test = (_Part(part, place, known, own.part_N == part) for part in PARTS)
    compared = [(train, validation), (train, test), (validation, test)]
    if place == 0:
        compared += [(pretraining, validation), (pretraining, test)]
    return [_pair(copies, seen, judged, f"{name} as {own.task} deals it") for seen, judged in compared]


def _judged(parts: Mapping[str, _Part], own: bool, split: Split) -> list[_Part]:
    """What pretraining should not have seen. own: of its own corpus; of another all of it: tasks that fit nothing there judge its train part too."""
    if not own:
        return list(parts.values())
    unseen = parts["validation"]
    unseen = unseen._replace(rows_N=unseen.rows_N & ~np.isin(unseen.known.fold_N, split.also_pretrain))
    return [unseen, parts["test"]]


def _said(seen: _Part, judged: _Part, pretraining: _Part) -> bool:
    """Whether pretraining's own comparison says it already: it saw all of `seen`, and was meant to see nothing of `judged`."""
    return bool((seen.rows_N <= pretraining.rows_N).all() and not (judged.rows_N & pretraining.rows_N).any())


def _pair(copies: Copies, seen: _Part, judged: _Part, corpus: str) -> Pair:
    patients = judged.patients
    return Pair(
        seen.name,
        judged.name,
        corpus,
        len(patients),
        int(judged.rows_N.sum()),
        len(patients & seen.patients),
        copies.count((seen.place, seen.rows_N), (judged.place, judged.rows_N)),
    )


def _told(pair: Pair) -> str:
    """`12 of 300 test records of cinc2021 were seen in pretraining (same recording)`."""
    where = "in pretraining" if pair.seen == "pretraining" else f"in its {pair.seen} part"
    counts = []
    if pair.shared_records:
        counts.append(
            f"{pair.shared_records} of {pair.records} {pair.part} records of {pair.corpus} were seen {where} (same recording)"
        )
    if pair.shared_patients:
        counts.append(
            f"{pair.shared_patients} of {pair.patients} {pair.part} patients of {pair.corpus} were seen {where}"
        )
    return ", ".join(counts)
