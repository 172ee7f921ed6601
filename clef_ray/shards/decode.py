"""From a part's stored bytes to samples that training reads: int16 without invalid ones, each lead with its gain and baseline.

They stay int16 as long as they can: half the memory and the traffic of float32. Millivolts are made where they are used, in training on
its device.
"""

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clef_ray.datasets import MICROVOLTS
from clef_ray.shards.schema import Shape
from clef_ray.signal import INVALID_SAMPLE
from clef_ray.signal.filters import resample

#: The largest raw value a resampled lead is scaled to: float32 rounds, and one unit less is sure to fit.
_LARGEST = -INVALID_SAMPLE - 2


@dataclass(frozen=True, slots=True)
class Stored:
    """Samples of N records, K leads each: (raw - baseline) / gain is mV. No sample is invalid.

    raw_NKT: int16; gain_NK: raw units per mV, float32; baseline_NK: raw units at 0 mV, float32.
    """

    raw_NKT: NDArray[np.int16]
    gain_NK: NDArray[np.float32]
    baseline_NK: NDArray[np.float32]

    @classmethod
    def empty(cls, records: int, leads: int, samples: int) -> "Stored":
        """Room to be filled by `put`."""
        return cls(
            np.empty((records, leads, samples), dtype=np.int16),
            np.empty((records, leads), dtype=np.float32),
            np.empty((records, leads), dtype=np.float32),
        )

    def put(self, at: slice | NDArray[np.int64], other: "Stored") -> None:
        """Write the records of `other` at positions `at`."""
        self.raw_NKT[at], self.gain_NK[at], self.baseline_NK[at] = (
            other.raw_NKT,
            other.gain_NK,
            other.baseline_NK,
        )

    def take(self, rows: NDArray[np.int64], lead: int) -> "Stored":
        """One lead of the records at positions `rows`."""
        at = (rows, slice(lead, lead + 1))
        return Stored(self.raw_NKT[at], self.gain_NK[at], self.baseline_NK[at])

    def millivolts(self) -> NDArray[np.float32]:
        """[N, K, T] in mV."""
        mv_NKT = np.subtract(self.raw_NKT, self.baseline_NK[..., None], dtype=np.float32)
        mv_NKT /= self.gain_NK[..., None]
        return mv_NKT

    def resampled(self, fs_in: float, fs_out: float) -> "Stored":
        """The records, which are at `fs_in` Hz, at `fs_out` Hz, rounded as by `of_millivolts`."""
        return Stored.of_millivolts(resample(self.millivolts(), fs_in, fs_out))

    @classmethod
    def of_millivolts(cls, mv_NKT: NDArray[np.float32]) -> "Stored":
        """Finite numbers of mV, rounded at MICROVOLTS raw units per mV, or at what makes a lead's largest sample fit into 16 bits, if that
        is less.
        """
        peak_NK = np.abs(mv_NKT).max(axis=-1, initial=1.0)
        gain_NK = np.minimum(MICROVOLTS, _LARGEST / peak_NK).astype(np.float32)
        raw_NKT = np.rint(mv_NKT * gain_NK[..., None]).astype(np.int16)
        return cls(raw_NKT, gain_NK, np.zeros_like(gain_NK))


@dataclass(frozen=True, slots=True)
class Encoded:
    """Records as they lie in a part.

    source: something to read from, in which the samples lie record after record and lead after lead from byte `start` on, int16,
    little-endian as every machine is that Ray runs on. gain_NC, baseline_NC: float32.
    """

    source: BinaryIO | pa.NativeFile
    start: int
    gain_NC: NDArray[np.float32]
    baseline_NC: NDArray[np.float32]

    @classmethod
    def of_table(cls, table: pa.Table, shape: Shape) -> "Encoded":
        """Of the columns `signal`, `gain` and `baseline`; copied only where the signals come in several chunks."""
        column, leads = _one_chunk(table.column("signal")), len(shape.leads)
        start = 2 * leads * shape.samples * column.offset  # a sliced column starts somewhere in its buffer
        gain_NC, baseline_NC = (per_record(table.column(name), leads) for name in ("gain", "baseline"))
        return cls(pa.BufferReader(column.buffers()[1]), start, gain_NC, baseline_NC)


def decode(table: pa.Table, shape: Shape, pick_NK: NDArray[np.int64] | None = None) -> Stored:
    """The `signal`, `gain` and `baseline` columns of all records -> samples as they were stored; arguments as `decode_into`."""
    if pick_NK is None:
        pick_NK = np.tile(np.arange(len(shape.leads)), (table.num_rows, 1))
    found, rows_N = Stored.empty(len(pick_NK), pick_NK.shape[1], shape.samples), np.arange(table.num_rows)
    decode_into(found, rows_N, Encoded.of_table(table, shape), rows_N, pick_NK)
    return found


def decode_into(
    found: Stored,
    at_N: NDArray[np.int64],
    encoded: Encoded,
    rows_N: NDArray[np.int64],
    pick_NK: NDArray[np.int64],
) -> None:
    """Write the records at positions `rows_N` of `encoded` to positions `at_N` of `found`.

    pick_NK: of each record only these leads, as positions in those stored, in this order. Invalid samples (a lead that has many was
    quarantined) are interpolated linearly within their lead and rounded to a raw unit; at the ends they take the nearest valid value.
    OSError: the source ends before its records do.
    """
    found.gain_NK[at_N] = encoded.gain_NC[rows_N[:, None], pick_NK]
    found.baseline_NK[at_N] = encoded.baseline_NC[rows_N[:, None], pick_NK]
    leads, samples = encoded.gain_NC.shape[1], found.raw_NKT.shape[2]
    begin_NK = encoded.start + 2 * samples * (leads * rows_N[:, None] + pick_NK)
    together_N = (np.diff(pick_NK, axis=1) == 1).all(axis=1)
    seek, read_into = encoded.source.seek, encoded.source.readinto  # type: ignore[union-attr]
    # Record by record: what was written is still in the processor's cache when it is searched.
    for at, begin_K, together in zip(at_N.tolist(), begin_NK.tolist(), together_N.tolist(), strict=True):
        raw_KT, read = found.raw_NKT[at], 0
        for begin, into in [(begin_K[0], raw_KT)] if together else zip(begin_K, raw_KT, strict=True):
            seek(begin)
            read += read_into(into)
        if read != raw_KT.nbytes:
            raise OSError("it ends within its records")
        # Almost no record has an invalid sample, and INVALID_SAMPLE is the smallest int16: the minimum tells.
        if raw_KT.min() == INVALID_SAMPLE:
            _interpolate(raw_KT)


def per_record(column: pa.ChunkedArray, leads: int) -> NDArray[np.float32]:
    """A column of fixed-size lists, one value per lead, as [N, leads]."""
    values_NC: NDArray[np.float32] = _one_chunk(column).flatten().to_numpy().reshape(-1, leads)
    return values_NC


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _interpolate(raw_KT: NDArray[np.int16]) -> None:
    for x_T in raw_KT:
        bad = x_T == INVALID_SAMPLE
        x_T[bad] = np.rint(np.interp(np.flatnonzero(bad), np.flatnonzero(~bad), x_T[~bad]))
