"""What was measured on a patient of MIMIC-IV, nearest in time to an ECG: the clinic (omr), the emergency department, the laboratory.

Values that no person can have are left out before the nearest is looked for, and counted.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clef_ray.datasets._mimic_codes import LAB_ITEMS, OMR_NUMBERS, OMR_PRESSURE
from clef_ray.datasets._mimic_join import Ecgs, Field, Window, joined
from clef_ray.datasets._mimic_tables import DATE, ID, NUMBER, TEXT, TIME, WORD, of_subjects
from clef_ray.datasets._tables import bmi
from clef_ray.scores import MMOL_PER_MG, implausible

_CM_PER_INCH, _KG_PER_POUND = 2.54, 0.45359237


def clinic(path: Path, ecgs: Ecgs, window: Window) -> dict[str, Field]:
    """Of omr.csv, which has dates without an hour, sbp, dbp and bmi. bmi as it was written down, else of the nearest height and weight."""
    kinds = {"subject_id": ID, "chartdate": DATE, "seq_num": ID, "result_name": WORD, "result_value": TEXT}
    wanted = pa.array([*OMR_PRESSURE, *OMR_NUMBERS])

    def is_wanted(batch: pa.RecordBatch) -> pa.Array:
        return pc.is_in(batch["result_name"].cast(TEXT), value_set=wanted)

    table = of_subjects(path, kinds, ecgs.subjects, is_wanted).sort_values("seq_num", kind="stable")
    table["time"] = pd.to_datetime(table.pop("chartdate"))
    name, text = table["result_name"].astype(str), table["result_value"]
    pressure = table[name.isin(OMR_PRESSURE)]
    pressure = pressure.assign(**blood_pressure(pressure["result_value"]))
    table = table.assign(kind=name.map(OMR_NUMBERS), value=pd.to_numeric(text, errors="coerce"))
    return {
        **_pressures(ecgs, pressure, "omr: Blood Pressure", window, by_day=True),
        "bmi": _body_mass(ecgs, table.dropna(subset=["kind", "value"]), window),
    }


def blood_pressure(text: pd.Series) -> dict[str, pd.Series]:
    """Pressures sbp and dbp [mmHg] of texts such as "120/80", NaN where a text is not of this form."""
    found = text.str.extract(r"^\s*(\d{2,3})\s*/\s*(\d{2,3})\s*$").astype(np.float64)
    return {"sbp": found[0], "dbp": found[1]}


def contradictory(sbp: pd.Series, dbp: pd.Series) -> pd.Series:
    """Whether the diastolic pressure is there but not between zero and the systolic one: then neither can be believed."""
    return (dbp <= 0) | (dbp >= sbp)


def _pressures(
    ecgs: Ecgs, table: pd.DataFrame, source: str, window: Window, *, by_day: bool = False
) -> dict[str, Field]:
    """The nearest plausible systolic pressure, and the diastolic one of the same measurement."""
    table = table.dropna(subset=["sbp"])
    odd = contradictory(table["sbp"], table["dbp"])
    table, wrong = plausible(table[~odd], "sbp", "sbp")
    found = joined(ecgs, table, ["sbp", "dbp"], source, window, by_day=by_day)
    return {"sbp": replace(found["sbp"], left_out=wrong + int(odd.sum())), "dbp": found["dbp"]}


def _body_mass(ecgs: Ecgs, table: pd.DataFrame, window: Window) -> Field:
    written, wrong = plausible(table[table["kind"] == "bmi"], "value", "bmi")
    found = joined(ecgs, written, ["value"], "omr: BMI", window, by_day=True)["value"]
    tall, heavy = (
        joined(ecgs, table[table["kind"] == kind], ["value"], "omr", window, by_day=True)["value"]
        for kind in ("height", "weight")
    )
    value = bmi(pd.Series(tall.value_N * _CM_PER_INCH), pd.Series(heavy.value_N * _KG_PER_POUND))
    further_N = np.where(np.abs(tall.days_N) > np.abs(heavy.days_N), tall.days_N, heavy.days_N)
    computed = Field.of(value.to_numpy(), "omr: Height, Weight", further_N).within("bmi")
    return replace(found, left_out=wrong).or_else(computed)


def emergency(stays: Path, triage: Path, vitals: Path, ecgs: Ecgs, window: Window) -> dict[str, Field]:
    """Of the emergency department, sbp and dbp: at triage (dated by the arrival in edstays) and of the vital signs after it."""
    pressure = {"sbp": NUMBER, "dbp": NUMBER}
    arrivals = of_subjects(stays, {"subject_id": ID, "stay_id": ID, "intime": TIME}, ecgs.subjects)
    first = of_subjects(triage, {"subject_id": ID, "stay_id": ID, **pressure}, ecgs.subjects)
    first = first.merge(arrivals[["stay_id", "intime"]], on="stay_id").rename(columns={"intime": "time"})
    later = of_subjects(vitals, {"subject_id": ID, "charttime": TIME, **pressure}, ecgs.subjects)
    both = pd.concat([first, later.rename(columns={"charttime": "time"})], ignore_index=True)
    return _pressures(ecgs, both, "ed: triage, vitalsign", window)


def laboratory(path: Path, ecgs: Ecgs, window: Window) -> dict[str, Field]:
    """total_cholesterol and hdl [mmol/L], hba1c [mmol/mol] and creatinine [mg/dL] of labevents.csv, the largest table (120 million rows)."""
    kinds = {"subject_id": ID, "itemid": ID, "charttime": TIME, "valuenum": NUMBER}
    items = pa.array(list(LAB_ITEMS), ID)

    def is_wanted(batch: pa.RecordBatch) -> pa.Array:
        return pc.and_(pc.is_in(batch["itemid"], value_set=items), pc.is_valid(batch["valuenum"]))

    table = of_subjects(path, kinds, ecgs.subjects, is_wanted).rename(columns={"charttime": "time"})
    found = {}
    for item, name in LAB_ITEMS.items():
        rows = table[table["itemid"] == item]
        rows = rows.assign(value=_in_unit(name, rows["valuenum"].to_numpy(dtype=np.float64)))
        # Creatinine is judged by the filtration rate that it gives.
        rows, wrong = plausible(rows, "value", name) if name != "creatinine" else _positive(rows)
        field = joined(ecgs, rows, ["value"], f"labevents: {item}", window)["value"]
        found[name] = replace(field, left_out=wrong)
    return found


def _in_unit(name: str, value_N: NDArray[np.float64]) -> NDArray[np.float64]:
    if name == "hba1c":
        return hba1c_ifcc(value_N)
    return value_N if name == "creatinine" else value_N * MMOL_PER_MG


def hba1c_ifcc(percent_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """HbA1c in mmol/mol (IFCC) from % (NGSP): the master equation of Hoelzel et al., Clin Chem 2004;50:166."""
    return 10.929 * (percent_N - 2.15)


def egfr_ckd_epi_2021(
    creatinine_N: NDArray[np.float64], age_N: NDArray[np.float64], sex_N: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Estimated glomerular filtration rate [mL/min/1.73 m2] by CKD-EPI 2021, without race (Inker et al., NEJM 2021;385:1737).

    creatinine [mg/dL], age [years], sex (0 male, 1 female); NaN where any is. Made for adults whose creatinine is steady, which in hospital
    it need not be.
    """
    female_N = sex_N == 1
    ratio_N = creatinine_N / np.where(female_N, 0.7, 0.9)
    slope_N = np.where(female_N, -0.241, -0.302)
    egfr_N = 142 * np.minimum(ratio_N, 1) ** slope_N * np.maximum(ratio_N, 1) ** -1.2 * 0.9938**age_N
    return np.where(np.isnan(sex_N), np.nan, egfr_N * np.where(female_N, 1.012, 1.0))


def kidney(creatinine: Field, age: Field, sex: Field) -> Field:
    """The egfr of the creatinine that was found and the age at the ECG; source and distance are the creatinine's."""
    value_N = egfr_ckd_epi_2021(creatinine.value_N, age.value_N, sex.value_N)
    return replace(creatinine, value_N=value_N).within("egfr")


def plausible(table: pd.DataFrame, column: str, name: str) -> tuple[pd.DataFrame, int]:
    """The rows whose value some person can have as the covariate `name`, and how many others there are."""
    wrong_N = implausible(name, table[column].to_numpy(dtype=np.float64))
    return table[~wrong_N], int(wrong_N.sum())


def _positive(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    wrong = table["value"] <= 0
    return table[~wrong], int(wrong.sum())
