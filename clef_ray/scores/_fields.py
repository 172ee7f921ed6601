"""The vocabulary: every covariate a score may ask for, in its one unit, with the values a person can have.

A number in another unit is the mistake that gives a wrong risk without a sign of it. So the ranges are wide enough for every
patient and too narrow for another unit: cholesterol in mg/dL, pressure in kPa, HbA1c in percent, age in days.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Covariate name -> one value per record, NaN where unknown; names and units as `FIELDS`.
Covariates = Mapping[str, NDArray[np.float64]]

#: mmol/L of cholesterol in one mg/dL.
MMOL_PER_MG = 0.02586


@dataclass(frozen=True, slots=True)
class Field:
    """One covariate.

    unit: with the rule from the unit it is mistaken for; low, high: the plausible range, both ends included; binary: only 0 and 1
    are values; about: what it says.
    """

    unit: str
    low: float
    high: float
    binary: bool
    about: str


def _number(unit: str, low: float, high: float, about: str) -> Field:
    return Field(unit, low, high, binary=False, about=about)


def _yes_no(about: str, unit: str = "0 or 1") -> Field:
    return Field(unit, 0.0, 1.0, binary=True, about=about)


_LIPID = f"mmol/L; mg/dL x {MMOL_PER_MG} = mmol/L"

FIELDS: Mapping[str, Field] = {
    "age": _number("years", 0.0, 120.0, "age at the recording"),
    "sex": _yes_no("sex", "0 male, 1 female"),
    "smoker": _yes_no("smokes now"),
    "sbp": _number("mmHg", 40.0, 350.0, "systolic blood pressure"),
    "total_cholesterol": _number(_LIPID, 0.5, 20.0, "total cholesterol"),
    "hdl": _number(_LIPID, 0.05, 8.0, "HDL cholesterol"),
    "diabetes": _yes_no("diabetes mellitus"),
    "bmi": _number("kg/m2", 8.0, 120.0, "body mass index"),
    "egfr": _number("mL/min/1.73 m2", 1.0, 250.0, "estimated glomerular filtration rate"),
    "hba1c": _number("mmol/mol; (% - 2.15) x 10.929 = mmol/mol", 10.0, 250.0, "glycated haemoglobin"),
    "treated": _yes_no("takes a drug against high blood pressure"),
    "statin": _yes_no("takes a statin"),
    "diabetes_age": _number("years", 0.0, 120.0, "age at the diagnosis of diabetes"),
    "black": _yes_no("African American, as the Pooled Cohort Equations ask"),
    "heart_failure": _yes_no("heart failure or an ejection fraction of at most 40 %"),
    "hypertension": _yes_no("high blood pressure, treated or not"),
    "stroke": _yes_no("stroke, TIA or thromboembolism in the past"),
    "vascular_disease": _yes_no(
        "myocardial infarction in the past, peripheral artery disease or aortic plaque"
    ),
    "findings": _number("count", 0.0, 100.0, "abnormal statements of the record's own ECG diagnosis"),
}


def implausible(field: str, values_N: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which values of a field [its unit] no person can have, [N]; False for unknown ones."""
    bounds = FIELDS[field]
    wrong_N: NDArray[np.bool_] = (values_N < bounds.low) | (values_N > bounds.high)
    return wrong_N | (bounds.binary & ~np.isnan(values_N) & ~np.isin(values_N, (0.0, 1.0)))


def contradictions(columns: Covariates) -> Mapping[str, NDArray[np.bool_]]:
    """What cannot be true of one person though each value can, in words -> of which records, [N]; of the fields that are there.

    False where one of the two is unknown.
    """
    found = {}
    if {"hdl", "total_cholesterol"} <= columns.keys():
        found["hdl is not below total_cholesterol"] = columns["hdl"] >= columns["total_cholesterol"]
    if {"diabetes_age", "age"} <= columns.keys():
        found["diabetes_age is above age"] = columns["diabetes_age"] > columns["age"]
    return found
