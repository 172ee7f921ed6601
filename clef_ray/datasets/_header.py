"""A fast parser of WFDB headers that understands the plain case to the letter and steps aside for wfdb everywhere else; and the checks of
what a header promises.

Format: PhysioNet, WFDB Applications Guide, header(5). Plain is: one segment, a rate and a length, every signal line complete from file name
to lead name, one sample per frame, no skew, a gain above 0 in V, mV, uV or nV, nothing but ASCII outside the comments.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clef_ray.datasets import UnreadableError, lead_name

#: Name, number of signals, rate, length; time and date may follow.
_RECORD = re.compile(r"([-\w]+)[ \t]+(\d+)[ \t]+(\d+(?:\.\d*)?)[ \t]+(\d+)(?:[ \t].*)?", re.ASCII)

#: File, format, byte offset; gain, baseline, unit; ADC resolution, ADC zero, first value, checksum, block size; lead.
_SIGNAL = re.compile(
    r"([-\w]+(?:\.\w+)?)[ \t]+(\d+)(?:x1)?(?:\+(\d+))?"
    r"[ \t]+(\d+(?:\.\d*)?(?:e[-+]?\d+)?)(?:\((-?\d+)\))?(?:/(\w+))?"
    r"[ \t]+\d+[ \t]+(-?\d+)[ \t]+-?\d+[ \t]+(-?\d+)[ \t]+\d+[ \t]+([^\t\v\f]+)",
    re.ASCII,
)

#: How many of a unit make one mV, by its name in lower case.
PER_MILLIVOLT = {"mv": 1.0, "uv": 1e3, "nv": 1e6, "v": 1e-3}


class SignalLine(NamedTuple):
    """One lead: where its samples are, and how they become mV. gain: raw units per mV."""

    file: str
    format: str
    offset: int
    gain: float
    baseline: int
    checksum: int
    lead: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A plain header. fs: Hz; samples: per lead; comments: without "#"."""

    name: str
    fs: float
    samples: int
    comments: tuple[str, ...]
    signals: tuple[SignalLine, ...]


def parse(content: bytes) -> Parsed | None:
    """A header's content, or None where it is not plain (which need not mean that it is wrong)."""
    lines, comments = said(content)
    record = _RECORD.fullmatch(lines[0]) if lines else None
    if record is None or not ascii_signals(content):
        return None
    name, count, fs, samples = record.groups()
    if not len(lines) == int(count) + 1 > 1 or float(fs) == 0:
        return None
    signals = []
    for line in lines[1:]:
        if (signal := _signal(line)) is None:
            return None
        signals.append(signal)
    return Parsed(name, float(fs), int(samples), comments, tuple(signals))


def said(content: bytes) -> tuple[list[str], tuple[str, ...]]:
    """The lines of a header that are neither empty nor comments, stripped; and its comments, without "#". What is not ASCII is left out, as
    wfdb does.
    """
    lines = [line.strip() for line in content.decode("ascii", "ignore").splitlines()]
    comments = tuple([line.strip(" \t#") for line in lines if line.startswith("#")])
    return [line for line in lines if line and not line.startswith("#")], comments


def ascii_signals(content: bytes) -> bool:
    """Whether all but the comments is ASCII. A unit written with a Greek letter would be read as V where that letter is left out."""
    return content.isascii() or all(
        line.isascii() for line in content.splitlines() if not line.lstrip().startswith(b"#")
    )


def check_bytes(record: str, found: int, expected: int) -> None:
    """UnreadableError where a signal file is longer or shorter than the header says."""
    if found != expected:
        raise UnreadableError("header and signal disagree", f"{record}: {found} bytes, not {expected}")


def check_sums(
    record: str, leads: Sequence[str], told: Sequence[int | None], found_C: NDArray[np.integer]
) -> None:
    """UnreadableError where a lead's samples do not add up to the header's checksum, modulo 65536 (it may be written signed or unsigned, or
    be absent).

    A header with nothing but zeros was never filled in: every record of CinC2017 is like that.
    """
    if not any(told):
        return
    both = zip(leads, told, found_C.tolist(), strict=True)
    wrong = [lead for lead, a, b in both if a is not None and (a - b) % 65536]
    if wrong:
        raise UnreadableError("checksum", f"{record}: lead {', '.join(wrong)}")


def _signal(line: str) -> SignalLine | None:
    found = _SIGNAL.fullmatch(line)
    if found is None:
        return None
    file, kind, offset, gain, baseline, unit, zero, checksum, lead = found.groups()
    per_mv = PER_MILLIVOLT.get(unit.lower()) if unit else 1.0  # the format's default
    if per_mv is None or float(gain) == 0:
        return None
    return SignalLine(
        file,
        kind,
        int(offset or 0),
        float(gain) * per_mv,
        int(baseline or zero),  # the format's default
        int(checksum),
        lead_name(lead),
    )
