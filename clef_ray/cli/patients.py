"""A table of patients as people keep it: CSV or Parquet, cells as they stand, and columns of it as numbers."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clef_ray.errors import ConfigError, DataError
from clef_ray.parquet import open_parquet
from clef_ray.scores import FIELDS
from clef_ray.store import Store

#: What a cell may hold in place of a number, in any case.
_UNKNOWN = ("", "na", "n/a", "nan", "null", "none")
_YES_NO = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
_SEX = {"male": 0.0, "m": 0.0, "female": 1.0, "f": 1.0}


def read(path: Path) -> pa.Table:
    """The file's columns, in order; all cells of a CSV as text. DataError: no such file, not such a file, a column twice."""
    if not path.is_file():
        raise DataError(f"--input {path}: no such file (looked at {path.absolute()})")
    try:
        table = _read_csv(path) if _is_csv(path, "--input") else _read_parquet(path)
    except OSError as error:  # no right to read, or a damaged file
        raise DataError(f"--input {path} cannot be read: {error}") from error
    if not table.column_names:
        raise DataError(f"{path} has no header")
    if twice := sorted({name for name in table.column_names if table.column_names.count(name) > 1}):
        raise DataError(f"{path}: columns that stand there twice: {', '.join(twice)}")
    return table


def write(path: Path, table: pa.Table) -> None:
    """Write the file whole or not at all; null becomes an empty cell of a CSV."""
    data = _csv_bytes(table) if _is_csv(path, "--output") else _parquet_bytes(table)
    Store(str(path.absolute().parent)).write_bytes(path.name, data)


def check_paths(source: Path, target: Path) -> None:
    """ConfigError where a suffix is neither .csv nor .parquet, or the output is the input."""
    _is_csv(source, "--input")
    _is_csv(target, "--output")
    if target.exists() and source.exists() and target.samefile(source):
        raise ConfigError(f"--output {target} is the input; give another file")


def numbers(table: pa.Table, field: str, path: Path) -> NDArray[np.float64]:
    """A column as float64, NaN for unknown; words as _YES_NO and _SEX where the field has them. DataError: neither a number nor unknown."""
    column = table.column(field)
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)):
        try:
            values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"{path}: column {field!r} holds {kind}, not numbers") from error
        return values
    words = _SEX if field == "sex" else _YES_NO if FIELDS[field].binary else {}
    cells = ["" if cell is None else cell for cell in column.to_pylist()]
    parsed = {cell: _number(cell, words) for cell in set(cells)}
    wrong = [row for row, cell in enumerate(cells, start=1) if parsed[cell] is None]
    if wrong:
        allowed = ", ".join(("numbers", *words))
        raise DataError(
            f"{path}: column {field!r}: {len(wrong)} of {len(cells)} values cannot be read, the first in row {wrong[0]} below the header; "
            f"allowed are {allowed} (with a decimal point), and empty or NA for unknown"
        )
    return np.array([parsed[cell] for cell in cells], dtype=np.float64)


def _number(cell: str, words: Mapping[str, float]) -> float | None:
    text = cell.strip().lower()
    if text in _UNKNOWN:
        return np.nan
    if text in words:
        return words[text]
    try:
        return float(text)
    except ValueError:
        return None


def _is_csv(path: Path, option: str) -> bool:
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise ConfigError(f"{option} {path}: the name must end in .csv or .parquet")
    return suffix == ".csv"


def _read_csv(path: Path) -> pa.Table:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # Excel begins its UTF-8 with a mark
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            rows = [row for row in reader if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable CSV in UTF-8: {error}") from error
    if len(header) == 1 and ";" in header[0]:
        raise DataError(f"{path} is separated by semicolons; save it with commas, and points in numbers")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise DataError(f"{path}: row {number} below the header has {len(row)} cells, not {len(header)}")
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    return pa.table([pa.array(cells, pa.string()) for cells in columns], names=header)


def _read_parquet(path: Path) -> pa.Table:
    try:
        return open_parquet(path, str(path)).read()
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}") from error


def _csv_bytes(table: pa.Table) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return text.getvalue().encode()


def _parquet_bytes(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue()
