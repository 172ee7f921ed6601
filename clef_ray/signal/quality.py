"""Records that cannot be used, and why; and what looks odd but can be used. On the raw numbers: no copy of a record is made.

Of the real records beside the project (1,999 PTB-XL at 100 Hz, 500 at 500 Hz, 33 of Challenge 2021, 120 of CinC2017, 30 of CODE-15 %) the
defaults of `Quality` set aside five: two of Challenge 2021 with six leads at 0 (the longest flat run of all the others is 3.4 % of the
record), and three of CODE-15 % with artefacts of 23 mV. The most clipped usable one has 2.7 % of a lead at its limits.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clef_ray.sections import Quality
from clef_ray.signal import INVALID_SAMPLE, Raw

#: Rate [Hz] at which leads are compared with one another: as much as the slopes of a QRS complex need.
_COMPARED_AT = 100.0

#: The limb leads as they follow from I and II (Einthoven, Goldberger): weights of I and II.
_LIMB = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}

_COMPARED = ("I", "II", "V6", *_LIMB)


def problem(signal: Raw, quality: Quality) -> tuple[str, str] | None:
    """Why a record is unusable, as (reason, detail), or None where it is fine. The detail names the leads, never a value.

    Reasons, checked in this order, each in any lead, with the limits of `quality`:
    "invalid samples"; "flat lead": one value over a long run; "saturated": too many samples lie at the lead's lowest or highest value side
    by side, as where an amplifier is at its end; "amplitude": too far from 0 mV.
    """
    raw_CT = signal.raw_CT
    low_C, high_C = raw_CT.min(axis=-1), raw_CT.max(axis=-1)
    marked = np.flatnonzero(low_C == INVALID_SAMPLE)
    if len(marked):
        share_C = np.zeros(len(raw_CT))
        share_C[marked] = np.count_nonzero(raw_CT[marked] == INVALID_SAMPLE, axis=-1) / raw_CT.shape[1]
        if (share_C > quality.invalid_share).any():
            return "invalid samples", _named(share_C > quality.invalid_share, signal.leads)
        for c in marked:
            low_C[c] = raw_CT[c][raw_CT[c] != INVALID_SAMPLE].min()
    flat_C = low_C == high_C
    for c in _still(raw_CT, quality.flat_share):
        flat_C[c] |= longest_run(raw_CT[c]) >= quality.flat_share * raw_CT.shape[1]
    if flat_C.any():
        return "flat lead", _named(flat_C, signal.leads)
    clipped_C = _clipped(raw_CT, low_C, high_C, quality.saturated_share)
    if clipped_C.any():
        return "saturated", _named(clipped_C, signal.leads)
    most_C = np.maximum(signal.baseline_C - low_C, high_C - signal.baseline_C)
    beyond_C = most_C > quality.amplitude_mv * signal.gain_C
    return ("amplitude", _named(beyond_C, signal.leads)) if beyond_C.any() else None


def hints(signal: Raw, quality: Quality) -> tuple[str, ...]:
    """What looks odd without making the record unusable; nothing where a lead it takes is missing, or one has an invalid sample.

    "arm leads": the slopes of I and V6 oppose each other, as where the arms' electrodes are exchanged (or the heart lies on the right). At
    the default 7 of 1,999 PTB-XL records are like that; with their arms exchanged, 94 % of them are.
    "limb leads": III, aVR, aVL or aVF is not what follows from I and II, as where leads bear each other's names. The RMS of what is missed
    is 0.29 of that of I and II at most in PTB-XL; with II and III renamed it is above the default in 99.5 %.
    """
    rows = [c for c, lead in enumerate(signal.leads) if lead in _COMPARED]
    step = max(1, round(signal.fs / _COMPARED_AT))
    raw_CT = signal.raw_CT[rows, ::step]
    at = {signal.leads[c]: k for k, c in enumerate(rows)}
    if not ("I" in at and len(at) > 1) or raw_CT.shape[1] < _COMPARED_AT or raw_CT.min() == INVALID_SAMPLE:
        return ()
    x_CT = raw_CT / signal.gain_C[rows, None]
    x_CT -= x_CT.mean(axis=1, keepdims=True)
    arms = "V6" in at and _opposed(x_CT[at["I"]], x_CT[at["V6"]], quality.opposed_arms)
    limb = "II" in at and _missed((x_CT @ x_CT.T).tolist(), at) > quality.limb_error
    return (*(["arm leads"] if arms else []), *(["limb leads"] if limb else []))


def _opposed(x_T: NDArray[np.floating], y_T: NDArray[np.floating], limit: float) -> bool:
    a_T, b_T = x_T[1:] - x_T[:-1], y_T[1:] - y_T[:-1]
    return bool(a_T @ b_T < -limit * np.sqrt((a_T @ a_T) * (b_T @ b_T)))


def _missed(product: list[list[float]], at: Mapping[str, int]) -> float:
    """The largest RMS of a limb lead minus what follows from I and II, in terms of the RMS of I and II together.

    product: of each lead with each; at: a lead's row.
    """
    i, j = at["I"], at["II"]
    power = product[i][i] + product[j][j]
    missed = 0.0
    for lead in _LIMB.keys() & at.keys():
        (a, b), k = _LIMB[lead], at[lead]
        expected = a * a * product[i][i] + b * b * product[j][j] + 2 * a * b * product[i][j]
        missed = max(missed, product[k][k] + expected - 2 * (a * product[i][k] + b * product[j][k]))
    return math.sqrt(missed / power) if power > 0 else 0.0


def longest_run(raw_T: NDArray[np.int16]) -> int:
    """How many samples the longest run of one value has."""
    ends = np.flatnonzero(raw_T[1:] != raw_T[:-1])
    return int(np.diff(np.concatenate([[-1], ends, [len(raw_T) - 1]])).max())


def _still(raw_CT: NDArray[np.int16], share: float) -> NDArray[np.intp]:
    """Leads that may have a run of that share: a look at every eighth of it finds three equal values in a row."""
    step = max(1, int(share * raw_CT.shape[1] / 8))
    equal = raw_CT[:, step::step] == raw_CT[:, :-step:step]
    return np.flatnonzero((equal[:, 1:] & equal[:, :-1]).any(axis=1))


def _clipped(
    raw_CT: NDArray[np.int16], low_C: NDArray[np.int16], high_C: NDArray[np.int16], share: float
) -> NDArray[np.bool_]:
    """Leads with more than a share of samples at their lowest or highest value whose next sample is there, too."""
    at_CT = (raw_CT == low_C[:, None]) | (raw_CT == high_C[:, None])
    most = share * raw_CT.shape[1]
    if np.count_nonzero(at_CT) <= most:  # of all leads together, which is cheap: the rule
        return np.zeros(len(raw_CT), dtype=bool)
    return np.asarray(np.count_nonzero(at_CT[:, 1:] & at_CT[:, :-1], axis=-1) > most)


def _named(bad_C: NDArray[np.bool_], leads: tuple[str, ...]) -> str:
    return ", ".join(lead for lead, bad in zip(leads, bad_C, strict=True) if bad)
