"""One file of samples as a `Signal`: WFDB, EDF, CSV, NPY and MATLAB files, as a generic dataset describes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import edfio
import numpy as np
import pandas as pd
import scipy.io
from numpy.typing import NDArray

from clef_ray.datasets import MISSING_FILE, Signal, UnreadableError, lead_name
from clef_ray.datasets._mat import NO_MATLAB
from clef_ray.datasets._wfdb import read_wfdb
from clef_ray.signal import INVALID_SAMPLE

Format = Literal["wfdb", "edf", "csv", "npy", "mat"]

#: Formats whose files say their rate themselves; of the others it must be told.
OWN_RATE = ("wfdb", "edf")

#: Numbers in this unit that make one mV.
PER_MILLIVOLT = {"V": 0.001, "mV": 1.0, "uV": 1000.0}

#: What an EDF header may write for them: micro has two characters in Unicode, and a plain u.
_EDF_UNITS = {"v": "V", "mv": "mV", "uv": "uV", "\u00b5v": "uV", "\u03bcv": "uV"}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is to be read.

    leads: name in the file -> lead. Where the file names nothing (NPY, MATLAB, CSV without `named`) the leads in the file's order;
    gain, baseline: mV are (number - baseline) / gain, None where the file says it; key: the variable of a MATLAB file; named: the first
    line of a CSV names its columns, and `leads` are found by these names.
    """

    format: Format
    leads: Mapping[str, str]
    gain: float | None = None
    baseline: float = 0.0
    key: str = ""
    named: bool = False


def read_file(path: Path, layout: Layout, fs: float | None = None) -> Signal:
    """The file's samples, all of them, of the leads in `layout`. fs [Hz]: the rate, for formats that do not say it.

    Whole numbers of 16 bits stay as they are, everything else is rounded to the uV (`Signal.of_millivolts`). UnreadableError, besides those of
    `read_wfdb`: "missing file"; "not readable" (not such a file); "leads" (one is not there, or their number differs); "shape" (no table
    of leads and samples, or one that can be read both ways); "unit", "mixed rates", "gaps" and "header and signal disagree" (too short) of
    an EDF file. Whole numbers -32768 are invalid samples, as in WFDB.
    """
    if layout.format == "wfdb":
        base = path.with_suffix("") if path.suffix in (".hea", ".dat", ".mat") else path
        return _renamed(read_wfdb(base), layout.leads, path)
    if not path.is_file():
        raise UnreadableError(MISSING_FILE, path.name)
    if layout.format == "edf":
        return _edf(path, layout)
    if fs is None:
        raise ValueError(f"{layout.format}: such a file does not say its rate")
    return _scaled(_matrix(path, layout), layout, fs)


def _renamed(signal: Signal, leads: Mapping[str, str], path: Path) -> Signal:
    asked = {lead_name(name): lead for name, lead in leads.items()}
    if missing := [name for name in asked if name not in signal.leads]:
        raise UnreadableError("leads", f"{path.name}: no {', '.join(missing)}")
    rows = [signal.leads.index(name) for name in asked]
    return Signal(
        signal.raw_CT[rows], signal.fs, tuple(asked.values()), signal.gain_C[rows], signal.baseline_C[rows]
    )


def _edf(path: Path, layout: Layout) -> Signal:
    try:
        _check_edf_length(path)
        # Latin-1 takes any byte: a name with an umlaut in the header is no reason to lose the record.
        file = edfio.read_edf(path, header_encoding="latin-1")
        found = {signal.label.strip(): signal for signal in file.signals}
        continuous = file.is_continuous
    except (
        ValueError,
        IndexError,
        KeyError,
        OSError,
    ):  # what they say may quote the header, where the patient's name is
        raise UnreadableError("not readable", f"{path.name}: no EDF file, or a damaged one") from None
    if missing := [name for name in layout.leads if name not in found]:
        raise UnreadableError("leads", f"{path.name}: no {', '.join(missing)}")
    signals = [found[name] for name in layout.leads]
    if len({signal.sampling_frequency for signal in signals}) > 1:
        raise UnreadableError("mixed rates", f"{path.name}: the leads have different rates")
    if not continuous:
        raise UnreadableError("gaps", f"{path.name}: EDF+D, with gaps between its pieces")
    scales = [_edf_scale(signal, layout, path) for signal in signals]
    return Signal(
        # EDF marks no sample as invalid: one at the lowest 16-bit value is moved by one step, so that it does not look marked.
        raw_CT=np.maximum(np.stack([signal.digital for signal in signals]), np.int16(INVALID_SAMPLE + 1)),
        fs=float(signals[0].sampling_frequency),
        leads=tuple(layout.leads.values()),
        gain_C=np.array([gain for gain, _ in scales], dtype=np.float32),
        baseline_C=np.array([baseline for _, baseline in scales], dtype=np.float32),
    )


def _check_edf_length(path: Path) -> None:
    """The file is at least as long as its header says (edfio would cut the signals); -1 data records: the recorder did not count."""
    with path.open("rb") as file:
        head = file.read(256)
        begin, records, leads = int(head[184:192]), int(head[236:244]), int(head[252:256])
        file.seek(256 + 216 * leads)
        samples = sum(int(file.read(8)) for _ in range(leads))
    if path.stat().st_size < begin + records * samples * 2:
        raise UnreadableError("header and signal disagree", f"{path.name}: shorter than its header says")


def _edf_scale(signal: edfio.EdfSignal, layout: Layout, path: Path) -> tuple[float, float]:
    """Raw units per mV, and the raw value at 0 mV; the unit of the map counts where the header has none."""
    unit = _EDF_UNITS.get(signal.physical_dimension.strip().lower())
    per_mv = PER_MILLIVOLT[unit] if unit else None if signal.physical_dimension.strip() else layout.gain
    if per_mv is None:
        raise UnreadableError(
            "unit", f"{path.name}: {signal.label}: {signal.physical_dimension!r} is no voltage"
        )
    (low, high), (raw_low, raw_high) = signal.physical_range, signal.digital_range
    if low == high or raw_low == raw_high:
        raise UnreadableError("header", f"{path.name}: {signal.label}: its range is empty")
    slope = (raw_high - raw_low) / (high - low)
    return slope * per_mv, raw_low - low * slope


def _matrix(path: Path, layout: Layout) -> NDArray[np.generic]:
    """The numbers as [leads, samples]."""
    if layout.format == "csv":
        return _csv(path, layout)
    try:
        if layout.format == "npy":
            found = np.load(path, allow_pickle=False)
        else:
            found = scipy.io.loadmat(path, variable_names=[layout.key]).get(layout.key)
    except NotImplementedError as error:
        raise UnreadableError("not readable", f"{path.name}: a MATLAB 7.3 file; save it with -v7") from error
    except (EOFError, *NO_MATLAB) as error:
        raise UnreadableError(
            "not readable", f"{path.name}: no {layout.format.upper()} file: {error}"
        ) from error
    if found is None:
        raise UnreadableError("not readable", f"{path.name}: holds no variable {layout.key}")
    return _upright(np.asarray(found), len(layout.leads), path)


def _upright(numbers: NDArray[np.generic], leads: int, path: Path) -> NDArray[np.generic]:
    """[leads, samples] of a table that lies either way; its number of leads tells."""
    if numbers.dtype.kind not in "iuf":
        raise UnreadableError("shape", f"{path.name}: holds no numbers but {numbers.dtype}")
    table = np.atleast_2d(numbers)
    ways = [side for side in (0, 1) if table.ndim == 2 and table.shape[side] == leads]
    if len(ways) != 1 or table.size == 0:
        why = "can be read both ways" if len(ways) == 2 else f"has no side of {leads} leads"
        raise UnreadableError("shape", f"{path.name}: {'x'.join(map(str, numbers.shape))} {why}")
    return table if ways[0] == 0 else table.T


def _csv(path: Path, layout: Layout) -> NDArray[np.generic]:
    """Samples are lines and leads are columns; the first separator of tab, semicolon, comma, space that the first line has."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        first = lines.readline().strip()
    separator = next((mark for mark in "\t;," if mark in first), r"\s+")
    header = 0 if layout.named or not _is_numbers(first, separator) else None
    try:
        table = pd.read_csv(path, sep=separator, header=header, skipinitialspace=True, index_col=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UnreadableError("not readable", f"{path.name}: no CSV: {error}") from error
    if layout.named:
        table.columns = table.columns.str.strip()
        if missing := [name for name in layout.leads if name not in table]:
            raise UnreadableError("leads", f"{path.name}: no column {', '.join(missing)}")
        table = table[list(layout.leads)]
    elif len(table.columns) != len(layout.leads):
        raise UnreadableError("leads", f"{path.name}: {len(table.columns)} columns, not {len(layout.leads)}")
    if table.empty or not all(kind.kind in "iuf" for kind in table.dtypes):
        raise UnreadableError("not readable", f"{path.name}: not all cells are numbers")
    return table.to_numpy().T


def _is_numbers(line: str, separator: str) -> bool:
    for cell in line.split() if separator == r"\s+" else line.split(separator):
        try:
            float(cell or "nan")
        except ValueError:
            return False
    return True


def _scaled(numbers_CT: NDArray[np.generic], layout: Layout, fs: float) -> Signal:
    gain, leads = layout.gain or 1.0, tuple(layout.leads.values())
    if numbers_CT.dtype.kind in "iu" and numbers_CT.min() >= -(2**15) and numbers_CT.max() < 2**15:
        each = (len(leads),)
        return Signal(
            raw_CT=np.ascontiguousarray(numbers_CT, dtype=np.int16),
            fs=fs,
            leads=leads,
            gain_C=np.full(each, gain, dtype=np.float32),
            baseline_C=np.full(each, layout.baseline, dtype=np.float32),
        )
    return Signal.of_millivolts((numbers_CT.astype(np.float64) - layout.baseline) / gain, fs, leads)
