"""MIMIC-IV-ECG: 800,035 diagnostic 12-lead ECGs of 10 s at 500 Hz from 161,352 patients of one hospital (Gow et al. 2023).

The ECGs are open; what is known of the patients stands in the tables of MIMIC-IV, which are credentialed. They are joined here by patient
and time; every joined field has columns `<field>_source` and `<field>_days` (its time minus the ECG's) beside it, and a summary of them (never
a patient's value) stands in the manifest. Times of ECGs are those of the machines' clocks, which were not always right.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from clef_ray.datasets import LEADS, Signal, Source
from clef_ray.datasets._folds import hashed_folds
from clef_ray.datasets._mimic_codes import RHYTHMS, VERDICTS
from clef_ray.datasets._mimic_join import FOREVER, Ecgs, Field, Window
from clef_ray.datasets._mimic_machine import MEASUREMENTS, labels, read_machine
from clef_ray.datasets._mimic_sources import Tables, ejection_fractions, scored_fields
from clef_ray.datasets._mimic_tables import ID, TEXT, TIME, scan
from clef_ray.datasets._tables import digest, folder, no_covariates
from clef_ray.datasets._wfdb import read_wfdb
from clef_ray.datasets._window import window_samples
from clef_ray.errors import ConfigError, DataError

RECORDS, MACHINE = "record_list.csv", "machine_measurements.csv"

#: Classes of the ejection fraction in the ESC's guideline on heart failure (2021): up to 40 %, 41 to 49 %, 50 % and more.
LVEF_CLASSES = ("reduced", "mildly_reduced", "preserved")


class MimicIvEcg:
    """MIMIC-IV-ECG under `root`: record_list.csv, machine_measurements.csv and files/.

    Of the patients, one of two sources, or none (then all covariates are unknown):
    hosp, ed: the folders of the modules of MIMIC-IV 2.0 or newer (patients, admissions, omr, labevents, diagnoses_icd, prescriptions;
    edstays, triage, vitalsign; .csv or .csv.gz). The emergency department's pressure counts where the clinic has none. sbp, bmi, total_cholesterol, hdl, hba1c and egfr are the nearest values from `days_before` days before the
    ECG to `days_after` days after it; a year on both sides is as far as a risk score may be from what it is made of. Conditions, smoking and
    drugs are never from after the ECG: see `_mimic_history`. admissions: `past` counts stays that had ended by the ECG, `current` also the
    one it was taken in, whose codes are of its end. drug_days: how far back a prescription counts. Ages above 89 are 90.
    scored: a table with covariates per ECG, as the one published with CLEF; see `scored_fields`.

    Targets: the machine's intervals and axes (29999 and 32767 mean that it did not measure), `dbp` where a source is given, `lvef` [%] and
    the label set `lvef_class` where `lvef` names a table of ejection fractions. Label sets `report` (the machine's summary of the ECG) and
    `rhythm` (the first statement that names one for certain). Folds are by the patient's hash; the dataset has none.
    per_patient: `all`; `first`, by time; `one`, drawn by the study's hash and so at any time of a patient's history (one per patient as for
    CLEF, whose own choice is not published).

    DataError: no such path, a table that is missing, lacks columns or holds what cannot be. ConfigError: an option outside its range.
    """

    headline: ClassVar[str] = "report"
    signature: ClassVar[tuple[str, ...]] = ("machine_measurements.csv",)
    citation: ClassVar[str] = (
        "Gow et al., MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset (version 1.0), PhysioNet (2023), doi:10.13026/4nqg-sb35; "
        "Johnson et al., MIMIC-IV, a freely accessible electronic health record dataset, Sci Data 10:1 (2023), "
        "doi:10.1038/s41597-022-01899-x; Goldberger et al., PhysioNet, Circulation 101(23):e215 (2000)"
    )
    licence: ClassVar[str] = (
        "Open Data Commons Open Database License 1.0 (the ECGs); PhysioNet Credentialed Health Data License 1.5.0 (the tables of MIMIC-IV)"
    )
    source: ClassVar[Source] = Source(
        url="https://physionet.org/content/mimic-iv-ecg/1.0/",
        access="open",
        records=800035,
        patients=161352,
        physionet="mimic-iv-ecg/1.0",
        how="clef-ray download mimic_iv_ecg --root DIR; the tables for `hosp` and `ed` (https://physionet.org/content/mimiciv/, "
        "https://physionet.org/content/mimic-iv-ed/) need a credentialed account and a signed agreement",
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
        "egfr",
        "hba1c",
        "treated",
        "statin",
        "black",
        "heart_failure",
        "hypertension",
        "stroke",
        "vascular_disease",
    )
    pad: ClassVar[bool] = False
    leads: ClassVar[tuple[str, ...]] = LEADS

    def __init__(
        self,
        root: str,
        hosp: str | None = None,
        ed: str | None = None,
        scored: str | None = None,
        lvef: str | None = None,
        fs: float = 500.0,
        seconds: float = 10.0,
        per_patient: Literal["all", "first", "one"] = "all",
        days_before: float = 365.0,
        days_after: float = 365.0,
        drug_days: float = 365.0,
        admissions: Literal["past", "current"] = "past",
    ) -> None:
        if scored is not None and (hosp is not None or ed is not None):
            raise ConfigError(
                "mimic_iv_ecg.scored stands in place of hosp and ed: give the one or the others"
            )
        for option, days in (
            ("days_before", days_before),
            ("days_after", days_after),
            ("drug_days", drug_days),
        ):
            if not 0 <= days <= FOREVER:
                raise ConfigError(f"mimic_iv_ecg.{option} is {days:g}; allowed are 0 to {FOREVER:g} days")
        self.root = folder("mimic_iv_ecg", root)
        self.fs, self.samples = float(fs), window_samples("mimic_iv_ecg", fs, seconds)
        self.per_patient = per_patient
        self._tables = Tables(hosp, ed, Window(days_before, days_after), drug_days, admissions == "current")
        self._scored, self._lvef = (None if name is None else Path(name) for name in (scored, lvef))

    @property
    def label_sets(self) -> dict[str, tuple[str, ...]]:
        """Set -> classes: report, rhythm, and lvef_class where there are ejection fractions."""
        more = {} if self._lvef is None else {"lvef_class": LVEF_CLASSES}
        return {"report": VERDICTS, "rhythm": RHYTHMS, **more}

    @property
    def targets(self) -> dict[str, str]:
        """Target -> unit."""
        units = {name: unit for name, (unit, *_) in MEASUREMENTS.items()}
        with_dbp = self._scored or self._tables.hosp or self._tables.ed
        return units | ({"dbp": "mmHg"} if with_dbp else {}) | ({} if self._lvef is None else {"lvef": "%"})

    def parameters(self) -> dict[str, Any]:
        """Options, digests of the tables, how the fields were joined (see `Field.summary`), and what was left out as implausible."""
        tables, files = self._tables, {name: self.root / name for name in (RECORDS, MACHINE)}
        files |= {"scored": self._scored} if self._scored else tables.files()
        files |= {"lvef": self._lvef} if self._lvef else {}
        return {
            "fs": self.fs,
            "samples": self.samples,
            "per_patient": self.per_patient,
            "days_before": tables.window.before,
            "days_after": tables.window.after,
            "drug_days": tables.drug_days,
            "admissions": "current" if tables.current else "past",
            "tables": {name: digest(path) for name, path in sorted(files.items())},
            "joined": {name: field.summary() for name, field in self._fields.items()},
            "implausible": self._machine[1] | ({"lvef": self._lvef_values[1]} if self._lvef else {}),
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `record` is the study's number, `file` its path below `root`. For every joined field `<field>_source` (a
        category) and `<field>_days`.
        """
        table: pd.DataFrame = self._table.copy()
        return table

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The raw samples of one row of `table()`, leads by their names (the files' order is not the usual one)."""
        return read_wfdb(self.root / str(row["file"]))

    @cached_property
    def _records(self) -> pd.DataFrame:
        """subject, study, time and file of the records that are chosen, sorted by study."""
        path = self.root / RECORDS
        kinds = {"subject_id": ID, "study_id": ID, "ecg_time": TIME, "path": TEXT}
        blocks = [batch.to_pandas() for batch in scan(path, kinds)]
        if not blocks:
            raise DataError(f"{path} has no rows")
        rows: pd.DataFrame = pd.concat(blocks, ignore_index=True)
        rows.columns = pd.Index(["subject", "study", "time", "file"])
        if unknown := int(rows.isna().any(axis=1).sum()):
            raise DataError(f"{path}: {unknown} of {len(rows)} rows lack one of {', '.join(kinds)}")
        if twice := int(rows["study"].duplicated().sum()):
            raise DataError(f"{path}: {twice} of {len(rows)} rows repeat the study_id of another")
        if self.per_patient != "all":
            rows = (
                rows.assign(rank=self._rank(rows)).sort_values(["rank", "study"]).drop_duplicates("subject")
            )
        return rows.sort_values("study", ignore_index=True)

    def _rank(self, rows: pd.DataFrame) -> pd.Series | np.ndarray:
        if self.per_patient == "first":
            return rows["time"]
        return hashed_folds("mimic_iv_ecg/one", rows["study"].astype(str), 1 << 62)

    @cached_property
    def _machine(self) -> tuple[pd.DataFrame, dict[str, int]]:
        return read_machine(self.root / MACHINE, self._records["study"].to_numpy())

    @cached_property
    def _lvef_values(self) -> tuple[np.ndarray, int]:
        assert self._lvef is not None
        return ejection_fractions(self._lvef, self._records["study"].to_numpy())

    @cached_property
    def _fields(self) -> dict[str, Field]:
        rows = self._records
        if self._scored:
            return scored_fields(self._scored, rows["file"])
        ecgs = Ecgs(rows["subject"].to_numpy(dtype=np.int64), rows["time"].to_numpy(dtype="datetime64[s]"))
        return self._tables.fields(ecgs)

    @cached_property
    def _table(self) -> pd.DataFrame:
        rows, (said, _) = self._records, self._machine
        patient = rows["subject"].astype(str)
        columns: dict[str, Any] = {
            "record": rows["study"].map("{:08d}".format),
            "patient": patient,
            "fold": hashed_folds("mimic_iv_ecg", patient),
            **no_covariates(),
            "label_report": labels(said["verdict"].to_numpy(), VERDICTS),
            "label_rhythm": labels(said["rhythm"].to_numpy(), RHYTHMS),
            **{f"target_{name}": said[name] for name in MEASUREMENTS},
            "file": rows["file"],
        }
        for name, field in self._fields.items():
            columns["target_dbp" if name == "dbp" else name] = field.value_N
            columns |= {f"{name}_source": field.source, f"{name}_days": field.days_N}
        if self._lvef:
            lvef_N = columns["target_lvef"] = self._lvef_values[0]
            place_N = (lvef_N > 40).astype(np.int8) + (lvef_N >= 50)
            place_N = np.where(np.isnan(lvef_N), -1, place_N)
            columns["label_lvef_class"] = labels(place_N, LVEF_CLASSES)
        return pd.DataFrame(columns)
