"""Joining measurements to ECGs by patient and time, a whole field at once."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from clef_ray.scores import implausible

#: A subject and a time become one sortable number, subject x _SPAN + seconds since 1970: 544 years, of which MIMIC uses 2100 to 2220.
_SPAN = 1 << 34

#: Days that reach from any time of a patient to any other; the longest that a window may be.
FOREVER = 100 * 366.0

_DAY = 86400.0


def moments(subject_N: NDArray[np.integer], time_N: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """One number per (subject, time), sorted by subject and then by time; times to the second, none unknown."""
    seconds_N = np.asarray(time_N).astype("datetime64[s]").astype(np.int64)
    return np.asarray(subject_N).astype(np.int64) * _SPAN + seconds_N


@dataclass(frozen=True, slots=True)
class Window:
    """How many days before and after an ECG a value may be from."""

    before: float
    after: float


def nearest(known_M: NDArray[np.int64], at_N: NDArray[np.int64], window: Window) -> NDArray[np.int64]:
    """For each of `at` [N, moments] the index of the nearest of `known` [M, moments, sorted] of the same subject within the window,
    -1 where there is none. Of two equally near ones the earlier, of several at one time the first.
    """
    far = np.int64(1) << 61
    padded = np.concatenate([[-far], known_M, [far]])  # so that every moment has a neighbour on both sides
    after_N = np.searchsorted(padded, at_N, side="right")
    before_N = np.searchsorted(padded, padded[after_N - 1], side="left")
    # Another subject's times are more than four centuries away: no window reaches them.
    days_before_N, days_after_N = (at_N - padded[before_N]) / _DAY, (padded[after_N] - at_N) / _DAY
    days_before_N[days_before_N > window.before] = np.inf
    days_after_N[days_after_N > window.after] = np.inf
    found_N = np.where(days_after_N < days_before_N, after_N, before_N) - 1
    return np.where(np.isinf(np.minimum(days_before_N, days_after_N)), -1, found_N)


@dataclass(frozen=True, slots=True)
class Ecgs:
    """Whose ECG, and when: subject_N ids; time_N datetime64[s]."""

    subject_N: NDArray[np.int64]
    time_N: NDArray[np.datetime64]

    @property
    def subjects(self) -> pa.Array:
        """The distinct ids, to filter tables by."""
        return pa.array(np.unique(self.subject_N), pa.int32())


@dataclass(frozen=True, slots=True)
class Field:
    """One field of every ECG.

    value_N: in the field's unit, NaN unknown. sources, source_N: names of where values are from, and whose place each value is of (-1
    where unknown). days_N: the value's time minus the ECG's (negative: before), NaN where unknown or not dated. left_out: values that were
    not used because no person can have them.
    """

    value_N: NDArray[np.float64]
    sources: tuple[str, ...]
    source_N: NDArray[np.int8]
    days_N: NDArray[np.float64]
    left_out: int = 0

    @classmethod
    def of(cls, value_N: NDArray[np.float64], source: str, days_N: NDArray[np.float64] | None = None) -> Self:
        """A field from one source; without days it is not dated."""
        days_N = np.full(len(value_N), np.nan) if days_N is None else days_N
        return _trimmed(cls(value_N, (source,), np.zeros(len(value_N), dtype=np.int8), days_N))

    def or_else(self, other: "Field") -> "Field":
        """Its own values where they are known, the other's elsewhere."""
        known_N = ~np.isnan(self.value_N)
        theirs_N = np.where(other.source_N < 0, -1, other.source_N + len(self.sources))
        return Field(
            np.where(known_N, self.value_N, other.value_N),
            self.sources + other.sources,
            np.where(known_N, self.source_N, theirs_N).astype(np.int8),
            np.where(known_N, self.days_N, other.days_N),
            self.left_out + other.left_out,
        )

    def within(self, name: str) -> "Field":
        """Unknown in place of what no person can have as the covariate `name`; how many there were is added to left_out."""
        wrong_N = implausible(name, self.value_N)
        value_N = np.where(wrong_N, np.nan, self.value_N)
        return _trimmed(replace(self, value_N=value_N, left_out=self.left_out + int(wrong_N.sum())))

    @property
    def source(self) -> "pd.Categorical[Any]":
        """Where each value is from, by name; missing where unknown."""
        return pd.Categorical.from_codes(self.source_N, categories=pd.Index(self.sources, dtype=object))

    def summary(self) -> dict[str, Any]:
        """What may be told of all patients together: known records in all and per source, the median distance in days, values left out."""
        days = np.abs(self.days_N[~np.isnan(self.days_N)])
        counts = {name: int((self.source_N == place).sum()) for place, name in enumerate(self.sources)}
        return {
            "records": int((~np.isnan(self.value_N)).sum()),
            "sources": {name: count for name, count in counts.items() if count},
            "median_days": round(float(np.median(days)), 3) if days.size else None,
            "left_out": self.left_out,
        }


_F = TypeVar("_F", bound=Field)


def _trimmed(field: _F) -> _F:
    """Neither a source nor a distance where nothing is known."""
    gone_N = np.isnan(field.value_N)
    source_N, days_N = np.where(gone_N, -1, field.source_N), np.where(gone_N, np.nan, field.days_N)
    return replace(field, source_N=source_N.astype(np.int8), days_N=days_N)


def joined(
    ecgs: Ecgs,
    table: pd.DataFrame,
    columns: Iterable[str],
    source: str,
    window: Window,
    *,
    by_day: bool = False,
) -> dict[str, Field]:
    """For each ECG the row of `table` (subject, time, and `columns`) nearest in time, its columns as fields.

    by_day: the table's times are days without an hour, so that distances are whole days and a value of the ECG's own day has distance 0.
    """
    table = table.dropna(subset=["subject", "time"])
    resolution = "D" if by_day else "s"
    key_M = moments(table["subject"].to_numpy(), table["time"].to_numpy())
    order = np.argsort(key_M, kind="stable")
    at_N = moments(ecgs.subject_N, ecgs.time_N.astype(f"datetime64[{resolution}]"))
    index_N = nearest(key_M[order], at_N, window)
    known_N = index_N >= 0
    row_N = order[index_N[known_N]]
    days_N = np.full(len(at_N), np.nan)
    days_N[known_N] = (key_M[row_N] - at_N[known_N]) / _DAY
    fields = {}
    for column in columns:
        value_N = np.full(len(at_N), np.nan)
        value_N[known_N] = table[column].to_numpy(dtype=np.float64)[row_N]
        fields[column] = Field.of(value_N, source, days_N)
    return fields
