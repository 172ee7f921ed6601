"""MUSIC's subject-info.csv: who was enrolled, what was known then, and what became of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clef_ray.datasets._tables import DIASTOLIC, bmi, check_columns, no_covariates, read_csv, to_numbers
from clef_ray.errors import DataError
from clef_ray.scores import implausible

#: Outcome -> its codes in "Cause of death" (subject-info_codes.csv: 6 and 7 both are pump failure).
CLASSES: Mapping[str, tuple[int, ...]] = {
    "survivor": (0,),
    "non_cardiac_death": (1,),
    "scd": (3,),
    "pump_failure": (6, 7),
}

#: The age of those whose age is hidden (">89"): 90 or older.
_HIDDEN_AGE = "90"

#: Covariate or target -> its column.
_COLUMNS = {
    "age": "Age",
    "male": "Gender (male=1)",
    "height": "Height (cm)",
    "weight": "Weight (kg)",
    "sbp": "Systolic blood pressure (mmHg)",
    "dbp": "Diastolic blood pressure (mmHg)",
    "total_cholesterol": "Total Cholesterol (mmol/L)",
    "hdl": "HDL (mmol/L)",
    "cigarettes": "daily smoking (cigarretes/day)",
    "smoke_free": "smoke-free time (years)",
    "diabetes": "Diabetes (yes=1)",
    "statin": "Statins (yes=1)",
    "hypertension": "History of hypertension (yes=1)",
    "infarction": "Prior Myocardial Infarction (yes=1)",
    "peripheral": "Peripheral vascular disease (yes=1)",
    "lvef": "LVEF (%)",
    "cause": "Cause of death",
}

#: Target -> the values that a person can have, in its unit.
_TARGETS = {"lvef": (1.0, 95.0), "dbp": DIASTOLIC}

_COPIED = ("age", "sbp", "total_cholesterol", "hdl", "diabetes", "statin", "hypertension")


def read_subjects(path: Path, others: Sequence[str]) -> tuple[pd.DataFrame, Mapping[str, int]]:
    """One row per patient in the table's order: patient, covariates, target_lvef, target_dbp, label_outcome, and the columns `others` as
    numbers; and how many values of each field no person can have (they are unknown now).

    DataError: a column is missing or holds no numbers, a patient twice or without a name, a cause of death without a meaning.
    """
    rows = _rows(path, others)
    told = rows[list(_COLUMNS.values())].set_axis(list(_COLUMNS), axis=1)
    table = pd.DataFrame({"patient": rows["Patient ID"], **no_covariates()})
    for name in _COPIED:
        table[name] = told[name]
    table["sex"] = 1 - told["male"]
    table["bmi"] = bmi(told["height"], told["weight"])
    table["heart_failure"] = 1.0  # everybody was enrolled for it
    table["smoker"] = _smoker(told["cigarettes"], told["smoke_free"])
    table["vascular_disease"] = _either(told["infarction"], told["peripheral"])
    wrong = {
        name: implausible(name, table[name].to_numpy())
        for name in (*_COPIED, "sex", "bmi", "vascular_disease")
    }
    for name, (low, high) in _TARGETS.items():
        table[f"target_{name}"] = told[name]
        wrong[f"target_{name}"] = ((told[name] < low) | (told[name] > high)).to_numpy()
    for name, wrong_N in wrong.items():
        table[name] = table[name].mask(wrong_N)
    table["label_outcome"] = _outcomes(told["cause"], path)
    return table.assign(**{name: rows[name] for name in others}), {
        n: int(w.sum()) for n, w in wrong.items() if w.any()
    }


def _rows(path: Path, others: Sequence[str]) -> pd.DataFrame:
    """The table with its numbers as numbers, and its column names with single spaces, as some have two, or one at the end."""
    rows = read_csv(path, sep=";")
    rows.columns = [" ".join(str(name).split()) for name in rows.columns]
    numbers = [*_COLUMNS.values(), *others]
    check_columns(rows, path, ("Patient ID", *numbers))
    rows = rows[["Patient ID", *numbers]].copy()
    rows["Patient ID"] = rows["Patient ID"].astype("string").str.strip()
    if count := int((rows["Patient ID"].isna() | rows["Patient ID"].duplicated()).sum()):
        raise DataError(f"{path}: column Patient ID: {count} of {len(rows)} rows have none, or another row's")
    rows["Patient ID"] = rows["Patient ID"].astype(object)
    rows[numbers] = rows[numbers].map(_decimal, na_action="ignore")
    rows["Age"] = rows["Age"].replace({">89": _HIDDEN_AGE})
    return to_numbers(rows, path, numbers=numbers)


def _decimal(cell: Any) -> Any:
    """A cell as it can be read as a number: 112,5 is 112.5. One with two commas, whose point was lost, stays none."""
    return cell.strip().replace(",", ".") if isinstance(cell, str) else cell


def _smoker(cigarettes: pd.Series, smoke_free: pd.Series) -> pd.Series:
    """1: smokes daily, and has been smoke-free for 0 years; 0: smokes none a day, or has stopped."""
    smokes = (cigarettes > 0) & (smoke_free == 0)
    not_now = (cigarettes == 0) | (smoke_free > 0)
    return pd.Series(np.select([smokes, not_now], [1.0, 0.0], default=np.nan), index=cigarettes.index)


def _either(first: pd.Series, second: pd.Series) -> pd.Series:
    """1 where one of two yes/no columns is 1, 0 where both are 0, NaN where an unknown one could change it."""
    return (
        pd.concat([first, second], axis=1)
        .max(axis=1)
        .where((first == 1) | (second == 1) | (first + second).notna())
    )


def _outcomes(causes: pd.Series, path: Path) -> pd.Series:
    meaning = {code: name for name, codes in CLASSES.items() for code in codes}
    if count := int((causes.notna() & ~causes.isin(meaning)).sum()):
        raise DataError(
            f"{path}: column Cause of death: {count} of {len(causes)} rows have a code that is none of {', '.join(map(str, meaning))}"
        )
    return pd.Series(
        [[meaning[int(c)]] if not np.isnan(c) else None for c in causes], index=causes.index, dtype=object
    )
