"""The samples of a record in one file of WFDB format 16, read in one piece: the layout of nearly every 12-lead corpus."""

import os
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clef_ray.datasets import MISSING_FILE, UnreadableError
from clef_ray.datasets._header import Parsed, check_bytes, check_sums


def is_format16(header: Parsed) -> bool:
    """Whether all leads lie in one file of format 16, interleaved sample by sample."""
    first = header.signals[0]
    return all(s.format == "16" and s.file == first.file and s.offset == first.offset for s in header.signals)


def read_format16(folder: Path, header: Parsed, start: int, stop: int) -> NDArray[np.int16]:
    """Samples start..stop of every lead, [leads, samples]; only their bytes are read.

    UnreadableError: "missing file"; "header and signal disagree" (the file is shorter than the header says or, where all samples are read,
    longer); "checksum", looked at where all samples are read.
    """
    signals = header.signals
    frame, first, whole = 2 * len(signals), signals[0], stop - start == header.samples
    try:
        with open(f"{folder}/{first.file}", "rb", buffering=0) as file:  # noqa: PTH123 - paths cost as much as the reading
            size = os.fstat(file.fileno()).st_size
            expected = first.offset + frame * header.samples
            # A window is where it is, also where some bytes follow the record's end, as in some Holter recordings of MUSIC. With as many as
            # a lead has, the header may have left one out, and the frames would be read askew.
            trailing = 0 < size - expected < 2 * header.samples
            check_bytes(header.name, expected if trailing and not whole else size, expected)
            flat_TC = np.empty((stop - start, len(signals)), dtype="<i2")
            file.seek(first.offset + frame * start)
            _fill(flat_TC, file)
    except FileNotFoundError as error:
        raise UnreadableError(MISSING_FILE, first.file) from error
    raw_CT = np.ascontiguousarray(flat_TC.T, dtype=np.int16)
    if whole:
        sums_C = np.add.reduce(raw_CT, axis=-1, dtype=np.int16)  # wraps around: the sum modulo 65536
        check_sums(header.name, [s.lead for s in signals], [s.checksum for s in signals], sums_C)
    return raw_CT


def _fill(flat_TC: NDArray[np.int16], file: FileIO) -> None:
    """One read gives at most 2 GB."""
    rest = flat_TC.data.cast("B")
    while rest:
        count = file.readinto(rest)
        if not count:
            raise UnreadableError(
                "header and signal disagree", "the signal file became shorter while it was read"
            )
        rest = rest[count:]
