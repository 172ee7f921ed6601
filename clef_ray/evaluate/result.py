"""What one task found, as a value that can be stored: `TaskResult` and its .npz form (plain arrays, never a pickle)."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from clef_ray.errors import DataError
from clef_ray.evaluate.bootstrap import Estimate

ARRAYS = ("names", "intervals", "replicates", "extra_names", "extra_values", "skipped", "notes")


@dataclass(frozen=True, eq=False)
class TaskResult:
    """The metrics of one task on one encoder.

    estimates: metric name -> Estimate; extras: numbers without an interval (counts, coverage, p values); skipped: why there are no
    estimates, None where there are; notes: what a reader should know (classes left out, statistics that are undefined).
    """

    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    extras: Mapping[str, float] = field(default_factory=dict)
    skipped: str | None = None
    notes: tuple[str, ...] = ()

    def prefixed(self, prefix: str) -> "TaskResult":
        """The same with `prefix/` before every name."""
        return TaskResult(
            {f"{prefix}/{name}": estimate for name, estimate in self.estimates.items()},
            {f"{prefix}/{name}": value for name, value in self.extras.items()},
            self.skipped,
            self.notes,
        )

    def to_bytes(self) -> bytes:
        """The content of an .npz file that `from_bytes` and `numpy.load` read."""
        estimates = self.estimates.values()
        replicates = [e.replicates for e in estimates]
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
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The inverse of `to_bytes`. Anything else: DataError."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in ARRAYS}
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
        )
