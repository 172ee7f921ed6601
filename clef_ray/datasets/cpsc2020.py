"""China Physiological Signal Challenge 2020: ten wearable single-lead recordings of about 24 hours with every premature beat marked (Cai et al. 2020)."""

import math
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import scipy.io
from numpy.typing import NDArray

from clef_ray.datasets import MISSING_FILE, Signal, Source, UnreadableError
from clef_ray.datasets._beats import centred, generator, regular, some, window_table
from clef_ray.datasets._mat import NO_MATLAB
from clef_ray.datasets._tables import digest, folder
from clef_ray.datasets._window import window_samples
from clef_ray.errors import ConfigError, DataError

#: The rate of every recording [Hz]; the files do not say it.
FS = 400.0

#: Recording -> fold. By what is marked there are the groups none or next to none (A01, A03, A05, A06), V (A02, A08), S (A09, A10), both
#: (A04, A07). Folds 1-7 hold V and S by A02 and A04, 8 both by A10, 9 both by A08 and A09, 10 both by A07.
FOLDS: Mapping[str, int] = {
    "A01": 10,
    "A02": 1,
    "A03": 2,
    "A04": 3,
    "A05": 4,
    "A06": 5,
    "A07": 10,
    "A08": 9,
    "A09": 9,
    "A10": 8,
}

#: How many recordings a process keeps in memory, 140 MB each: rows are sorted by recording, so two serve a part that spans a border.
_KEPT = 2


class _Windows(NamedTuple):
    """A recording's windows: class -> where they start; and how many marks gave none."""

    starts: Mapping[str, NDArray[np.int64]]
    at_an_end: int
    marked_twice: int


class Cpsc2020:
    """The training set under `root` (data/A01.mat, ..., ref/R01.mat, ..., also below TrainingSet/), one row per window of `seconds` s.

    A row of class S (supraventricular) or V (ventricular) has such a beat in its middle; other premature beats may be in it too.
    Positions of normal beats are not published: the windows of class N are of those that lie side by side from the recording's start the
    ones without any marked beat. So N means neither S nor V: in A02, A03 and A08, of patients in atrial fibrillation, it is fibrillation.
    per_record: at most so many windows of each class of a recording, drawn by `seed`; 0: all. fs: rate in the shards (own rate: 400 Hz).

    Label set `beat`: N, S, V, one per row. Target `beat_time`: of the marked beat, seconds from the recording's start, unknown for N.
    The positions are taken as they are; whether they count from 0 or 1 is not said (2.5 ms). A position that is marked twice counts once
    (A04 has three), one whose window does not fit into the recording is left out and counted. Values are taken as mV, as the package torch_ecg
    does; the files do not say it.

    Folds (FOLDS): each recording is one patient's and is in one fold; the publishers' test set is hidden.

    ConfigError: an option outside its range. DataError: no such folder, no recordings, marks that cannot be read.
    """

    headline: ClassVar[str] = "beat"
    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {"beat": ("N", "S", "V")}
    targets: ClassVar[Mapping[str, str]] = {"beat_time": "s"}
    covariates: ClassVar[tuple[str, ...]] = ()
    leads: ClassVar[tuple[str, ...]] = ("ECG",)
    pad: ClassVar[bool] = False
    signature: ClassVar[tuple[str, ...]] = ("ref/R[01][0-9].mat", "TrainingSet/ref/R[01][0-9].mat")
    citation: ClassVar[str] = (
        "Cai et al., An Open-Access Long-Term Wearable ECG Database for Premature Ventricular Contractions and Supraventricular "
        "Premature Beat Detection, J Med Imaging Health Inform 10(11):2663-2667 (2020), doi:10.1166/jmihi.2020.3289"
    )
    licence: ClassVar[str] = "not stated by the organisers"
    source: ClassVar[Source] = Source(
        url="https://doi.org/10.1166/jmihi.2020.3289",
        access="open",
        records=10,
        patients=10,
        how="download TrainingSet.zip from the challenge's page (icbeb.org, CPSC 2020) and unpack it",
    )

    def __init__(
        self, root: str, seconds: float = 10.0, fs: float = FS, per_record: int = 1000, seed: int = 0
    ) -> None:
        if per_record < 0:
            raise ConfigError(f"cpsc2020.per_record is {per_record}; allowed is 0 (all) or more")
        self.samples = window_samples("cpsc2020", fs, seconds)
        self.root = folder("cpsc2020", root)
        self.seconds, self.fs, self.per_record, self.seed = seconds, fs, per_record, seed
        self._window = round(seconds * FS)

    def parameters(self) -> dict[str, Any]:
        """Options, digests of the marks, and how many marked beats were left out at a recording's ends or because marked twice."""
        marks = {f"R{name[1:]}.mat": self._marks(name) for name in self._recordings}
        return {
            **{name: getattr(self, name) for name in ("seconds", "fs", "per_record", "seed")},
            "tables": {name: digest(path) for name, path in marks.items()},
            "at_an_end": sum(found.at_an_end for found in self._found.values()),
            "marked_twice": sum(found.marked_twice for found in self._found.values()),
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `record` is the recording and where the window starts [samples at 400 Hz], which `file` (below `root`) and
        `start` say too.
        """
        return self._table.copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The row's window. UnreadableError: "missing file"; "mat file" (not one, or without the variable ecg); "length" (shorter than the
        window); "amplitude".
        """
        path, start = self.root / str(row["file"]), int(row["start"])
        try:
            changed = path.stat().st_mtime_ns
        except FileNotFoundError as error:
            raise UnreadableError(MISSING_FILE, path.name) from error
        mv_T = _recording(path, changed)[start : start + self._window]
        if len(mv_T) < self._window:
            raise UnreadableError("length", f"{path.name}: ends before the window at sample {start}")
        return Signal.of_millivolts(mv_T[None], FS, self.leads)

    @cached_property
    def _recordings(self) -> dict[str, Path]:
        """Recording -> its file, of those that are there."""
        base = self.root / "TrainingSet" if (self.root / "TrainingSet").is_dir() else self.root
        found = {name: base / "data" / f"{name}.mat" for name in FOLDS}
        found = {name: path for name, path in found.items() if path.exists()}
        if not found:
            raise DataError(f"cpsc2020.root: {self.root} has no recordings (data/A01.mat, ..., data/A10.mat)")
        return found

    def _marks(self, name: str) -> Path:
        return self._recordings[name].parents[1] / "ref" / f"R{name[1:]}.mat"

    @cached_property
    def _found(self) -> dict[str, _Windows]:
        return {name: self._windows(name, path) for name, path in self._recordings.items()}

    @cached_property
    def _table(self) -> pd.DataFrame:
        rows = pd.concat([self._rows(name, windows) for name, windows in self._found.items()])
        return window_table(rows, digits=8, label_sets=self.label_sets)

    def _windows(self, name: str, path: Path) -> _Windows:
        length, marked = _length(path), _read_marks(self._marks(name))
        rng = generator(self.seed, "cpsc2020", name)
        beat_of = {label: np.unique(marks) for label, marks in marked.items()}
        start_of = {label: centred(beat_B, length, self._window) for label, beat_B in beat_of.items()}
        every_B = np.unique(np.concatenate(list(beat_of.values())))
        start_W = regular(length, self._window)
        free_W = np.searchsorted(every_B, start_W) == np.searchsorted(every_B, start_W + self._window)
        fits = {label: start_B[start_B >= 0] for label, start_B in start_of.items()}
        return _Windows(
            starts={
                label: some(rng, starts, self.per_record)
                for label, starts in {"N": start_W[free_W], **fits}.items()
            },
            at_an_end=sum(int((start_B < 0).sum()) for start_B in start_of.values()),
            marked_twice=sum(len(marks) - len(beat_of[label]) for label, marks in marked.items()),
        )

    def _rows(self, name: str, windows: _Windows) -> pd.DataFrame:
        file = self._recordings[name].relative_to(self.root).as_posix()
        labels = [label for label, starts in windows.starts.items() for _ in starts]
        start_W = np.concatenate(list(windows.starts.values()))
        rows = pd.DataFrame(
            {"recording": name, "patient": name, "fold": FOLDS[name], "file": file, "start": start_W}
        )
        rows["label_beat"] = pd.Series([{label} for label in labels], dtype=object)
        beat_W = (start_W + self._window // 2) / FS
        rows["target_beat_time"] = np.where(np.array(labels) == "N", np.nan, beat_W)
        return rows


def _length(path: Path) -> int:
    """Samples of a recording, from the head of its file."""
    try:
        shapes = {name: shape for name, shape, _ in scipy.io.whosmat(path)}
    except NO_MATLAB as error:
        raise DataError(f"{path} is not a readable MATLAB file: {error}") from error
    if "ecg" not in shapes:
        raise DataError(f"{path} has no variable ecg; it has {', '.join(shapes) or 'none'}")
    return math.prod(shapes["ecg"])


def _read_marks(path: Path) -> dict[str, NDArray[np.int64]]:
    """Class -> the samples at which such a beat is marked, as written."""
    if not path.exists():
        raise DataError(f"{path.parent} lacks {path.name}")
    try:
        ref = scipy.io.loadmat(path)["ref"]
        found = {
            label: np.asarray(ref[f"{label}_ref"][0, 0], dtype=np.float64).ravel() for label in ("S", "V")
        }
    except NO_MATLAB as error:
        raise DataError(
            f"{path} is not a MATLAB file with the structure ref of S_ref and V_ref: {error}"
        ) from error
    if wrong := sum(int((marks % 1 != 0).sum()) for marks in found.values()):
        raise DataError(f"{path}: {wrong} marks are no whole numbers")
    return {label: marks.astype(np.int64) for label, marks in found.items()}


@lru_cache(maxsize=_KEPT)
def _recording(path: Path, changed: int) -> NDArray[np.float32]:  # noqa: ARG001 - `changed` makes a new file another entry
    """The whole recording [samples] in mV: a compressed file can only be read from its beginning, which takes half a second."""
    try:
        ecg = scipy.io.loadmat(path, variable_names=["ecg"])["ecg"]
        return np.asarray(ecg, dtype=np.float32).ravel()
    except NO_MATLAB as error:
        raise UnreadableError("mat file", f"{path.name}: {error}") from error
