"""Deleting known values on purpose, to see what a method does when they are missing.

Whether a value goes is a pure function of (seed, patient, field) and of the probability: neither the order of the records nor the other
fields matter, all records of a patient lose the same fields, and what is gone at one rate is gone at every higher one.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import ConfigError
from clef_ray.registry import unknown
from clef_ray.scores._fields import FIELDS, Covariates
from clef_ray.sections import Mechanism

#: Never deleted: without age and sex there is no score to compare with, and findings come with the record's labels.
KEPT = ("age", "sex", "findings")

#: (mean, unit) of adults seen in a clinic, the synthetic cohort's; our choice. What is called high or low is so in these units.
SCALE: Mapping[str, tuple[float, float]] = {
    "age": (60.8, 10.0),
    "sex": (0.5, 1.0),
    "sbp": (129.0, 20.0),
    "total_cholesterol": (5.1, 1.0),
    "hdl": (1.36, 0.4),
    "smoker": (0.18, 1.0),
    "diabetes": (0.10, 1.0),
    "bmi": (27.4, 5.0),
    "egfr": (86.0, 20.0),
    "hba1c": (39.0, 10.0),
    "treated": (0.27, 1.0),
    "statin": (0.21, 1.0),
    "diabetes_age": (57.0, 10.0),
    "black": (0.13, 1.0),
    "heart_failure": (0.04, 1.0),
    "hypertension": (0.43, 1.0),
    "stroke": (0.05, 1.0),
    "vascular_disease": (0.10, 1.0),
}


def delete(
    covariates: Covariates,
    patients_N: NDArray[np.str_],
    mechanism: Mechanism,
    rate: float,
    seed: int,
    fields: tuple[str, ...],
) -> Covariates:
    """A share `rate` (0..1) of the known values of `fields` (but KEPT) replaced by NaN; the given mapping stays as it is.

    mcar: every value alike. mar: more often in the old and in women. mnar: more often the larger the value itself. The share is the
    expected one over these records, whatever their ages and values; of a patient with several records the means count.
    none: nothing is deleted, whatever the rate. Raises ConfigError for an unknown mechanism and for a rate outside 0..1.
    """
    if mechanism not in get_args(Mechanism):
        raise unknown("mechanism of missingness", mechanism, get_args(Mechanism))
    if not 0 <= rate <= 1:
        raise ConfigError(f"missingness.rate: {rate:g} given; allowed is 0 to 1")
    fields = tuple(field for field in fields if field not in KEPT)
    if mechanism == "none" or not fields:
        return covariates
    patients, patient_N = np.unique(patients_N, return_inverse=True)
    value_NF = np.stack([covariates[field] for field in ("age", "sex", *fields)], axis=1)
    value_PF, records_PF = _per_patient(value_NF, patient_N, len(patients))
    age_P1, sex_P1, value_PF = value_PF[:, :1], value_PF[:, 1:2], value_PF[:, 2:]
    deviation_PF = _centred(deviation(mechanism, fields, value_PF, age_P1, sex_P1), records_PF[:, 2:])
    gone_PF = _uniform(seed, patients, fields) < chance(rate, deviation_PF)
    left_NF = np.where(gone_PF[patient_N], np.nan, value_NF[:, 2:])
    return {**covariates, **{field: left_NF[:, f] for f, field in enumerate(fields)}}


def chance(rate: float, deviation_F: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability of each value to go missing. It rises with `rate` at every deviation in -1..1, so that what is gone at one rate is
    gone at a higher one, and its mean is `rate` where the mean deviation is 0.
    """
    chance_F: NDArray[np.float64] = rate + deviation_F * 0.9 * min(rate, 1 - rate)
    return chance_F


def deviation(
    mechanism: Mechanism,
    fields: tuple[str, ...],
    value_F: NDArray[np.float64],
    age: NDArray[np.float64] | float,
    sex: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    """How much more often than average each value goes missing, -1..1 [..., fields]; 0 where what it depends on is unknown.

    value_F: one person's values, or [persons, fields] with age [years] and sex (0 male, 1 female) as columns [persons, 1].
    """
    if mechanism == "mar":
        tilt = 0.7 * (age - SCALE["age"][0]) / 31 + 0.3 * (2 * sex - 1)
    elif mechanism == "mnar":
        mean_F = np.array([SCALE[field][0] for field in fields])
        width_F = np.array([SCALE[field][1] * (1 if FIELDS[field].binary else 2) for field in fields])
        tilt = (value_F - mean_F) / width_F
    else:
        tilt = 0.0
    within_F: NDArray[np.float64] = np.nan_to_num(np.clip(tilt, -1.0, 1.0))
    return np.broadcast_to(within_F, value_F.shape)


def _per_patient(
    value_NF: NDArray[np.float64], patient_N: NDArray[np.int64], patients: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean of each patient's known values (NaN where there is none) and their number, [patients, fields]."""
    known_NF = ~np.isnan(value_NF)
    number_PF = np.zeros((patients, value_NF.shape[1]), dtype=np.int64)
    mean_PF = np.zeros(number_PF.shape)
    np.add.at(number_PF, patient_N, known_NF)
    np.add.at(mean_PF, patient_N, np.where(known_NF, value_NF, 0.0))
    mean_PF /= np.where(number_PF, number_PF, np.nan)
    return mean_PF, number_PF


def _centred(deviation_PF: NDArray[np.float64], records_PF: NDArray[np.int64]) -> NDArray[np.float64]:
    """Deviations whose mean over the known values is 0, still within -1..1: the rate is as asked in any cohort."""
    mean_F = (deviation_PF * records_PF).sum(axis=0) / np.maximum(records_PF.sum(axis=0), 1)
    moved_PF = np.where(records_PF > 0, deviation_PF - mean_F, 0.0)
    scaled_PF: NDArray[np.float64] = moved_PF / np.abs(moved_PF).max(axis=0, initial=1.0)
    return scaled_PF


def _uniform(seed: int, patients: NDArray[np.str_], fields: tuple[str, ...]) -> NDArray[np.float64]:
    """[patients, fields] in [0, 1): one number for each (seed, patient, field), of nothing else.

    The finaliser of SplitMix64 (Steele, OOPSLA 2014) mixes the two digests.
    """
    x = _digests([f"{seed}\x1f{patient}" for patient in patients])[:, None] ^ _digests(fields)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _digests(texts: Iterable[str]) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)
