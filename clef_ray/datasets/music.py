"""MUSIC: 992 outpatients with chronic heart failure, followed for 44 months (median), with Holter ECGs (Martin-Yebra et al. 2024).

Read in its published layout: subject-info.csv (semicolons; some decimals with a comma), Holter_ECG/P0001.hea (24 h at 200 Hz, 936 patients)
and High-resolution_ECG/P0001_H.hea (20 min at 1000 Hz, 687 patients). Both kinds have the orthogonal leads X, Y and Z; 38 recordings have
no Z. The 12-lead ECGs of the study are not published. 39 Holter files, nearly all of those without Z among them, and 20 of the others go on
after the samples that their headers count; by how much is not known. Windows are read where the headers say, and what follows is left out.

Column names, codes and counts are those of programs and an audit that read version 1.0.1; gains and units in the headers could not be seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import Signal, Source, UnreadableError
from clef_ray.datasets._folds import hashed_folds, published_folds
from clef_ray.datasets._music_table import CLASSES, read_subjects
from clef_ray.datasets._tables import digest, folder
from clef_ray.datasets._wfdb import read_header, read_wfdb
from clef_ray.datasets._window import window_samples
from clef_ray.errors import ConfigError, DataError
from clef_ray.signal import INVALID_SAMPLE


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of recording: its folder, what follows the patient in its name, its rate [Hz], the column that tells who has one."""

    folder: str
    suffix: str
    fs: float
    column: str


_KINDS: Mapping[str, _Kind] = {
    "holter": _Kind("Holter_ECG", "", 200.0, "Holter available"),
    "high_resolution": _Kind("High-resolution_ECG", "_H", 1000.0, "Hig-resolution ECG available"),
}

#: How far into a recording a valid window is looked for [s].
_SEARCH = 3600.0

#: Where the published comparison (CLEF) cuts the rows of its table: 70 % for training, 10 % for validation, 20 % for testing.
_CUTS = (0.7, 0.8)


class Music:
    """MUSIC under `root`: windows of `seconds` of each patient's recording, at `fs` Hz (None: the recording's own rate).

    recording: holter or high_resolution. windows: "first", one per patient, the first in which every sample of the `leads` is valid and
    none is constant (looked for in the first hour; a recording without is set aside); or "regular", at most `per_patient` windows, evenly
    spread over the recording, whatever is in them. leads: XYZ, XY (which every recording has) or X alone.
    split: "patient", by hash; or "row_order", the published comparison's: rows of the table that have a recording, 70/10/20 % from the
    top. Both are safe, for a row is a patient.

    Label set outcome (by cause of death): survivor, non_cardiac_death, scd (sudden cardiac death), pump_failure. Survivor means that no
    death was seen: 11 lost to follow-up and 20 transplanted patients are among them. Targets: lvef [%], dbp [mmHg].

    Covariates, all from enrolment: age (">89" becomes 90), sex, sbp, total_cholesterol, hdl, smoker (smokes daily and has not stopped; NaN
    where the table does not tell both), diabetes, bmi, statin, heart_failure (1: everybody), hypertension, vascular_disease (infarction or
    peripheral disease). Not `treated`: such drugs are given here for the heart failure itself.
    ConfigError: an option outside its range. DataError: no such folder, a table that lacks columns or holds what cannot be.
    """

    headline: ClassVar[str] = "outcome"
    signature: ClassVar[tuple[str, ...]] = ("Holter_ECG/P*.hea", "High-resolution_ECG/P*_H.hea")
    citation: ClassVar[str] = (
        "Martin-Yebra, Martínez and Laguna, MUSIC (Sudden Cardiac Death in Chronic Heart Failure), PhysioNet (2024), "
        "doi:10.13026/fa8p-he52; Vazquez et al., The MUSIC risk score, Eur Heart J 30(9):1088-1096 (2009), doi:10.1093/eurheartj/ehp032; "
        "Goldberger et al., PhysioNet, Circulation 101(23):e215 (2000)"
    )
    licence: ClassVar[str] = "ODbL 1.0"
    source: ClassVar[Source] = Source(
        url="https://physionet.org/content/music-sudden-cardiac-death/1.0.1/",
        access="open",
        records=936,
        patients=992,
        physionet="music-sudden-cardiac-death/1.0.1",
        how="clef-ray download music --root DIR",
    )
    covariates: ClassVar[tuple[str, ...]] = (
        "age",
        "sex",
        "sbp",
        "total_cholesterol",
        "hdl",
        "smoker",
        "diabetes",
        "bmi",
        "statin",
        "heart_failure",
        "hypertension",
        "vascular_disease",
    )
    targets: ClassVar[Mapping[str, str]] = {"lvef": "%", "dbp": "mmHg"}
    pad: ClassVar[bool] = False
    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {"outcome": tuple(CLASSES)}

    def __init__(
        self,
        root: str,
        recording: Literal["holter", "high_resolution"] = "holter",
        windows: Literal["first", "regular"] = "first",
        per_patient: int = 100,
        leads: Literal["XYZ", "XY", "X"] = "XYZ",
        split: Literal["patient", "row_order"] = "patient",
        fs: float | None = None,
        seconds: float = 10.0,
    ) -> None:
        if per_patient < 1:
            raise ConfigError(f"music.per_patient is {per_patient}; allowed is 1 or more")
        self.root = folder("music", root)
        self._kind = _KINDS[recording]
        self.windows, self.per_patient, self.split, self.seconds = windows, per_patient, split, seconds
        self.leads = tuple(leads)
        self.fs = self._kind.fs if fs is None else float(fs)
        self.samples = window_samples("music", self.fs, seconds)

    def parameters(self) -> dict[str, Any]:
        """Options, the table's digest, and what was left out."""
        return {
            "recording": self._kind.folder,
            "windows": self.windows if self.windows == "first" else [self.windows, self.per_patient],
            "leads": list(self.leads),
            "split": self.split,
            "fs": self.fs,
            "seconds": self.seconds,
            "tables": {"subject-info.csv": digest(self.root / "subject-info.csv")},
            "without_recording": int((~self._has_recording).sum()),
            "implausible": dict(self._subjects[1]),
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `file` is the recording's path below `root`, `start` the window's first sample at the recording's rate
        (of windows "first": where the search begins).
        """
        return self._table.copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The row's window, of the leads asked for. UnreadableError: see `read_wfdb`; "leads" where the recording lacks one; "no valid
        window" where windows are "first" and none is.
        """
        path, start = self.root / str(row["file"]), int(row["start"])
        if self.windows == "regular":
            return self._read(path, start)
        searched = min(read_header(path).samples, round(_SEARCH * self._kind.fs))
        for begin in range(start, searched - self._length + 1, self._length):
            signal = self._read(path, begin)
            if _is_valid(signal.raw_CT):
                return signal
        raise UnreadableError(
            "no valid window", f"{path.name}: none of {self.seconds:g} s in {searched} samples"
        )

    def _read(self, path: Path, start: int) -> Signal:
        signal = read_wfdb(path, start, start + self._length)
        if missing := [lead for lead in self.leads if lead not in signal.leads]:
            raise UnreadableError("leads", f"{path.name}: no {', '.join(missing)}")
        rows = [signal.leads.index(lead) for lead in self.leads]
        return replace(
            signal,
            raw_CT=signal.raw_CT[rows],
            leads=self.leads,
            gain_C=signal.gain_C[rows],
            baseline_C=signal.baseline_C[rows],
        )

    @property
    def _length(self) -> int:
        """Samples of a window at the recording's own rate."""
        return round(self.seconds * self._kind.fs)

    @cached_property
    def _subjects(self) -> tuple[pd.DataFrame, Mapping[str, int]]:
        return read_subjects(self.root / "subject-info.csv", [kind.column for kind in _KINDS.values()])

    @property
    def _has_recording(self) -> pd.Series:
        return self._subjects[0][self._kind.column] == 1

    @cached_property
    def _table(self) -> pd.DataFrame:
        subjects = self._subjects[0][self._has_recording].drop(
            columns=[kind.column for kind in _KINDS.values()]
        )
        if subjects.empty:
            raise DataError(
                f"music: nobody has a recording by the column {self._kind.column} of subject-info.csv"
            )
        subjects = subjects.assign(fold=self._folds(subjects["patient"]))
        subjects["file"] = f"{self._kind.folder}/" + subjects["patient"] + self._kind.suffix
        subjects["record"] = subjects["patient"] + self._kind.suffix
        subjects["start"] = 0
        if self.windows == "regular":
            subjects["start"] = [self._starts(file) for file in subjects["file"]]
            subjects = subjects.explode("start", ignore_index=True).astype({"start": "int64"})
            subjects["record"] += "-" + subjects["start"].map("{:08d}".format)
        return subjects.sort_values("record", ignore_index=True)

    def _starts(self, file: str) -> list[int]:
        """Where the windows of a recording begin; 0 where its header cannot be read or it is too short: `signal` says so."""
        try:
            fitting = read_header(self.root / file).samples // self._length
        except UnreadableError:
            return [0]
        chosen = np.linspace(0, max(fitting - 1, 0), min(max(fitting, 1), self.per_patient))
        return [int(window) * self._length for window in chosen]

    def _folds(self, patients: pd.Series) -> NDArray[np.int64]:
        if self.split == "patient":
            return hashed_folds("music", patients)
        train, validation = (int(cut * len(patients)) for cut in _CUTS)
        parts = [
            "train" if i < train else "validation" if i < validation else "test" for i in range(len(patients))
        ]
        return published_folds(
            "music", patients, parts, {part: part for part in ("train", "validation", "test")}
        )


def _is_valid(raw_CT: NDArray[np.int16]) -> bool:
    return bool((raw_CT != INVALID_SAMPLE).all() and (raw_CT != raw_CT[:, :1]).any(axis=1).all())
