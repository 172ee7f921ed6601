"""Records that cannot be used, and why."""

import numpy as np
from numpy.typing import NDArray

#: Largest share of invalid samples in a lead that interpolation may fill: 0.5 s of a 10 s record, less than one beat at rest.
MAX_INVALID_SHARE = 0.05

#: No surface ECG exceeds this many mV; larger numbers are another unit (raw counts, uV) or a broken gain.
MAX_MILLIVOLTS = 20.0


def problem(mv_CT: NDArray[np.float32], leads: tuple[str, ...]) -> tuple[str, str] | None:
    """Why a record [leads, samples] in mV (NaN = invalid sample) is unusable, as (reason, detail), or None where it is fine.

    Reasons, checked in this order: "invalid samples" (more than MAX_INVALID_SHARE of a lead), "flat lead" (one value over the whole
    record) and "amplitude" (beyond +-MAX_MILLIVOLTS). The detail names the leads, never a value.
    """
    invalid_C = np.isnan(mv_CT).mean(axis=-1)
    if (invalid_C > MAX_INVALID_SHARE).any():
        return "invalid samples", _named(invalid_C > MAX_INVALID_SHARE, leads)
    low_C, high_C = np.nanmin(mv_CT, axis=-1), np.nanmax(mv_CT, axis=-1)
    if (low_C == high_C).any():
        return "flat lead", _named(low_C == high_C, leads)
    beyond_C = np.maximum(-low_C, high_C) > MAX_MILLIVOLTS
    if beyond_C.any():
        return "amplitude", _named(beyond_C, leads)
    return None


def _named(bad_C: NDArray[np.bool_], leads: tuple[str, ...]) -> str:
    return ", ".join(lead for lead, bad in zip(leads, bad_C, strict=True) if bad)
