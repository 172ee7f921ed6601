"""CODE-15 % in its two forms: one table and 18 HDF5 files as published, and WFDB records as the PhysioNet Challenge 2025 converts them."""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import LEADS, MISSING_FILE, Signal, UnreadableError
from clef_ray.datasets._snomed import SEX, fields, number
from clef_ray.datasets._tables import read_csv, to_numbers
from clef_ray.datasets._wfdb import read_header
from clef_ray.errors import DataError

#: The rate of every exam [Hz].
FS = 400.0

#: Columns of exams.csv: the six abnormalities, and what is said of the whole ECG.
ABNORMAL, NORMAL = ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF"), "normal_ecg"

#: In an exam's list of classes: nothing abnormal; or neither normal nor any of the six.
NORM, OTHER = "NORM", "OTHER"

_TRUTH = {"true": 1.0, "1": 1.0, "1.0": 1.0, "false": 0.0, "0": 0.0, "0.0": 0.0}
_CHAGAS = {"true": "positive", "false": "negative"}


def exams_table(path: Path, parts: int) -> tuple[pd.DataFrame, Counter[str]]:
    """exams.csv: one row per exam of the first `parts` files; columns exam (int), patient, age, sex, file, label_diagnosis, label_death
    (lists of class names or None), target_timey; and how many exams were left out because they are in another file.
    DataError: columns that are missing, or hold what they cannot hold.
    """
    whole, numbers = ("exam_id", "patient_id"), ("age", "timey")
    marks = (*ABNORMAL, NORMAL)
    table = read_csv(path, [*whole, *numbers, "is_male", "death", "trace_file", *marks])
    files = {f"exams_part{part}.hdf5" for part in range(parts)}
    here = table["trace_file"].isin(files)
    lacks = Counter(other_file=int((~here).sum()))
    table = table[here].reset_index(drop=True)
    if table.empty:
        raise DataError(
            f"{path}: no exam lies in exams_part0.hdf5 to exams_part{parts - 1}.hdf5 (column trace_file)"
        )
    table = to_numbers(table, path, whole=whole, numbers=numbers)
    truth = {column: _truth(table[column], path) for column in ("is_male", "death", *marks)}
    death = truth["death"].map({1.0: ["died"], 0.0: ["survived"]}).astype(object)
    found = pd.DataFrame(
        {
            "exam": table["exam_id"],
            "patient": table["patient_id"].astype(str),
            "age": table["age"],
            "sex": 1.0 - truth["is_male"],  # 0 male, 1 female
            "file": table["trace_file"],
            "label_diagnosis": _diagnoses(np.stack([truth[column] for column in marks], axis=1)),
            "label_death": death.where(death.notna(), None),
            "target_timey": table["timey"],
        }
    )
    return found, lacks


def headers_table(root: Path) -> tuple[pd.DataFrame, Counter[str]]:
    """The records (.hea) at any depth below `root`: columns record, patient, age, sex, file, label_chagas (["positive"], ["negative"] or
    None); and how many were left out because they are of another source, as the challenge mixes several.
    DataError: none is there; one that cannot be read, or does not name its patient.
    """
    lacks: Counter[str] = Counter()
    rows, anonymous = [], 0
    for path in sorted(root.rglob("*.hea")):
        file = path.with_suffix("")
        header = read_header(file)
        said = fields(header.comments)
        if not said.get("source", "CODE-15").startswith("CODE-15"):
            lacks["other_source"] += 1
            continue
        anonymous += "patient id" not in said
        chagas = _CHAGAS.get(said.get("chagas label", "").lower())
        rows.append(
            {
                "record": header.name,
                "patient": said.get("patient id"),
                "age": number(said.get("age", "")),
                "sex": SEX.get(said.get("sex", "").lower(), np.nan),
                "file": file.relative_to(root).as_posix(),
                "label_chagas": [chagas] if chagas else None,
            }
        )
    if not rows:
        raise DataError(
            f"code15.root: {root} has neither exams.csv (published layout) nor WFDB records of CODE-15 % (Challenge 2025)"
        )
    if anonymous:
        raise DataError(
            f"code15.root: {root}: {anonymous} of {len(rows)} headers have no comment 'Patient ID: ...'"
        )
    return pd.DataFrame(rows), lacks


def read_exam(path: Path, exam: int) -> Signal:
    """One exam of an HDF5 file, without the zeros that fill it up to 4096 samples at both sides.

    UnreadableError: "missing file"; "hdf5 file" (not one, or without exam_id [N] and tracings [N, samples, 12]); "unknown record";
    "no signal" (nothing but zeros); "amplitude".
    """
    try:
        row = _rows(path, path.stat().st_mtime_ns)[exam]
        with h5py.File(path, "r") as file:
            mv_TC = np.asarray(file["tracings"][row], dtype=np.float32)
    except FileNotFoundError as error:
        raise UnreadableError(MISSING_FILE, path.name) from error
    except OSError as error:
        raise UnreadableError("hdf5 file", f"{path.name}: {error}") from error
    except KeyError as error:
        raise UnreadableError("unknown record", f"{path.name} has no exam {exam}") from error
    if mv_TC.ndim != 2 or mv_TC.shape[1] != len(LEADS):
        raise UnreadableError("hdf5 file", f"{path.name}: an exam of shape {mv_TC.shape}, not [samples, 12]")
    said_T = np.flatnonzero((mv_TC != 0).any(axis=1))
    if not len(said_T):
        raise UnreadableError("no signal", f"{path.name}: exam {exam} is zero throughout")
    return Signal.of_millivolts(mv_TC[said_T[0] : said_T[-1] + 1].T, FS, LEADS)


@lru_cache(maxsize=18)
def _rows(path: Path, changed: int) -> Mapping[int, int]:  # noqa: ARG001 - `changed` makes a new file another entry
    """Exam -> row in the file; the files end with a row of zeros for exam 0."""
    with h5py.File(path, "r") as file:
        if missing := [name for name in ("exam_id", "tracings") if name not in file]:
            raise UnreadableError("hdf5 file", f"{path.name} has no dataset {', '.join(missing)}")
        return {exam: row for row, exam in enumerate(np.asarray(file["exam_id"]).tolist())}


def _truth(column: pd.Series, path: Path) -> pd.Series:
    """1 for True, 0 for False, NaN where the cell is empty."""
    found = column.map({value: _TRUTH.get(str(value).strip().lower()) for value in column.unique()}).astype(
        float
    )
    if wrong := int((found.isna() & column.notna()).sum()):
        raise DataError(
            f"{path}: column {column.name}: neither True nor False in {wrong} of {len(column)} rows"
        )
    return found


def _diagnoses(marks_NK: NDArray[np.float64]) -> pd.Series:
    """The classes of each exam, from 1 or 0 for each of ABNORMAL and for NORMAL; None where one of them is unknown."""
    names = (*ABNORMAL, NORM)
    code_N = marks_NK @ 2.0 ** np.arange(len(names))
    classes: dict[float, list[str]] = {
        float(code): [name for k, name in enumerate(names) if code // 2**k % 2] or [OTHER]
        for code in range(2 ** len(names))
    }
    return pd.Series([classes.get(code) for code in code_N.tolist()], dtype=object)  # NaN is no code
