"""CODE-15 %: 345,779 twelve-lead ECGs of 233,770 patients of the telehealth network of Minas Gerais, 2010-2016 (Ribeiro et al. 2021)."""

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import pandas as pd

from clef_ray.datasets import LEADS, Signal, Source
from clef_ray.datasets._code15 import ABNORMAL, FS, NORM, OTHER, exams_table, headers_table, read_exam
from clef_ray.datasets._folds import hashed_folds
from clef_ray.datasets._tables import digest, folder, no_covariates
from clef_ray.datasets._wfdb import read_wfdb
from clef_ray.datasets._window import window_samples
from clef_ray.errors import ConfigError
from clef_ray.scores import FIELDS

#: The published HDF5 files: exams_part0.hdf5 to exams_part17.hdf5.
_PARTS = 18


class Code15:
    """The dataset under `root` in one of two layouts. *Published*: exams.csv and exams_part0..17.hdf5. *Challenge 2025*: WFDB records, one
    per exam, at any depth.

    seconds: what is stored of each exam, from its start. Exams last about 7.3 or 10.2 s, so the default of 7 keeps all of them. pad: fill up
    shorter ones with 0 mV in place of setting them aside. The published files fill every exam up to 4096 samples with zeros at both sides;
    they are taken off before. fs: rate in the shards (own rate: 400 Hz). parts: only the exams of the first so many HDF5 files (1..18).

    Label sets, published layout: `diagnosis`: 1dAVb, RBBB, LBBB, SB (bradycardia), ST (tachycardia), AF, several at once; NORM as the
    publishers say it (normal_ecg); OTHER where none of these holds, so that an ECG with another finding is not taken for one without
    annotation. `death`: survived or died within the follow-up, on the patient's first exam only; target `timey`: years until death or
    to the end of the follow-up (a censored time). Challenge layout: `chagas`: negative or positive, mostly as told by the patient.
    Covariates: age and sex; an age that no person has is unknown, and counted.

    Amplitudes are stored as they are published, taken for mV as the challenge does. They look about twice as large as other devices' (users
    report it: antonior92/ecg-age-prediction, issues 1 and 5); nobody has confirmed a factor, so none is applied: compare shapes, not mV.

    Folds: by patient; the publishers give none. ConfigError: an option outside its range. DataError: no such folder, neither layout, a
    table or header that lacks what is needed.
    """

    covariates: ClassVar[tuple[str, ...]] = ("age", "sex")
    leads: ClassVar[tuple[str, ...]] = LEADS
    signature: ClassVar[tuple[str, ...]] = ("exams.csv", "exams_part*.hdf5")
    citation: ClassVar[str] = (
        "Ribeiro et al., CODE-15%: a large scale annotated dataset of 12-lead ECGs, Zenodo (2021), doi:10.5281/zenodo.4916206; "
        "Ribeiro et al., Nat Commun 11:1760 (2020), doi:10.1038/s41467-020-15432-4; Lima et al., Nat Commun 12:5117 (2021), "
        "doi:10.1038/s41467-021-25351-7"
    )
    licence: ClassVar[str] = "CC BY 4.0"
    source: ClassVar[Source] = Source(
        url="https://zenodo.org/records/4916206",
        access="open",
        records=345_779,
        patients=233_770,
        how="download exams.csv and exams_part0.zip to exams_part17.zip from Zenodo and unpack them into one folder",
    )

    def __init__(
        self, root: str, seconds: float = 7.0, fs: float = FS, pad: bool = False, parts: int = _PARTS
    ) -> None:
        if not 1 <= parts <= _PARTS:
            raise ConfigError(f"code15.parts is {parts}; allowed is 1 to {_PARTS}")
        self.samples = window_samples("code15", fs, seconds)
        self.root = folder("code15", root)
        self.seconds, self.fs, self.pad, self.parts = seconds, fs, pad, parts
        self._exams = self.root / "exams.csv"
        self._published = self._exams.exists() or any(self.root.glob("exams_part*.hdf5"))

    @property
    def label_sets(self) -> Mapping[str, tuple[str, ...]]:
        """Those of the layout."""
        if self._published:
            return {"diagnosis": (*ABNORMAL, NORM, OTHER), "death": ("survived", "died")}
        return {"chagas": ("negative", "positive")}

    @property
    def headline(self) -> str:
        """The first label set."""
        return next(iter(self.label_sets))

    @property
    def targets(self) -> Mapping[str, str]:
        """The follow-up time, in the published layout."""
        return {"timey": "years"} if self._published else {}

    def parameters(self) -> dict[str, Any]:
        """Options, the layout, the number of records, the digest of the table, and how many records were left out or have an impossible age."""
        table, lacks = self._table
        tables = {self._exams.name: digest(self._exams)} if self._published else {}
        return {
            **{name: getattr(self, name) for name in ("seconds", "fs", "pad", "parts")},
            "layout": "published" if self._published else "challenge 2025",
            "records": len(table),
            "tables": tables,
            "other_source": lacks["other_source"],
            "other_file": lacks["other_file"],
            "implausible": {"age": lacks["age"]},
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `record` is the exam's id with seven digits, `file` its file below `root` (Challenge: without extension)."""
        return self._table[0].copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The whole exam, in mV as published; see `read_exam` and `read_wfdb` for the reasons of an UnreadableError."""
        path = self.root / str(row["file"])
        return read_exam(path, int(row["record"])) if self._published else read_wfdb(path)

    @cached_property
    def _table(self) -> tuple[pd.DataFrame, Counter[str]]:
        """The table, and how many records lack what."""
        if self._published:
            found, lacks = exams_table(self._exams, self.parts)
            found["record"] = found["exam"].map("{:07d}".format)
        else:
            found, lacks = headers_table(self.root)
            found["record"] = found["record"].str.zfill(7)
        age = found["age"].astype(float)
        possible = age.between(FIELDS["age"].low, FIELDS["age"].high)
        lacks["age"] = int((age.notna() & ~possible).sum())
        kept = [f"label_{name}" for name in self.label_sets] + [f"target_{name}" for name in self.targets]
        table = pd.DataFrame(
            {
                "record": found["record"],
                "patient": found["patient"],
                "fold": hashed_folds("code15", found["patient"]),
                **no_covariates(),
                **{name: found[name] for name in ["sex", *kept, "file"]},
            }
        )
        table["age"] = age.where(possible)
        return table.sort_values("record", ignore_index=True), lacks
