"""Reading shards: the table, single records, or everything into memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from clef_ray.datasets import COVARIATES
from clef_ray.errors import DataError
from clef_ray.parquet import open_parquet
from clef_ray.registry import unknown
from clef_ray.shards.decode import Stored, decode_into
from clef_ray.shards.groups import read_groups
from clef_ray.shards.manifest import Manifest, Part
from clef_ray.shards.schema import ROW_GROUP, Shape, table_columns
from clef_ray.signal.filters import resampled_length
from clef_ray.store import Store


@dataclass(frozen=True)
class Corpus:
    """Shards in memory.

    signals: of every record the leads `leads` (all or some of the manifest's), int16 at `fs` Hz; table: record, patient, fold, covariates
    and label_<set> columns, in the same order.
    """

    signals: Stored
    table: pd.DataFrame
    fs: float
    leads: tuple[str, ...]
    manifest: Manifest

    @property
    def groups(self) -> NDArray[np.int64]:
        """The row group each record lies in, [N]."""
        return row_groups(self.manifest)

    @property
    def samples(self) -> int:
        """Of each record."""
        return int(self.signals.raw_NKT.shape[2])

    def millivolts(self, rows: NDArray[np.int64], lead: str) -> NDArray[np.float32]:
        """One lead of the records at positions `rows`, [rows, samples] in mV."""
        return self.signals.take(rows, self.leads.index(lead)).millivolts()[:, 0]


@dataclass(frozen=True)
class OnDisk:
    """Shards whose signals are read when they are asked for; else as `Corpus`."""

    folder: str
    table: pd.DataFrame
    fs: float
    leads: tuple[str, ...]
    manifest: Manifest

    @classmethod
    def open(cls, folder: str, fs: float) -> Self:
        """All leads of the shards in `folder`."""
        manifest = Manifest.load(folder)
        return cls(folder, read_table(folder), fs, manifest.leads, manifest)

    @property
    def samples(self) -> int:
        """Of each record."""
        return resampled_length(self.manifest.samples, self.manifest.fs, self.fs)

    def millivolts(self, rows: NDArray[np.int64], lead: str) -> NDArray[np.float32]:
        """One lead of the records at positions `rows`, [rows, samples] in mV."""
        return read_rows(self.folder, rows, self.fs, (lead,)).millivolts()[:, 0]


#: What is evaluated on.
Records = Corpus | OnDisk


def load_corpus(folder: str, fs: float, leads: tuple[str, ...] | None = None) -> Corpus:
    """Everything under `folder` (path or URI), resampled to `fs` Hz; `leads` chooses some. Reads one part at a time."""
    manifest = Manifest.load(folder)
    chosen = _chosen(manifest, leads, folder)
    length = resampled_length(manifest.samples, manifest.fs, fs)
    signals = Stored.empty(manifest.records, len(chosen), length)
    for rows in part_rows(manifest):
        signals.put(slice(rows[0], rows[-1] + 1), read_rows(folder, rows, fs, chosen))
    return Corpus(signals, read_table(folder), fs, chosen, manifest)


def part_rows(manifest: Manifest) -> list[NDArray[np.int64]]:
    """The records of each part that holds any, as positions in the corpus."""
    edges = np.cumsum([0, *(part.records for part in manifest.parts)]).tolist()
    return [np.arange(a, b) for a, b in pairwise(edges) if a < b]


def read_table(folder: str) -> pd.DataFrame:
    """Everything but the signals, one row per record, as in `Dataset.table`, with the headline label set before the others, and the column
    `findings`: how many classes other than NORM the record has in it, NaN where it is not annotated for it.
    """
    manifest = Manifest.load(folder)
    headline = f"label_{manifest.headline}"
    columns = sorted(table_columns(manifest), key=lambda name: name.startswith("label_") and name != headline)
    table = read_columns(Store(folder), manifest.parts, columns)
    labels = table[headline] if manifest.headline else [None] * len(table)
    table["findings"] = [np.nan if found is None else float(len(set(found) - {"NORM"})) for found in labels]
    return table


def read_rows(
    folder: str,
    rows: NDArray[np.int64],
    fs: float,
    leads: tuple[str, ...],
    pick_NK: NDArray[np.int64] | None = None,
) -> Stored:
    """The records at positions `rows` of the corpus (any order, repeats allowed), resampled to `fs` Hz.

    pick_NK: of each record only these positions in `leads`. Reads only the row groups the records lie in, each once.
    """
    manifest = Manifest.load(folder)
    chosen = _chosen(manifest, leads, folder)
    length = resampled_length(manifest.samples, manifest.fs, fs)
    stored_as = np.array([manifest.leads.index(lead) for lead in chosen])
    pick_NK = np.tile(stored_as, (len(rows), 1)) if pick_NK is None else stored_as[pick_NK]
    found = Stored.empty(len(rows), pick_NK.shape[1], length)
    edges = np.cumsum([0, *(part.records for part in manifest.parts)])
    part_N = np.searchsorted(edges, rows, side="right") - 1
    for p in np.unique(part_N):
        at, store = np.flatnonzero(part_N == p), Store(folder)
        pick, inside = pick_NK[at], rows[at] - edges[p]
        if manifest.fs == fs:
            _read_part(found, at, store, manifest, manifest.parts[p], inside, pick)
        else:
            stored = Stored.empty(len(at), pick.shape[1], manifest.samples)
            _read_part(stored, np.arange(len(at)), store, manifest, manifest.parts[p], inside, pick)
            found.put(at, stored.resampled(manifest.fs, fs))
    return found


def row_groups(manifest: Manifest) -> NDArray[np.int64]:
    """The row group each record lies in, numbered through all parts, [N]: records of one group are read together."""
    groups: list[NDArray[np.int64]] = []
    before = 0
    for part in manifest.parts:
        groups.append(before + np.arange(part.records, dtype=np.int64) // ROW_GROUP)
        before += part.row_groups
    return np.concatenate(groups)


def read_columns(store: Store, parts: Sequence[Part], columns: list[str]) -> pd.DataFrame:
    """Some columns of all parts, in order; lists come as Python lists, null as None. A covariate that older shards lack is unknown.

    DataError: a part is damaged.
    """
    frames = []
    for part in parts:  # each made pandas' own before the next is read: the index is never there twice
        with _told_which(store, part), store.open_input(part.file) as source:
            table = open_parquet(source, store.path(part.file)).read(columns=columns)
        frames.append(_frame(table))
    found = pd.concat(frames, ignore_index=True)
    unknown_yet = {name: np.nan for name in COVARIATES if name in columns and name not in found}
    return found.assign(**unknown_yet)[columns]


@contextmanager
def _told_which(store: Store, part: Part) -> Iterator[None]:
    """DataError where Arrow finds a part damaged."""
    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{store.path(part.file)} cannot be read: {error}; `clef-ray shards verify {store.path()}` tells which parts are changed"
        ) from error


def _frame(table: pa.Table) -> pd.DataFrame:
    """Lists of labels as Python's, which pandas would make arrays."""
    labels = [name for name in table.column_names if name.startswith("label_")]
    frame: pd.DataFrame = table.drop_columns(labels).to_pandas()
    lists = {name: pd.Series(table.column(name).to_pylist(), dtype=object) for name in labels}
    return frame.assign(**lists)


def _read_part(
    found: Stored,
    at_N: NDArray[np.int64],
    store: Store,
    shape: Shape,
    part: Part,
    rows_N: NDArray[np.int64],
    pick_NK: NDArray[np.int64],
) -> None:
    """Write the records at positions `rows_N` of one part to positions `at_N` of `found`, as `decode_into`.

    Row group after row group and record after record in the file's order, in which a disk is fastest.
    """
    order = np.argsort(rows_N, kind="stable")
    at_N, rows_N, pick_NK = at_N[order], rows_N[order], pick_NK[order]
    group_N = rows_N // ROW_GROUP
    groups = np.unique(group_N)
    with _told_which(store, part), store.reading(part.file) as source:
        for group, encoded in zip(groups, read_groups(source, groups.tolist(), shape), strict=True):
            here = np.flatnonzero(group_N == group)
            decode_into(found, at_N[here], encoded, rows_N[here] % ROW_GROUP, pick_NK[here])


def _chosen(manifest: Manifest, leads: tuple[str, ...] | None, folder: str) -> tuple[str, ...]:
    for lead in leads or ():
        if lead not in manifest.leads:
            raise unknown("lead", lead, manifest.leads, folder)
    return leads or manifest.leads
