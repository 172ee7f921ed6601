"""One WFDB record as a `Signal`, with every way in which it can be broken told apart."""

from pathlib import Path

import numpy as np
import wfdb
from wfdb.io.header import HeaderSyntaxError

from clef_ray.datasets import MISSING_FILE, Signal, UnreadableError, lead_name


def read_wfdb(path: Path) -> Signal:
    """The record at `path` (without extension), raw as stored: nothing is scaled or rounded.

    UnreadableError with one of these reasons:
    "missing file"; "header" (cannot be parsed, or leaves out gain, unit or lead); "header and signal disagree" (sample count);
    "checksum" (the sum of a lead's samples is not what the header says).
    """
    record = _read(path)
    if record.d_signal is None:
        raise UnreadableError("header", f"{path.name}: no signals")
    _check_length(record, path)
    raw_CT = np.ascontiguousarray(record.d_signal.T)
    _check_sums(record, raw_CT, path)
    if any(unit is None or unit.lower() != "mv" for unit in record.units) or None in record.sig_name:
        raise UnreadableError("header", f"{path.name}: a signal without a lead name, or not in mV")
    return Signal(
        raw_CT=raw_CT,
        fs=float(record.fs),
        leads=tuple(lead_name(name) for name in record.sig_name),
        gain_C=np.asarray(record.adc_gain, dtype=np.float32),
        baseline_C=np.asarray(record.baseline, dtype=np.float32),
    )


def _read(path: Path) -> wfdb.Record:
    try:
        return wfdb.rdrecord(str(path), physical=False, return_res=16)
    except FileNotFoundError as error:
        raise UnreadableError(MISSING_FILE, Path(error.filename or path).name) from error
    except (HeaderSyntaxError, IndexError, KeyError, TypeError, AttributeError) as error:
        # What wfdb lets through its parser: too few signal lines (IndexError), too many (TypeError), an unknown format (KeyError),
        # no signal at all (AttributeError).
        raise UnreadableError("header", f"{path.name}: {error}") from error
    except (ValueError, OSError) as error:
        raise _diagnose(path, error) from error


def _diagnose(path: Path, error: ValueError | OSError) -> UnreadableError:
    """A ValueError comes from a number in the header or from a signal file that is too short: parse the header alone to tell."""
    try:
        wfdb.rdheader(str(path))
    except (ValueError, IndexError, OSError):
        return UnreadableError("header", f"{path.name}: {error}")
    return UnreadableError("header and signal disagree", f"{path.name}: {error}")


def _check_length(record: wfdb.Record, path: Path) -> None:
    """Too short a file makes wfdb fail; a longer one (format 16, one file) it would cut silently."""
    if set(record.fmt) != {"16"} or len(set(record.file_name)) != 1:
        return
    expected = 2 * record.sig_len * record.n_sig + (record.byte_offset[0] or 0)
    found = (path.parent / record.file_name[0]).stat().st_size
    if found != expected:
        raise UnreadableError("header and signal disagree", f"{path.name}: {found} bytes, not {expected}")


def _check_sums(record: wfdb.Record, raw_CT: np.ndarray, path: Path) -> None:
    """The header's checksum is the 16-bit sum of a signal's samples, written signed or unsigned; it may be absent."""
    sums_C = raw_CT.sum(axis=-1, dtype=np.int64) % 65536
    for name, told, found in zip(record.sig_name, record.checksum, sums_C, strict=True):
        if told is not None and told % 65536 != found:
            raise UnreadableError("checksum", f"{path.name}: lead {name}")
