"""What is known of a corpus without its signals: whose the records are, and which of them are the same recording as another corpus's.

Shape letters: N records of one corpus or of all, B bytes of a signature, W its 64-bit words, U different signatures, P pairs of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from clef_ray.parquet import open_parquet
from clef_ray.shards import Manifest
from clef_ray.shards.census import Recordings
from clef_ray.shards.schema import canonical
from clef_ray.shards.unite import MERGED
from clef_ray.signal import Raw
from clef_ray.signal.signature import BYTES, duplicates, same_recording
from clef_ray.store import Store

#: Signatures that differ in so few bits are of one recording: 99 % of the copies do, and of strangers about one in 10^11 pairs, going by
#: the rate at which signature.py found near ones to become rarer. Between this and MAX_BITS the samples decide.
SURE_BITS = 14


@dataclass(frozen=True, eq=False)
class Known:
    """What is compared of a corpus.

    name: of the dataset; patient: whose each record is, told apart from other corpora's people of the same name [N]; fold_N; signature_NB: all
    zero where a record has none; leads: of every record; recording: the samples of the record at a position.
    """

    name: str
    patient: NDArray[np.object_]
    fold_N: NDArray[np.int64]
    signature_NB: NDArray[np.uint8]
    leads: tuple[str, ...]
    recording: Callable[[int], Raw]

    @classmethod
    def read(cls, folder: str) -> Self:
        """From a folder of shards, everything but the signals. Older shards have no signatures. DataError as `Manifest.load`."""
        manifest, store = Manifest.load(folder), Store(folder)
        people = _people(manifest)
        patient: list[str] = []
        folds, signatures = [], []
        for part in manifest.parts:
            with store.open_input(part.file) as source:
                file = open_parquet(source, store.path(part.file))
                held = [c for c in ("patient", "fold", "signature") if c in file.schema_arrow.names]
                table = file.read(columns=held)
            patient += [people(name) for name in table["patient"].to_pylist()]
            folds.append(table["fold"].to_numpy())
            none = bytes(BYTES)
            signed = table["signature"].to_pylist() if "signature" in held else [none] * len(table)
            bits = b"".join(one or none for one in signed)
            signatures.append(np.frombuffer(bits, dtype=np.uint8).reshape(-1, BYTES))
        recordings = Recordings([(store, part) for part in manifest.parts], manifest)
        return cls(
            manifest.dataset,
            np.array(patient, dtype=object),
            np.concatenate(folds).astype(np.int64),
            np.concatenate(signatures),
            manifest.leads,
            recordings.signal,
        )


def _people(manifest: Manifest) -> Callable[[str], str]:
    """A patient's name -> the same with the people it is a name of. The same dataset names the same people, but a made-up one does so for each
    seed, and a map of one's own (`generic`) for each table.
    """
    if manifest.dataset != MERGED:
        crowd = _crowd(manifest.dataset, manifest.parameters)
        return lambda name: f"{crowd}/{name}"
    corpora = dict(_united(manifest.made_from))

    def of_corpus(name: str) -> str:
        corpus, _, own = name.partition("/")
        return f"{corpora.get(corpus, corpus)}/{own}"

    return of_corpus


def _united(made_from: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Name in front of the patients' -> whose they are, of merged shards and what was split from them."""
    for entry in made_from:
        if entry["dataset"] == MERGED:
            yield from _united(entry["made_from"])
        elif "name" in entry:
            yield entry["name"], _crowd(entry["dataset"], entry["parameters"])


def _crowd(dataset: str, parameters: Mapping[str, object]) -> str:
    if dataset in ("synthetic", "synthetic_holter"):
        return f"{dataset} seed {parameters.get('seed')}"
    return f"generic {canonical(dict(parameters)).decode()}" if dataset == "generic" else dataset


class Copies:
    """Which records of several corpora are the same recording."""

    def __init__(self, corpora: Sequence[Known]) -> None:
        self.corpora = corpora
        self._edges = np.cumsum([0, *(len(known.fold_N) for known in corpora)])
        signature_NB = np.concatenate([known.signature_NB for known in corpora])
        words_NW = np.ascontiguousarray(signature_NB).view(np.uint64)
        # Equal signatures are one: of 2,000 copies of 2,000 records no pair is left to be looked at twice.
        self._words, self._first, same_N = np.unique(words_NW, axis=0, return_index=True, return_inverse=True)
        self._same_N = np.where(signature_NB.any(axis=1), same_N.ravel(), -1)
        self._near = duplicates(self._words.view(np.uint8))
        self._decided: dict[tuple[int, int], bool] = {}

    def count(self, seen: tuple[int, NDArray[np.bool_]], judged: tuple[int, NDArray[np.bool_]]) -> int:
        """How many records of a part of one corpus (its place, its rows) are recordings that a part of another holds."""
        seen_U, judged_U = self._held(*seen), self._held(*judged)
        between = np.concatenate([self._near, self._near[:, ::-1]])
        between = between[seen_U[between[:, 0]] & (judged_U & ~seen_U)[between[:, 1]]]
        copied_U = seen_U.copy()
        copied_U[between[self._same(between), 1]] = True
        place, rows_N = judged
        own_N = self._same_N[self._edges[place] : self._edges[place + 1]][rows_N]
        return int(copied_U[own_N[own_N >= 0]].sum())

    def _held(self, place: int, rows_N: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of all signatures a part holds."""
        own_N = self._same_N[self._edges[place] : self._edges[place + 1]][rows_N]
        held_U = np.zeros(len(self._words), dtype=bool)
        held_U[own_N[own_N >= 0]] = True
        return held_U

    def _same(self, near: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Of pairs of signatures [P, 2] that are near each other: which are of one recording."""
        first, second = self._words[near].swapaxes(0, 1)
        same = np.bitwise_count(first ^ second).sum(axis=1, dtype=np.int64) <= SURE_BITS
        for p in np.flatnonzero(~same):
            a, b = sorted(near[p].tolist())
            if (a, b) not in self._decided:
                self._decided[a, b] = same_recording(self._recording(a), self._recording(b))
            same[p] = self._decided[a, b]
        return np.asarray(same)

    def _recording(self, of: int) -> Raw:
        """The first record with a signature."""
        row = int(self._first[of])
        place = int(np.searchsorted(self._edges, row, side="right")) - 1
        return self.corpora[place].recording(row - int(self._edges[place]))
