"""WFDB records as a person names them (a folder, a RECORDS list, a record), and one lead of each as an encoder wants it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clef_ray.datasets import Signal, UnreadableError
from clef_ray.datasets._wfdb import read_wfdb
from clef_ray.errors import DataError
from clef_ray.evaluate.embedder import SHORTEST_SECONDS
from clef_ray.sections import Quality
from clef_ray.signal.quality import problem

#: How a list of records is named.
_LIST = "RECORDS"


@dataclass(frozen=True, slots=True)
class Recording:
    """One lead of one record, without a gap. name: as in the output; fs: Hz; mv_T: mV."""

    name: str
    fs: float
    mv_T: NDArray[np.float32]


def find(given: Sequence[str]) -> list[Path]:
    """The records (without extension) that the names stand for, each once, in order.

    A folder stands for every header below it, sorted; a file that begins with RECORDS for the lines in it, which may name folders that hold
    such a file themselves (PhysioNet's way); anything else for a record, with or without its extension .hea. DataError: one stands for nothing.
    """
    found: dict[Path, None] = {}
    for name in given:
        path = Path(name)
        if path.is_dir():
            records = sorted(header.with_suffix("") for header in path.rglob("*.hea"))
        elif path.is_file() and path.name.startswith(_LIST):
            records = list(_listed(path))
        else:
            records = [path.with_suffix("")] if path.suffix == ".hea" else [path]
            if not Path(f"{records[0]}.hea").is_file():
                raise DataError(
                    f"--input {name}: no folder, no RECORDS list, and no record (no {records[0].name}.hea)"
                )
        if not records:
            raise DataError(f"--input {name}: no WFDB record in it (no .hea)")
        found.update(dict.fromkeys(records))
    return list(found)


def _listed(path: Path) -> Iterator[Path]:
    """What a list names, whether it is there or not: what is not is told as a record that cannot be read."""
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = path.parent / line.strip()
        if not line.strip():
            continue
        if line.strip().endswith("/") and (entry / _LIST).is_file():
            yield from _listed(entry / _LIST)
        else:
            yield entry


def read(path: Path, lead: str) -> Recording:
    """One lead of a record, checked and mended as ingestion does: limits of `Quality` for this lead alone, invalid samples on a line between
    their neighbours.

    UnreadableError: what `read_wfdb` and `signal.quality.problem` tell; "leads": the record has no such lead; "gain"; "length": under 2 s.
    """
    try:
        signal = read_wfdb(path)
    except OSError as error:
        raise UnreadableError("cannot be opened", f"{path.name}: {error.strerror}") from error
    if lead not in signal.leads:
        raise UnreadableError("leads", f"lacks {lead}; it has {', '.join(signal.leads)}")
    one = _picked(signal, signal.leads.index(lead))
    if not (np.isfinite(one.gain_C).all() and one.gain_C[0] > 0):
        raise UnreadableError("gain", "not a positive number of raw units per mV")
    if one.raw_CT.shape[1] < SHORTEST_SECONDS * one.fs:
        raise UnreadableError("length", f"{one.raw_CT.shape[1]} samples at {one.fs:g} Hz are less than {SHORTEST_SECONDS:g} s")  # fmt: skip
    if found := problem(one, Quality()):
        raise UnreadableError(*found)
    mv_T = one.millivolts()[0]
    if (bad_T := np.isnan(mv_T)).any():
        mv_T[bad_T] = np.interp(np.flatnonzero(bad_T), np.flatnonzero(~bad_T), mv_T[~bad_T])
    return Recording(str(path), one.fs, mv_T)


def _picked(signal: Signal, row: int) -> Signal:
    rows = slice(row, row + 1)
    return replace(
        signal,
        raw_CT=signal.raw_CT[rows],
        leads=signal.leads[rows],
        gain_C=signal.gain_C[rows],
        baseline_C=signal.baseline_C[rows],
    )
