"""The table of a generic dataset: from its columns, as text, to what `Dataset.table` promises. Errors count rows and show no cell."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from string import Formatter

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from clef_ray.datasets._folds import hashed_folds, published_folds
from clef_ray.datasets._generic_columns import Column, Folds, LabelSet
from clef_ray.datasets._generic_spec import Spec
from clef_ray.errors import ConfigError, DataError
from clef_ray.parquet import open_parquet
from clef_ray.registry import unknown
from clef_ray.scores import FIELDS, implausible

#: More classes than this in a column without a list of them: no label but a name, a number or a sentence.
MAX_CLASSES = 100


def read_text(path: Path) -> pd.DataFrame:
    """A CSV, TSV or Parquet table, every cell as text ("007" keeps its zeros), None where it is empty. DataError: no such table."""
    try:
        if path.suffix == ".parquet":
            table = open_parquet(path, str(path)).read()
            texts = {name: table[name].cast(pa.string()).to_pandas() for name in table.column_names}
            return pd.DataFrame(texts, dtype=object)
        separator = "\t" if path.suffix in (".tsv", ".tab") else ","
        return pd.read_csv(path, dtype=str, sep=separator).astype(object)
    except FileNotFoundError as error:
        raise DataError(f"{path.parent} lacks {path.name}") from error
    except (
        OSError,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        UnicodeDecodeError,
        pa.ArrowException,
    ) as error:
        raise DataError(f"{path} is no readable table: {error}") from error


def cells(table: pd.DataFrame, column: str, at: str) -> pd.Series:
    """One column's texts without spaces around them. ConfigError: it is not there, with the near match."""
    if column not in table:
        raise unknown("column", column, map(str, table.columns), at)
    texts = table[column].astype("string").str.strip()
    texts = texts.mask(texts == "").astype(object)
    return texts.where(texts.notna(), np.nan)


def whole_cells(table: pd.DataFrame, column: str, at: str) -> pd.Series:
    """The same; DataError where a row has none."""
    texts = cells(table, column, at)
    if empty := int(texts.isna().sum()):
        raise DataError(f"{at}: column {column}: empty in {empty} of {len(texts)} rows")
    return texts


def paths(table: pd.DataFrame, spec: Spec) -> list[str]:
    """Each row's file, from the template with columns in braces. DataError: one that is not below the root."""
    at = spec.top.at("path")
    try:
        names = [name for _, name, _, _ in Formatter().parse(spec.path) if name is not None]
        if not names:
            raise ConfigError(
                f"{at}: {spec.path!r} names no column in braces, so all records would be one file"
            )
        columns = {name: whole_cells(table, name, at) for name in names}
        found = [
            spec.path.format(**dict(zip(columns, row, strict=True)))
            for row in zip(*columns.values(), strict=True)
        ]
    except ValueError as error:
        raise DataError(f"{at}: {spec.path!r} is no template: {error}") from error
    if outside := sum(not _below(path) for path in found):
        raise DataError(
            f"{at}: {outside} of {len(found)} rows name a file that is not below root (absolute, or with ..); name the folder with `root: FOLDER`"
        )
    return found


def _below(path: str) -> bool:
    parts = PurePosixPath(path)
    return not (parts.is_absolute() or ".." in parts.parts or "\0" in path)


def numbers(table: pd.DataFrame, column: Column) -> NDArray[np.float64]:
    """A column's values in the field's own unit, NaN where a cell is empty. DataError: a text that is no number, or that the map lacks."""
    texts = cells(table, column.name, column.at)
    found = texts.map(dict(column.values)) if column.values else pd.to_numeric(texts, errors="coerce")
    if wrong := int((found.isna() & texts.notna()).sum()):
        what = (
            "not in `map`"
            if column.values
            else "no number; say what its texts mean with `map: {TEXT: NUMBER}`"
        )
        raise DataError(f"{column.at}: column {column.name}: {wrong} of {len(texts)} rows are {what}")
    values_N = np.array(found, dtype=np.float64)
    values_N[~np.isfinite(values_N)] = np.nan
    return values_N * column.scale + column.shift


def covariates(
    table: pd.DataFrame, columns: Mapping[str, Column]
) -> tuple[dict[str, NDArray[np.float64]], dict[str, int]]:
    """Covariate -> values, those that no person can have as NaN, and how many of these there were."""
    found = {name: numbers(table, column) for name, column in columns.items()}
    wrong = {name: implausible(name, values_N) for name, values_N in found.items()}
    for name, wrong_N in wrong.items():
        if wrong_N.any() and wrong_N.sum() > 0.5 * np.isfinite(found[name]).sum():
            raise DataError(
                f"{columns[name].at}: column {columns[name].name}: {int(wrong_N.sum())} of {len(wrong_N)} rows are outside "
                f"{FIELDS[name].low:g} to {FIELDS[name].high:g} ({FIELDS[name].unit}): another unit, or another column?"
            )
    kept = {name: np.where(wrong[name], np.nan, values_N) for name, values_N in found.items()}
    return kept, {name: int(wrong_N.sum()) for name, wrong_N in wrong.items() if wrong_N.any()}


def labels(table: pd.DataFrame, label_set: LabelSet) -> tuple[list[list[str] | None], tuple[str, ...]]:
    """Each row's classes in order, None where it has none, and all classes."""
    found = _from_columns(table, label_set) if label_set.columns else _from_texts(table, label_set)
    classes = label_set.classes or tuple(sorted(set().union(*found)))
    if not 1 < len(classes) <= max(MAX_CLASSES, len(label_set.classes)):
        raise DataError(
            f"{label_set.at}: column {label_set.column} has {len(classes)} classes; a label set has 2 to {MAX_CLASSES}, or lists its `classes`"
        )
    foreign = [names - set(classes) for names in found]
    if rows := sum(map(bool, foreign)):
        raise DataError(
            f"{label_set.at}: column {label_set.column}: {rows} of {len(found)} rows have one of {len(set().union(*foreign))} texts that "
            f"are no class; name them with `map: {{TEXT: CLASS}}`. Classes are {', '.join(classes)}"
        )
    return [sorted(names, key=classes.index) or None for names in found], classes


def _from_texts(table: pd.DataFrame, label_set: LabelSet) -> list[set[str]]:
    texts = cells(table, label_set.column, label_set.at).fillna("")
    cut = [str(text).split(label_set.separator) if label_set.separator else [str(text)] for text in texts]
    names = [{part.strip() for part in parts} - {""} for parts in cut]
    return [{label_set.meaning.get(name, name) for name in found} for found in names]


def _from_columns(table: pd.DataFrame, label_set: LabelSet) -> list[set[str]]:
    found: list[set[str]] = [set() for _ in range(len(table))]
    for name, column in label_set.columns.items():
        truth = {
            "1": 1.0,
            "0": 0.0,
            "1.0": 1.0,
            "0.0": 0.0,
            "true": 1.0,
            "false": 0.0,
            "True": 1.0,
            "False": 0.0,
        }
        marks_N = numbers(table, Column(column, label_set.at, truth))
        for row in np.flatnonzero(marks_N == 1):
            found[row].add(name)
    return found


def folds(table: pd.DataFrame, patients: list[str], spec: Spec) -> NDArray[np.int64]:
    """Dealt by patient, or from a column; patients in two folds are an error."""
    if spec.folds is None:
        return hashed_folds(spec.name, patients)
    texts = whole_cells(table, spec.folds.column, spec.folds.at)
    if spec.folds.parts:
        if wrong := int((~texts.isin(list(spec.folds.parts))).sum()):
            raise DataError(
                f"{spec.folds.at}: column {spec.folds.column}: {wrong} of {len(texts)} rows are not in `parts`"
            )
        return published_folds(spec.folds.at, patients, texts, spec.folds.parts)
    return _numbered(texts, patients, spec.folds)


def _numbered(texts: pd.Series, patients: list[str], given: Folds) -> NDArray[np.int64]:
    found = pd.to_numeric(texts, errors="coerce")
    if wrong := int((~found.isin(range(1, 11))).sum()):
        raise DataError(
            f"{given.at}: column {given.column}: {wrong} of {len(texts)} rows are no fold 1..10; say what its texts mean with "
            "`parts: {TEXT: train}` (train, validation or test)"
        )
    pairs = pd.DataFrame({"patient": patients, "fold": found}).drop_duplicates()["patient"]
    if torn := int(pairs[pairs.duplicated()].nunique()):
        raise DataError(
            f"{given.at}: column {given.column}: {torn} patients have records in more than one fold"
        )
    return found.to_numpy(dtype=np.int64)


def rates(table: pd.DataFrame, spec: Spec) -> NDArray[np.float64]:
    """Each record's rate [Hz]. DataError: a row has none."""
    rates_N = numbers(table, Column(spec.rate_column, spec.top.at("rate"), {}))
    if wrong := int((~(rates_N > 0)).sum()):
        raise DataError(
            f"{spec.top.at('rate')}: column {spec.rate_column}: no rate in {wrong} of {len(rates_N)} rows"
        )
    return rates_N
