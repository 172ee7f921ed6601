"""MIT-BIH Arrhythmia Database: 48 half-hour two-lead Holter excerpts of 47 patients, every beat annotated (Moody & Mark 2001)."""

import math
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from clef_ray.datasets import Signal, Source
from clef_ray.datasets._annotations import read_annotations
from clef_ray.datasets._beats import AAMI, beats, centred, generator, occurring, regular, some, window_table
from clef_ray.datasets._folds import hashed_folds, published_folds
from clef_ray.datasets._tables import digest, folder
from clef_ray.datasets._wfdb import Header, read_header, read_wfdb
from clef_ray.datasets._window import window_samples
from clef_ray.errors import ConfigError, DataError
from clef_ray.scores import FIELDS

#: Records of paced patients, which AAMI practice leaves out: their beats are class Q throughout.
PACED = ("102", "104", "107", "217")

#: The test records of the published inter-patient split (de Chazal et al. 2004, DS2). The other unpaced records are DS1, for training.
DS2 = frozenset(
    "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234".split()  # noqa: SIM905 - one line, not 22
)

#: Record -> the patient's other record: 201 and 202 are one person's.
_SAME = {"202": "201"}

#: One in so many DS1 patients is for validation, by the patient's name.
_VALIDATION_SHARE = 8

_PERSON = re.compile(r"(-?\d+) ([MF])\b")


class Mitdb:
    """The database under `root` (100.hea, 100.dat, 100.atr, ...), one row per window of `seconds` s of one lead.

    windows: "beats", a window centred on each beat (class of that beat in label set `beat`), where it fits into the recording; or
    "regular", windows side by side (the classes of the beats that occur; None where none does). per_patient: at most so many windows of a
    recording, or of each of its beat classes, drawn by `seed`; 0: all. fs: rate in the shards (own rate: 360 Hz).
    lead: records without it are left out and counted; MLII is in all but two of them (both paced), V1 in 40. paced: whether the four
    paced records are given too, as training ones.

    Label set `beat`: AAMI classes N, S, V, F, Q (`_beats.AAMI`). Covariates: age and sex, from the header's comments.

    Folds: DS2 is fold 10; of DS1 three patients (203, 220, 223: by hash, one in eight) are fold 9, the others folds 1-8. The published
    split has a patient on both sides: 201 is in DS1, 202 in DS2. Here both are in training, so that the test records stay a subset of DS2.

    ConfigError: an option outside its range. DataError: no such folder, or no record there; an annotation file that is missing or cut off.
    """

    headline: ClassVar[str] = "beat"
    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {"beat": ("N", "S", "V", "F", "Q")}
    targets: ClassVar[Mapping[str, str]] = {}
    covariates: ClassVar[tuple[str, ...]] = ("age", "sex")
    pad: ClassVar[bool] = False
    signature: ClassVar[tuple[str, ...]] = ("[12][0-3][0-9].atr",)
    citation: ClassVar[str] = (
        "Moody and Mark, The impact of the MIT-BIH Arrhythmia Database, IEEE Eng Med Biol 20(3):45-50 (2001), "
        "doi:10.13026/C2F305; Goldberger et al., PhysioNet, Circulation 101(23):e215 (2000)"
    )
    licence: ClassVar[str] = "ODC-By 1.0"
    source: ClassVar[Source] = Source(
        url="https://physionet.org/content/mitdb/1.0.0/",
        access="open",
        records=48,
        patients=47,
        physionet="mitdb/1.0.0",
        how="clef-ray download mitdb --root DIR",
    )

    def __init__(
        self,
        root: str,
        windows: Literal["beats", "regular"] = "beats",
        seconds: float = 10.0,
        fs: float = 360.0,
        lead: str = "MLII",
        per_patient: int = 0,
        seed: int = 0,
        paced: bool = False,
    ) -> None:
        if per_patient < 0:
            raise ConfigError(f"mitdb.per_patient is {per_patient}; allowed is 0 (all) or more")
        self.samples = window_samples("mitdb", fs, seconds)
        self.root = folder("mitdb", root)
        self.windows, self.seconds, self.fs, self.lead = windows, seconds, fs, lead
        self.per_patient, self.seed, self.paced = per_patient, seed, paced

    @property
    def leads(self) -> tuple[str, ...]:
        """The one lead that was asked for."""
        return (self.lead,)

    def parameters(self) -> dict[str, Any]:
        """Options, digests of headers and annotations, and how many records lack the lead, how many patients have no plausible age."""
        options = ("windows", "seconds", "fs", "lead", "per_patient", "seed", "paced")
        used = [name for name, header in self._headers.items() if self.lead in header.leads]
        ages = [self._person(self._headers[name])["age"] for name in used]
        return {
            **{name: getattr(self, name) for name in options},
            "tables": {
                f"{name}.{kind}": digest(self.root / f"{name}.{kind}")
                for name in used
                for kind in ("hea", "atr")
            },
            "without_lead": len(self._headers) - len(used),
            "without_age": int(np.isnan(ages).sum()),
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `record` is the recording and where the window starts [samples at 360 Hz], which `file`, `start` and
        `length` say too.
        """
        return self._table.copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The row's window of both leads; see `read_wfdb` for the reasons of an UnreadableError."""
        start = int(row["start"])
        return read_wfdb(self.root / str(row["file"]), start, start + int(row["length"]))

    @cached_property
    def _headers(self) -> dict[str, Header]:
        names = sorted(path.stem for path in self.root.glob("[12][0-3][0-9].hea"))
        if not names:
            raise DataError(f"mitdb.root: {self.root} has no records (100.hea, ..., 234.hea)")
        return {name: read_header(self.root / name) for name in names if self.paced or name not in PACED}

    @cached_property
    def _table(self) -> pd.DataFrame:
        found = [
            self._rows(name, header) for name, header in self._headers.items() if self.lead in header.leads
        ]
        if not found:
            raise DataError(f"mitdb.lead: no record in {self.root} has lead {self.lead!r}")
        rows = pd.concat(found)
        rows["fold"] = _folds(rows["recording"].tolist(), rows["patient"].tolist())
        return window_table(rows, digits=6, label_sets=self.label_sets)

    def _rows(self, name: str, header: Header) -> pd.DataFrame:
        window = math.ceil(self.seconds * header.fs)
        sample_B, class_B = beats(read_annotations(self.root / name), AAMI)
        rng = generator(self.seed, "mitdb", name)
        labels: list[set[str] | None]
        if self.windows == "regular":
            start_W = some(rng, regular(header.samples, window), self.per_patient)
            labels = [occurring(sample_B, class_B, start, start + window) for start in start_W.tolist()]
        else:
            start_B = centred(sample_B, header.samples, window)
            of = {label: start_B[(class_B == label) & (start_B >= 0)] for label in self.label_sets["beat"]}
            of = {label: some(rng, starts, self.per_patient) for label, starts in of.items()}
            start_W = np.concatenate(list(of.values()))
            labels = [{label} for label, starts in of.items() for _ in starts]
        patient, person = _SAME.get(name, name), self._person(header)
        rows = pd.DataFrame({"recording": name, "patient": patient, "file": name, "start": start_W, **person})
        return rows.assign(length=window, label_beat=pd.Series(labels, dtype=object))

    @staticmethod
    def _person(header: Header) -> dict[str, float]:
        """Age and sex from a comment like "69 M 1085 1629 x1"; an unknown age is written as -1."""
        for comment in header.comments:
            if found := _PERSON.match(comment):
                age = float(found[1])
                plausible = FIELDS["age"].low <= age <= FIELDS["age"].high
                return {"age": age if plausible else math.nan, "sex": float(found[2] == "F")}
        return {"age": math.nan, "sex": math.nan}


def _folds(recordings: list[str], patients: list[str]) -> np.ndarray:
    chosen = dict(zip(patients, hashed_folds("mitdb/validation", patients, _VALIDATION_SHARE), strict=True))
    tested = DS2 - set(_SAME)
    parts = [
        "DS2"
        if recording in tested
        else "validation"
        if chosen[patient] == 1 and recording not in PACED
        else "training"
        for recording, patient in zip(recordings, patients, strict=True)
    ]
    serves = {"DS2": "test", "validation": "validation", "training": "train"}
    return published_folds("mitdb", patients, parts, serves)
