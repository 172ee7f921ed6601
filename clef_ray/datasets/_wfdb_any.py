"""WFDB records that are not plain, through the package wfdb: formats 8, 80, 212, 310, 311, 24, 32, several signal files, several samples
per frame, skew, segments.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import wfdb
from numpy.typing import NDArray

from clef_ray.datasets import MISSING_FILE, Signal, UnreadableError, lead_name
from clef_ray.datasets._header import PER_MILLIVOLT, ascii_signals, check_bytes, check_sums, said
from clef_ray.signal import INVALID_SAMPLE

#: Bytes per sample of the formats in which a file's length follows from the number of samples (in the packed ones, its least length).
_BYTES = {
    "80": 1.0,
    "16": 2.0,
    "61": 2.0,
    "160": 2.0,
    "24": 3.0,
    "32": 4.0,
    "212": 1.5,
    "310": 4 / 3,
    "311": 4 / 3,
}

#: The value by which a format marks a sample that is not valid, where it is not INVALID_SAMPLE (WFDB, signal(5)).
_INVALID = {"80": -128, "212": -2048, "310": -512, "311": -512, "24": -(2**23), "32": -(2**31)}

#: Formats whose samples need not fit into 16 bits.
_WIDE = {"8", "24", "32", "524"}

#: What wfdb lets through when a header is wrong: a syntax error or a number that is none (ValueError), too few signal lines (IndexError),
#: too many (TypeError), an unknown format (KeyError), no signal at all (AttributeError).
_WRONG = (ValueError, IndexError, KeyError, TypeError, AttributeError)

#: How a sampling rate begins; a counter frequency may follow.
_RATE = re.compile(r"\d", re.ASCII)

#: The gain in a signal line, after file and format.
_GAIN = re.compile(r"\S+\s+\S+\s+(-?\d*\.?\d*(?:e[-+]?\d+)?)", re.ASCII)


def window(name: str, samples: int, start: int, stop: int | None) -> tuple[int, int]:
    """The window as two numbers. UnreadableError ("length") where the record is empty or does not reach that far."""
    last = samples if stop is None else stop
    if not 0 <= start < last <= samples:
        asked = "" if (start, stop) == (0, None) else f", asked for {start} to {last}"
        raise UnreadableError("length", f"{name}: {samples} samples{asked}")
    return start, last


def read_any_header(path: Path, content: bytes) -> tuple[str, float, int, tuple[str, ...], tuple[str, ...]]:
    """Name, rate, samples, leads and comments of any record; see `_wfdb.read_header`."""
    found = _header(path, content)
    if found.sig_len is None:
        raise UnreadableError("header", f"{path.name}: no number of samples")
    leads = _leads(path, found.sig_name)
    return found.record_name, float(found.fs), found.sig_len, leads, tuple(found.comments)


def read_any(path: Path, content: bytes, start: int, stop: int | None) -> Signal:
    """Samples start..stop of any record; see `_wfdb.read_wfdb`."""
    header = _header(path, content)
    _check_calibration(path, content)
    if header.sig_len is not None:
        start, stop = window(path.name, header.sig_len, start, stop)
    if isinstance(header, wfdb.MultiRecord):
        return _segmented(path, header, start, stop)
    _check_lengths(path, header)
    if set(header.samps_per_frame) != {1}:
        return _framewise(path, start, stop)
    return _as_stored(path, header, start, stop)


def _header(path: Path, content: bytes) -> Any:
    """A wfdb.Record, or a MultiRecord with its segments."""
    if not ascii_signals(content):
        raise UnreadableError("header", f"{path.name}: a signal line has characters that are not ASCII")
    record = (said(content)[0] or [""])[0].split()
    if len(record) < 2:
        raise UnreadableError("header", f"{path.name}: no line with a name and a number of signals")
    if len(record) > 2 and not _RATE.match(record[2]):  # wfdb would take it for left out, which means 250 Hz
        raise UnreadableError("header", f"{path.name}: its sampling rate is no number")
    try:
        found = wfdb.rdheader(str(path), rd_segments=True)
    except FileNotFoundError as error:  # of a segment
        raise UnreadableError(MISSING_FILE, Path(error.filename or path).name) from error
    except _WRONG as error:
        raise UnreadableError("header", f"{path.name}: {error}") from error
    if not found.n_sig or found.n_sig != len(found.sig_name or ()):
        lines = len(found.sig_name or ())
        raise UnreadableError("header", f"{path.name}: {found.n_sig} signals, but {lines} lines on signals")
    if not found.fs:
        raise UnreadableError("header", f"{path.name}: a sampling rate of 0")
    return found


def _check_calibration(path: Path, content: bytes) -> None:
    """Looks at the lines themselves, as wfdb puts a gain of 200 where there is none; in a record of segments, at theirs."""
    record, *lines = said(content)[0]
    if "/" in record.split()[0]:
        for name in {line.split()[0] for line in lines} - {"~"}:
            _check_calibration(path, path.with_name(f"{name}.hea").read_bytes())
        return
    for line in lines:
        found = _GAIN.match(line)
        if not line.startswith("~") and (found is None or not _number(found[1])):
            raise UnreadableError("header", f"{path.name}: a signal without a gain is not calibrated")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _check_lengths(path: Path, header: Any) -> None:
    for file, kind, offset in set(zip(header.file_name, header.fmt, header.byte_offset, strict=True)):
        frame = sum(
            n for n, other in zip(header.samps_per_frame, header.file_name, strict=True) if other == file
        )
        try:
            size = path.with_name(file).stat().st_size - (offset or 0)
        except FileNotFoundError as error:
            raise UnreadableError(MISSING_FILE, file) from error
        if header.sig_len is None:
            window(path.name, max(0, size), 0, None)
        elif kind in _BYTES:
            expected = int(header.sig_len * frame * _BYTES[kind])
            # Packed samples may be followed by what fills up the last group.
            check_bytes(path.name, min(size, expected) if _BYTES[kind] % 1 else size, expected)


def _as_stored(path: Path, header: Any, start: int, stop: int | None) -> Signal:
    # Format 8 holds differences: a window's first value is known only from the beginning. Without a length wfdb reads all.
    whole = "8" in header.fmt or header.sig_len is None
    record = _record(path, 0 if whole else start, None if whole else stop, physical=False, return_res=64)
    leads, raw_CT = _leads(path, record.sig_name), np.ascontiguousarray(record.d_signal.T)
    if (whole or (start, stop) == (0, header.sig_len)) and not any(header.skew):
        check_sums(path.name, leads, record.checksum, raw_CT.sum(axis=-1))
    if whole:
        start, stop = window(path.name, raw_CT.shape[1], start, stop)
        raw_CT = raw_CT[:, start:stop]
    marks_C = np.array([_INVALID.get(kind, INVALID_SAMPLE) for kind in record.fmt])
    invalid_CT = raw_CT == marks_C[:, None]
    gain_C = np.array(record.adc_gain) * _per_millivolt(path, record.units)
    baseline_C = np.array(record.baseline)
    if _WIDE & set(record.fmt):
        mv_CT = (raw_CT - baseline_C[:, None]) / gain_C[:, None]
        return Signal.of_millivolts(np.where(invalid_CT, np.nan, mv_CT), float(record.fs), leads)
    return Signal(
        raw_CT=np.ascontiguousarray(np.where(invalid_CT, INVALID_SAMPLE, raw_CT), dtype=np.int16),
        fs=float(record.fs),
        leads=leads,
        gain_C=gain_C.astype(np.float32),
        baseline_C=baseline_C.astype(np.float32),
    )


def _framewise(path: Path, start: int, stop: int | None) -> Signal:
    """Leads with several samples per frame: the mean of each frame, invalid where one of its samples is (wfdb would average the mark)."""
    record = _record(path, start, stop, physical=True, smooth_frames=False)
    frames = zip(record.e_p_signal, record.samps_per_frame, strict=True)
    return _physical(path, record, np.stack([x.reshape(-1, n).mean(axis=1) for x, n in frames]))


def _segmented(path: Path, header: Any, start: int, stop: int | None) -> Signal:
    """Segments and the gaps between them."""
    if any(set(part.samps_per_frame or [1]) != {1} for part in header.segments if part is not None):
        raise UnreadableError("header", f"{path.name}: segments with several samples per frame are not read")
    record = _record(path, start, stop, physical=True)
    return _physical(path, record, np.ascontiguousarray(record.p_signal.T))


def _physical(path: Path, record: Any, values_CT: NDArray[np.float64]) -> Signal:
    mv_CT = values_CT / _per_millivolt(path, record.units)[:, None]
    return Signal.of_millivolts(mv_CT, float(record.fs), _leads(path, record.sig_name))


def _record(path: Path, start: int, stop: int | None, **how: Any) -> Any:
    try:
        return wfdb.rdrecord(str(path), sampfrom=start, sampto=stop, **how)
    except FileNotFoundError as error:
        raise UnreadableError(MISSING_FILE, Path(error.filename or path).name) from error
    except (ValueError, OSError) as error:
        raise UnreadableError("header and signal disagree", f"{path.name}: {error}") from error
    except _WRONG as error:
        raise UnreadableError("header", f"{path.name}: {error}") from error


def _leads(path: Path, names: list[str | None]) -> tuple[str, ...]:
    if None in names:
        raise UnreadableError("header", f"{path.name}: a signal without a lead name")
    return tuple([lead_name(name) for name in names if name])


def _per_millivolt(path: Path, units: list[str]) -> NDArray[np.float64]:
    if wrong := {unit for unit in units if unit.lower() not in PER_MILLIVOLT}:
        known = ", ".join(PER_MILLIVOLT)
        raise UnreadableError(
            "header", f"{path.name}: a signal in {', '.join(sorted(wrong))}; known are {known}"
        )
    return np.array([PER_MILLIVOLT[unit.lower()] for unit in units])
