"""What one task found, as a value that can be stored: `TaskResult`, its curves, and its .npz form (plain arrays, never a pickle)."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import DataError
from clef_ray.evaluate.bootstrap import Estimate

ARRAYS = ("names", "intervals", "replicates", "extra_names", "extra_values", "skipped", "notes")

#: Files from before there were curves hold none of these.
CURVE_ARRAYS = ("curve_names", "curve_labels", "curve_lengths", "curve_points")


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of a plot, each [P]: x, y with its 95 % interval over patients, n how many observations a point stands for. A point is always
    an average over several patients. The labels are the axes', with units.
    """

    x_label: str
    y_label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n: NDArray[np.float64]


#: Resampling fewer patients (or recordings) than this gives no interval.
LEAST_UNITS = 5


@dataclass(frozen=True, eq=False)
class TaskResult:
    """The metrics of one task on one encoder.

    estimates: metric name -> Estimate; extras: numbers without an interval (counts, coverage, p values); skipped: why there are no
    estimates, None where there are; notes: what a reader should know (classes left out, statistics that are undefined); curves: for plots.
    """

    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    extras: Mapping[str, float] = field(default_factory=dict)
    skipped: str | None = None
    notes: tuple[str, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)

    def prefixed(self, prefix: str) -> "TaskResult":
        """The same with `prefix/` before every name."""
        return TaskResult(
            {f"{prefix}/{name}": estimate for name, estimate in self.estimates.items()},
            {f"{prefix}/{name}": value for name, value in self.extras.items()},
            self.skipped,
            self.notes,
            {f"{prefix}/{name}": curve for name, curve in self.curves.items()},
        )

    def to_bytes(self) -> bytes:
        """The content of an .npz file that `from_bytes` and `numpy.load` read."""
        estimates = self.estimates.values()
        replicates = [e.replicates for e in estimates]
        curves = self.curves.values()
        points = [np.stack([c.x, c.y, c.low, c.high, c.n], axis=1) for c in curves]
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            names=np.array(list(self.estimates), dtype=np.str_),
            intervals=np.array([(e.value, e.low, e.high) for e in estimates]).reshape(-1, 3),
            replicates=np.stack(replicates) if replicates else np.empty((0, 0)),
            extra_names=np.array(list(self.extras), dtype=np.str_),
            extra_values=np.array(list(self.extras.values()), dtype=np.float64),
            skipped=np.array([] if self.skipped is None else [self.skipped], dtype=np.str_),
            notes=np.array(self.notes, dtype=np.str_),
            curve_names=np.array(list(self.curves), dtype=np.str_),
            curve_labels=np.array([(c.x_label, c.y_label) for c in curves], dtype=np.str_).reshape(-1, 2),
            curve_lengths=np.array([len(p) for p in points], dtype=np.int64),
            curve_points=np.concatenate([np.empty((0, 5)), *points]),
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The inverse of `to_bytes`. Anything else: DataError."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                stored = CURVE_ARRAYS if CURVE_ARRAYS[0] in file else ()
                arrays = {name: file[name] for name in (*ARRAYS, *stored)}
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"these {len(content)} bytes are not a stored task result: {error}") from None
        rows = zip(arrays["names"], arrays["intervals"], arrays["replicates"], strict=True)
        extras = zip(arrays["extra_names"], arrays["extra_values"], strict=True)
        return cls(
            {
                str(n): Estimate(float(i[0]), float(i[1]), float(i[2]), replicates)
                for n, i, replicates in rows
            },
            {str(name): float(value) for name, value in extras},
            str(arrays["skipped"][0]) if len(arrays["skipped"]) else None,
            tuple(str(note) for note in arrays["notes"]),
            _curves(*(arrays[name] for name in stored)) if stored else {},
        )


def estimated(
    statistics: Mapping[str, NDArray[np.float64]], unit_N: NDArray[np.str_], noun: str = "patients"
) -> tuple[dict[str, Estimate], tuple[str, ...]]:
    """Statistics under `sample_and_resamples` weights as estimates, and notes on what is undefined.

    unit_N: what was resampled, and what that is called. Fewer than LEAST_UNITS different ones say nothing about others like them: values
    without an interval, and a note.
    """
    count = len(np.unique(unit_N))
    if count >= LEAST_UNITS:
        estimates = {name: Estimate.of(statistic_B) for name, statistic_B in statistics.items()}
        return estimates, undefined(estimates)
    alone = {name: np.where(np.arange(len(s)) == 0, s, np.nan) for name, s in statistics.items()}
    estimates = {name: Estimate.of(statistic_B) for name, statistic_B in alone.items()}
    nowhere = undefined({name: e for name, e in estimates.items() if np.isnan(e.value)})
    return estimates, (f"no intervals: {count} {noun} are judged, {LEAST_UNITS} are needed", *nowhere)


def undefined(estimates: Mapping[str, Estimate]) -> tuple[str, ...]:
    """Notes on the metrics that are NaN: on the records themselves, or in some of the resamples, which their intervals leave out."""
    nowhere = [name for name, estimate in estimates.items() if np.isnan(estimate.value)]
    missing = {
        name: int(np.isnan(e.replicates).sum()) for name, e in estimates.items() if name not in nowhere
    }
    some = [f"{name} ({count})" for name, count in missing.items() if count]
    notes = [f"undefined on these records: {', '.join(nowhere)}"] if nowhere else []
    if some:
        notes.append(f"undefined in some resamples (how many), which intervals leave out: {', '.join(some)}")
    return tuple(notes)


def _curves(
    names_C: NDArray[np.str_],
    labels_C2: NDArray[np.str_],
    lengths_C: NDArray[np.int64],
    points_P5: NDArray[np.float64],
) -> dict[str, Curve]:
    if not len(names_C):
        return {}
    parts = np.split(points_P5, np.cumsum(lengths_C)[:-1])
    rows = zip(names_C, labels_C2, parts, strict=True)
    return {str(name): Curve(str(x), str(y), *part.T) for name, (x, y), part in rows}
