"""Icentia11k: up to two weeks of one chest lead of each of 11,000 patients, every beat and rhythm annotated (Tan et al. 2021)."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import Signal, Source, UnreadableError
from clef_ray.datasets._annotations import Annotations, read_annotations
from clef_ray.datasets._beats import (
    beats,
    centred,
    generator,
    occurring,
    rhythm_of,
    rhythms,
    some,
    window_table,
)
from clef_ray.datasets._folds import dealt_folds
from clef_ray.datasets._tables import folder
from clef_ray.datasets._wfdb import read_header, read_wfdb
from clef_ray.datasets._window import window_samples
from clef_ray.errors import ConfigError, DataError

#: Symbols as published: normal, supraventricular (a: aberrated, of which few or none are left) and ventricular. Q, undefined, has no class.
_CLASSES = {"N": "N", "S": "S", "a": "S", "V": "V"}

_OPTIONS = ("windows", "seconds", "fs", "per_patient", "seed")


class _Segment(NamedTuple):
    """A segment: its path below the root, samples, rate [Hz], samples of a window, and what is annotated (None: nothing readable)."""

    file: str
    length: int
    window: int
    marks: Annotations | None


class Icentia11k:
    """The dataset under `root` (p00/p00000/p00000_s00.{hea,dat,atr}: 50 segments of 70 minutes at 250 Hz of most patients), or any
    patients of it, one row per window of `seconds` s.

    windows, each drawn by `seed` and the patient's name:
    "regular": `per_patient` windows, each from another segment, from anywhere in it. Reads as many annotation files.
    "beats": `per_patient` windows of each beat class, centred on such a beat, from the first segments that have one which fits. "rhythm":
    the same of each rhythm, beginning where the rhythm does, if it lasts for the whole window (the published code asks no such thing).
    Both read a patient's segments until every class is found, that is nearly all 550,000 annotation files: five minutes of one core, and what the disk takes.

    Label sets: `beat` (N, S, V): the class of the beat in the middle, in the other windows the classes that occur; None without a beat of
    the three. `rhythm` (N, AFIB, AFL): what is annotated for the whole window, None where that is nothing or changes. fs: rate in the
    shards. The lead is called ECG whatever the header says; the device sits in a modified lead I position. No age or sex is published.

    Folds: the publishers give no split; 70 % of the patients are in folds 1-8, 15 % in 9, 15 % in 10, by their name alone, so that
    no option moves a patient.

    ConfigError: an option outside its range. DataError: no such folder, no segments in it, or not a single window.
    """

    headline: ClassVar[str] = "beat"
    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "beat": ("N", "S", "V"),
        "rhythm": ("N", "AFIB", "AFL"),
    }
    targets: ClassVar[Mapping[str, str]] = {}
    covariates: ClassVar[tuple[str, ...]] = ()
    leads: ClassVar[tuple[str, ...]] = ("ECG",)
    pad: ClassVar[bool] = False
    signature: ClassVar[tuple[str, ...]] = ("p[01][0-9]/p[01][0-9][0-9][0-9][0-9]/p*_s[0-9][0-9].hea",)
    citation: ClassVar[str] = (
        "Tan et al., Icentia11k Single Lead Continuous Raw Electrocardiogram Dataset (version 1.0), PhysioNet (2022), "
        "doi:10.13026/kk0v-r952; Tan et al., Icentia11K: An Unsupervised Representation Learning Dataset for Arrhythmia Subtype Discovery, "
        "CinC 2021; Goldberger et al., PhysioNet, Circulation 101(23):e215 (2000)"
    )
    licence: ClassVar[str] = "CC BY-NC-SA 4.0"
    source: ClassVar[Source] = Source(
        url="https://physionet.org/content/icentia11k-continuous-ecg/1.0/",
        access="open",
        records=None,
        patients=11000,
        physionet="icentia11k-continuous-ecg/1.0",
        how="clef-ray download icentia11k --root DIR",
    )

    def __init__(
        self,
        root: str,
        windows: Literal["regular", "beats", "rhythm"] = "regular",
        seconds: float = 10.0,
        fs: float = 250.0,
        per_patient: int = 1,
        seed: int = 42,
    ) -> None:
        if not 1 <= per_patient <= 50:
            raise ConfigError(f"icentia11k.per_patient is {per_patient}; allowed is 1 to 50")
        self.samples = window_samples("icentia11k", fs, seconds)
        self.root = folder("icentia11k", root)
        self.windows, self.seconds, self.fs = windows, seconds, fs
        self.per_patient, self.seed = per_patient, seed

    def parameters(self) -> dict[str, Any]:
        """Options; how many patients and segments there are, and the digest of their names, for there is no table. Of the segments that
        were looked at, how many have no readable header of a window's length (unusable), or no readable annotations (unannotated: a
        regular window has no labels then).
        """
        names = "".join(f"{patient} {numbers}\n" for patient, numbers in self._segments.items())
        return {
            **{name: getattr(self, name) for name in _OPTIONS},
            "patients": len(self._segments),
            "segments": sum(len(numbers) for numbers in self._segments.values()),
            "listing": hashlib.sha256(names.encode()).hexdigest(),
            **{name: self._table[1][name] for name in ("unusable", "unannotated")},
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `record` is the segment and where the window starts [samples at 250 Hz], which `file` (below `root`), `start`
        and `length` say too.
        """
        return self._table[0].copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The row's window; see `read_wfdb` for the reasons of an UnreadableError."""
        start = int(row["start"])
        found = read_wfdb(self.root / str(row["file"]), start, start + int(row["length"]))
        return replace(found, leads=self.leads) if len(found.leads) == 1 else found

    @cached_property
    def _segments(self) -> dict[str, tuple[int, ...]]:
        """Patient -> the numbers of the segments there are."""
        found = {
            path.name: tuple(sorted(int(file.stem[-2:]) for file in path.glob("p?????_s[0-9][0-9].hea")))
            for path in sorted(self.root.glob("p[01][0-9]/p[01][0-9][0-9][0-9][0-9]"))
        }
        found = {patient: numbers for patient, numbers in found.items() if numbers}
        if not found:
            raise DataError(f"icentia11k.root: {self.root} has no segments (p00/p00000/p00000_s00.hea, ...)")
        return found

    @cached_property
    def _table(self) -> tuple[pd.DataFrame, Counter[str]]:
        """The table, and how often a segment lacked something."""
        lacks: Counter[str] = Counter()
        rows = [row for patient in self._segments for row in self._rows(patient, lacks)]
        columns = ["recording", "patient", "file", "start", "length", "label_beat", "label_rhythm"]
        table = pd.DataFrame(rows, columns=columns)
        if table.empty:
            raise DataError(
                f"icentia11k.windows: {self.windows}: no window in the {len(self._segments)} patients of {self.root}"
            )
        table["fold"] = dealt_folds("icentia11k", table["patient"])
        return window_table(table, digits=7, label_sets=self.label_sets), lacks

    def _rows(self, patient: str, lacks: Counter[str]) -> Iterator[tuple[Any, ...]]:
        rng = generator(self.seed, "icentia11k", patient)
        numbers = np.array(self._segments[patient])
        if self.windows == "regular":
            numbers = some(rng, numbers, self.per_patient)
        found = (
            self._segment(f"{patient[:3]}/{patient}/{patient}_s{n:02d}", lacks) for n in numbers.tolist()
        )
        segments = (segment for segment in found if segment is not None)
        places: Iterator[tuple[_Segment, int, str]]
        if self.windows == "regular":
            places = ((s, int(rng.integers(s.length - s.window + 1)), "") for s in segments)
        else:
            places = self._of_each_class(rng, segments)
        for segment, start, label in places:
            yield (
                Path(segment.file).name,
                patient,
                segment.file,
                start,
                segment.window,
                *self._labels(segment, start, label),
            )

    def _segment(self, file: str, lacks: Counter[str]) -> _Segment | None:
        try:
            header = read_header(self.root / file)
        except UnreadableError:
            lacks["unusable"] += 1
            return None
        window = math.ceil(self.seconds * header.fs)
        if header.samples < window:
            lacks["unusable"] += 1
            return None
        try:
            marks = read_annotations(self.root / file)
        except UnreadableError:
            lacks["unannotated"] += 1
            marks = None
        return _Segment(file, header.samples, window, marks)

    def _of_each_class(
        self, rng: np.random.Generator, segments: Iterator[_Segment]
    ) -> Iterator[tuple[_Segment, int, str]]:
        """(segment, start, class) of `per_patient` windows of each class, from the first segments that have one."""
        places = _beat_places if self.windows == "beats" else _rhythm_places
        missing = dict.fromkeys(
            self.label_sets["beat" if self.windows == "beats" else "rhythm"], self.per_patient
        )
        for segment in segments:
            for label, start_W in places(segment).items():
                if missing.get(label):
                    chosen = some(rng, start_W, missing[label])
                    missing[label] -= len(chosen)
                    yield from ((segment, start, label) for start in chosen.tolist())
            if not any(missing.values()):
                return

    def _labels(self, segment: _Segment, start: int, label: str) -> tuple[set[str] | None, set[str] | None]:
        """The window's classes of beat and of rhythm; label: the class it was chosen for."""
        if segment.marks is None:
            return None, None
        stop = start + segment.window
        rhythm = rhythm_of(segment.marks, start, stop)
        beat = {label} if self.windows == "beats" else occurring(*beats(segment.marks, _CLASSES), start, stop)
        return beat, {rhythm} if rhythm in self.label_sets["rhythm"] else None


def _beat_places(segment: _Segment) -> dict[str, NDArray[np.int64]]:
    """Class -> where a window begins that has such a beat in its middle."""
    if segment.marks is None:
        return {}
    sample_B, class_B = beats(segment.marks, _CLASSES)
    start_B = centred(sample_B, segment.length, segment.window)
    return {label: start_B[(class_B == label) & (start_B >= 0)] for label in ("N", "S", "V")}


def _rhythm_places(segment: _Segment) -> dict[str, NDArray[np.int64]]:
    """Rhythm -> where one begins that lasts for a window."""
    if segment.marks is None:
        return {}
    spans = [span for span in rhythms(segment.marks, segment.length) if span[1] - span[0] >= segment.window]
    names = dict.fromkeys(name for _, _, name in spans)
    return {name: np.array([first for first, _, of in spans if of == name], dtype=np.int64) for name in names}
