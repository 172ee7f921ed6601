"""Reading the tables that come with a dataset: every error names the file, the column and how many rows, never a patient's value."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import COVARIATES
from clef_ray.errors import DataError

#: Diastolic pressures that a person can have [mmHg]; they are a target, of which `clef_ray.scores.FIELDS` gives no range.
DIASTOLIC = (20.0, 200.0)


def folder(dataset: str, root: str, option: str = "root") -> Path:
    """The folder that the dataset's `option` names, as a path. DataError: it is not a folder, or an empty one."""
    path = Path(root)
    if not path.is_dir():
        raise DataError(f"{dataset}.{option}: no such folder: {path}")
    if not any(path.iterdir()):
        raise DataError(f"{dataset}.{option}: {path} is an empty folder")
    return path


def by_record(dataset: str, root: Path, files: Iterable[Path]) -> dict[str, Path]:
    """Record (a file's name without its ending) -> the file, sorted by record. DataError: a record in more than one folder."""
    found = sorted(files, key=lambda path: path.stem)
    named = {path.stem: path for path in found}
    if twice := len(found) - len(named):
        raise DataError(f"{dataset}.root: {root} has {twice} records in more than one folder")
    return named


def read_csv(
    path: Path, needed: Iterable[str] = (), *, index_col: int | None = None, sep: str = ","
) -> pd.DataFrame:
    """A table with at least the columns `needed`, values as pandas reads them. DataError: no such file, no CSV, a column is missing."""
    try:
        table = pd.read_csv(path, index_col=index_col, sep=sep)
    except FileNotFoundError as error:
        raise DataError(f"{path.parent} lacks {path.name}") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable CSV: {error}") from error
    check_columns(table, path, needed)
    return table


def check_columns(table: pd.DataFrame, path: Path, needed: Iterable[str]) -> None:
    """DataError: a column that is needed is missing."""
    if missing := [column for column in needed if column not in table]:
        raise DataError(
            f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(map(str, table.columns))}"
        )


def to_numbers(
    table: pd.DataFrame, path: Path, *, whole: Iterable[str] = (), numbers: Iterable[str] = ()
) -> pd.DataFrame:
    """The table with columns `whole` as int64 (every row must have one) and `numbers` as float64, NaN for unknown.

    DataError: file, column, number of rows.
    """
    table, whole = table.copy(), list(whole)
    for column in (*whole, *numbers):
        found = pd.to_numeric(table[column], errors="coerce")
        wrong = found % 1 != 0 if column in whole else found.isna() & table[column].notna()
        if count := int(wrong.sum()):
            kind = "whole number" if column in whole else "number"
            raise DataError(f"{path}: column {column}: no {kind} in {count} of {len(table)} rows")
        table[column] = found.astype("int64" if column in whole else "float64")
    return table


def digest(path: Path) -> str:
    """sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def no_covariates() -> dict[str, float]:
    """Every covariate as unknown, to begin a table with."""
    return dict.fromkeys(COVARIATES, np.nan)


def implausible_dbp(dbp_N: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which diastolic pressures [mmHg] no person can have; an unknown one (NaN) is not among them."""
    low, high = DIASTOLIC
    return (dbp_N < low) | (dbp_N > high)


def bmi(height_cm: pd.Series, weight_kg: pd.Series) -> pd.Series:
    """kg/m2 where both are plausible for a person (100-230 cm, 25-300 kg), else NaN."""
    plausible = height_cm.between(100, 230) & weight_kg.between(25, 300)
    return (weight_kg / (height_cm / 100) ** 2).where(plausible)
