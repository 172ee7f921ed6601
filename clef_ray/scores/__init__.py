"""Clinical risk scores, one per file: what a patient's covariates say about the coming ten years.

To add a score: write `scores/my_score.py` with a class `MyScore` whose constructor's parameters are its options,
whose `fields` names the covariates it needs, and whose `__call__` reads them with `take` and returns a `ScoreResult`.
NumPy only; an unknown covariate
is NaN and stays NaN: nothing here turns it into a number except `risk`, which is told how (`imputation`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import DataError
from clef_ray.scores._impute import Imputation, impute

__all__ = ["Covariates", "Imputation", "Risk", "Score", "ScoreResult", "impute", "risk", "take"]

#: Covariate name -> one value per record, NaN where unknown; names and units as `clef_ray.datasets.COVARIATES`.
Covariates = Mapping[str, NDArray[np.float64]]

#: Lowest and highest value a person can have, in our units: wide enough for every patient, too narrow for another unit
#: (cholesterol in mg/dL, pressure in kPa, age in days).
PLAUSIBLE = {
    "age": (0.0, 120.0, "years"),
    "sex": (0.0, 1.0, "0 male, 1 female"),
    "smoker": (0.0, 1.0, "0 or 1"),
    "sbp": (40.0, 350.0, "mmHg"),
    "total_cholesterol": (0.5, 20.0, "mmol/L; mg/dL x 0.02586 = mmol/L"),
    "hdl": (0.05, 8.0, "mmol/L; mg/dL x 0.02586 = mmol/L"),
    "diabetes": (0.0, 1.0, "0 or 1"),
    "bmi": (8.0, 120.0, "kg/m2"),
    "egfr": (1.0, 250.0, "mL/min/1.73 m2"),
    "hba1c": (10.0, 250.0, "mmol/mol; (% - 2.15) x 10.929 = mmol/mol"),
    "treated": (0.0, 1.0, "0 or 1"),
    "statin": (0.0, 1.0, "0 or 1"),
}


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """A score of N records.

    value_N: the score (percent for a risk), NaN where it cannot be computed; observed_N: how many of the required
    fields are known;
    valid_N: False where a field lies outside the range the score was derived for, or the value is NaN.
    """

    value_N: NDArray[np.float64]
    observed_N: NDArray[np.int64]
    valid_N: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Risk:
    """What the losses and the report see of a score.

    value_N: the score after imputation, NaN where unknown; completeness_N: share of required fields known before
    imputation, in [0, 1], and 0 where the value is unknown; valid_N: as ScoreResult.
    """

    value_N: NDArray[np.float64]
    completeness_N: NDArray[np.float64]
    valid_N: NDArray[np.bool_]


class Score(Protocol):
    """A risk score; constructor parameters are its options."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The covariates it needs."""
        ...

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """The score of each record. `patients_N`: whose record each is (controls permute patients, not records)."""
        ...


def take(
    covariates: Covariates, fields: tuple[str, ...]
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    """The required columns as float64, and how many of them are known per record.

    Raises DataError for a column that is not there and for values no person has: those come in another unit, and a
    risk computed from them would be wrong without a sign of it.
    """
    columns = {}
    for field in fields:
        if field not in covariates:
            raise DataError(
                f"covariate {field!r} is needed by the score but absent; there are: {', '.join(sorted(covariates))}"
            )
        columns[field] = np.asarray(covariates[field], dtype=np.float64)
        _check_plausible(field, columns[field])
    known = [~np.isnan(column) for column in columns.values()]
    return columns, np.sum(known, axis=0, dtype=np.int64)


def _check_plausible(field: str, values_N: NDArray[np.float64]) -> None:
    low, high, unit = PLAUSIBLE[field]
    wrong = (values_N < low) | (values_N > high)  # False for NaN
    if low == 0 and high == 1:
        wrong |= (values_N > low) & (values_N < high)
    if wrong.any():
        raise DataError(
            f"{field}: {int(wrong.sum())} of {wrong.size} values lie outside the plausible {low:g} to {high:g} ({unit}); "
            "convert the unit, or set values that cannot be right to NaN (unknown)"
        )


def risk(score: Score, covariates: Covariates, patients_N: NDArray[np.str_], imputation: Imputation) -> Risk:
    """The score with missing fields filled as `imputation` says, and how much of it was really observed.

    Completeness is counted before imputation, so a filled field raises the number of usable risks but not the trust
    in them. A risk that stays unknown (age or sex unknown: they are never filled) has completeness 0 (an average
    negative in the losses).
    """
    before = score(covariates, patients_N)
    after = score(impute(covariates, imputation), patients_N)
    share_N = before.observed_N / len(score.fields)
    return Risk(after.value_N, np.where(np.isnan(after.value_N), 0.0, share_N), after.valid_N)
