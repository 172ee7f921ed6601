"""Risk scores of a corpus's records, and, where a score is out of reach, what it lacks and which others are not.

A score's name is a file's in clef_ray/scores/, or one of `clef_ray.tasks.score_spearman.VARIANTS`.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import covariates_of
from clef_ray.evaluate.inputs import LEAST_PATIENTS, patients
from clef_ray.registry import SCORES
from clef_ray.scores import fit, risk
from clef_ray.tasks.score_spearman import score_of

#: Nobody's risk is measured without them: they are never filled in, and every control needs them.
CONTROLS = ("age", "sex")


def risks(name: str, table: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A score of every record, and the same from age and sex alone, each [N] in %, NaN where it is unknown.

    Missing fields other than age and sex stand at their centre; in the second all of them are missing.
    """
    score, covariates = score_of(name), covariates_of(table)
    age_sex = {
        field: value_N if field in CONTROLS else np.full_like(value_N, np.nan)
        for field, value_N in covariates.items()
    }
    patient_N, fill = patients(table), fit("centre", covariates, score.fields)
    return risk(score, covariates, patient_N, fill).value_N, risk(score, age_sex, patient_N, fill).value_N


def observed(name: str, table: pd.DataFrame) -> tuple[float, dict[str, float]]:
    """The mean share of a score's fields that are known, over the records, and of each field in how many of them it is."""
    covariates, fields = covariates_of(table), score_of(name).fields
    known = {f: float(np.isfinite(covariates[f]).mean()) if f in covariates else 0.0 for f in fields}
    return float(np.mean(list(known.values()))) if known else 1.0, known


def unknown_fields(name: str, table: pd.DataFrame) -> tuple[str, ...]:
    """Age, sex and the score's fields that are unknown in every record of the table."""
    covariates = covariates_of(table)
    needed = dict.fromkeys((*CONTROLS, *score_of(name).fields))
    return tuple(f for f in needed if f not in covariates or np.isnan(covariates[f]).all())


def computable(table: pd.DataFrame) -> tuple[str, ...]:
    """The scores, variants apart, that tell at least 20 patients of the table apart whose age and sex are known; those that are a point are
    left out.
    """
    return tuple(name for name, reason in out_of_reach(table, SCORES.names()).items() if not reason)


def out_of_reach(table: pd.DataFrame, names: Iterable[str]) -> dict[str, str]:
    """Of each score why the table's records cannot be ranked by it, in words; empty where they can."""
    covariates = covariates_of(table)
    known_N = np.logical_and(*(np.isfinite(covariates[field]) for field in CONTROLS))
    return {name: _what_lacks(name, table[known_N]) for name in names}


def _what_lacks(name: str, table: pd.DataFrame) -> str:
    if name == "permuted":
        return "it stands beside every score as a control"
    score, covariates = score_of(name), covariates_of(table)
    if absent := [field for field in score.fields if field not in covariates]:
        return f"the corpus has no {', '.join(absent)}"
    fill = fit("centre", covariates, score.fields)
    value_N = risk(score, covariates, patients(table), fill).value_N
    if value_N.ndim > 1:
        return "a point per record, which has no rank"
    known_N = np.isfinite(value_N)
    known = len(np.unique(patients(table)[known_N]))
    if known < LEAST_PATIENTS:
        filled = fill(covariates)
        lacking = [field for field in score.fields if np.isnan(filled[field]).all()]
        nobody = f"; nobody has {', '.join(lacking)}" if lacking else ""
        return f"{known} patients have it with age and sex, {LEAST_PATIENTS} are needed{nobody}"
    return "" if len(np.unique(value_N[known_N])) > 1 else "the same for everybody"
