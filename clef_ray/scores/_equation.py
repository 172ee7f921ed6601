"""What every published equation shares: its range, what happens outside it, and that an unknown input gives an unknown risk."""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clef_ray.registry import unknown
from clef_ray.scores import MMOL_PER_MG, Covariates, ScoreResult, contradictions, take

#: Beyond the range an equation was derived for: the nearest value in it, no risk, or the formula as it stands.
OutOfRange = Literal["clamp", "nan", "extrapolate"]

#: Field -> lowest and highest value the equation is published for, both included. Ages are published in whole years: somebody is 74
#: until the 75th birthday, so such a range ends `below(75.0)`.
Ranges = Mapping[str, tuple[float, float]]

#: Term of a linear predictor ("age", "age*smoker", "constant") -> its coefficient in each group (men, women).
Table = Mapping[str, tuple[float, ...]]

Formula = Callable[[Covariates], NDArray[np.float64]]


def below(limit: float) -> float:
    """The largest number under a limit that a range does not include ("under 40 kg/m2", "until the 70th birthday")."""
    return float(np.nextafter(limit, -np.inf))


def check_choice(given: str, allowed: Iterable[str], option: str, score: str) -> None:
    """ConfigError unless the value of a score's option is one of those allowed."""
    if given not in tuple(allowed):
        raise unknown(option, given, allowed, score)


def check_out_of_range(given: str, score: str) -> None:
    """ConfigError unless `given` is a value of OutOfRange."""
    check_choice(given, get_args(OutOfRange), "out_of_range", score)


def evaluate(
    score: str,
    formula: Formula,
    covariates: Covariates,
    fields: tuple[str, ...],
    ranges: Ranges,
    out_of_range: OutOfRange,
) -> ScoreResult:
    """An equation on N records: `formula` sees the required columns as `out_of_range` leaves them.

    The value is NaN where a field is unknown whatever the formula makes of it: an unknown sex is not a man's, an unknown treatment
    not "untreated". Where two fields contradict each other the value stays, since an imputation may have made one of them, but is not
    valid. Extrapolation warns with the number of records. Raises DataError as `take` does.
    """
    columns, observed_N = take(covariates, fields)
    inside_N = np.ones(observed_N.shape, dtype=np.bool_)
    beyond_N = ~inside_N  # differs from not inside where the field is unknown
    limited = dict(columns)
    for field, (low, high) in ranges.items():
        x_N = columns[field]
        inside_N &= (x_N >= low) & (x_N <= high)
        beyond_N |= (x_N < low) | (x_N > high)
        if out_of_range == "clamp":
            limited[field] = np.clip(x_N, low, high)
        elif out_of_range == "nan":
            limited[field] = np.where((x_N < low) | (x_N > high), np.nan, x_N)
    for wrong_N in contradictions(columns).values():
        inside_N &= ~wrong_N
    if out_of_range == "extrapolate" and beyond_N.any():
        _warn(score, int(beyond_N.sum()), beyond_N.size, ranges)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # far outside (ln of age 0)
        value_N = np.where(observed_N == len(fields), formula(limited), np.nan)
    return ScoreResult(value_N, observed_N, inside_N & ~np.isnan(value_N))


def _warn(score: str, beyond: int, records: int, ranges: Ranges) -> None:
    published = ", ".join(f"{field} {low:g} to {_end(high)}" for field, (low, high) in ranges.items())
    warnings.warn(
        f"{score}: the formula is extrapolated for {beyond} of {records} records outside the range it was derived for ({published})",
        stacklevel=4,
    )


def _end(high: float) -> str:
    limit = np.nextafter(high, np.inf)
    return f"under {limit:g}" if limit.is_integer() else f"{high:g}"


def woman(columns: Covariates) -> NDArray[np.int64]:
    """The place in a (men, women) table of each record, [N]; 0 where sex is unknown, whose value `evaluate` leaves out."""
    woman_N: NDArray[np.int64] = (columns["sex"] == 1).astype(np.int64)
    return woman_N


def predictor(variables: Covariates, table: Table, group_N: NDArray[np.int64]) -> NDArray[np.float64]:
    """The linear predictor, [N]: each term of the table, a product of variables, times the coefficient of the record's group."""
    x_N = np.zeros(group_N.shape)
    for term, coefficients in table.items():
        factors = [] if term == "constant" else [variables[name] for name in term.split("*")]
        x_N += np.asarray(coefficients)[group_N] * math.prod(factors)
    return x_N


def logarithmic(columns: Covariates) -> dict[str, NDArray[np.float64]]:
    """What Framingham and the Pooled Cohort Equations are made of: natural logarithms, of cholesterol (where there is one) in mg/dL.

    `untreated` and `treated` are the pressure of those people, and 0 of the others.
    """
    sbp = np.log(columns["sbp"])
    lipids = {"tc": "total_cholesterol", "hdl": "hdl"}
    return {
        "age": np.log(columns["age"]),
        "untreated": sbp * (1 - columns["treated"]),
        "treated": sbp * columns["treated"],
        "smoker": columns["smoker"],
        "diabetes": columns["diabetes"],
        **{name: np.log(columns[field] / MMOL_PER_MG) for name, field in lipids.items() if field in columns},
    }


def cox_percent(
    x_N: NDArray[np.float64], survival: tuple[float, ...], group_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """A Cox model's risk in percent: 1 - S0^exp(x), with the survival S0 of each record's group."""
    p_N: NDArray[np.float64] = -np.expm1(np.exp(x_N) * np.log(np.array(survival))[group_N])
    return 100 * p_N
