"""MC-MED: the monitors of an emergency department, Stanford 2020-2022 (Kansal et al. 2025): 83,623 of 118,385 visits have waveforms.

Lead II at 500 Hz in segments, as long as the monitor was on. What could not be confirmed without the data: the spelling of the lead and of the
unit in the headers (a single signal in the folder II is taken as lead II; a unit other than mV is refused), and all spellings of DC_dispo.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from math import ceil
from typing import Any, ClassVar, Literal

import pandas as pd

from clef_ray.datasets import Signal, Source, UnreadableError
from clef_ray.datasets._folds import hashed_folds, published_folds
from clef_ray.datasets._mc_med_visits import ACUITY, DC_DISPO, ED_DISPO, outcomes, people, read_split
from clef_ray.datasets._tables import digest, folder, no_covariates, read_csv, to_numbers
from clef_ray.datasets._wfdb import read_header, read_wfdb
from clef_ray.datasets._window import window_samples
from clef_ray.errors import ConfigError, DataError

VISITS, SUMMARY = "visits.csv", "waveform_summary.csv"
_PARTS = {"train": "train", "val": "validation", "test": "test"}


class McMed:
    """MC-MED under `root` or, as it is downloaded, under its folder data/: visits.csv, waveform_summary.csv, split_*.csv and
    waveforms/<last three digits>/<CSN>/II/<CSN>_<segment>.

    Per visit the first `per_visit` windows of `seconds`, one every `every` seconds of a segment; segments too short for a window are passed
    over (10 s are short against hours on a monitor). A visit without a readable or long enough segment keeps one row, for which `signal` says
    why. Label sets: ed_dispo (the headline), dc_dispo (six groups of final dispositions; an empty one is not annotated, a text of no group is
    `other`) and acuity (Emergency Severity Index); an ED_dispo or an acuity of another spelling is not annotated and counted.
    Covariates: age (perturbed by up to 2 years when published; 90 means 90 or older), sex, sbp at triage, black; target dbp at triage.
    split: `chrono` (train before validation before test) or `random` as published, both said to keep each patient in one part, which is
    checked (DataError if not; `hashed` then is the way); visits in no part are left out and counted. `hashed`: all visits, by the patient.

    DataError: no such path, a table that is missing, lacks columns or holds what cannot be. ConfigError: an option outside its range.
    """

    headline: ClassVar[str] = "ed_dispo"
    signature: ClassVar[tuple[str, ...]] = (
        "split_chrono_train.csv",
        "data/split_chrono_train.csv",
    )
    citation: ClassVar[str] = (
        "Kansal et al., MC-MED, multimodal clinical monitoring in the emergency department, Sci Data 12:1094 (2025), "
        "doi:10.1038/s41597-025-05419-5; version 1.0.1, PhysioNet, doi:10.13026/wvyw-g663; "
        "Goldberger et al., PhysioNet, Circulation 101(23):e215 (2000)"
    )
    licence: ClassVar[str] = "PhysioNet Credentialed Health Data License 1.5.0"
    source: ClassVar[Source] = Source(
        url="https://physionet.org/content/mc-med/1.0.1/",
        access="credentialed",
        records=83623,
        patients=53123,
        physionet="mc-med/1.0.1",
        how="Sign the data use agreement with a credentialed PhysioNet account, download, and unzip waveforms_*.zip into waveforms/",
    )
    covariates: ClassVar[tuple[str, ...]] = ("age", "sex", "sbp", "black")
    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "ed_dispo": ED_DISPO,
        "dc_dispo": DC_DISPO,
        "acuity": ACUITY,
    }
    targets: ClassVar[Mapping[str, str]] = {"dbp": "mmHg"}
    leads: ClassVar[tuple[str, ...]] = ("II",)

    def __init__(
        self,
        root: str,
        fs: float = 500.0,
        seconds: float = 10.0,
        per_visit: int = 1,
        every: float = 600.0,
        split: Literal["chrono", "random", "hashed"] = "chrono",
        pad: bool = False,
    ) -> None:
        if per_visit < 1:
            raise ConfigError(f"mc_med.per_visit is {per_visit}; allowed are 1 and more windows")
        if not seconds <= every <= 86400:
            raise ConfigError(f"mc_med.every is {every:g}; allowed are {seconds:g} (seconds) to 86400 s")
        top = folder("mc_med", root)
        self.root = top / "data" if (top / "data").is_dir() else top
        self.fs, self.samples = float(fs), window_samples("mc_med", fs, seconds)
        self.seconds, self.per_visit, self.every = float(seconds), per_visit, float(every)
        self.split, self.pad = split, pad

    def parameters(self) -> dict[str, Any]:
        """Options, digests of the tables, how many visits with lead II were left out as they are in no part, and how many values
        are implausible or no class.
        """
        files = [VISITS, SUMMARY, *(self._split_file(part) for part in _PARTS if self.split != "hashed")]
        return {
            "fs": self.fs,
            "seconds": self.seconds,
            "per_visit": self.per_visit,
            "every": self.every,
            "split": self.split,
            "pad": self.pad,
            "tables": {name: digest(self.root / name) for name in sorted(files)},
            "in_no_part": self._visits[1],
            "implausible": self._people[1],
            "no_class": self._outcomes[1],
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `record` is the visit, the segment and the window's first sample; `file`, `start` and `stop` (samples of the
        file) say where it is.
        """
        return self._table.copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The raw samples of one window; see `read_wfdb` for the reasons of an UnreadableError."""
        signal = read_wfdb(self.root / str(row["file"]), int(row["start"]), int(row["stop"]))
        return replace(signal, leads=self.leads) if len(signal.leads) == 1 else signal

    def _split_file(self, part: str) -> str:
        return f"split_{self.split}_{part}.csv"

    @cached_property
    def _visits(self) -> tuple[pd.DataFrame, int]:
        """visits.csv with `segments` of lead II and `part`, of the visits that have both, and how many have no part."""
        path = self.root / VISITS
        columns = [
            "Age",
            "Gender",
            "Race",
            "Triage_SBP",
            "Triage_DBP",
            "Triage_acuity",
            "ED_dispo",
            "DC_dispo",
        ]
        visits = to_numbers(read_csv(path, ["CSN", "MRN", *columns]), path, whole=["CSN", "MRN"])
        if twice := int(visits["CSN"].duplicated().sum()):
            raise DataError(f"{path}: {twice} of {len(visits)} rows repeat the CSN of another")
        path = self.root / SUMMARY
        summary = to_numbers(read_csv(path, ["CSN", "Type", "Segments"]), path, whole=["CSN", "Segments"])
        summary = summary[summary["Type"] == "II"]
        if twice := int(summary["CSN"].duplicated().sum()):
            raise DataError(f"{path}: {twice} rows repeat the lead II of another's CSN")
        segments = summary.set_index("CSN")["Segments"]
        visits = visits.assign(segments=visits["CSN"].map(segments).fillna(0).astype(int))
        visits = visits[visits["segments"] > 0].sort_values("CSN", ignore_index=True)
        if visits.empty:
            raise DataError(f"{path}: no visit of {VISITS} has a segment of lead II")
        if self.split == "hashed":
            return visits, 0
        visits = visits.assign(part=visits["CSN"].map(self._parts()))
        kept = visits.dropna(subset=["part"]).reset_index(drop=True)
        return kept, len(visits) - len(kept)

    def _parts(self) -> dict[int, str]:
        """Visit -> its part. DataError: a visit in two."""
        named = {part: set(read_split(self.root / self._split_file(part))) for part in _PARTS}
        parts = {csn: part for part, visits in named.items() for csn in visits}
        if twice := sum(map(len, named.values())) - len(parts):
            files = ", ".join(map(self._split_file, _PARTS))
            raise DataError(f"{self.root}: {twice} visits are in more than one of {files}")
        return parts

    @cached_property
    def _people(self) -> tuple[pd.DataFrame, dict[str, int]]:
        return people(self._visits[0], self.root / VISITS)

    @cached_property
    def _outcomes(self) -> tuple[pd.DataFrame, dict[str, int]]:
        return outcomes(self._visits[0])

    @cached_property
    def _table(self) -> pd.DataFrame:
        visits, _ = self._visits
        patient = visits["MRN"].astype(str)
        if self.split == "hashed":
            fold_N = hashed_folds("mc_med", patient)
        else:
            fold_N = published_folds("mc_med", patient, visits["part"], _PARTS)
        known = pd.DataFrame({"patient": patient, "fold": fold_N, **no_covariates()})
        known = known.assign(**self._people[0]).join(self._outcomes[0])
        windows = [
            (visit, *window)
            for visit, (csn, segments) in enumerate(zip(visits["CSN"], visits["segments"], strict=True))
            for window in self._windows(csn, segments)
        ]
        place = pd.DataFrame(windows, columns=["visit", "record", "file", "start", "stop"])
        table = known.iloc[place["visit"].to_numpy()].reset_index(drop=True).join(place.drop(columns="visit"))
        return table.sort_values("record", ignore_index=True)

    def _windows(self, csn: int, segments: int) -> list[tuple[str, str, int, int]]:
        """record, file, start, stop of a visit's windows; the beginning of its first segment where there is none."""
        found: list[tuple[str, str, int, int]] = []
        at = f"waveforms/{str(csn)[-3:]}/{csn}/II"
        for segment in range(1, segments + 1):
            file = f"{at}/{csn}_{segment}"
            try:
                header = read_header(self.root / file)
            except UnreadableError:
                continue  # other segments may be there; where none is, signal() tells of the first
            length, step = ceil(self.seconds * header.fs), round(self.every * header.fs)
            starts = range(0, header.samples - length + 1, step)[: self.per_visit - len(found)]
            found += [(_record(csn, segment, start), file, start, start + length) for start in starts]
            if len(found) == self.per_visit:
                break
        return found or [(_record(csn, 1, 0), f"{at}/{csn}_1", 0, ceil(self.seconds * 500))]


def _record(csn: int, segment: int, start: int) -> str:
    return f"{csn}-{segment:03d}-{start:08d}"
