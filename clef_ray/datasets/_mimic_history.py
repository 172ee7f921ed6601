"""Who a patient of MIMIC-IV is, and what was known of his history at an ECG: people, admissions with their diagnoses, prescriptions.

What says that a patient *has* something is never from after the ECG.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clef_ray.datasets import _mimic_codes as codes
from clef_ray.datasets._mimic_join import FOREVER, Ecgs, Field, Window, joined
from clef_ray.datasets._mimic_tables import ID, TEXT, TIME, WORD, of_subjects, scan, translate

#: MIMIC-IV says 91 for everyone who was over 89 in the anchor year; above 89 an age is known only as 90 or older (right-censored).
HIDDEN_AGE, CENSORED_AGE = 91, 90.0


def people(path: Path, ecgs: Ecgs) -> dict[str, Field]:
    """The sex and age of patients.csv: anchor_age + (year of the ECG - anchor_year).

    A hidden age counts as CENSORED_AGE from the anchor year on, and is unknown for earlier ECGs.
    """
    kinds = {"subject_id": ID, "gender": TEXT, "anchor_age": ID, "anchor_year": ID}
    table = of_subjects(path, kinds, ecgs.subjects).drop_duplicates("subject").set_index("subject")
    mine = table.reindex(ecgs.subject_N)
    year_N = ecgs.time_N.astype("datetime64[Y]").astype(np.int64) + 1970
    later_N = year_N - mine["anchor_year"].to_numpy(dtype=np.float64)
    anchor_N = mine["anchor_age"].to_numpy(dtype=np.float64)
    hidden_N = np.where(later_N >= 0, CENSORED_AGE, np.nan)
    age_N = np.where(anchor_N >= HIDDEN_AGE, hidden_N, np.minimum(anchor_N + later_N, CENSORED_AGE))
    sex_N = np.asarray(mine["gender"].map({"M": 0.0, "F": 1.0}), dtype=np.float64)
    return {
        "sex": Field.of(sex_N, "patients"),
        "age": Field.of(age_N.astype(np.float64), "patients").within("age"),
    }


def admissions(path: Path, ecgs: Ecgs) -> pd.DataFrame:
    """subject, hadm_id, admittime, dischtime and race (text) of the patients' admissions."""
    kinds = {"subject_id": ID, "hadm_id": ID, "admittime": TIME, "dischtime": TIME, "race": TEXT}
    return of_subjects(path, kinds, ecgs.subjects)


def origin(stays: pd.DataFrame, ecgs: Ecgs) -> Field:
    """black, by the last admission that names one race: it does not depend on time, so an admission after the ECG counts too."""
    named = stays.assign(black=stays["race"].fillna("").map(codes.is_black)).dropna(subset=["black"])
    last = named.sort_values("admittime", kind="stable").drop_duplicates("subject", keep="last")
    value_N = last.set_index("subject")["black"].reindex(ecgs.subject_N).to_numpy(dtype=np.float64)
    return Field.of(value_N, "admissions: race")


def history(path: Path, stays: pd.DataFrame, ecgs: Ecgs, *, current: bool) -> dict[str, Field]:
    """Conditions by the codes of diagnoses_icd.csv, and smoker.

    Codes are given at discharge for the whole stay, so only admissions discharged before or at the ECG count: what was found out after it
    would otherwise be known too early. current: an admission counts from its beginning, the one of the ECG included.
    A condition is 1 where an admission that counts has a code of it, 0 where the patient has such admissions without one, unknown without
    any. smoker is known only where a code speaks of tobacco (the latest counts): 1 for use, 0 for use in the past.
    """
    known = stays.assign(time=stays["admittime" if current else "dischtime"])
    known = known.dropna(subset=["time"]).assign(no=0.0, yes=1.0)
    none = _latest(ecgs, known, "no", "admissions: no code of it")
    coded = _coded(path, ecgs.subjects).merge(known, on="hadm_id")

    def of(name: str) -> pd.DataFrame:
        return coded[coded["condition"] == codes.CONDITIONS.index(name)]

    found = {name: _latest(ecgs, of(name), "yes", "diagnoses_icd").or_else(none) for name in codes.HISTORY}
    # Where one admission has both, the first row counts: use.
    smoking = pd.concat([of("smoker").assign(value=1.0), of("ex_smoker").assign(value=0.0)])
    return {**found, "smoker": _latest(ecgs, smoking, "value", "diagnoses_icd")}


def _latest(ecgs: Ecgs, table: pd.DataFrame, column: str, source: str) -> Field:
    return joined(ecgs, table, [column], source, Window(FOREVER, 0.0))[column]


def _coded(path: Path, subjects: pa.Array) -> pd.DataFrame:
    """hadm_id and condition (its place in CONDITIONS), a row for each condition that an admission has a code of."""
    kinds = {"subject_id": ID, "hadm_id": ID, "icd_code": WORD, "icd_version": ID}
    frames = [pd.DataFrame({"hadm_id": [], "condition": []}, dtype=np.int64)]
    for batch in scan(path, kinds):
        mine = batch.filter(pc.is_in(batch["subject_id"], value_set=subjects))
        hadm_N, version_N = (mine[name].to_numpy(zero_copy_only=False) for name in ("hadm_id", "icd_version"))
        for version in codes.ICD_VERSIONS:
            sets_N = translate(mine["icd_code"], partial(_bits, version=version))
            for place in range(len(codes.CONDITIONS)):
                rows_N = (version_N == version) & (sets_N >= 0) & ((sets_N >> place) & 1 == 1)
                frames.append(pd.DataFrame({"hadm_id": hadm_N[rows_N].astype(np.int64), "condition": place}))
    return pd.concat(frames, ignore_index=True).drop_duplicates()


def _bits(code: str, version: int) -> int:
    """A code's conditions as a set of bits, one per place in CONDITIONS."""
    return sum(1 << codes.CONDITIONS.index(name) for name in codes.conditions(code, version))


def drugs(path: Path, ecgs: Ecgs, days: float) -> dict[str, Field]:
    """Of the `days` before the ECG by prescriptions.csv, treated and statin: 1 where such a drug, taken by mouth or as a patch, was begun
    in them; 0 where the patient has prescriptions in them but none of it; unknown without any. Most are orders of a stay in hospital.
    """
    table, window = _prescribed(path, ecgs.subjects), Window(days, 0.0)
    none = joined(ecgs, table.assign(no=0.0), ["no"], "prescriptions: none of it", window)["no"]
    found = {}
    for place, name in enumerate(codes.DRUGS):
        of_it = table[table["kinds"].to_numpy() >> place & 1 == 1].assign(yes=1.0)
        found[name] = joined(ecgs, of_it, ["yes"], "prescriptions", window)["yes"].or_else(none)
    return found


def _prescribed(path: Path, subjects: pa.Array) -> pd.DataFrame:
    """subject, time and kinds (bits, one per place in DRUGS), each once: of the dozens of orders of one moment few differ in it."""
    columns = {"subject_id": ID, "starttime": TIME, "drug": WORD, "route": WORD}
    nothing = {"subject": "int64", "time": "datetime64[s]", "kinds": "int8"}
    frames = [pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in nothing.items()})]
    for batch in scan(path, columns):
        mask = pc.and_(pc.is_in(batch["subject_id"], value_set=subjects), pc.is_valid(batch["starttime"]))
        mine = batch.filter(mask)
        kinds_N = translate(mine["drug"], _kinds)
        kinds_N[(translate(mine["route"], codes.is_lasting_route) != 1) | (kinds_N < 0)] = 0
        frame = mine.select(["subject_id", "starttime"]).to_pandas()
        frame.columns = pd.Index(["subject", "time"])
        frames.append(frame.assign(kinds=kinds_N.astype(np.int8)).drop_duplicates())
    return pd.concat(frames, ignore_index=True).drop_duplicates()


def _kinds(drug: str) -> int:
    return sum(1 << codes.DRUGS.index(name) for name in codes.drug_classes(drug))
