"""`clef-ray score`: one clinical score of every row of a table of patients."""

import argparse
import difflib
import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clef_ray.cli.options import settings_of
from clef_ray.cli.patients import check_paths, numbers, read, write
from clef_ray.errors import ConfigError, DataError
from clef_ray.registry import SCORES
from clef_ray.scores import (
    BY_AGE_AND_SEX,
    FIELDS,
    MMOL_PER_MG,
    Imputation,
    Score,
    ScoreResult,
    contradictions,
    fit,
    implausible,
)


@dataclass(frozen=True, slots=True)
class _Patients:
    """The input as a score sees it; doubtful_N: rows in which an implausible value was taken for unknown."""

    covariates: Mapping[str, NDArray[np.float64]]
    names_N: NDArray[np.str_]
    doubtful_N: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Unit:
    """The unit of a column in the file; (value - zero) * factor is the value in ours."""

    name: str
    factor: float = 1.0
    zero: float = 0.0


def run(arguments: argparse.Namespace) -> int:
    """Read, score, write, and say how many rows came out."""
    if arguments.input is None or arguments.output is None:
        raise ConfigError("--score needs --input and --output; what scores there are: clef-ray score --list")
    source, target = Path(arguments.input), Path(arguments.output)
    check_paths(source, target)
    name, policy = arguments.score, arguments.impute
    score = _build(name, arguments.region, settings_of(arguments.set))
    table = read(source)
    added = _columns_of(name, table.column_names, source)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        patients = _patients(table, score, arguments, source)
        result = _scored(score, patients, policy)
    for told in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"warning: {told}", file=sys.stderr)
    for column, values in _added(added, result, patients.doubtful_N).items():
        table = table.append_column(column, values)
    write(target, table)
    print(_summary(target, result, patients.doubtful_N))
    return 0


def _build(name: str, region: str | None, options: Mapping[str, Any]) -> Score:
    schema = SCORES.schema(name, "--score")
    if region is not None and "region" not in schema:
        regional = ", ".join(n for n in SCORES.names() if "region" in SCORES.schema(n))
        raise ConfigError(f"--region: score {name!r} has no regions; those that have: {regional}")
    if region is not None and "region" in options:
        raise ConfigError("--region and --set region=... are the same option; give one")
    given = {**options, **({} if region is None else {"region": region})}
    score: Score = SCORES.get(name)(**SCORES.options(name, given, f"score {name}"))
    return score


def stem(name: str) -> str:
    """How the columns of a score begin: its name, but `age_score` where a covariate has that name."""
    return f"{name}_score" if name in FIELDS else name


def _columns_of(name: str, present: list[str], source: Path) -> str:
    begin = stem(name)
    taken = [
        c for c in present if c in {begin, *(f"{begin}_{end}" for end in ("1", "2", "observed", "valid"))}
    ]
    if taken:
        raise DataError(
            f"{source} has {', '.join(taken)} already, which the score would write; rename or remove"
        )
    return begin


def _patients(table: pa.Table, score: Score, arguments: argparse.Namespace, source: Path) -> _Patients:
    needed = tuple(score.fields)
    if arguments.impute in BY_AGE_AND_SEX:
        needed = tuple(dict.fromkeys((*needed, "age", "sex")))
    _check_columns(needed, table.column_names, arguments.score, source)
    covariates, doubtful_N = {}, np.zeros(table.num_rows, dtype=np.bool_)
    for field in needed:
        own_N, unit = numbers(table, field, source), _unit_of(field, arguments)
        values_N = (own_N - unit.zero) * unit.factor
        wrong_N = implausible(field, values_N)
        if wrong_N.any():
            _tell_implausible(field, own_N[wrong_N], table.num_rows, unit, arguments.implausible)
        covariates[field] = np.where(wrong_N, np.nan, values_N)
        doubtful_N |= wrong_N
    _tell_contradictions(covariates)
    rows = [f"row {row}" for row in range(table.num_rows)]
    given = table.column("patient").to_pylist() if "patient" in table.column_names else rows
    names = [str(own) if own not in (None, "") else row for own, row in zip(given, rows, strict=True)]
    return _Patients(covariates, np.array(names, dtype=str), doubtful_N)


def _check_columns(needed: tuple[str, ...], present: list[str], name: str, source: Path) -> None:
    missing = [field for field in needed if field not in present]
    if not missing:
        return
    lower = {column.lower(): column for column in present}
    near = {field: _nearest(field, lower) for field in missing}
    hints = "".join(
        f" Is {lower[found]!r} {field!r}? Then rename it." for field, found in near.items() if found
    )
    raise DataError(
        f"{source} lacks the columns {', '.join(missing)}. Score {name!r} needs {', '.join(needed)} "
        f"(an empty cell is an unknown value).{hints} The file has {', '.join(present)}."
    )


def _nearest(field: str, columns: Iterable[str]) -> str | None:
    """The column that may be the field under another name: not one that says by its name what it is."""
    others = [column for column in columns if column == field or column not in {"patient", *FIELDS}]
    return next(iter(difflib.get_close_matches(field, others, n=1, cutoff=0.6)), None)


def _unit_of(field: str, arguments: argparse.Namespace) -> _Unit:
    if field in ("total_cholesterol", "hdl") and arguments.units == "mg/dL":
        return _Unit("mg/dL", MMOL_PER_MG)
    if field == "hba1c" and arguments.hba1c_unit == "%":
        return _Unit("%", 10.929, 2.15)
    return _Unit(FIELDS[field].unit)


def _tell_implausible(field: str, wrong: NDArray[np.float64], rows: int, unit: _Unit, policy: str) -> None:
    """Refuse, or say how many and nobody's value: the warning may end in a log. `wrong` is in the file's unit, as is what is told."""
    bounds = FIELDS[field]
    low, high = (bound / unit.factor + unit.zero for bound in (bounds.low, bounds.high))
    allowed = "0 or 1" if bounds.binary else f"{low:.4g} to {high:.4g}"
    what = f"{field}: {wrong.size} of {rows} values are implausible; plausible is {allowed} ({unit.name})"
    if policy == "refuse":
        example = np.sort(wrong)[wrong.size // 2]  # the middle one, without its row: nobody is pointed at
        raise DataError(
            f"{what}; one is {example:g}. Another unit? See --units and --hba1c-unit. To take such values for unknown: --implausible flag"
        )
    print(f"warning: {what}; taken for unknown", file=sys.stderr)


def _tell_contradictions(covariates: Mapping[str, NDArray[np.float64]]) -> None:
    """How many rows of the file contradict themselves, and nobody's value; what an imputation does is not the file's."""
    for what, wrong_N in contradictions(covariates).items():
        if wrong_N.any():
            print(
                f"warning: {what} in {int(wrong_N.sum())} of {wrong_N.size} rows; their scores are not valid. Are columns swapped?",
                file=sys.stderr,
            )


def _scored(score: Score, patients: _Patients, policy: Imputation) -> ScoreResult:
    """What is observed counts before imputation, as in `clef_ray.scores.risk`."""
    observed = score(patients.covariates, patients.names_N)
    if policy == "none":
        return observed
    fill = fit(policy, patients.covariates, score.fields)
    filled = score(fill(patients.covariates), patients.names_N)
    return ScoreResult(filled.value_N, observed.observed_N, filled.valid_N)


def _added(begin: str, result: ScoreResult, doubtful_N: NDArray[np.bool_]) -> dict[str, pa.Array]:
    """The new columns; an unknown score is null."""
    points = result.value_N.ndim == 2
    values = (
        {f"{begin}_{k + 1}": v for k, v in enumerate(result.value_N.T)} if points else {begin: result.value_N}
    )
    columns = {name: pa.array(value_N, from_pandas=True) for name, value_N in values.items()}
    columns[f"{begin}_observed"] = pa.array(result.observed_N)
    columns[f"{begin}_valid"] = pa.array(result.valid_N & ~doubtful_N)
    return columns


def _summary(target: Path, result: ScoreResult, doubtful_N: NDArray[np.bool_]) -> str:
    rows = len(result.observed_N)
    known_N = ~np.isnan(result.value_N).any(axis=tuple(range(1, result.value_N.ndim)))
    outside = int((known_N & ~result.valid_N).sum())
    return (
        f"{target}: {rows} rows, {int(known_N.sum())} scored ({outside} of them not valid: outside the score's range or contradictory), {int((~known_N).sum())} unknown"
        + (f", {int(doubtful_N.sum())} with implausible values" if doubtful_N.any() else "")
    )
