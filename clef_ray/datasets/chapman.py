"""Chapman-Shaoxing-Ningbo: 45,152 12-lead ECGs of 10 s at 500 Hz, one per patient, with conditions as SNOMED CT codes (Zheng et al. 2020, 2022).

Read in its published layout: WFDBRecords/NN/NNN/JSxxxxx.hea and .mat. Age, sex and conditions stand in the headers.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from clef_ray.datasets import LEADS, Signal, Source
from clef_ray.datasets._folds import published_folds
from clef_ray.datasets._snomed import Comments, Vocabulary, diagnosed, left_out
from clef_ray.datasets._tables import by_record, digest, folder, read_csv
from clef_ray.datasets._wfdb import read_wfdb
from clef_ray.datasets._window import window_samples
from clef_ray.errors import DataError

#: The 11 rhythms of ConditionNames_SNOMED-CT.csv.
_RHYTHMS: Vocabulary = {
    "SB": ("426177001",),
    "SR": ("426783006",),
    "AFIB": ("164889003",),
    "ST": ("427084000",),
    "AF": ("164890007",),
    "SA": ("427393009",),
    "SVT": ("426761007",),
    "AT": ("713422000",),
    "AVNRT": ("233896004",),
    "AVRT": ("233897008",),
    "SAAWR": ("195101003",),
}

#: The 38 conditions that MERL, HeartLang and CLEF classify, in their order. They do not hold sinus bradycardia.
_CONDITIONS: Vocabulary = {
    "AQW": ("164917005",),
    "UW": ("164937009",),
    "SR": _RHYTHMS["SR"],
    "WPW": ("74390002",),
    "2AVB": ("195042002",),
    "AT": _RHYTHMS["AT"],
    "VB": ("11157007",),
    "ARS": ("47665007",),
    "STTC": ("428750005",),
    "SA": _RHYTHMS["SA"],
    "STE": ("164930006",),
    "VPB": ("17338001",),
    "TWO": ("59931005",),
    "STTU": ("164931005",),
    "ALS": ("39732003",),
    "APB": ("284470004",),
    "2AVB1": ("54016002",),
    "PRIE": ("164947007",),
    "CCR": ("251199005",),
    "CR": ("251198002",),
    "AF": _RHYTHMS["AF"],
    "AVB": ("233917008",),
    "QTIE": ("111975006",),
    "LBBB": ("164909002",),
    "VEB": ("75532003",),
    "SVT": _RHYTHMS["SVT"],
    "RBBB": ("59118001",),
    "1AVB": ("270492004",),
    "STDD": ("429622005",),
    "MI": ("164865005",),
    "AFIB": _RHYTHMS["AFIB"],
    "TWC": ("164934002",),
    "PWC": ("164912004",),
    "ERV": ("428417006",),
    "RVH": ("89792004",),
    "LVH": ("164873001",),
    "ST": _RHYTHMS["ST"],
    "JEB": ("426995002",),
}

_VOCABULARIES: Mapping[str, Vocabulary] = {"condition": _CONDITIONS, "rhythm": _RHYTHMS}

#: Part of MERL's split -> what it serves for; each is a file chapman_<part>.csv.
_PARTS = {"train": "train", "val": "validation", "test": "test"}


class Chapman:
    """Chapman-Shaoxing-Ningbo under `root`, `seconds` of each record at `fs` Hz; 10 s keep every record.

    split: a folder with MERL's chapman_train.csv, chapman_val.csv and chapman_test.csv (column ecg_path ends in the record's file name):
    their records alone, in their parts; labels are read from the headers nevertheless, for those files have a class wherever its name is
    part of another's (AF in every AFIB). Without it: all records, folds by hash.
    Label sets: condition (38 classes, the headline) and rhythm (11); a record with no class of a set is not annotated for it (None). Codes
    of neither set are left out; `parameters` counts the records that have one. Covariates: age, sex.
    DataError: no such folder, none of its records below it, a record in two folders, a split's file missing or without its column, a record
    in two parts.
    """

    headline: ClassVar[str] = "condition"
    signature: ClassVar[tuple[str, ...]] = ("WFDBRecords/*/*/JS*.hea", "ConditionNames_SNOMED-CT.csv")
    citation: ClassVar[str] = (
        "Zheng et al., Optimal multi-stage arrhythmia classification approach, Sci Rep 10:2898 (2020), doi:10.1038/s41598-020-59821-7; "
        "Zheng, Guo and Chu, A large scale 12-lead electrocardiogram database for arrhythmia study, PhysioNet (2022), "
        "doi:10.13026/wgex-er52; Goldberger et al., PhysioNet, Circulation 101(23):e215 (2000)"
    )
    licence: ClassVar[str] = "CC BY 4.0"
    source: ClassVar[Source] = Source(
        url="https://physionet.org/content/ecg-arrhythmia/1.0.0/",
        access="open",
        records=45152,
        patients=45152,
        physionet="ecg-arrhythmia/1.0.0",
        how="clef-ray download chapman --root DIR",
    )
    covariates: ClassVar[tuple[str, ...]] = ("age", "sex")
    targets: ClassVar[Mapping[str, str]] = {}
    pad: ClassVar[bool] = False
    leads: ClassVar[tuple[str, ...]] = LEADS
    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {
        name: tuple(vocabulary) for name, vocabulary in _VOCABULARIES.items()
    }

    def __init__(self, root: str, fs: float = 500.0, seconds: float = 10.0, split: str | None = None) -> None:
        self.root = folder("chapman", root)
        self.fs = float(fs)
        self.samples = window_samples("chapman", fs, seconds)
        self._split = None if split is None else folder("chapman", split, "split")

    def parameters(self) -> dict[str, Any]:
        """fs, samples, digests of the headers and of the split's files, and what was left out: with a split also how many records are in no
        part, and how many of the split are not there.
        """
        return {
            "fs": self.fs,
            "samples": self.samples,
            "split": {path.name: digest(path) for path in self._split_files().values()},
            **self._outside_the_split(),
            "headers": self._comments.digest,
            **left_out(self._comments, _VOCABULARIES),
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `file` is the record's path below `root`."""
        return self._table.copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The record; see `read_wfdb` for the reasons of an UnreadableError."""
        return read_wfdb(self.root / str(row["file"]))

    def _split_files(self) -> dict[str, Path]:
        """Part -> its file; none without a split."""
        if self._split is None:
            return {}
        return {part: self._split / f"chapman_{part}.csv" for part in _PARTS}

    @cached_property
    def _parts(self) -> dict[str, str]:
        """Record -> its part of the split."""
        named: dict[str, str] = {}
        for part, path in self._split_files().items():
            records = [Path(str(file)).stem for file in read_csv(path, ["ecg_path"])["ecg_path"]]
            if twice := len(records) - len(set(records) - named.keys()):
                raise DataError(f"{path}: {twice} rows name a record that the split already has")
            named.update(dict.fromkeys(records, part))
        return named

    @cached_property
    def _found(self) -> dict[str, Path]:
        """Every record -> its header, whether the split has it or not."""
        found = by_record("chapman", self.root, self.root.glob("WFDBRecords/*/*/JS*.hea"))
        if not found:
            raise DataError(f"chapman.root: {self.root} has no records WFDBRecords/NN/NNN/JSxxxxx.hea")
        return found

    def _outside_the_split(self) -> dict[str, int]:
        """Records in none of the split's parts, and rows of the split whose record is not there."""
        if self._split is None:
            return {}
        return {
            "in_no_part": len(self._found) - len(self._files),
            "split_without_record": len(self._parts) - len(self._files),
        }

    @cached_property
    def _files(self) -> dict[str, str]:
        """Record -> its path below root, sorted by record."""
        found = self._found
        records = sorted(found if self._split is None else found.keys() & self._parts.keys())
        if not records:
            raise DataError(f"chapman.split: none of its records is among the {len(found)} below {self.root}")
        return {record: str(found[record].relative_to(self.root).with_suffix("")) for record in records}

    @cached_property
    def _comments(self) -> Comments:
        return Comments.read(self.root, self._files.values())

    @cached_property
    def _table(self) -> pd.DataFrame:
        table = diagnosed("chapman", self._files, self._comments, _VOCABULARIES)
        if self._split is not None:
            parts = [self._parts[record] for record in self._files]
            table["fold"] = published_folds("chapman", self._files, parts, _PARTS)
        return table
