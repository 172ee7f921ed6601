"""PhysioNet/CinC Challenge 2017: 8,528 single-lead ECGs of 9 to 61 s from a hand-held AliveCor device (Clifford et al. 2017)."""

import csv
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from clef_ray.datasets import Signal, Source
from clef_ray.datasets._folds import hashed_folds
from clef_ray.datasets._tables import digest, folder, no_covariates
from clef_ray.datasets._wfdb import read_wfdb
from clef_ray.datasets._window import window_samples
from clef_ray.errors import DataError

#: The tables of labels, the one to believe first: version 3 holds the corrections made in the course of the challenge.
_REFERENCES = ("REFERENCE-v3.csv", "REFERENCE.csv")


class Cinc2017:
    """The training set under `root`, in any of its layouts: training2017/A00001.{hea,mat} (the zip), training/A00/A00001.* (the files on
    PhysioNet), or the records beside the table. Labels are REFERENCE-v3.csv's where it is there, else REFERENCE.csv's.

    seconds: what is stored of each record, from its start; 10 keeps all but the few records that are shorter. pad: fill those up
    with 0 mV in place of setting them aside. fs: rate in the shards (own rate: 300 Hz).

    Label set `rhythm`: N normal, A atrial fibrillation, O another rhythm, ~ too noisy to tell; every record has one. No age, no sex and no
    patient is published: each record counts as a patient, so two records of one person may be in different folds. Folds: by record.

    ConfigError: an option outside its range. DataError: no such folder, no table in it, a label that is none of the four.
    """

    headline: ClassVar[str] = "rhythm"
    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {"rhythm": ("N", "A", "O", "~")}
    targets: ClassVar[Mapping[str, str]] = {}
    covariates: ClassVar[tuple[str, ...]] = ()
    leads: ClassVar[tuple[str, ...]] = ("ECG",)
    # Five digits: the records of CPSC 2018 have four, beside a table of the same name.
    signature: ClassVar[tuple[str, ...]] = (
        "REFERENCE-v3.csv",
        "A[0-9][0-9][0-9][0-9][0-9].hea",
        "training2017/A[0-9][0-9][0-9][0-9][0-9].hea",
    )
    citation: ClassVar[str] = (
        "Clifford et al., AF Classification from a Short Single Lead ECG Recording: the PhysioNet/Computing in Cardiology Challenge 2017, "
        "CinC 2017, doi:10.22489/CinC.2017.065-469; Goldberger et al., PhysioNet, Circulation 101(23):e215 (2000)"
    )
    licence: ClassVar[str] = "ODC-By 1.0"
    source: ClassVar[Source] = Source(
        url="https://physionet.org/content/challenge-2017/1.0.0/",
        access="open",
        records=8528,
        patients=None,
        physionet="challenge-2017/1.0.0",
        how="clef-ray download cinc2017 --root DIR",
    )

    def __init__(self, root: str, seconds: float = 10.0, fs: float = 300.0, pad: bool = False) -> None:
        self.samples = window_samples("cinc2017", fs, seconds)
        self.root = folder("cinc2017", root)
        self.seconds, self.fs, self.pad = seconds, fs, pad

    def parameters(self) -> dict[str, Any]:
        """Options, and the digest of the table of labels."""
        reference = self._reference
        return {
            "seconds": self.seconds,
            "fs": self.fs,
            "pad": self.pad,
            "tables": {reference.name: digest(reference)},
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `file` is the signal's path below `root`, without extension."""
        return self._table.copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The whole record; see `read_wfdb` for the reasons of an UnreadableError."""
        return read_wfdb(self.root / str(row["file"]))

    @cached_property
    def _reference(self) -> Path:
        for name in _REFERENCES:
            for place in (self.root, self.root / "training2017", self.root / "training"):
                if (place / name).exists():
                    return place / name
        raise DataError(
            f"cinc2017.root: {self.root} has no {' or '.join(_REFERENCES)}, nor has training2017/ or training/"
        )

    @cached_property
    def _table(self) -> pd.DataFrame:
        labels = _labels(self._reference, self.label_sets["rhythm"])
        records = sorted(labels)
        # The zip and PhysioNet's folder sort the records differently. One that is nowhere is looked for beside the table, and missing there.
        # Of copies (PhysioNet's validation/ is one of 300 records) always the same is taken, whatever the disk's order.
        files = {path.stem: path for path in sorted(self.root.rglob("A[0-9][0-9][0-9][0-9][0-9].hea"))}
        beside = self._reference.parent
        paths = [files.get(name, beside / name).with_suffix("").relative_to(self.root) for name in records]
        return pd.DataFrame(
            {
                "record": records,
                "patient": records,
                "fold": hashed_folds("cinc2017", records),
                **no_covariates(),
                "label_rhythm": [[labels[name]] for name in records],
                "file": [path.as_posix() for path in paths],
            }
        )


def _labels(path: Path, classes: tuple[str, ...]) -> dict[str, str]:
    """Record -> label, from lines like "A00001,N" without a title."""
    with path.open(newline="") as file:
        lines = [line for line in csv.reader(file) if line]
    if wrong := sum(len(line) != 2 for line in lines):
        raise DataError(f"{path}: {wrong} of {len(lines)} lines are not of the form record,label")
    labels = {record.strip(): label.strip() for record, label in lines}
    if unknown := sum(label not in classes for label in labels.values()):
        raise DataError(
            f"{path}: {unknown} of {len(lines)} lines have a label that is none of {', '.join(classes)}"
        )
    if len(labels) != len(lines):
        raise DataError(f"{path}: {len(lines) - len(labels)} records are labelled twice")
    if not labels:
        raise DataError(f"{path} has no records")
    return labels
