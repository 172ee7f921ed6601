"""Risk scores of a corpus's records, and, where a score is out of reach, what it lacks and which others are not."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import covariates_of
from clef_ray.evaluate.inputs import LEAST_PATIENTS, patients
from clef_ray.registry import SCORES
from clef_ray.scores import fit, risk

#: Nobody's risk is measured without them: they are never filled in, and every control needs them.
CONTROLS = ("age", "sex")


def risks(name: str, table: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A score of every record, and the same from age and sex alone, each [N] in %, NaN where it is unknown.

    Missing fields other than age and sex stand at their centre; in the second all of them are missing.
    """
    score, covariates = SCORES.get(name)(), covariates_of(table)
    age_sex = {
        field: value_N if field in CONTROLS else np.full_like(value_N, np.nan)
        for field, value_N in covariates.items()
    }
    patient_N, fill = patients(table), fit("centre", covariates, score.fields)
    return risk(score, covariates, patient_N, fill).value_N, risk(score, age_sex, patient_N, fill).value_N


def observed(name: str, table: pd.DataFrame) -> tuple[float, dict[str, float]]:
    """The mean share of a score's fields that are known, over the records, and of each field in how many of them it is."""
    covariates, fields = covariates_of(table), SCORES.get(name)().fields
    known = {f: float(np.isfinite(covariates[f]).mean()) if f in covariates else 0.0 for f in fields}
    return float(np.mean(list(known.values()))) if known else 1.0, known


def unknown_fields(name: str, table: pd.DataFrame) -> tuple[str, ...]:
    """Age, sex and the score's fields that are unknown in every record of the table."""
    covariates = covariates_of(table)
    needed = dict.fromkeys((*CONTROLS, *SCORES.get(name)().fields))
    return tuple(f for f in needed if f not in covariates or np.isnan(covariates[f]).all())


def computable(table: pd.DataFrame) -> tuple[str, ...]:
    """The scores that tell at least 20 patients of the table apart whose age and sex are known; those that are a point are left out."""
    covariates = covariates_of(table)
    known_N = np.logical_and(*(np.isfinite(covariates[field]) for field in CONTROLS))
    return tuple(name for name in SCORES.names() if _tells_apart(name, table[known_N]))


def _tells_apart(name: str, table: pd.DataFrame) -> bool:
    score, covariates = SCORES.get(name)(), covariates_of(table)
    if name == "permuted" or any(field not in covariates for field in score.fields):
        return False
    value_N = risk(score, covariates, patients(table), fit("centre", covariates, score.fields)).value_N
    if value_N.ndim > 1:
        return False
    known_N = np.isfinite(value_N)
    known = len(np.unique(patients(table)[known_N]))
    return known >= LEAST_PATIENTS and len(np.unique(value_N[known_N])) > 1
