"""PTB Diagnostic ECG Database: 549 records of 290 patients, 12 standard leads and 3 Frank leads at 1000 Hz (Bousseljot et al. 1995).

Read in its published layout, patientNNN/sNNNN_re.hea or sNNNNlre.hea with .dat (12 leads) and .xyz (Frank leads), or as a folder of such records without
their patients' folders. What is known of a patient stands in the header's comments.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import LEADS, Signal, Source
from clef_ray.datasets._folds import hashed_folds
from clef_ray.datasets._snomed import Comments
from clef_ray.datasets._tables import by_record, folder, implausible_dbp, no_covariates
from clef_ray.datasets._wfdb import read_wfdb
from clef_ray.datasets._window import window_samples
from clef_ray.errors import DataError
from clef_ray.scores import implausible

_FRANK = ("vx", "vy", "vz")
_RECORD = "s[0-9][0-9][0-9][0-9][_a-z]re"

#: The published diagnostic classes -> how a reason for admission begins (in lower case).
_CLASSES: Mapping[str, tuple[str, ...]] = {
    "MI": ("myocardial infarction",),
    "CMHF": ("cardiomyopathy", "heart failure"),
    "BBB": ("bundle branch block",),
    "DYS": ("dysrhythmia",),
    "HYP": ("hypertrophy", "myocardial hypertrophy"),
    "VHD": ("valvular heart disease",),
    "MYO": ("myocarditis",),
    "MISC": ("stable angina", "unstable angina", "palpitation"),
    "HC": ("healthy control",),
}

#: What the comments write where something is not known.
_UNKNOWN = ("", "n/a", "unknown", "?")

_PRESSURE = re.compile(r"(\d+)\s*/\s*(\d+)\s*mmHg", re.IGNORECASE)


class Ptbdb:
    """PTB Diagnostic ECG Database under `root`: the first `seconds` of each record (they last about 30 to 120 s, so 10 s keep all) at
    `fs` Hz. frank: give the Frank leads vx, vy, vz besides the twelve.

    Label set diagnosis: the nine published classes by the reason for admission (MI, CMHF cardiomyopathy or heart failure, BBB, DYS, HYP,
    VHD, MYO, MISC angina or palpitation, HC healthy control); "n/a" is not annotated (None), and so is a reason of no class, which
    `parameters` counts. Target: dbp [mmHg].

    Covariates: age, sex, smoker; diabetes and hypertension by the additional diagnoses, 0 where others are listed or "no" is written and
    NaN where nothing is; sbp (and dbp) from the catheterisation, which may be weeks from the ECG. The wording of the comments is confirmed
    for a real record of one patient; that of the others is taken from descriptions, and what is worded otherwise is unknown (NaN).

    Folds by hash of the patient, for none are published. A record outside a folder patientNNN counts as a patient of its own.
    DataError: no such folder, no record below it, a record in two folders.
    """

    headline: ClassVar[str] = "diagnosis"
    signature: ClassVar[tuple[str, ...]] = (f"patient[0-9][0-9][0-9]/{_RECORD}.hea", f"{_RECORD}.hea")
    citation: ClassVar[str] = (
        "Bousseljot, Kreiseler and Schnabel, Nutzung der EKG-Signaldatenbank CARDIODAT der PTB über das Internet, Biomedizinische "
        "Technik 40(s1):317 (1995), doi:10.1515/bmte.1995.40.s1.317; Goldberger et al., PhysioNet, Circulation 101(23):e215 (2000)"
    )
    licence: ClassVar[str] = "ODC-By 1.0"
    source: ClassVar[Source] = Source(
        url="https://physionet.org/content/ptbdb/1.0.0/",
        access="open",
        records=549,
        patients=290,
        physionet="ptbdb/1.0.0",
        how="clef-ray download ptbdb --root DIR",
    )
    covariates: ClassVar[tuple[str, ...]] = ("age", "sex", "smoker", "diabetes", "hypertension", "sbp")
    targets: ClassVar[Mapping[str, str]] = {"dbp": "mmHg"}
    pad: ClassVar[bool] = False
    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {"diagnosis": tuple(_CLASSES)}

    def __init__(self, root: str, fs: float = 1000.0, seconds: float = 10.0, frank: bool = False) -> None:
        self.root = folder("ptbdb", root)
        self.fs = float(fs)
        self.samples = window_samples("ptbdb", fs, seconds)
        self.leads = (*LEADS, *_FRANK) if frank else LEADS

    def parameters(self) -> dict[str, Any]:
        """fs, samples, leads, the headers' digest, and what was left out."""
        pressures = self._pressures()
        return {
            "fs": self.fs,
            "samples": self.samples,
            "leads": list(self.leads),
            "headers": self._comments.digest,
            "unreadable_headers": self._comments.unreadable,
            "implausible": {
                "age": self._comments.ages()[1],
                "sbp": int(implausible("sbp", pressures[0]).sum()),
                "dbp": int(implausible_dbp(pressures[1]).sum()),
            },
            "with_other_reasons": sum(
                reason not in _UNKNOWN and _class(reason) is None for reason in self._reasons()
            ),
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `file` is the record's path below `root`."""
        return self._table.copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The whole record, 15 leads at 1000 Hz; see `read_wfdb` for the reasons of an UnreadableError."""
        return read_wfdb(self.root / str(row["file"]))

    @cached_property
    def _files(self) -> dict[str, Path]:
        """Record -> its path below root, sorted by record."""
        found = [*self.root.glob(f"patient*/{_RECORD}.hea"), *self.root.glob(f"{_RECORD}.hea")]
        if not found:
            raise DataError(f"ptbdb.root: {self.root} has no records patientNNN/sNNNN_re.hea or sNNNN_re.hea")
        return {
            record: path.relative_to(self.root).with_suffix("")
            for record, path in by_record("ptbdb", self.root, found).items()
        }

    @cached_property
    def _comments(self) -> Comments:
        return Comments.read(self.root, map(str, self._files.values()))

    def _reasons(self) -> list[str]:
        return [text.lower() for text in self._comments.texts("reason for admission")]

    def _pressures(self) -> NDArray[np.float64]:
        """Systolic and diastolic pressure, [2, N] mmHg, as written."""
        texts = self._comments.texts("peripheral blood pressure (syst/diast)")
        found = [_PRESSURE.match(text) for text in texts]
        return np.array([(m[1], m[2]) if m else (np.nan, np.nan) for m in found], dtype=np.float64).T

    @cached_property
    def _table(self) -> pd.DataFrame:
        files, told = self._files, self._comments
        patients = [path.parent.name or record for record, path in files.items()]
        table = pd.DataFrame(
            {
                "record": list(files),
                "patient": patients,
                "fold": hashed_folds("ptbdb", patients),
                **no_covariates(),
            }
        )
        others = [text.lower() for text in told.texts("additional diagnoses")]
        sbp_N, dbp_N = self._pressures()
        table["age"], table["sex"] = told.ages()[0], told.sexes()
        table["smoker"] = [_yes(text.lower()) for text in told.texts("smoker")]
        table["diabetes"] = [_listed(text, "diabetes") for text in others]
        table["hypertension"] = [
            _listed(text, "hypertension", but="pulmonary hypertension") for text in others
        ]
        table["sbp"] = np.where(implausible("sbp", sbp_N), np.nan, sbp_N)
        table["target_dbp"] = np.where(implausible_dbp(dbp_N), np.nan, dbp_N)
        classes = [_class(reason) for reason in self._reasons()]
        table["label_diagnosis"] = pd.Series([[name] if name else None for name in classes], dtype=object)
        table["file"] = [str(path) for path in files.values()]
        return table


def _class(reason: str) -> str | None:
    return next((name for name, begins in _CLASSES.items() if reason.startswith(begins)), None)


def _yes(text: str) -> float:
    return 1.0 if text.startswith("yes") else 0.0 if text.startswith("no") else float("nan")


def _listed(diagnoses: str, diagnosis: str, but: str = "") -> float:
    """Whether a list of diagnoses has this one (not only the other one that holds its name); NaN where there is no list."""
    if diagnoses in _UNKNOWN:
        return float("nan")
    return float(diagnosis in (diagnoses.replace(but, "") if but else diagnoses))
