"""Records whose headers tell about the patient in comments ("#Age: 74" or "# Age: 74"), and the diagnoses as SNOMED CT codes ("#Dx: ...")."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import UnreadableError
from clef_ray.datasets._folds import hashed_folds
from clef_ray.datasets._tables import no_covariates
from clef_ray.datasets._wfdb import read_header
from clef_ray.scores import implausible

#: Class name -> the codes that mean it: some diagnoses have two.
Vocabulary = Mapping[str, tuple[str, ...]]

#: How a sex is written (in lower case) -> its number.
SEX = {"male": 0.0, "m": 0.0, "female": 1.0, "f": 1.0}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Comments:
    """What the headers of N records say. fields_N: of each record its comments as field (lower case) -> text, empty where the header
    cannot be read; unreadable: how many those are; digest: sha256 of all of it.
    """

    fields_N: tuple[Mapping[str, str], ...]
    unreadable: int
    digest: str

    @classmethod
    def read(cls, root: Path, files: Iterable[str]) -> "Comments":
        """Of the records `files` (below `root`, without extension). A header that cannot be read is left to `signal` to complain about."""
        found: list[Mapping[str, str]] = []
        unreadable, content = 0, hashlib.sha256()
        for file in files:
            try:
                comments = read_header(root / file).comments
            except UnreadableError:
                comments, unreadable = (), unreadable + 1
            content.update("\n".join((Path(file).name, *comments, "")).encode())
            found.append(fields(comments))
        return cls(tuple(found), unreadable, content.hexdigest())

    def texts(self, field: str) -> list[str]:
        """One field [lower case] of every record, "" where it is not told."""
        return [found.get(field, "") for found in self.fields_N]

    def ages(self) -> tuple[NDArray[np.float64], int]:
        """Years, NaN where unknown or not possible, and how many are not possible."""
        age_N = np.array([number(text) for text in self.texts("age")])
        wrong_N = implausible("age", age_N)
        return np.where(wrong_N, np.nan, age_N), int(wrong_N.sum())

    def sexes(self) -> NDArray[np.float64]:
        """0 male, 1 female, NaN where unknown."""
        return np.array([SEX.get(text.lower(), np.nan) for text in self.texts("sex")])

    def codes(self) -> list[list[str]]:
        """The diagnoses, each once; some headers repeat one, or have commas with nothing between."""
        split = (text.split(",") for text in self.texts("dx"))
        return [list(dict.fromkeys(code.strip() for code in codes if code.strip())) for codes in split]


def diagnosed(
    dataset: str, files: Mapping[str, str], comments: Comments, label_sets: Mapping[str, Vocabulary]
) -> pd.DataFrame:
    """The table of records `files` (record -> its path), each taken for a patient of its own: age, sex and labels from their comments."""
    records = list(files)
    table = pd.DataFrame(
        {"record": records, "patient": records, "fold": hashed_folds(dataset, records), **no_covariates()}
    )
    table["age"], table["sex"] = comments.ages()[0], comments.sexes()
    for name, vocabulary in label_sets.items():
        table[f"label_{name}"] = labels_of(comments.codes(), vocabulary)
    table["file"] = list(files.values())
    return table


def left_out(comments: Comments, label_sets: Mapping[str, Vocabulary]) -> dict[str, Any]:
    """For `Dataset.parameters`: what of the headers did not come into the table `diagnosed`, in numbers of records."""
    known = {code for vocabulary in label_sets.values() for meant in vocabulary.values() for code in meant}
    return {
        "unreadable_headers": comments.unreadable,
        "implausible": {"age": comments.ages()[1]},
        "with_other_codes": sum(not known.issuperset(codes) for codes in comments.codes()),
    }


def fields(comments: Iterable[str]) -> dict[str, str]:
    """Comment lines "Field: text" as field (lower case) -> text; the first counts where one comes twice."""
    found: dict[str, str] = {}
    for line in comments:
        field, colon, text = line.partition(":")
        if colon:
            found.setdefault(field.strip().lower(), text.strip())
    return found


def labels_of(codes: Sequence[Sequence[str]], vocabulary: Vocabulary) -> pd.Series:
    """Of each record its classes in the vocabulary's order, None where it has none of them."""
    meaning = {code: name for name, meant in vocabulary.items() for code in meant}
    order = list(vocabulary)
    found = [{meaning[code] for code in record if code in meaning} for record in codes]
    return pd.Series([sorted(names, key=order.index) or None for names in found], dtype=object)


def number(text: str) -> float:
    """A comment's text as a number, NaN where it is none."""
    return float(text) if _NUMBER.fullmatch(text) else float("nan")
