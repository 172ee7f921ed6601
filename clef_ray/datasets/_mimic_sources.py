"""Where the covariates of MIMIC-IV's ECGs come from: its own tables (`hosp`, `ed`) or a table of covariates per ECG (`scored`)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import _mimic_history as past
from clef_ray.datasets import _mimic_measured as measured
from clef_ray.datasets._mimic_join import Ecgs, Field, Window
from clef_ray.datasets._mimic_tables import find
from clef_ray.datasets._tables import check_columns, read_csv, to_numbers
from clef_ray.errors import DataError

_HOSP = ("patients", "admissions", "omr", "labevents", "diagnoses_icd", "prescriptions")
_ED = ("edstays", "triage", "vitalsign")

#: Ejection fractions that can be, in %.
_LVEF = (1.0, 100.0)


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables to join, and how: folders (None: not given), the window of measured values, days of prescriptions, and whether the
    admission of the ECG counts for diagnoses.
    """

    hosp: str | None
    ed: str | None
    window: Window
    drug_days: float
    current: bool

    def files(self) -> dict[str, Path]:
        """Table -> file, of the folders that were given. DataError: a folder or a table is missing."""
        of = [("hosp", self.hosp, _HOSP), ("ed", self.ed, _ED)]
        return {
            f"{option}/{name}": find(f"mimic_iv_ecg.{option}", folder, name)
            for option, folder, names in of
            if folder is not None
            for name in names
        }

    def fields(self, ecgs: Ecgs) -> dict[str, Field]:
        """Every covariate that the tables give, and `dbp` [mmHg]."""
        files, found = self.files(), dict[str, Field]()
        if self.hosp is not None:
            found = self._hosp(files, ecgs)
        if self.ed is not None:
            stays, triage, vitals = (files[f"ed/{name}"] for name in _ED)
            # A pressure of the clinic comes first: the scores are made for it, not for one of acute illness.
            acute = measured.emergency(stays, triage, vitals, ecgs, self.window)
            found |= {
                name: found[name].or_else(acute[name]) if name in found else acute[name] for name in acute
            }
        return found

    def _hosp(self, files: dict[str, Path], ecgs: Ecgs) -> dict[str, Field]:
        found = past.people(files["hosp/patients"], ecgs)
        stays = past.admissions(files["hosp/admissions"], ecgs)
        found |= measured.clinic(files["hosp/omr"], ecgs, self.window)
        found |= measured.laboratory(files["hosp/labevents"], ecgs, self.window)
        found["egfr"] = measured.kidney(found.pop("creatinine"), found["age"], found["sex"])
        found |= past.history(files["hosp/diagnoses_icd"], stays, ecgs, current=self.current)
        found |= past.drugs(files["hosp/prescriptions"], ecgs, self.drug_days)
        found["black"] = past.origin(stays, ecgs)
        return found


def scored_fields(path: Path, paths: pd.Series) -> dict[str, Field]:
    """sex, age, bmi, sbp and dbp of a table with one row per ECG, keyed by `path` as in record_list.csv, for the ECGs of `paths`.

    Columns as in the table published with CLEF: gender (M, F), age_at_ecg or else anchor_age, "BMI (kg/m2)", "Blood Pressure" ("S/D");
    whatever else it holds (a score, too) is not read. DataError: no such file, a column is missing, no number, a path twice.
    """
    table = read_csv(path, ["path", "gender", "BMI (kg/m2)", "Blood Pressure"])
    age = "age_at_ecg" if "age_at_ecg" in table else "anchor_age"
    check_columns(table, path, [age])
    table = to_numbers(table, path, numbers=[age, "BMI (kg/m2)"])
    if twice := int(table["path"].duplicated().sum()):
        raise DataError(f"{path}: {twice} of {len(table)} rows repeat the path of another")
    mine = table.set_index("path").reindex(paths)
    age_N = np.minimum(mine[age].to_numpy(dtype=np.float64), past.CENSORED_AGE)
    pressure = pd.DataFrame(measured.blood_pressure(mine["Blood Pressure"]))
    pressure = pressure.mask(measured.contradictory(pressure["sbp"], pressure["dbp"]))
    values = {
        "sex": mine["gender"].map({"M": 0.0, "F": 1.0}).to_numpy(dtype=np.float64),
        "age": age_N,
        "bmi": mine["BMI (kg/m2)"].to_numpy(dtype=np.float64),
        "sbp": pressure["sbp"].to_numpy(dtype=np.float64),
        "dbp": pressure["dbp"].to_numpy(dtype=np.float64),
    }
    fields = {name: Field.of(value_N, "scored") for name, value_N in values.items()}
    dbp = fields.pop("dbp")
    return {**{name: field.within(name) for name, field in fields.items()}, "dbp": dbp}


def ejection_fractions(path: Path, study_N: NDArray[np.int64]) -> tuple[NDArray[np.float64], int]:
    """The LVEF [%] of each study, NaN unknown, and how many values were left out: implausible ones, and those of a study with two.

    path: a CSV with `LVEF` and a path of the ECG (`waveform_path` or `path`) whose last part is the study's number, as the table of labels
    that ECGFounder published. DataError: no such file, columns are missing, no number.
    """
    table = read_csv(path, ["LVEF"])
    if not (keys := [name for name in ("waveform_path", "path") if name in table]):
        raise DataError(
            f"{path} lacks a column waveform_path or path; it has {', '.join(map(str, table.columns))}"
        )
    study = table[keys[0]].astype(str).str.extract(r"(\d+)/?$")[0]
    table = to_numbers(table.assign(study=study), path, whole=["study"], numbers=["LVEF"]).dropna(
        subset=["LVEF"]
    )
    known = table[["study", "LVEF"]].drop_duplicates()
    kept = known[known["LVEF"].between(*_LVEF) & ~known["study"].duplicated(keep=False)]
    value_N = kept.set_index("study")["LVEF"].reindex(study_N).to_numpy(dtype=np.float64)
    return value_N, len(known) - len(kept)
