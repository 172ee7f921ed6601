"""Datasets, one per file: where the records are, who they belong to, what is known about them.

A dataset answers two questions: `table()`, everything but the signals, one row per record and cheap; and `signal(row)`, one record's
samples, called in parallel by ingestion. Both use the field's names and the units below.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.errors import DataError
from clef_ray.signal import INVALID_SAMPLE

#: Covariates a dataset may give, each a float column, NaN where unknown; meaning, unit and range of each: `clef_ray.scores.FIELDS`.
COVARIATES = (
    "age",
    "sex",
    "sbp",
    "total_cholesterol",
    "hdl",
    "smoker",
    "diabetes",
    "bmi",
    "egfr",
    "hba1c",
    "treated",
    "statin",
    "diabetes_age",
    "black",
    "heart_failure",
    "hypertension",
    "stroke",
    "vascular_disease",
)

#: The twelve standard leads in their usual order.
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

_STANDARD = {lead.upper(): lead for lead in LEADS}

#: Raw units per mV of signals that are not stored as 16-bit numbers: 1 uV each, which holds +-32 mV.
MICROVOLTS = 1000.0

#: The reason of an UnreadableError that may be gone at the next start: the file is not there (yet).
MISSING_FILE = "missing file"


class UnreadableError(DataError):
    """One record that cannot be used; `reason` is the short class it is counted under in the quarantine table."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def lead_name(written: str) -> str:
    """A lead's name in the spelling of LEADS, whatever its case ("AVR" -> "aVR"); another name stays as it is written."""
    name = written.strip()
    return _STANDARD.get(name.upper(), name)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a dataset is published, and what is there.

    url: its page; access: `open`, `registered` (an account and a data use agreement) or `credentialed` (PhysioNet's training besides);
    records, patients: the published counts, None where none is published; physionet: "slug/version" below physionet.org/files, None where
    it is published elsewhere; how: a command or a sentence on how to get it.
    """

    url: str
    access: Literal["open", "registered", "credentialed"]
    records: int | None
    patients: int | None
    how: str
    physionet: str | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """One record's samples as the device stored them; millivolts are (raw - baseline) / gain.

    raw_CT: int16 [leads, samples]; fs: Hz; leads: names in row order; gain_C: raw units per mV; baseline_C: raw units at 0 mV.
    """

    raw_CT: NDArray[np.int16]
    fs: float
    leads: tuple[str, ...]
    gain_C: NDArray[np.float32]
    baseline_C: NDArray[np.float32]

    def millivolts(self) -> NDArray[np.float32]:
        """[leads, samples] in mV; NaN where a sample is marked invalid."""
        mv = (self.raw_CT.astype(np.float32) - self.baseline_C[:, None]) / self.gain_C[:, None]
        return np.where(self.raw_CT == INVALID_SAMPLE, np.float32(np.nan), mv)

    @classmethod
    def of_millivolts(cls, mv_CT: NDArray[np.floating], fs: float, leads: tuple[str, ...]) -> Self:
        """Samples that are numbers of mV [leads, samples], NaN = invalid, rounded to the nearest MICROVOLTS-th of a mV.

        UnreadableError ("amplitude") where they do not fit into 16 bits: no ECG has 32 mV.
        """
        raw_CT = np.rint(np.asarray(mv_CT, dtype=np.float64) * MICROVOLTS)
        invalid_CT = np.isnan(raw_CT)
        if (np.abs(raw_CT[~invalid_CT]) > -INVALID_SAMPLE - 1).any():
            raise UnreadableError("amplitude", f"beyond +-{-INVALID_SAMPLE / MICROVOLTS:g} mV")
        return cls(
            raw_CT=np.where(invalid_CT, INVALID_SAMPLE, raw_CT).astype(np.int16),
            fs=fs,
            leads=leads,
            gain_C=np.full(len(leads), MICROVOLTS, dtype=np.float32),
            baseline_C=np.zeros(len(leads), dtype=np.float32),
        )


def covariates_of(table: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """What scores read of a table: every column of COVARIATES, and `findings` where the table has it (`shards.read_table` adds it)."""
    names = [*COVARIATES, *(["findings"] if "findings" in table else [])]
    return {name: table[name].to_numpy(dtype=np.float64) for name in names}


class Dataset(Protocol):
    """What ingestion needs of a dataset. The constructor's parameters are the dataset's options (`root`, `fs`, `seconds`, ...).

    fs, samples, leads: the shape every record has in the shards. `signal` may return another rate, more samples, more leads or another
    order: ingestion picks the leads, resamples and cuts, and sets aside what is too short or lacks a lead (`shards.fit`).
    pad: whether a record that is too short is filled up with 0 mV at its end in place of being set aside.
    label_sets: label-set name -> class names in order, e.g. {"superclass": ("NORM", "MI", ...)}.
    headline: the label set that comparisons are made on by default; "" where there is none.
    targets: what else a task may predict, as name -> unit, e.g. {"dbp": "mmHg"}.
    covariates: which of COVARIATES it can give; the others are unknown for every record.
    signature: glob patterns of files by which a folder is recognised as this dataset's; none where it is not read from a folder.
    """

    signature: ClassVar[tuple[str, ...]]
    source: ClassVar[Source]
    covariates: ClassVar[tuple[str, ...]]

    @property
    def label_sets(self) -> Mapping[str, tuple[str, ...]]: ...

    @property
    def targets(self) -> Mapping[str, str]: ...

    @property
    def headline(self) -> str: ...

    @property
    def citation(self) -> str: ...

    @property
    def licence(self) -> str: ...

    @property
    def fs(self) -> float: ...

    @property
    def samples(self) -> int: ...

    @property
    def leads(self) -> tuple[str, ...]: ...

    @property
    def pad(self) -> bool: ...

    def parameters(self) -> dict[str, Any]:
        """What determines the content, for the manifest: options and digests of the tables, no absolute path."""
        ...

    def table(self) -> pd.DataFrame:
        """One row per record, sorted by record: `record` (str, unique), `patient` (str), `fold` (int 1..10, no patient in two folds),
        every covariate of COVARIATES (float, NaN = unknown), for each label set a column `label_<set>` holding a list of class names
        (None where the record was not annotated for that set), and for each target a column `target_<name>` (float, NaN = unknown).
        Further columns are the dataset's own (file names, where a window starts). Of a recording of hours each window is a row.
        """
        ...

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The samples of one row of `table()`. Raises UnreadableError with a reason for a record that cannot be read."""
        ...
