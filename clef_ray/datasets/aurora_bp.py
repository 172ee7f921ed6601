"""Aurora-BP: lead I and blood pressure of two cuffless-pressure studies (Mieloszyk et al. 2022), a wearable at rest and in daily life.

Layout, as the publishers' sample and its description show it (github.com/microsoft/aurorabp-sample-data):

    participants.tsv                    a row per participant; pid begins with a (auscultatory) or o (oscillometric protocol)
    features.tsv                        a row per measurement; baseline_sbp, baseline_dbp: the participant's averaged calibration readings
    measurements_auscultatory.tsv, measurements_oscillometric.tsv       a row per measurement: its pressures, and the file of its signals
    measurements_auscultatory/a000/a000.initial.Calibration_start_1.tsv t, ekg [mV], optical, pressure, accel_x, accel_y, accel_z at 500/s

Not confirmed: how many measurements the whole dataset has; whether all its files come unpacked as in the sample; whether every one has an
`ekg` column with numbers (one without is quarantined).
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from clef_ray.datasets import MISSING_FILE, Signal, Source, UnreadableError
from clef_ray.datasets._folds import dealt_folds
from clef_ray.datasets._tables import (
    bmi,
    digest,
    folder,
    implausible_dbp,
    no_covariates,
    read_csv,
    to_numbers,
)
from clef_ray.datasets._window import window_samples
from clef_ray.errors import DataError
from clef_ray.scores import implausible

#: Rate of all files [Hz]; the device's own 488 and 499 Hz were resampled to it by the publishers.
RATE = 500.0

_INCH, _POUND = 2.54, 0.45359237  # cm, kg

_YES_NO = (
    "high_blood_pressure",
    "coronary_artery_disease",
    "diabetes",
    "previous_heart_attack",
    "previous_stroke",
    "heart_failure",
    "other_cv_diseases",
    "cvd_meds",
)

_PROTOCOLS = ("auscultatory", "oscillometric")


class AuroraBp:
    """Aurora-BP under `root`: one lead (I), `seconds` of each measurement at `fs` Hz.

    measurements: `baseline`, of each participant of the auscultatory protocol the first calibration reading at rest (initial visit, supine),
    with the participant's baseline pressures, as the blood-pressure tasks use it; or `all`, every measurement of both protocols that has
    signals, each with its own pressures (rest, postures, after exercise, daily life). Measurements last 15 to 27 s in the sample, so 10 s
    leave none out.

    The electrodes' DC offset (3 to 10 mV in the sample, more than an ECG has, and not the heart's) is taken away as the recording's median.
    Covariates are the participants' own statements, but for sbp [mmHg], which is measured; dbp is a target. treated: 0 without medicine
    for heart or circulation, 1 with it where the high blood pressure is stated as managed, else unknown (the medicine may be another).
    vascular_disease: 1 after a heart attack, 0 where neither that nor coronary nor other disease is stated, else unknown.

    Folds: participants dealt 70/15/15 to 1-8, 9 and 10 by their name; a person is in one protocol only. The published experiments draw the same
    shares by a seed, which depends on the order of the tables and is not repeated here.
    ConfigError: an option outside its range. DataError: no such path, a table that is missing, lacks columns or holds values that cannot be.
    """

    headline: ClassVar[str] = ""
    signature: ClassVar[tuple[str, ...]] = ("measurements_auscultatory.tsv", "measurements_oscillometric.tsv")
    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    targets: ClassVar[Mapping[str, str]] = {"dbp": "mmHg"}
    leads: ClassVar[tuple[str, ...]] = ("I",)
    pad: ClassVar[bool] = False
    citation: ClassVar[str] = (
        "Mieloszyk et al., A comparison of wearable tonometry, photoplethysmography, and electrocardiography for cuffless measurement of "
        "blood pressure in an ambulatory setting, IEEE J Biomed Health Inform 26(7):2864-2875 (2022)"
    )
    licence: ClassVar[str] = (
        "Aurora-BP data use agreement (research as proposed, no sharing, no joining with other data)"
    )
    source: ClassVar[Source] = Source(
        url="https://github.com/microsoft/aurorabp-sample-data",
        access="registered",
        records=None,
        patients=None,
        how="Ask Microsoft for access with the form on the page (investigators, proposal, signed data use agreement; questions to "
        "aurorabp@microsoft.com), and unpack everything into one folder",
    )
    covariates: ClassVar[tuple[str, ...]] = (
        "age",
        "sex",
        "sbp",
        "bmi",
        "diabetes",
        "treated",
        "heart_failure",
        "hypertension",
        "stroke",
        "vascular_disease",
    )

    def __init__(
        self,
        root: str,
        measurements: Literal["baseline", "all"] = "baseline",
        fs: float = RATE,
        seconds: float = 10.0,
    ) -> None:
        self.samples = window_samples("aurora_bp", fs, seconds)
        self.root, self.measurements = folder("aurora_bp", root), measurements
        self.fs, self.seconds = float(fs), float(seconds)

    def parameters(self) -> dict[str, Any]:
        """See `Dataset.parameters`; `implausible` counts values that no person can have, `without_signals` measurements left out."""
        return {
            "measurements": self.measurements,
            "fs": self.fs,
            "seconds": self.seconds,
            "tables": {name: digest(self.root / name) for name in self._tables},
            "without_signals": int((~self._measured["has_file"]).sum()),
            "implausible": self._built[1],
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `record` is the file's name without ending, `file` its path below root."""
        return self._built[0].copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """Lead I of one row of `table()`. UnreadableError: "missing file", "not readable" (no table with numbers in `ekg`), "amplitude"."""
        path = self.root / str(row["file"])
        try:
            mv_T = pd.read_csv(path, sep="\t", usecols=["ekg"], dtype={"ekg": np.float64})["ekg"].to_numpy()
        except FileNotFoundError as error:
            raise UnreadableError(MISSING_FILE, path.name) from error
        except (ValueError, pd.errors.ParserError):  # what pandas says may quote a cell
            raise UnreadableError(
                "not readable", f"{path.name}: no table with a column of numbers ekg"
            ) from None
        if not np.isfinite(mv_T).any():
            raise UnreadableError("not readable", f"{path.name}: ekg holds no number")
        return Signal.of_millivolts((mv_T - np.nanmedian(mv_T))[None], RATE, self.leads)

    @property
    def _tables(self) -> tuple[str, ...]:
        return (
            "participants.tsv",
            *self._measurement_files,
            *(["features.tsv"] if self.measurements == "baseline" else []),
        )

    @property
    def _measurement_files(self) -> tuple[str, ...]:
        protocols = _PROTOCOLS[:1] if self.measurements == "baseline" else _PROTOCOLS
        return tuple(f"measurements_{protocol}.tsv" for protocol in protocols)

    @cached_property
    def _measured(self) -> pd.DataFrame:
        """The measurements asked for, also those without signals (`has_file`)."""
        needed = ["pid", "phase", "measurement", "sbp", "dbp", "waveform_file_path"]
        read = []
        for name in self._measurement_files:
            path = self.root / name
            read.append(to_numbers(read_csv(path, needed, sep="\t"), path, numbers=("sbp", "dbp"))[needed])
        rows = pd.concat(read, ignore_index=True)
        if self.measurements == "baseline":
            first = (rows["phase"] == "initial") & (rows["measurement"] == "Calibration start 1")
            rows = rows[first].reset_index(drop=True)
        return rows.assign(has_file=rows["waveform_file_path"].notna())

    @cached_property
    def _people(self) -> pd.DataFrame:
        path = self.root / "participants.tsv"
        needed = ["pid", "age", "height", "weight", "gender", "self_report_htn", *_YES_NO]
        people = to_numbers(
            read_csv(path, needed, sep="\t"), path, numbers=("age", "height", "weight", *_YES_NO)
        )
        if twice := int(people["pid"].duplicated().sum()):
            raise DataError(f"{path}: {twice} participants have more than one row")
        return people.set_index("pid")

    @cached_property
    def _built(self) -> tuple[pd.DataFrame, dict[str, int]]:
        """The table, and how many values of which column no person can have."""
        rows = self._measured[self._measured["has_file"]].reset_index(drop=True)
        if missing := int((~rows["pid"].isin(self._people.index)).sum()):
            raise DataError(
                f"{self.root / 'participants.tsv'} lacks the participants of {missing} of {len(rows)} measurements"
            )
        pressures = self._baselines(rows["pid"]) if self.measurements == "baseline" else rows
        table = pd.DataFrame(
            {
                "record": rows["waveform_file_path"].map(lambda name: Path(str(name)).stem),
                "patient": rows["pid"].astype(str),
                "fold": dealt_folds("aurora_bp", rows["pid"]),
                **no_covariates(),
                **_history(self._people.loc[rows["pid"]].reset_index(drop=True)),
                "sbp": pressures["sbp"],
                "target_dbp": pressures["dbp"],
                "file": rows["waveform_file_path"].astype(str),
            }
        )
        counts = _drop_implausible(table, self.covariates)
        return table.sort_values("record", ignore_index=True), counts

    def _baselines(self, pids: pd.Series) -> pd.DataFrame:
        """Baseline pressures in the order of `pids`, NaN for participants that features.tsv leaves out."""
        path = self.root / "features.tsv"
        columns = ["baseline_sbp", "baseline_dbp"]
        found = to_numbers(read_csv(path, ["pid", *columns], sep="\t"), path, numbers=columns)
        one = found[["pid", *columns]].dropna().drop_duplicates()
        if twice := int(one["pid"].duplicated().sum()):
            raise DataError(f"{path}: {twice} participants have more than one baseline pressure")
        return one.set_index("pid").reindex(pids).set_axis(["sbp", "dbp"], axis=1).reset_index(drop=True)


def _history(people: pd.DataFrame) -> dict[str, pd.Series]:
    """Covariates from the participants' statements, one value per row; NaN where nothing, or not enough, was stated."""
    heart, coronary, other = (
        people[name] for name in ("previous_heart_attack", "coronary_artery_disease", "other_cv_diseases")
    )
    medicine, managed = people["cvd_meds"], people["self_report_htn"] == "managed"
    none = (heart == 0) & (coronary == 0) & (other == 0)
    return {
        "age": people["age"],
        "sex": people["gender"].map({"M": 0.0, "F": 1.0}),
        "bmi": bmi(people["height"] * _INCH, people["weight"] * _POUND),
        "diabetes": people["diabetes"],
        "treated": pd.Series(np.select([medicine == 0, (medicine == 1) & managed], [0.0, 1.0], np.nan)),
        "heart_failure": people["heart_failure"],
        "hypertension": people["high_blood_pressure"],
        "stroke": people["previous_stroke"],
        "vascular_disease": pd.Series(np.select([heart == 1, none], [1.0, 0.0], np.nan)),
    }


def _drop_implausible(table: pd.DataFrame, covariates: Iterable[str]) -> dict[str, int]:
    """Make values that no person can have unknown, in place; returns how many of which. The sample has a diastolic 0 after exercise."""
    wrong = {name: implausible(name, table[name].to_numpy(np.float64)) for name in covariates}
    wrong["target_dbp"] = implausible_dbp(table["target_dbp"].to_numpy(np.float64))
    for name, wrong_N in wrong.items():
        table.loc[wrong_N, name] = np.nan
    return {name: int(wrong_N.sum()) for name, wrong_N in wrong.items() if wrong_N.any()}
