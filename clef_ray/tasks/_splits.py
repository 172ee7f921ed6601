"""Splits that are not the folds: published ones that can be made again, of the others why not, and one that is leaky on purpose."""

import hashlib
import random
from collections.abc import Mapping

import pandas as pd

from clef_ray.tasks import PARTS

#: What is said where a published split is asked for that shards cannot give.
MC_MED_CHRONO = (
    "its published split is the folds of shards ingested with mc_med.split=chrono (the default); leave it out"
)
LVEF_ROWS = (
    "its published split goes by the row order of the table of ejection fractions, which shards do not keep (and has patients on both "
    "sides); leave it out"
)
AURORA_DRAW = (
    "its published split is a draw among the participants of both protocols in the order of participants.tsv, which shards do not keep; "
    "leave it out"
)

#: How many patients Icentia11k has: p00000 to p10999.
ICENTIA_PATIENTS = 11_000

_SEED, _TRAIN, _VALIDATION = 42, 0.7, 0.15


def icentia_parts(patient_N: pd.Series) -> pd.Series:
    """The part of each record of Icentia11k, by its patient's name; empty for a name that the dataset does not have.

    CLEF's preparation takes all patients in the order of the dataset's list RECORDS, shuffles them with Python's generator seeded by 42,
    and gives the first 70 % to training, the next 15 % to validation, the others to testing (7,699, 1,650 and 1,651: 0.7 x
    11,000 comes out just below 7,700 and is rounded down). So a part of the dataset is split as the whole is. Taken for granted, not
    confirmed: that RECORDS lists the patients by name. Source: Nokia-Bell-Labs/ecg-foundation-model, preprocess/preprocess_icentia.py; its
    data module shuffles once more, without effect where the prepared lists are there.
    """
    names = [f"p{number:05d}" for number in range(ICENTIA_PATIENTS)]
    random.Random(_SEED).shuffle(names)
    train, validation = int(len(names) * _TRAIN), int(len(names) * _VALIDATION)
    counts = (train, validation, len(names) - train - validation)
    parts = [part for part, count in zip(PARTS, counts, strict=True) for _ in range(count)]
    return patient_N.map(dict(zip(names, parts, strict=True))).fillna("")


def records_dealt(record_N: pd.Series, shares: Mapping[str, int]) -> pd.Series:
    """The part of each record, dealt by its name and whosever it is: part -> how many of ten records it gets on average (they add up to 10).

    The name's SHA-256 decides, so that a record has the same part in every corpus that holds it.
    """
    deal = [part for part, share in shares.items() for _ in range(share)]
    if len(deal) != 10:
        raise ValueError(f"shares {dict(shares)} add up to {len(deal)}; 10 is needed")
    return record_N.map(
        lambda name: deal[int.from_bytes(hashlib.sha256(str(name).encode()).digest()[:8]) % 10]
    )
