"""PhysioNet/CinC Challenge 2021: 88,253 12-lead ECGs of eight sources with diagnoses as SNOMED CT codes (Reyna et al. 2021).

The Challenge of 2020 is the first six of them. Records are found by their names, whatever folders they lie in: training/<source>/g1/ as
published, one folder per source as in the archives, or all in one. Age, sex and diagnoses stand in the headers.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

import pandas as pd

from clef_ray.datasets import LEADS, Signal, Source
from clef_ray.datasets._snomed import Comments, Vocabulary, diagnosed, left_out
from clef_ray.datasets._tables import by_record, folder
from clef_ray.datasets._wfdb import read_wfdb
from clef_ray.datasets._window import window_samples
from clef_ray.errors import ConfigError, DataError

SourceName = Literal[
    "cpsc_2018",
    "cpsc_2018_extra",
    "st_petersburg_incart",
    "ptb",
    "ptb-xl",
    "georgia",
    "chapman_shaoxing",
    "ningbo",
]

#: The letters of a record's name and the number of digits -> its source. Chapman-Shaoxing and Ningbo share theirs.
_PREFIXES: Mapping[tuple[str, int], SourceName] = {
    ("A", 4): "cpsc_2018",
    ("Q", 4): "cpsc_2018_extra",
    ("I", 4): "st_petersburg_incart",
    ("S", 4): "ptb",
    ("HR", 5): "ptb-xl",
    ("E", 5): "georgia",
    ("JS", 5): "chapman_shaoxing",
}
_SOURCES: tuple[SourceName, ...] = (*_PREFIXES.values(), "ningbo")
_NAME = re.compile(r"([A-Z]+)(\d+)")

#: The last of the Chapman-Shaoxing records; the next is Ningbo's first.
_LAST_CHAPMAN = 10646

#: The scored diagnoses of 2021 in the order of the Challenge's table; four of them have two codes that it scores as one.
_SCORED: Vocabulary = {
    "AF": ("164889003",),
    "AFL": ("164890007",),
    "BBB": ("6374002",),
    "Brady": ("426627000",),
    "LBBB": ("164909002", "733534002"),
    "RBBB": ("59118001", "713427006"),
    "IAVB": ("270492004",),
    "IRBBB": ("713426002",),
    "LAD": ("39732003",),
    "LAnFB": ("445118002",),
    "LQRSV": ("251146004",),
    "NSIVCB": ("698252002",),
    "NSR": ("426783006",),
    "PAC": ("284470004", "63593006"),
    "PR": ("10370003",),
    "PRWP": ("365413008",),
    "PVC": ("427172004", "17338001"),
    "LPR": ("164947007",),
    "LQT": ("111975006",),
    "QAb": ("164917005",),
    "RAD": ("47665007",),
    "SA": ("427393009",),
    "SB": ("426177001",),
    "STach": ("427084000",),
    "TAb": ("164934002",),
    "TInv": ("59931005",),
}
_LABEL_SETS = {"scored": _SCORED}

#: Sources with several records of many patients (74 of 32; 516 of fewer than 290; 21,837 of 18,885) whose they are is not told: all in one
#: training fold, so that nobody is on both sides.
_TOGETHER, _TOGETHER_FOLD = ("st_petersburg_incart", "ptb", "ptb-xl"), 1


class Cinc2021:
    """Challenge 2021 under `root`: the first `seconds` of each record of `sources` (all unless told otherwise), at `fs` Hz.

    The rates differ: 257 Hz (INCART), 1000 Hz (PTB), 500 Hz (the others). 10 s is the length of nearly all records; with `pad` the shorter
    ones (some of CPSC and Georgia) are filled up, otherwise they are set aside. Label set scored: the 26 classes of 2021; a record without
    any is not annotated (None); `parameters` counts the records with other codes. Covariates: age, sex.

    The Challenge names no patients, so each record counts as one, and folds are by its hash. Where a source is known to have several
    records of a person (INCART, PTB, PTB-XL) all its records lie in one training fold; of Georgia it is not told. PTB-XL, PTB, CPSC 2018 and
    Chapman/Ningbo are the records of `ptbxl` and `ptbdb`, which know the patients, and of `cpsc2018` and `chapman`: whoever pretrains on those
    must leave these `sources` out of a test.
    ConfigError: no source, one twice. DataError: no such folder, no record of the sources below it, a record in two folders.
    """

    headline: ClassVar[str] = "scored"
    signature: ClassVar[tuple[str, ...]] = (
        "training/*/g[0-9]*/*[0-9].hea",
        "WFDB_*/*[0-9].hea",
        "HR[0-9][0-9][0-9][0-9][0-9].hea",
        "E[0-9][0-9][0-9][0-9][0-9].hea",
        "JS[0-9][0-9][0-9][0-9][0-9].hea",
        "Q[0-9][0-9][0-9][0-9].hea",
        "I[0-9][0-9][0-9][0-9].hea",
        "S[0-9][0-9][0-9][0-9].hea",
    )
    citation: ClassVar[str] = (
        "Reyna et al., Will two do? Varying dimensions in electrocardiography: the PhysioNet/Computing in Cardiology Challenge 2021, "
        "Computing in Cardiology 48 (2021), doi:10.23919/CinC53138.2021.9662687, data doi:10.13026/34va-7q14; Perez Alday et al., "
        "Classification of 12-lead ECGs: the PhysioNet/CinC Challenge 2020, Physiol Meas 41:124003 (2020), "
        "doi:10.1088/1361-6579/abc960; Goldberger et al., PhysioNet, Circulation 101(23):e215 (2000)"
    )
    licence: ClassVar[str] = "CC BY 4.0"
    source: ClassVar[Source] = Source(
        url="https://physionet.org/content/challenge-2021/1.0.3/",
        access="open",
        records=88253,
        patients=None,
        physionet="challenge-2021/1.0.3",
        how="clef-ray download cinc2021 --root DIR",
    )
    covariates: ClassVar[tuple[str, ...]] = ("age", "sex")
    targets: ClassVar[Mapping[str, str]] = {}
    leads: ClassVar[tuple[str, ...]] = LEADS
    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {"scored": tuple(_SCORED)}

    def __init__(
        self,
        root: str,
        sources: tuple[SourceName, ...] = _SOURCES,
        fs: float = 500.0,
        seconds: float = 10.0,
        pad: bool = False,
    ) -> None:
        if not sources or len(set(sources)) < len(sources):
            raise ConfigError(
                f"cinc2021.sources is {sources}; allowed are one or more of {', '.join(_SOURCES)}, each once"
            )
        self.root = folder("cinc2021", root)
        self.sources, self.fs, self.pad = sources, float(fs), pad
        self.samples = window_samples("cinc2021", fs, seconds)

    def parameters(self) -> dict[str, Any]:
        """Options, the headers' digest, records per source, and what was left out."""
        return {
            "sources": sorted(self.sources),
            "fs": self.fs,
            "samples": self.samples,
            "pad": self.pad,
            "records": {
                str(name): int(count)
                for name, count in self._table["source"].value_counts(sort=False).items()
            },
            "headers": self._comments.digest,
            **left_out(self._comments, _LABEL_SETS),
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `source` names where a record is from, `file` is its path below `root`."""
        return self._table.copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The whole record at its own rate; see `read_wfdb` for the reasons of an UnreadableError."""
        return read_wfdb(self.root / str(row["file"]))

    @cached_property
    def _files(self) -> dict[str, str]:
        """Record -> its path below root, sorted by record."""
        found = [path for path in self.root.rglob("*.hea") if source_of(path.stem) in self.sources]
        if not found:
            raise DataError(
                f"cinc2021.root: {self.root} and the folders below have no headers of {', '.join(self.sources)}"
            )
        headers = by_record("cinc2021", self.root, found)
        return {record: str(path.relative_to(self.root).with_suffix("")) for record, path in headers.items()}

    @cached_property
    def _comments(self) -> Comments:
        return Comments.read(self.root, self._files.values())

    @cached_property
    def _table(self) -> pd.DataFrame:
        table = diagnosed("cinc2021", self._files, self._comments, _LABEL_SETS)
        table["source"] = [source_of(record) for record in self._files]
        table.loc[table["source"].isin(_TOGETHER), "fold"] = _TOGETHER_FOLD
        return table


def source_of(record: str) -> SourceName | None:
    """Where a record is from, by its name; None for a name that the Challenge does not use."""
    match = _NAME.fullmatch(record)
    if match is None:
        return None
    source = _PREFIXES.get((match[1], len(match[2])))
    return "ningbo" if source == "chapman_shaoxing" and int(match[2]) > _LAST_CHAPMAN else source
