"""One pass over all parts without their signals: who is there, what is known of them, and which recordings are there twice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clef_ray.datasets import COVARIATES, Signal
from clef_ray.parquet import open_parquet
from clef_ray.shards.decode import decode
from clef_ray.shards.manifest import Part
from clef_ray.shards.schema import ROW_GROUP, Shape
from clef_ray.signal.signature import BYTES, duplicates, same_recording
from clef_ray.store import Store

_COLUMNS = ["record", "patient", "fold", "signature", *COVARIATES]


@dataclass(frozen=True)
class Census:
    """The records of a shard folder in order, about 200 bytes each.

    record, patient: names; fold_N: 1..10; part_N: in which part; signature_NB: uint8; known_NK: whether each of COVARIATES is known.
    """

    record: list[str]
    patient: list[str]
    fold_N: NDArray[np.int8]
    part_N: NDArray[np.int64]
    signature_NB: NDArray[np.uint8]
    known_NK: NDArray[np.bool_]

    def coverage(self, kept_N: NDArray[np.bool_]) -> dict[str, float]:
        """Covariate -> share of the kept records it is known for."""
        shares = self.known_NK[kept_N].mean(axis=0)
        return {name: round(float(share), 6) for name, share in zip(COVARIATES, shares, strict=True)}

    def patients(self, kept_N: NDArray[np.bool_]) -> int:
        """How many patients the kept records are of."""
        return len({name for name, kept in zip(self.patient, kept_N, strict=True) if kept})


def census(store: Store, parts: Sequence[Part]) -> Census:
    """Read everything but the signals, one part at a time."""
    record: list[str] = []
    patient: list[str] = []
    folds: list[NDArray[np.int8]] = []
    signatures: list[NDArray[np.uint8]] = []
    known: list[NDArray[np.bool_]] = []
    for part in parts:
        with store.open_input(part.file) as source:
            table = open_parquet(source, store.path(part.file)).read(columns=_COLUMNS)
        record += table["record"].to_pylist()
        patient += table["patient"].to_pylist()
        folds.append(table["fold"].to_numpy())
        bits = b"".join(table["signature"].to_pylist())
        signatures.append(np.frombuffer(bits, dtype=np.uint8).reshape(-1, BYTES))
        known.append(np.stack([~np.isnan(table[name].to_numpy()) for name in COVARIATES], axis=1))
    part_N = np.repeat(np.arange(len(parts)), [part.records for part in parts])
    bits_NB, known_NK = np.concatenate(signatures), np.concatenate(known)
    return Census(record, patient, np.concatenate(folds), part_N, bits_NB, known_NK)


class Recordings:
    """The samples of single records of a census, read when they are asked for.

    places: every part with the folder it is in, in the order of the census.
    """

    def __init__(self, places: Sequence[tuple[Store, Part]], shape: Shape) -> None:
        self._places, self._shape = places, shape
        self._edges = np.cumsum([0, *(part.records for _, part in places)])

    def signal(self, n: int) -> Signal:
        """The record at position `n`."""
        p = int(np.searchsorted(self._edges, n, side="right")) - 1
        store, part = self._places[p]
        group, row = divmod(n - int(self._edges[p]), ROW_GROUP)
        with store.open_input(part.file) as source:
            file = open_parquet(source, store.path(part.file))
            table = file.read_row_group(group, columns=["signal", "gain", "baseline"])
        found = decode(table.slice(row, 1), self._shape)
        gain_C, baseline_C = found.gain_NK[0], found.baseline_NK[0]
        return Signal(found.raw_NKT[0], self._shape.fs, self._shape.leads, gain_C, baseline_C)


def repeats(
    found: Census, recordings: Recordings, group_N: NDArray[np.int64] | None = None
) -> dict[int, int]:
    """Row of a recording that is there already -> the row that keeps it, which is always an earlier one.

    Signatures that are near each other are only candidates: the samples decide. What is set aside changes nothing for others, so an
    ingestion that goes on without it finds the same.
    group_N: only records of different groups count as repeats of one another.
    """
    keeper: dict[int, int] = {}
    for first, second in duplicates(
        found.signature_NB
    ).tolist():  # sorted: whether `first` is kept is known here
        if first in keeper and (found.signature_NB[first] == found.signature_NB[second]).all():
            kept = keeper[first]  # of equal signatures only the first makes pairs with others
        else:
            kept = first
        if kept in keeper or second in keeper or (group_N is not None and group_N[kept] == group_N[second]):
            continue
        if same_recording(recordings.signal(kept), recordings.signal(second)):
            keeper[second] = kept
    return keeper
