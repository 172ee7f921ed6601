"""Missing fields of a score, filled. Fitted once, on the records it is given (the training patients'), then applied to any.

Never age, sex or black: a guess there would be a guess of most of the risk, or of who somebody is. Never findings: a record's own
diagnosis is known or not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import DataError
from clef_ray.registry import unknown
from clef_ray.scores._fields import FIELDS, Covariates
from clef_ray.sections import Imputation

#: One reference person for all scores: a filled field then contributes nothing, or the same to everybody.
#: SBP, cholesterol, smoking and diabetes: the centring of SCORE2 (Eur Heart J 2021;42:2439). HbA1c and the age at the diagnosis of
#: diabetes: of SCORE2-Diabetes (Eur Heart J 2023;44:2544), which also centres ln eGFR at 4.5, as PREVENT (Circulation 2024;149:430)
#: centres eGFR at 90; BMI 25 is PREVENT's. No drug and no illness: the zero of every equation.
CENTRE: Mapping[str, float] = {
    "sbp": 120.0,
    "total_cholesterol": 6.0,
    "hdl": 1.3,
    "bmi": 25.0,
    "egfr": 90.0,
    "hba1c": 31.0,
    "diabetes_age": 50.0,
} | dict.fromkeys(
    (
        "smoker",
        "diabetes",
        "treated",
        "statin",
        "heart_failure",
        "hypertension",
        "stroke",
        "vascular_disease",
    ),
    0.0,
)

#: Policies that learn from age and sex.
BY_AGE_AND_SEX = ("age_sex_median", "iterative")

_ONSET = "diabetes_age"
_DECADES = 13  # 0-9 to 120 years


class _Guess(Protocol):
    """What the unknown values of each record may be: field -> [N], or one value for all."""

    def __call__(self, covariates: Covariates) -> Mapping[str, NDArray[np.float64] | float]: ...


@dataclass(frozen=True, slots=True)
class Imputer:
    """Fills unknown (NaN) values; made by `fit`. Known values, other fields and the mapping that is given stay as they are."""

    policy: Imputation
    guess: _Guess

    def __call__(self, covariates: Covariates) -> Covariates:
        """The same columns, filled where the policy has a guess."""
        filled = dict(covariates)
        for field, guess in self.guess(covariates).items():
            values_N = np.asarray(covariates[field], dtype=np.float64)
            filled[field] = np.where(np.isnan(values_N), guess, values_N)
        return filled


def fit(policy: Imputation, covariates: Covariates, fields: tuple[str, ...]) -> Imputer:
    """The policy, fitted on `covariates` (those of the training records) for a score that needs `fields`.

    none: unknown stays unknown. centre: the reference person of the equations, CENTRE; nothing is fitted. median: of the records in
    which the field is known; for a field of 0 and 1 the lower one, so that it stays 0 or 1. age_sex_median: the median of the records of
    the same sex and decade of age; where none of them knows the field, of the same sex, then of all, as where age or sex is unknown.
    iterative: each field regressed on the others and on age and sex in turn (Bayesian ridge, scikit-learn's IterativeImputer), the age
    at the diagnosis of diabetes last; within the plausible range, 0 or 1 rounded. Where it warns that it did not converge, as it may
    with half of the values missing, it can be further from the truth than the medians.

    Raises ConfigError for an unknown policy, DataError where a field is absent, or known in no record and the policy has to learn it.
    """
    if policy not in get_args(Imputation):
        raise unknown("imputation", policy, get_args(Imputation))
    filled = tuple(field for field in fields if field in CENTRE)
    if policy == "none" or not filled:
        return Imputer(policy, _Constants({}))
    if policy == "centre":
        return Imputer(policy, _Constants({field: CENTRE[field] for field in filled}))
    for field in filled:
        _check_learnable(field, covariates, policy)
    if policy == "median":
        return Imputer(policy, _Constants({field: _median(field, covariates[field]) for field in filled}))
    for field in ("age", "sex"):
        _check_present(field, covariates)
    if policy == "age_sex_median":
        return Imputer(policy, _Strata({field: _by_stratum(field, covariates) for field in filled}))
    return Imputer(policy, _chained(filled, covariates))


@dataclass(frozen=True, slots=True)
class _Constants:
    """One value per field."""

    values: Mapping[str, float]

    def __call__(self, covariates: Covariates) -> Mapping[str, float]:
        return {field: value for field, value in self.values.items() if field in covariates}


@dataclass(frozen=True, slots=True)
class _Strata:
    """Per field a median for each sex and decade, [3, _DECADES + 1]; the last row and column: unknown."""

    medians: Mapping[str, NDArray[np.float64]]

    def __call__(self, covariates: Covariates) -> Mapping[str, NDArray[np.float64]]:
        stratum_N = _stratum(covariates)
        return {field: table[stratum_N] for field, table in self.medians.items() if field in covariates}


@dataclass(frozen=True, slots=True)
class _Chained:
    """Guesses of scikit-learn's IterativeImputer over `columns`, age and sex first, and then of `onset`: diabetes_age by all of these.

    The age at diagnosis is known of the few with diabetes only: in the chain its guesses for everybody else, made of the other fields,
    would feed back into them.
    """

    columns: tuple[str, ...]
    model: Any
    onset: Any | None

    def __call__(self, covariates: Covariates) -> Mapping[str, NDArray[np.float64]]:
        x_NF = _matrix(self.columns, covariates)
        whole_NF = self.model.transform(x_NF) if len(x_NF) else x_NF
        guesses = dict(zip(self.columns[2:], whole_NF.T[2:], strict=True))
        if self.onset is not None:
            guesses[_ONSET] = self.onset.predict(whole_NF) if len(x_NF) else whole_NF[:, 0]
        return {field: _possible(field, guess_N) for field, guess_N in guesses.items()}


def _check_present(field: str, covariates: Covariates) -> None:
    if field not in covariates:
        raise DataError(
            f"covariate {field!r} is needed by the imputation but absent; there are: {', '.join(sorted(covariates))}"
        )


def _check_learnable(field: str, covariates: Covariates, policy: str) -> None:
    _check_present(field, covariates)
    values_N = np.asarray(covariates[field], dtype=np.float64)
    if np.isnan(values_N).all():
        raise DataError(
            f"imputation {policy!r} has nothing to learn {field!r} from: it is unknown in all {values_N.size} records it is fitted on; "
            "use imputation 'centre' or 'none', or a score that does not need it"
        )


def _median(field: str, values_N: NDArray[np.float64]) -> float:
    return float(np.nanquantile(values_N, 0.5, method="lower" if FIELDS[field].binary else "linear"))


def _stratum(covariates: Covariates) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices into a table of _Strata; a person of unknown age or sex belongs to all."""
    age_N, sex_N = (np.asarray(covariates[field], dtype=np.float64) for field in ("age", "sex"))
    known_N = np.isin(sex_N, (0.0, 1.0)) & ~np.isnan(age_N)
    decade_N = np.where(known_N, np.clip(age_N // 10, 0, _DECADES - 1), _DECADES)
    return np.where(known_N, sex_N, 2).astype(np.int64), decade_N.astype(np.int64)


def _by_stratum(field: str, covariates: Covariates) -> NDArray[np.float64]:
    """[3, _DECADES + 1]: medians by sex and decade, by sex where nobody of that decade knows the field, else of all."""
    values_N = np.asarray(covariates[field], dtype=np.float64)
    sex_N, decade_N = _stratum(covariates)
    known_N = ~np.isnan(values_N)
    table = np.full((3, _DECADES + 1), _median(field, values_N))
    for sex in (0, 1):
        own_N = known_N & (np.asarray(covariates["sex"]) == sex)
        if own_N.any():
            table[sex] = _median(field, values_N[own_N])
        for decade in np.unique(decade_N[known_N & (sex_N == sex)]):
            table[sex, decade] = _median(field, values_N[known_N & (sex_N == sex) & (decade_N == decade)])
    return table


def _chained(filled: tuple[str, ...], covariates: Covariates) -> _Chained:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401  # the import is what enables it
    from sklearn.impute import IterativeImputer
    from sklearn.linear_model import BayesianRidge

    columns = ("age", "sex", *(field for field in filled if field != _ONSET))
    low, high = ([getattr(FIELDS[field], end) for field in columns] for end in ("low", "high"))
    model = IterativeImputer(min_value=low, max_value=high, keep_empty_features=True, random_state=0)
    whole_NF = model.fit_transform(_matrix(columns, covariates))
    if _ONSET not in filled:
        return _Chained(columns, model, None)
    onset_N = np.asarray(covariates[_ONSET], dtype=np.float64)
    known_N = ~np.isnan(onset_N)
    return _Chained(columns, model, BayesianRidge().fit(whole_NF[known_N], onset_N[known_N]))


def _matrix(columns: tuple[str, ...], covariates: Covariates) -> NDArray[np.float64]:
    return np.stack([np.asarray(covariates[field], dtype=np.float64) for field in columns], axis=1)


def _possible(field: str, values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    bounds = FIELDS[field]
    values_N = np.clip(values_N, bounds.low, bounds.high)
    return np.rint(values_N) if bounds.binary else values_N
