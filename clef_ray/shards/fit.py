"""From what a dataset reads to the one shape its shards have: leads by name, rate, length."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clef_ray.datasets import Dataset, Signal, UnreadableError
from clef_ray.sections import Filters
from clef_ray.signal import INVALID_SAMPLE
from clef_ray.signal.filters import apply, resample, resampled_length

#: What may be done to a record, in this order; the manifest counts each.
CHANGES = ("resampled", "cut", "padded")

#: Seconds beyond the window that are resampled with it, so that its end is not the end of what the filter sees.
_CONTEXT = 1.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """A record in the dataset's shape. changes: which of CHANGES were needed."""

    signal: Signal
    changes: tuple[str, ...]


def fit(signal: Signal, dataset: Dataset, filters: Filters, check: Callable[[Signal], None]) -> Fitted:
    """The record with the dataset's leads in their order, at its rate, its first `samples` samples, filtered.

    Equal rates leave the raw samples untouched; others are resampled and stored in steps of 1 uV. An invalid sample is bridged before a
    filter sees it, and marked again after. With `dataset.pad` a record that is too short is filled up with 0 mV at its end.
    check: sees the window as it was recorded: at its own rate, neither filtered nor filled up.
    UnreadableError: "leads" (one is missing), "gain", "length" (no samples, or too few and no `pad`), "amplitude" (beyond 16 bits), and
    what `check` raises.
    """
    picked = _pick(signal, dataset.leads)
    samples, wanted, other_rate = picked.raw_CT.shape[1], dataset.samples, picked.fs != dataset.fs
    found = resampled_length(samples, picked.fs, dataset.fs) if other_rate else samples
    if found == 0 or (found < wanted and not dataset.pad):
        raise UnreadableError(
            "length", f"{samples} samples at {picked.fs:g} Hz instead of {_told(dataset, picked.fs)}"
        )
    check(_first(picked, math.ceil(wanted * picked.fs / dataset.fs)))
    fitted = _first(_at_rate(picked, dataset) if other_rate else picked, wanted)
    fitted = apply(fitted, filters)
    if found < wanted:
        fitted = _filled(fitted, wanted)
    needed = zip(CHANGES, (other_rate, found > wanted, found < wanted), strict=True)
    return Fitted(fitted, tuple(change for change, was in needed if was))


def _told(dataset: Dataset, fs: float) -> str:
    """The wanted length, also at the record's own rate."""
    wanted = f"{dataset.samples} at {dataset.fs:g} Hz"
    return wanted if fs == dataset.fs else f"{wanted} ({dataset.samples / dataset.fs:g} s)"


def _pick(signal: Signal, leads: tuple[str, ...]) -> Signal:
    if missing := [lead for lead in leads if lead not in signal.leads]:
        raise UnreadableError("leads", f"lacks {', '.join(missing)}; it has {', '.join(signal.leads)}")
    if signal.leads != leads:
        rows = [signal.leads.index(lead) for lead in leads]
        signal = Signal(signal.raw_CT[rows], signal.fs, leads, signal.gain_C[rows], signal.baseline_C[rows])
    if not (np.isfinite(signal.gain_C) & (signal.gain_C > 0)).all():
        raise UnreadableError("gain", "not a positive number of raw units per mV")
    return signal


def _first(signal: Signal, samples: int) -> Signal:
    return replace(signal, raw_CT=signal.raw_CT[:, :samples]) if signal.raw_CT.shape[1] > samples else signal


def _at_rate(signal: Signal, dataset: Dataset) -> Signal:
    """The window and what follows the end, resampled."""
    signal = _first(signal, math.ceil((dataset.samples / dataset.fs + _CONTEXT) * signal.fs))
    mv_CT = signal.millivolts()
    invalid_CT = signal.raw_CT == INVALID_SAMPLE
    if invalid_CT.any():
        for mv_T, invalid_T in zip(mv_CT, invalid_CT, strict=True):
            if 0 < invalid_T.sum() < len(invalid_T):
                known = np.flatnonzero(~invalid_T)
                mv_T[invalid_T] = np.interp(np.flatnonzero(invalid_T), known, mv_T[known])
    resampled_CT = resample(mv_CT, signal.fs, dataset.fs)
    if invalid_CT.any():
        resampled_CT[_touched(invalid_CT, resampled_CT.shape[1], signal.fs / dataset.fs)] = np.nan
    return Signal.of_millivolts(resampled_CT, dataset.fs, signal.leads)


def _touched(invalid_CT: NDArray[np.bool_], samples: int, ratio: float) -> NDArray[np.bool_]:
    """Which of the new samples stand for an invalid old one: between its neighbours (upwards), or within half a step (downwards).

    ratio: old samples per new one.
    """
    at_T = np.arange(samples) * ratio
    reach = max(ratio / 2, 1 - 1e-9)
    first_T = np.ceil(at_T - reach).clip(0, invalid_CT.shape[1] - 1).astype(np.int64)
    last_T = np.floor(at_T + reach).clip(0, invalid_CT.shape[1] - 1).astype(np.int64)
    before_CT = np.pad(np.cumsum(invalid_CT, axis=1), ((0, 0), (1, 0)))
    return np.asarray(before_CT[:, last_T + 1] > before_CT[:, first_T])


def _filled(signal: Signal, samples: int) -> Signal:
    lowest, highest = INVALID_SAMPLE + 1, -INVALID_SAMPLE - 1
    zero_C = np.rint(signal.baseline_C).clip(lowest, highest).astype(np.int16)
    fill_CT = np.repeat(zero_C[:, None], samples - signal.raw_CT.shape[1], axis=1)
    return replace(signal, raw_CT=np.concatenate([signal.raw_CT, fill_CT], axis=1))
