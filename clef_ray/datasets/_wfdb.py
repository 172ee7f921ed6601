"""One WFDB record as a `Signal`, with every way in which it can be broken told apart.

A plain header of format 16 in one file takes a path of our own (_header.py, _format16.py), about twenty times as fast, forty for the header
alone; everything else goes through the package wfdb (_wfdb_any.py). Both give the same, and raise the same errors.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clef_ray.datasets import MISSING_FILE, Signal, UnreadableError
from clef_ray.datasets._format16 import is_format16, read_format16
from clef_ray.datasets._header import parse
from clef_ray.datasets._wfdb_any import read_any, read_any_header, window


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says of a record: its name, rate [Hz], samples per lead, leads in order (spelled as LEADS), and its comment lines
    without "#" and surrounding spaces.
    """

    name: str
    fs: float
    samples: int
    leads: tuple[str, ...]
    comments: tuple[str, ...]


def read_header(path: Path) -> Header:
    """The header of the record at `path` (without extension).

    UnreadableError: "missing file", or "header" (cannot be parsed, or leaves out a lead's name or the number of samples).
    """
    content = _content(path)
    header = parse(content)
    if header is None:
        return Header(*read_any_header(path, content))
    leads = tuple([s.lead for s in header.signals])
    return Header(header.name, header.fs, header.samples, leads, header.comments)


def read_wfdb(path: Path, start: int = 0, stop: int | None = None) -> Signal:
    """The record at `path` (without extension), or its samples start..stop, raw as stored where 16 bits hold it.

    What is wider (formats 24 and 32), has several samples per frame (their mean is taken) or several segments comes in steps of 1 uV
    (`Signal.of_millivolts`). A sample that its format marks as invalid is INVALID_SAMPLE. Volts, mV, uV and nV become mV by the gain.

    UnreadableError with one of these reasons:
    "missing file"; "header" (cannot be parsed, leaves out a lead's name, has another unit, or no gain: such a signal is not calibrated, and
    the 200 per mV that WFDB suggests for it would be a guess); "length" (no samples, or fewer than `stop`); "header and signal disagree"
    (sample count); "checksum" (a lead's samples do not add up to what the header says; looked at only where the whole record is read).
    """
    content = _content(path)
    header = parse(content)
    if header is None or not is_format16(header):
        return read_any(path, content, start, stop)
    start, stop = window(path.name, header.samples, start, stop)
    signals = header.signals
    return Signal(
        raw_CT=read_format16(path.parent, header, start, stop),
        fs=header.fs,
        leads=tuple([s.lead for s in signals]),
        gain_C=np.array([s.gain for s in signals], dtype=np.float32),
        baseline_C=np.array([s.baseline for s in signals], dtype=np.float32),
    )


def _content(path: Path) -> bytes:
    try:
        with open(f"{path}.hea", "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.read_bytes
            return file.read()
    except FileNotFoundError as error:
        raise UnreadableError(MISSING_FILE, f"{path.name}.hea") from error
