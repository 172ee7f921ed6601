"""Any folder of WFDB, EDF, CSV, NPY or MATLAB files with a table, described by a small YAML file.

    clef-ray ingest generic --map my.yaml --preview          # look first: what is understood, and three records drawn
    clef-ray ingest generic --map my.yaml --out storage/shards/mine

A whole example; of these keys record, format, leads and, where the files do not say it, rate are needed:

    name: my_clinic                   # keeps the dealt folds apart from those of other data (default: generic)
    root: ../data                     # the folder, relative to this file (default: this file's own; --root goes first)
    table: records.csv                # .csv, .tsv or .parquet, below root or anywhere, one row per record
    record: ecg_id                    # the column that names records, each once
    patient: patient_id               # column; without it every record counts as a patient of its own
    path: "ecg/{ecg_id}.npy"          # each record's file, with columns of the table in braces; WFDB without or with .hea
    format: npy                       # wfdb, edf, csv, npy or mat
    key: val                          # only of mat: the variable in the file
    leads: [I, II, V1]                # the file's order; or {NAME IN THE FILE: LEAD}, where files name their leads
    rate: 500                         # Hz, or {column: sampling_rate}; WFDB and EDF files say it themselves
    units: uV                         # V, mV (default) or uV, or {gain: 200, baseline: 0}: mV = (number - baseline) / gain
    fs: 500                           # Hz in the shards (default: rate; needed where files or a column say theirs)
    seconds: 10                       # of each record (default: 10): the first ones of a longer record
    pad: false                        # whether a shorter record is filled up with 0 mV; otherwise it is set aside
    covariates:                       # NAME: COLUMN, or a block with column, unit and map
      age: {column: age_days, unit: days}
      sex: {column: gender, map: {M: 0, F: 1}}
      total_cholesterol: {column: chol, unit: mg/dL}
      sbp: systolic
    labels:
      rhythm:                         # texts of one column, several where a separator is given
        column: rhythm
        separator: ";"
        classes: [SR, AF]             # their order (default: those in map, or the column's texts in alphabetical order)
        map: {sinus: SR, fib: AF}     # text: class, where they differ
      finding:
        columns: {LBBB: lbbb, RBBB: rbbb}   # class: column of 0 and 1
    headline: rhythm                  # the label set to compare on (default: the first)
    targets:                          # further numbers that a task may predict
      lvef: {column: ef, unit: "%"}
    folds:                            # a column of folds 1..10, or of parts; without this key dealt by patient (`hashed`)
      column: split
      parts: {training: train, val: validation, test: test}
    citation: "Doe et al. 2024"
    licence: "internal"

Without a table, `record` is a pattern of files below root, such as `record: "**/*.hea"`: all that is known is the signals.
An empty cell is unknown; a record without a class of a label set is not annotated for it. Values that no person can have are unknown
and counted in the manifest; where they are most of a column, its unit is wrong and that is an error.
"""

import hashlib
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from clef_ray.datasets import COVARIATES, Signal, Source
from clef_ray.datasets import _generic_table as columns
from clef_ray.datasets._files import read_file
from clef_ray.datasets._folds import hashed_folds
from clef_ray.datasets._generic_spec import Spec, read_spec
from clef_ray.datasets._tables import digest, folder, no_covariates
from clef_ray.datasets._window import window_samples
from clef_ray.errors import DataError


class Generic:
    """The folder that the YAML file `map` describes; `root`, where given, goes before the one that it names.

    Label sets, targets, covariates, leads, rate and seconds are those of the file. ConfigError: a mistake in it, with its line.
    DataError: no such folder or table, or a table that is not what the file says.
    """

    signature: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[Source] = Source(
        url="https://arxiv.org/abs/2512.02180",  # of the project: these data have no page of their own
        access="open",
        records=None,
        patients=None,
        how="your own data: describe them in a YAML file, see `clef-ray ingest --map-help`",
    )
    covariates: ClassVar[tuple[str, ...]] = COVARIATES

    def __init__(self, map: str, root: str = "") -> None:  # noqa: A002 - the option's name on the command line
        self.spec: Spec = read_spec(map)
        self.root = folder("generic", root or str(self.spec.root))
        self.fs = self.spec.fs
        self.samples = window_samples("generic", self.fs, self.spec.seconds)
        self.leads = tuple(self.spec.layout.leads.values())
        self.pad = self.spec.pad
        self.headline = self.spec.headline
        self.targets: Mapping[str, str] = {name: column.unit for name, column in self.spec.targets.items()}
        self.covariates = tuple(self.spec.covariates)  # type: ignore[misc]  # of an instance those of its map
        self.citation = self.spec.top.text("citation", f"{self.spec.name}: the map names no citation.")
        self.licence = self.spec.top.text("licence", "the map names no licence")

    @property
    def label_sets(self) -> Mapping[str, tuple[str, ...]]:
        return {name: classes for name, (_, classes) in self._labels.items()}

    def parameters(self) -> dict[str, Any]:
        """The map's content and the table's digest; without a table a digest of the files' names. See `Dataset.parameters`."""
        if self.spec.table:
            content = {"table": digest(self.root / self.spec.table)}
        else:
            content = {"files": hashlib.sha256("\n".join(self._files).encode()).hexdigest()}
        return {"map": dict(self.spec.plain), **content, "implausible": self._covariates[1]}

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `file` is each record's file below root, `rate` [Hz] its rate where the table says it."""
        if not self.spec.patient:
            warnings.warn(
                f"{self.spec.top.file} names no `patient` column: each record counts as a patient of its own. Where people have several "
                "records, these become each other's negatives and lie on both sides of the split.",
                stacklevel=2,
            )
        return self._table.copy()

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """See `Dataset.signal`; the reasons are those of `read_file`."""
        rate = float(row["rate"]) if self.spec.rate_column else self.spec.rate
        return read_file(self.root / str(row["file"]), self.spec.layout, rate)

    @cached_property
    def _files(self) -> list[str]:
        """Without a table: what the pattern finds, in order. DataError: nothing."""
        found = sorted(
            p.relative_to(self.root).as_posix() for p in self.root.glob(self.spec.record) if p.is_file()
        )
        if not found:
            raise DataError(
                f"{self.spec.top.at('record')}: no file in {self.root} matches {self.spec.record}"
            )
        return found

    @cached_property
    def _texts(self) -> pd.DataFrame:
        """The table on disk, as text; without one, one row per file."""
        if self.spec.table:
            return columns.read_text(self.root / self.spec.table)
        return pd.DataFrame(
            {self.spec.record: [str(Path(name).with_suffix("")) for name in self._files]}, dtype=object
        )

    @cached_property
    def _covariates(self) -> tuple[Mapping[str, np.ndarray], Mapping[str, int]]:
        return columns.covariates(self._texts, self.spec.covariates)

    @cached_property
    def _labels(self) -> Mapping[str, tuple[list[list[str] | None], tuple[str, ...]]]:
        return {name: columns.labels(self._texts, one) for name, one in self.spec.labels.items()}

    @cached_property
    def _table(self) -> pd.DataFrame:
        spec, texts = self.spec, self._texts
        records = columns.whole_cells(texts, spec.record, spec.top.at("record"))
        if twice := int(records.duplicated().sum()):
            raise DataError(
                f"{spec.top.at('record')}: column {spec.record}: {twice} of {len(records)} records are named twice"
            )
        patients = (
            columns.whole_cells(texts, spec.patient, spec.top.at("patient")) if spec.patient else records
        )
        table = pd.DataFrame({"record": records.astype(str), "patient": patients.astype(str)}, dtype=object)
        table["fold"] = (
            columns.folds(texts, list(table["patient"]), spec)
            if spec.table
            else hashed_folds(spec.name, records)
        )
        for name, values in (no_covariates() | dict(self._covariates[0])).items():
            table[name] = values
        for name, (found, _) in self._labels.items():
            table[f"label_{name}"] = pd.Series(found, dtype=object)
        for name, column in spec.targets.items():
            table[f"target_{name}"] = columns.numbers(texts, column)
        table["file"] = columns.paths(texts, spec) if spec.table else self._files
        if spec.rate_column:
            table["rate"] = columns.rates(texts, spec)
        return table.sort_values("record", ignore_index=True)
