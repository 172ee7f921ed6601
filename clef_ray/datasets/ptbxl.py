"""PTB-XL: 21,799 clinical 12-lead ECGs of 10 s from 18,869 patients, with SCP-ECG statements (Wagner et al. 2020).

Two layouts are read. The *published* one: ptbxl_database.csv, scp_statements.csv, records100/, records500/. A *partial* one, for extracts
that come with prepared tables instead: ptbxl_labels_<n>.csv (patient, fold, file names and class names per label set), age_sex_<n>.csv and
scp_statements.csv, with the signal files that exist.
"""

import ast
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from clef_ray.datasets import COVARIATES, LEADS, Signal, Source
from clef_ray.datasets._tables import bmi, digest, read_csv, to_numbers
from clef_ray.datasets._wfdb import read_wfdb
from clef_ray.errors import DataError

#: Ages above 89 are hidden in PTB-XL (300, or left out in early versions): stored as 90, which means 90 or older (right-censored).
CENSORED_AGE = 90.0

_SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")

#: Label set -> its column in scp_statements.csv, where a class is a column's value, and the column in the partial layout's table.
_SOURCES = {
    "superclass": ("diagnostic_class", "super_class"),
    "subclass": ("diagnostic_subclass", "sub_class"),
    "rhythm": ("rhythm", "rhythm"),
    "form": ("form", "form"),
    "diagnostic": ("diagnostic", None),
}


#: Columns that hold a whole number in every row, and columns of numbers that may be unknown.
_WHOLE, _NUMBERS = ("ecg_id", "patient_id", "strat_fold"), ("age", "sex", "height", "weight")


class Ptbxl:
    """PTB-XL under `root` at `fs` Hz: 100 (records100/) or 500 (records500/).

    Label sets: superclass (5 classes, the headline), subclass (23), rhythm (12), form (19), and in the published layout diagnostic (44). A
    statement counts whatever its likelihood; a record without any statement of a set is not annotated for it (None). Covariates: age (90
    means 90 or older), sex, and in the published layout bmi where height and weight are plausible.
    DataError: no such path, a folder of neither layout, a table that lacks columns or holds values that cannot be.
    """

    headline: ClassVar[str] = "superclass"
    signature: ClassVar[tuple[str, ...]] = ("ptbxl_database.csv", "ptbxl_labels_*.csv")
    citation: ClassVar[str] = (
        "Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Sci Data 7:154 (2020), "
        "doi:10.1038/s41597-020-0495-6; Goldberger et al., PhysioNet, Circulation 101(23):e215 (2000)"
    )
    licence: ClassVar[str] = "CC BY 4.0"
    source: ClassVar[Source] = Source(
        url="https://physionet.org/content/ptb-xl/1.0.3/",
        access="open",
        records=21799,
        patients=18869,
        physionet="ptb-xl/1.0.3",
        how="clef-ray download ptbxl --root DIR",
    )
    covariates: ClassVar[tuple[str, ...]] = ("age", "sex", "bmi")
    targets: ClassVar[Mapping[str, str]] = {}
    pad: ClassVar[bool] = False
    leads: ClassVar[tuple[str, ...]] = LEADS

    def __init__(self, root: str, fs: Literal[100, 500] = 100) -> None:
        self.root = Path(root)
        self.fs = float(fs)
        self.samples = 10 * fs
        self._labels_file, self._ages_file = _layout(self.root)
        self._statements = _statements(self.root)
        columns = {name: _classes(self._statements[source]) for name, (source, _) in _SOURCES.items()}
        #: name -> class names: NORM, MI, STTC, CD, HYP, the others in the order of scp_statements.csv.
        self.label_sets: dict[str, tuple[str, ...]] = {"superclass": _SUPERCLASSES}
        for name, (_, prepared) in _SOURCES.items():
            if name != "superclass" and (prepared or self._published):
                self.label_sets[name] = tuple(dict.fromkeys(columns[name].values()))

    @property
    def _published(self) -> bool:
        return self._ages_file is None

    def parameters(self) -> dict[str, Any]:
        """fs, the layout, digests of the tables, and how many records had a hidden age or (partial layout) no signal file."""
        tables = [self._labels_file, self._ages_file, "scp_statements.csv"]
        return {
            "fs": self.fs,
            "layout": "published" if self._published else "partial",
            "tables": {name: digest(self.root / name) for name in tables if name},
            "age_90_or_older": int((self._table["age"] == CENSORED_AGE).sum()),
            "without_signal_file": len(self._rows) - len(self._table),
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `record` is the ECG's id with five digits, `file` its signal's path below `root`."""
        return self._table.copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The raw samples of one row of `table()`; see `read_wfdb` for the reasons of an UnreadableError."""
        return read_wfdb(self.root / str(row["file"]))

    @cached_property
    def _rows(self) -> pd.DataFrame:
        """The tables as they are on disk, one row per ECG, sorted."""
        file = "filename_lr" if self.fs == 100 else "filename_hr"
        needed = ["ecg_id", "patient_id", "strat_fold", file]
        if self._ages_file is None:
            rows = _read(self.root / self._labels_file, [*needed, *_NUMBERS, "scp_codes"])
        else:
            prepared = [column for _, column in _SOURCES.values() if column]
            ages = _read(self.root / self._ages_file, ["ecg_id", "age", "sex"])
            rows = _read(self.root / self._labels_file, [*needed, *prepared])
            rows = rows.merge(ages, on="ecg_id", how="left")
        return rows.rename(columns={file: "file"}).sort_values("ecg_id", ignore_index=True)

    @cached_property
    def _table(self) -> pd.DataFrame:
        rows = self._rows
        if (
            not self._published
        ):  # an extract need not hold every signal; in the published layout a missing one is quarantined
            rows = rows[[(self.root / f"{name}.hea").exists() for name in rows["file"]]].reset_index(
                drop=True
            )
        table = pd.DataFrame(
            {
                "record": rows["ecg_id"].map("{:05d}".format),
                "patient": rows["patient_id"].astype(str),
                "fold": rows["strat_fold"],
                **dict.fromkeys(COVARIATES, np.nan),
            }
        )
        table["age"] = rows["age"].clip(upper=CENSORED_AGE)
        table["sex"] = rows["sex"]  # 0 male, 1 female, as in COVARIATES
        if self._published:
            table["bmi"] = bmi(rows["height"], rows["weight"])
        for name in self.label_sets:
            table[f"label_{name}"] = self._labels(rows, name)
        table["file"] = rows["file"]
        return table

    def _labels(self, rows: pd.DataFrame, label_set: str) -> pd.Series:
        source, prepared = _SOURCES[label_set]
        order = self.label_sets[label_set]
        if self._published:
            classes = _classes(self._statements[source])
            found = [
                [classes[code] for code in codes if code in classes] for codes in _codes(rows["scp_codes"])
            ]
        else:
            # The prepared tables write classes without their leading and trailing underscores (NST_, _AVB).
            stored = {name.strip("_"): name for name in order}
            found = [
                [stored.get(name, name) for name in str(names).split()] for names in rows[prepared].fillna("")
            ]
        if wrong := [set(names) - set(order) for names in found if not set(names) <= set(order)]:
            column = f"scp_codes (by {source} of scp_statements.csv)" if self._published else prepared
            raise DataError(
                f"{self.root / self._labels_file}: column {column}: {len(wrong)} of {len(rows)} rows have an unknown {label_set}: "
                f"{', '.join(sorted(set().union(*wrong)))}; known are {', '.join(order)}"
            )
        return pd.Series([sorted(set(names), key=order.index) or None for names in found], dtype=object)


def _layout(root: Path) -> tuple[str, str | None]:
    """The names of the table of labels and, in the partial layout, of the table of ages."""
    if not root.is_dir():
        raise DataError(f"ptbxl.root: no such folder: {root}")
    labels, ages = (
        sorted(p.name for p in root.glob(pattern)) for pattern in ("ptbxl_labels_*.csv", "age_sex_*.csv")
    )
    if labels and ages:
        return labels[-1], ages[-1]
    if (root / "ptbxl_database.csv").exists():
        return "ptbxl_database.csv", None
    what = "has no PTB-XL tables" if any(root.iterdir()) else "is an empty folder"
    raise DataError(
        f"ptbxl.root: {root} {what}. Looked for ptbxl_database.csv (published layout), "
        "and for ptbxl_labels_*.csv with age_sex_*.csv (partial layout)"
    )


def _statements(root: Path) -> pd.DataFrame:
    path = root / "scp_statements.csv"
    if not path.exists():
        raise DataError(
            f"ptbxl.root: {root} lacks scp_statements.csv, which says which classes the statements belong to"
        )
    needed = [source for source, _ in _SOURCES.values()]
    table = read_csv(path, needed, index_col=0)
    return table[needed]


def _read(path: Path, needed: list[str]) -> pd.DataFrame:
    """A table of records with its numbers as numbers."""
    whole, numbers = ([name for name in names if name in needed] for names in (_WHOLE, _NUMBERS))
    return to_numbers(read_csv(path, needed), path, whole=whole, numbers=numbers)


def _classes(column: pd.Series) -> dict[str, str]:
    """Statement -> class. Columns that mark membership with 1 make each statement its own class."""
    known = column.dropna()
    marks: Callable[[str, Any], str] = (
        (lambda code, _: code) if known.dtype.kind == "f" else (lambda _, name: str(name))
    )
    return {str(code): marks(str(code), value) for code, value in known.items()}


def _codes(column: pd.Series) -> list[list[str]]:
    """The statements of each record, e.g. from "{'NORM': 100.0, 'SR': 0.0}"; any likelihood counts (0 means not given)."""
    try:
        return [list(ast.literal_eval(text)) for text in column]
    except (ValueError, SyntaxError) as error:
        raise DataError(
            f"ptbxl_database.csv: scp_codes is not a dictionary of statements: {error}"
        ) from error
