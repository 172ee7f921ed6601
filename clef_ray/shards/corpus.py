"""Reading shards: the table, single records, or everything into memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clef_ray.datasets import COVARIATES
from clef_ray.registry import unknown
from clef_ray.shards.manifest import Manifest, Part
from clef_ray.shards.schema import ROW_GROUP, decode, table_columns
from clef_ray.signal.filters import resample, resampled_length
from clef_ray.store import Store

_SIGNAL = ["signal", "gain", "baseline"]


@dataclass(frozen=True)
class Corpus:
    """Shards in memory.

    signals_NCT: float32 mV [records, leads, samples] at `fs` Hz; table: record, patient, fold, covariates and label_<set> columns, in the
    same order; leads: names in row order (all or some of the manifest's).
    """

    signals_NCT: NDArray[np.float32]
    table: pd.DataFrame
    fs: float
    leads: tuple[str, ...]
    manifest: Manifest

    @property
    def groups(self) -> NDArray[np.int64]:
        """The row group each record lies in, [N]."""
        return row_groups(self.manifest)


def load_corpus(folder: str, fs: float, leads: tuple[str, ...] | None = None) -> Corpus:
    """Everything under `folder` (path or URI), resampled to `fs` Hz; `leads` chooses some. Reads one part at a time."""
    manifest = Manifest.load(folder)
    chosen = _chosen(manifest, leads, folder)
    length = resampled_length(manifest.samples, manifest.fs, fs)
    stored_as = np.array([manifest.leads.index(lead) for lead in chosen])
    signals_NCT = np.empty((manifest.records, len(chosen), length), dtype=np.float32)
    start = 0
    for part in manifest.parts:
        with Store(folder).open_input(part.file) as source:
            stored = pq.read_table(source, columns=_SIGNAL)
        signals_NCT[start : start + part.records] = resample(
            decode(stored, manifest, np.tile(stored_as, (part.records, 1))), manifest.fs, fs
        )
        start += part.records
    return Corpus(signals_NCT, read_table(folder), fs, chosen, manifest)


def read_table(folder: str) -> pd.DataFrame:
    """Everything but the signals, one row per record, as in `Dataset.table`, and the column `findings`: how many classes other than NORM
    the record has in the headline label set, NaN where it is not annotated for it.
    """
    manifest = Manifest.load(folder)
    table = read_columns(Store(folder), manifest.parts, table_columns(manifest))
    labels = table[f"label_{manifest.headline}"]
    table["findings"] = [np.nan if found is None else float(len(set(found) - {"NORM"})) for found in labels]
    return table


def read_rows(
    folder: str,
    rows: NDArray[np.int64],
    fs: float,
    leads: tuple[str, ...],
    pick_NK: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """The records at positions `rows` of the corpus (any order, repeats allowed) -> mV [rows, leads, samples] at `fs` Hz.

    pick_NK: of each record only these positions in `leads` -> [rows, K, samples]. Reads only the row groups the records lie in.
    """
    manifest = Manifest.load(folder)
    chosen = _chosen(manifest, leads, folder)
    length = resampled_length(manifest.samples, manifest.fs, fs)
    stored_as = np.array([manifest.leads.index(lead) for lead in chosen])
    pick_NK = np.tile(stored_as, (len(rows), 1)) if pick_NK is None else stored_as[pick_NK]
    out_NCT = np.empty((*pick_NK.shape, length), dtype=np.float32)
    edges = np.cumsum([0, *(part.records for part in manifest.parts)])
    part_N = np.searchsorted(edges, rows, side="right") - 1
    for p in np.unique(part_N):
        at = np.flatnonzero(part_N == p)
        stored = _read_records(Store(folder), manifest.parts[p], rows[at] - edges[p])
        out_NCT[at] = resample(decode(stored, manifest, pick_NK[at]), manifest.fs, fs)
    return out_NCT


def row_groups(manifest: Manifest) -> NDArray[np.int64]:
    """The row group each record lies in, numbered through all parts, [N]: records of one group are read together."""
    groups: list[NDArray[np.int64]] = []
    before = 0
    for part in manifest.parts:
        groups.append(before + np.arange(part.records, dtype=np.int64) // ROW_GROUP)
        before += part.row_groups
    return np.concatenate(groups)


def read_columns(store: Store, parts: Sequence[Part], columns: list[str]) -> pd.DataFrame:
    """Some columns of all parts, in order; lists come as Python lists, null as None. A covariate that older shards lack is unknown."""
    tables = []
    for part in parts:
        with store.open_input(part.file) as source:
            tables.append(pq.ParquetFile(source).read(columns=columns))
    table = pa.concat_tables(tables)
    for name in COVARIATES:
        if name in columns and name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), pa.float64()))
    frame: pd.DataFrame = table.select([c for c in columns if not c.startswith("label_")]).to_pandas()
    for name in columns:
        if name.startswith("label_"):
            frame[name] = pd.Series(table.column(name).to_pylist(), dtype=object)
    return frame


def _read_records(store: Store, part: Part, rows: NDArray[np.int64]) -> pa.Table:
    """Records of one part, by position, in the order asked for."""
    groups, group_N = np.unique(rows // ROW_GROUP, return_inverse=True)
    with store.open_input(part.file) as source:
        table = pq.ParquetFile(source).read_row_groups(groups.tolist(), columns=_SIGNAL)
    return table.take(group_N * ROW_GROUP + rows % ROW_GROUP)


def _chosen(manifest: Manifest, leads: tuple[str, ...] | None, folder: str) -> tuple[str, ...]:
    for lead in leads or ():
        if lead not in manifest.leads:
            raise unknown("lead", lead, manifest.leads, folder)
    return leads or manifest.leads
