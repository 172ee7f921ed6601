"""Clinical risk scores, one per file: what a patient's covariates say about the coming ten years, and the controls beside them.

To add a score: write `scores/my_score.py` with a class `MyScore` whose constructor's parameters are its options,
whose `fields` names the covariates it needs, and whose `__call__` reads them with `take` and returns a `ScoreResult`; `ages`,
`source` and `unit` say what it is. An equation with a range calls `evaluate` of `_equation.py`, which does the rest.
The covariates and their units are `FIELDS`.

NumPy only; an unknown covariate is NaN and stays NaN: nothing here turns it into a number except an `Imputer`, which is fitted
separately (`fit`) and handed to `risk`.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import DataError
from clef_ray.scores._fields import FIELDS, MMOL_PER_MG, Covariates, Field, contradictions, implausible
from clef_ray.scores._impute import BY_AGE_AND_SEX, Imputer, fit
from clef_ray.scores._missing import delete
from clef_ray.sections import Imputation, Mechanism

__all__ = [
    "BY_AGE_AND_SEX",
    "FIELDS",
    "MMOL_PER_MG",
    "Covariates",
    "Field",
    "Imputation",
    "Imputer",
    "Mechanism",
    "Risk",
    "Score",
    "ScoreResult",
    "contradictions",
    "delete",
    "fit",
    "implausible",
    "risk",
    "take",
]


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """A score of N records.

    value_N: the score in the score's unit, NaN where it cannot be computed; [N], or [N, K] for a score that is a point, whose
    risk difference is the Euclidean distance. observed_N: how many of the required fields are known. valid_N: False where a
    field lies outside the range the score was derived for, two fields contradict each other, or the value is NaN.
    """

    value_N: NDArray[np.float64]
    observed_N: NDArray[np.int64]
    valid_N: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Risk:
    """What the losses and the report see of a score.

    value_N: the score after imputation, [N] or [N, K], NaN where unknown; completeness_N: share of required fields known before
    imputation, in [0, 1], and 0 where the value is unknown; valid_N: as ScoreResult.
    """

    value_N: NDArray[np.float64]
    completeness_N: NDArray[np.float64]
    valid_N: NDArray[np.bool_]


class Score(Protocol):
    """A risk score; constructor parameters are its options. source: the publication, with its doi; unit: the value's."""

    source: ClassVar[str]
    unit: ClassVar[str]

    @property
    def fields(self) -> tuple[str, ...]:
        """The covariates it needs, names of FIELDS; may depend on the options, may be empty."""
        ...

    @property
    def ages(self) -> tuple[float, float] | None:
        """Youngest and oldest age [whole years] it is published for; None: any."""
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


def _check_plausible(name: str, values_N: NDArray[np.float64]) -> None:
    field, wrong_N = FIELDS[name], implausible(name, values_N)
    if wrong_N.any():
        wrong = np.sort(values_N[wrong_N])  # the middle one, without its row: nobody is pointed at
        allowed = "0 or 1" if field.binary else f"the plausible {field.low:g} to {field.high:g}"
        raise DataError(
            f"{name}: {wrong.size} of {values_N.size} values lie outside {allowed} ({field.unit}), such as "
            f"{wrong[wrong.size // 2]:g}; convert the unit, or set values that cannot be right to NaN (unknown)"
        )


def risk(score: Score, covariates: Covariates, patients_N: NDArray[np.str_], fill: Imputer) -> Risk:
    """The score with missing fields filled by `fill`, and how much of it was really observed.

    Completeness is counted before filling, so a filled field raises the number of usable risks but not the trust
    in them. A risk that stays unknown (age or sex unknown: they are never filled) has completeness 0 (an average
    negative in the losses). A score that needs no field is complete.
    """
    before = score(covariates, patients_N)
    after = score(fill(covariates), patients_N)
    needed = len(score.fields)
    share_N = before.observed_N / needed if needed else np.ones(len(patients_N))
    unknown_N = np.isnan(after.value_N).any(axis=tuple(range(1, after.value_N.ndim)))
    return Risk(after.value_N, np.where(unknown_N, 0.0, share_N), after.valid_N)
