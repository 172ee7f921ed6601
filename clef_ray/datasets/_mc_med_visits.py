"""MC-MED's table of visits: whose they were, and how they ended."""

from pathlib import Path

import numpy as np
import pandas as pd

from clef_ray.datasets._mimic_codes import is_black
from clef_ray.datasets._tables import implausible_dbp, to_numbers
from clef_ray.errors import DataError
from clef_ray.scores import implausible

ED_DISPO = ("Discharge", "Inpatient", "Observation", "ICU")
DC_DISPO = (
    "home",
    "care_facility",
    "transfer",
    "hospice_or_death",
    "psychiatric_or_rehabilitation",
    "other",
)
#: The Emergency Severity Index: 1 resuscitation, 2 emergent, 3 urgent, 4 semi-urgent, 5 non-urgent.
ACUITY = ("1", "2", "3", "4", "5")

#: Words of DC_dispo and the group they mean, asked in this order: a rehabilitation unit of an acute care hospital is rehabilitation.
_GROUPS = (
    ("hospice_or_death", ("expired", "hospice", "organ harvest", "donor")),
    ("psychiatric_or_rehabilitation", ("psych", "rehab")),
    ("care_facility", ("home health", "skilled nursing", "residential care", "custodial")),
    (
        "transfer",
        ("acute care", "long term care", "federal hospital", "children's hospital", "critical access", "planned inpatient readm"),
    ),
    ("home", ("home/work", "left against medical advice")),
)  # fmt: skip


def people(visits: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Of each visit age, sex, sbp, black and target_dbp, and how many values were left out because no person can have them."""
    visits = to_numbers(visits, path, numbers=["Age", "Triage_SBP", "Triage_DBP"])
    sex = visits["Gender"].map({"M": 0.0, "F": 1.0}).astype(np.float64)
    black = visits["Race"].fillna("").map(is_black).astype(np.float64)
    dbp = visits["Triage_DBP"]
    found = {"age": visits["Age"], "sbp": visits["Triage_SBP"], "target_dbp": dbp}
    wrong = {
        "age": implausible("age", visits["Age"].to_numpy(dtype=np.float64)),
        "sbp": implausible("sbp", visits["Triage_SBP"].to_numpy(dtype=np.float64)),
        "target_dbp": implausible_dbp(dbp.to_numpy(dtype=np.float64)),
    }
    found = {name: of.mask(wrong[name]) for name, of in found.items()}
    table = pd.DataFrame({**found, "sex": sex, "black": black})
    return table, {name: int(of.sum()) for name, of in wrong.items() if of.any()}


def outcomes(visits: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """The columns label_ed_dispo, label_dc_dispo and label_acuity, and of how many visits ED_dispo or the acuity is there but no class:
    these are not annotated.
    """
    text = (
        visits[["ED_dispo", "DC_dispo", "Triage_acuity"]]
        .fillna("")
        .astype(str)
        .apply(lambda of: of.str.strip())
    )
    ed, acuity = text["ED_dispo"], text["Triage_acuity"].str[:1]  # "3-Urgent"
    wrong = {"ED_dispo": ~ed.isin(("", *ED_DISPO)), "Triage_acuity": ~acuity.isin(("", *ACUITY))}
    columns = {
        "label_ed_dispo": [[one] if one in ED_DISPO else None for one in ed],
        "label_dc_dispo": [None if (one := group(of)) is None else [one] for of in text["DC_dispo"]],
        "label_acuity": [[one] if one in ACUITY else None for one in acuity],
    }
    table = pd.DataFrame({name: pd.Series(of, dtype=object) for name, of in columns.items()})
    return table, {name: int(of.sum()) for name, of in wrong.items() if of.any()}


def group(disposition: str) -> str | None:
    """The group of DC_DISPO that a final disposition belongs to, None where there is none."""
    lower = disposition.lower()
    if not lower or lower.startswith("no disposition"):
        return None
    return next((name for name, words in _GROUPS if any(word in lower for word in words)), "other")


def read_split(path: Path) -> list[int]:
    """The visits of one part: a file with one CSN a line and no line of column names. DataError: no such file, a line that is no number."""
    try:
        lines = path.read_text().split()
    except FileNotFoundError as error:
        raise DataError(f"{path.parent} lacks {path.name}") from error
    if wrong := sum(not line.isdigit() for line in lines):
        raise DataError(f"{path}: {wrong} of {len(lines)} lines are no visit's number")
    return [int(line) for line in lines]
