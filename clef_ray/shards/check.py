"""Whether a dataset's table keeps its promises. What is wrong is told with counts, never with a patient's values."""

import numpy as np
import pandas as pd

from clef_ray.datasets import Dataset
from clef_ray.errors import DataError
from clef_ray.shards.schema import table_columns

#: Nobody's ECGs are further apart than digital archives reach back [years].
LONGEST_HISTORY = 40.0

#: Share of the patients with several records that may contradict themselves, beside one: errors of typing, which are counted. More are
#: errors of the patient column.
TYPING_ERRORS = 0.01


def check_table(dataset: Dataset, table: pd.DataFrame) -> None:
    """DataError unless the table keeps the promises of `Dataset.table` that shards rely on."""
    name = type(dataset).__name__
    if missing := [column for column in table_columns(dataset) if column not in table]:
        raise DataError(f"the table of {name} lacks {', '.join(missing)}")
    if table.empty:
        raise DataError(f"{name} has no records")
    if twice := int(table["record"].duplicated().sum()):
        raise DataError(f"the table of {name} holds {twice} records twice")
    if not table["fold"].isin(range(1, 11)).all():
        raise DataError(f"the table of {name} has folds outside 1..10")
    patients = table[["patient", "fold"]].drop_duplicates()["patient"]
    if split := int(patients[patients.duplicated()].nunique()):
        raise DataError(
            f"the table of {name} has {split} patients in more than one fold; folds must be by patient"
        )
    for label_set, classes in dataset.label_sets.items():
        known = table[f"label_{label_set}"].dropna()
        if unknown := sorted(set().union(*known) - set(classes)):
            raise DataError(
                f"the table of {name} has labels outside label set {label_set!r}: {', '.join(unknown)}"
            )
    _check_persons(name, table)


def contradictions(table: pd.DataFrame) -> int:
    """How many patients cannot be one person: recorded with both sexes, or with ages more than LONGEST_HISTORY apart."""
    of_patient = table.groupby("patient", sort=False)
    sexes, ages = of_patient["sex"].agg(["min", "max"]), of_patient["age"].agg(["min", "max"])
    return int(
        (
            (sexes["min"] != sexes["max"]) & sexes.notna().all(axis=1)
            | (np.ptp(ages, axis=1) > LONGEST_HISTORY)
        ).sum()
    )


def _check_persons(name: str, table: pd.DataFrame) -> None:
    several = int((table["patient"].value_counts() > 1).sum())
    if (wrong := contradictions(table)) > max(TYPING_ERRORS * several, 1):
        raise DataError(
            f"the table of {name} has two persons under one patient id: {wrong} of {several} patients with several records have both sexes, "
            f"or ages more than {LONGEST_HISTORY:g} years apart. Is the patient's column the right one, and unique over all hospitals?"
        )
