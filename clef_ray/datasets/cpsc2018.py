"""CPSC 2018 (also called ICBEB 2018): 6,877 12-lead ECGs of 6 to 60 s at 500 Hz with nine classes, from eleven hospitals (Liu et al. 2018).

Two layouts are read, whatever folders lie between the root and the files. The *original* one: REFERENCE.csv and MATLAB files A0001.mat ...
(TrainingSet1 to TrainingSet3) that hold sex, age and samples in mV. And that of the *PhysioNet Challenges* 2020 and 2021: A0001.hea and
A0001.mat, WFDB records with age, sex and diagnoses in the header. The 2,954 records of the hidden test set were never published.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import scipy.io

from clef_ray.datasets import LEADS, MISSING_FILE, Signal, Source, UnreadableError
from clef_ray.datasets._folds import hashed_folds
from clef_ray.datasets._mat import NO_MATLAB
from clef_ray.datasets._snomed import SEX, Comments, Vocabulary, diagnosed, left_out
from clef_ray.datasets._tables import by_record, digest, folder, no_covariates, read_csv, to_numbers
from clef_ray.datasets._wfdb import read_wfdb
from clef_ray.datasets._window import window_samples
from clef_ray.errors import DataError
from clef_ray.scores import implausible

#: The nine classes in the order of REFERENCE.csv's numbers 1 to 9, as the benchmark of Strodthoff et al. names them.
_CLASSES: Vocabulary = {
    "NORM": ("426783006",),
    "AFIB": ("164889003",),
    "1AVB": ("270492004",),
    "CLBBB": ("164909002", "733534002"),
    "CRBBB": ("59118001", "713427006"),
    "PAC": ("284470004",),
    "VPC": ("164884008", "427172004", "17338001"),
    "STD_": ("429622005",),
    "STE_": ("164931005",),
}
_LABEL_SETS = {"rhythm": _CLASSES}
_COLUMNS = ("First_label", "Second_label", "Third_label")
_RECORD, _FS = "A[0-9][0-9][0-9][0-9]", 500.0


class Cpsc2018:
    """CPSC 2018 under `root`, the first `seconds` of each record at `fs` Hz.

    10 s is the length that published comparisons use. How many records are shorter (6 s at least) is not published: with `pad` they are
    filled up, with `seconds=6` none is lost, otherwise they are set aside. Label set rhythm (9 classes, up to three of a record). Covariates:
    age, sex. Whose record is whose is not published: each counts as a patient. Nor are the folds of published benchmarks: these are by hash.
    In the original layout ages lie in the signal files, so its table takes some ms per record.
    DataError: no such folder, neither layout below it, a record twice, a class outside 1 to 9 in REFERENCE.csv.
    """

    headline: ClassVar[str] = "rhythm"
    signature: ClassVar[tuple[str, ...]] = (
        f"{_RECORD}.hea",
        f"g[0-9]*/{_RECORD}.hea",
        f"Training_WFDB/{_RECORD}.hea",
        f"TrainingSet[123]/{_RECORD}.mat",
    )
    citation: ClassVar[str] = (
        "Liu et al., An open access database for evaluating the algorithms of electrocardiogram rhythm and morphology abnormality "
        "detection, J Med Imaging Health Inform 8(7):1368-1373 (2018), doi:10.1166/jmihi.2018.2442"
    )
    licence: ClassVar[str] = (
        "CC BY 4.0 (as part of the PhysioNet Challenge 2021; the original site names none)"
    )
    source: ClassVar[Source] = Source(
        url="https://physionet.org/content/challenge-2021/1.0.3/",
        access="open",
        records=6877,
        patients=None,
        how="part of the Challenge 2021: clef-ray download cinc2021 --root DIR, then DIR/training/cpsc_2018 is the root",
    )
    covariates: ClassVar[tuple[str, ...]] = ("age", "sex")
    targets: ClassVar[Mapping[str, str]] = {}
    leads: ClassVar[tuple[str, ...]] = LEADS
    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {"rhythm": tuple(_CLASSES)}

    def __init__(self, root: str, fs: float = 500.0, seconds: float = 10.0, pad: bool = False) -> None:
        self.root = folder("cpsc2018", root)
        self.fs, self.pad = float(fs), pad
        self.samples = window_samples("cpsc2018", fs, seconds)

    def parameters(self) -> dict[str, Any]:
        """Options, layout, digests of the headers or of REFERENCE.csv, and what was left out."""
        shape = {"fs": self.fs, "samples": self.samples, "pad": self.pad}
        if self._reference is None:
            told = {"headers": self._comments.digest, **left_out(self._comments, _LABEL_SETS)}
            return {**shape, "layout": "challenge", **told}
        age_N = self._people["age"].to_numpy()
        return {
            **shape,
            "layout": "original",
            "tables": {"REFERENCE.csv": digest(self._reference)},
            "implausible": {"age": int(implausible("age", age_N).sum())},
            "without_signal_file": int((self._people["file"] == "").sum()),
            "without_row": len(self._files.keys() - set(self._people["Recording"])),
        }

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `file` is the record's path below `root`, without extension in the Challenge's layout."""
        return (self._challenge() if self._reference is None else self._original()).copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The whole record; see `read_wfdb` for the reasons of an UnreadableError, and "not readable" for a file that is no MATLAB file
        of this dataset.
        """
        file = str(row["file"])
        if file and not file.endswith(".mat"):  # the Challenge's layout
            return read_wfdb(self.root / file)
        data = _ecg(self.root, file, str(row["record"]))["data"]
        if np.ndim(data) != 2 or np.shape(data)[0] != len(LEADS):
            raise UnreadableError(
                "not readable", f"{row['record']}: {np.shape(data)} is not {len(LEADS)} leads"
            )
        return Signal.of_millivolts(np.asarray(data), _FS, LEADS)

    @cached_property
    def _files(self) -> dict[str, str]:
        """Record -> its path below root, sorted; a header's without extension, of the original layout the MATLAB file's."""
        headers = sorted(self.root.rglob(f"{_RECORD}.hea"))
        found = headers or sorted(self.root.rglob(f"{_RECORD}.mat"))
        if not found:
            raise DataError(
                f"cpsc2018.root: {self.root} has no records. Looked for {_RECORD}.hea (Challenge) and {_RECORD}.mat (original), also in "
                "the folders below"
            )
        return {
            record: str((path.with_suffix("") if headers else path).relative_to(self.root))
            for record, path in by_record("cpsc2018", self.root, found).items()
        }

    @cached_property
    def _reference(self) -> Path | None:
        """REFERENCE.csv of the original layout; None in the Challenge's."""
        if not next(iter(self._files.values())).endswith(".mat"):
            return None
        found = sorted(self.root.rglob("REFERENCE.csv"))
        if len(found) != 1:
            raise DataError(
                f"cpsc2018.root: {self.root} has {len(found)} files REFERENCE.csv with its MATLAB files; one is needed"
            )
        return found[0]

    @cached_property
    def _comments(self) -> Comments:
        return Comments.read(self.root, self._files.values())

    def _challenge(self) -> pd.DataFrame:
        return diagnosed("cpsc2018", self._files, self._comments, _LABEL_SETS)

    @cached_property
    def _people(self) -> pd.DataFrame:
        """Of each row of REFERENCE.csv: its file ("" where there is none), and age and sex as that file has them."""
        assert self._reference is not None
        rows = read_csv(self._reference, ["Recording", *_COLUMNS])
        people = to_numbers(rows, self._reference, numbers=_COLUMNS)
        people["file"] = people["Recording"].map(self._files).fillna("")
        told = [_person(self.root, file, name) for file, name in people[["file", "Recording"]].to_numpy()]
        people["age"], people["sex"] = np.array(told, dtype=np.float64).reshape(-1, 2).T
        return people.sort_values("Recording", ignore_index=True)

    def _original(self) -> pd.DataFrame:
        people, names = self._people, list(_CLASSES)
        records = people["Recording"].astype(str)
        table = pd.DataFrame(
            {
                "record": records,
                "patient": records,
                "fold": hashed_folds("cpsc2018", records),
                **no_covariates(),
            }
        )
        table["age"] = people["age"].mask(implausible("age", people["age"].to_numpy()))
        table["sex"] = people["sex"]
        numbers = people[list(_COLUMNS)]
        if wrong := int((numbers.notna() & ~numbers.isin(range(1, len(names) + 1))).any(axis=1).sum()):
            raise DataError(
                f"{self._reference}: {wrong} rows have a class that is not one of 1 to {len(names)}"
            )
        found = [sorted({int(n) for n in row if not np.isnan(n)}) for row in numbers.to_numpy()]
        table["label_rhythm"] = pd.Series(
            [[names[n - 1] for n in row] or None for row in found], dtype=object
        )
        table["file"] = people["file"]
        return table


def _ecg(root: Path, file: str, record: str) -> Mapping[str, Any]:
    """What a MATLAB file holds: sex, age, data [12, samples] in mV."""
    if not file:
        raise UnreadableError(MISSING_FILE, f"{record}.mat")
    try:
        ecg = scipy.io.loadmat(root / file, variable_names=["ECG"], simplify_cells=True)["ECG"]
        return {name: ecg[name] for name in ("sex", "age", "data")}
    except FileNotFoundError as error:
        raise UnreadableError(MISSING_FILE, f"{record}.mat") from error
    except NO_MATLAB as error:
        raise UnreadableError(
            "not readable", f"{record}.mat: no MATLAB file with ECG.sex, .age and .data: {error}"
        ) from error


def _person(root: Path, file: str, record: str) -> tuple[float, float]:
    """Age and sex, NaN where unknown or where the file cannot be read: `signal` says so."""
    try:
        ecg = _ecg(root, file, record)
    except UnreadableError:
        return np.nan, np.nan
    age = ecg["age"] if isinstance(ecg["age"], int | float) else np.nan
    return float(age), SEX.get(str(ecg["sex"]).strip().lower(), np.nan)
