"""Resampling, and the filters an ingestion may be told to apply."""

from dataclasses import replace
from fractions import Fraction
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, iirnotch, resample_poly, sosfiltfilt, tf2sos

from clef_ray.errors import ConfigError
from clef_ray.sections import Filters
from clef_ray.signal import INVALID_SAMPLE, Raw

S = TypeVar("S", bound=Raw)

#: Raw units per mV of what was filtered: the result is no longer a multiple of the device's step.
_FILTERED_GAIN = 1000.0

#: Largest raw number a filtered sample may become, one short of the end: a gain in float32 is rounded.
_LARGEST = 32766.0


def resampled_length(samples: int, fs_in: float, fs_out: float) -> int:
    """How many samples `resample` returns for `samples` of them: ceil(samples * fs_out / fs_in)."""
    ratio = _ratio(fs_in, fs_out)
    return -(-samples * ratio.numerator // ratio.denominator)


def resample(x: NDArray[np.float32], fs_in: float, fs_out: float) -> NDArray[np.float32]:
    """`x` [..., samples] at `fs_in` Hz -> [..., ceil(samples * fs_out / fs_in)] at `fs_out` Hz.

    Polyphase with an anti-aliasing low-pass, along the last axis; equal rates return `x` itself. The ends are continued along the line
    through the first and last sample, so that an offset (electrode potential) does not ring there.
    ConfigError: a rate that is not positive.
    """
    ratio = _ratio(fs_in, fs_out)
    if ratio == 1:
        return x
    y = resample_poly(x, ratio.numerator, ratio.denominator, axis=-1, padtype="line")
    return np.asarray(y, dtype=np.float32)


def _ratio(fs_in: float, fs_out: float) -> Fraction:
    if not (fs_in > 0 and fs_out > 0):
        raise ConfigError(f"sampling rates must be positive, given {fs_in} Hz and {fs_out} Hz")
    # Rates are whole or simple numbers of Hz (128, 257, 360, 500); the limit only removes binary rounding.
    return (Fraction(fs_out) / Fraction(fs_in)).limit_denominator(10_000)


def band_pass(x: NDArray[np.floating], fs: float, band: tuple[float, float]) -> NDArray[np.float64]:
    """`x` [..., samples] between the edges `band` [Hz]: Butterworth of order 5 (method §3), forwards and backwards, so with no phase.

    The ends are continued by two periods of the lower edge, as far as the record goes. ConfigError: an edge at or above fs/2.
    """
    check(Filters(band=band), fs)
    return _both_ways(butter(5, band, btype="bandpass", fs=fs, output="sos"), x, 2 * fs / band[0])


def notch(x: NDArray[np.floating], fs: float, hz: float) -> NDArray[np.float64]:
    """`x` [..., samples] without `hz` (50 or 60: mains): second order, 3 dB at hz/60 to both sides, forwards and backwards.

    ConfigError: `hz` at or above fs/2.
    """
    check(Filters(notch=hz), fs)
    return _both_ways(tf2sos(*iirnotch(hz, 30.0, fs=fs)), x, fs)


def check(filters: Filters, fs: float) -> None:
    """ConfigError: an edge of the band, or the notch, lies at or above fs/2."""
    if filters.band is not None and not filters.band[1] < fs / 2:
        raise ConfigError(
            f"filters.band {filters.band} Hz at {fs:g} Hz: 0 < low < high < fs/2 = {fs / 2:g} is needed"
        )
    if filters.notch is not None and not filters.notch < fs / 2:
        raise ConfigError(
            f"filters.notch {filters.notch:g} Hz at {fs:g} Hz: 0 < notch < fs/2 = {fs / 2:g} is needed"
        )


def apply(signal: S, filters: Filters) -> S:
    """The record, filtered as `filters` says; `signal` itself where it says nothing.

    In steps of 1 uV, or coarser ones where a lead goes beyond 32 mV. Invalid samples stay invalid; the filters see a line across them.
    ConfigError: see `band_pass` and `notch`.
    """
    if filters == Filters():
        return signal
    invalid_CT = signal.raw_CT == INVALID_SAMPLE
    mv_CT = (signal.raw_CT - signal.baseline_C[:, None].astype(np.float64)) / signal.gain_C[:, None]
    _bridge(mv_CT, invalid_CT)
    if filters.notch is not None:
        mv_CT = notch(mv_CT, signal.fs, filters.notch)
    if filters.band is not None:
        mv_CT = band_pass(mv_CT, signal.fs, filters.band)
    gain_C = np.minimum(_FILTERED_GAIN, _LARGEST / np.maximum(np.abs(mv_CT).max(axis=1), 1e-6)).astype(
        np.float32
    )
    raw_CT = np.where(invalid_CT, INVALID_SAMPLE, np.rint(mv_CT * gain_C[:, None])).astype(np.int16)
    return replace(  # type: ignore[type-var]
        signal, raw_CT=raw_CT, gain_C=gain_C, baseline_C=np.zeros_like(signal.baseline_C)
    )


def _both_ways(sos: NDArray[np.float64], x: NDArray[np.floating], pad: float) -> NDArray[np.float64]:
    return np.asarray(sosfiltfilt(sos, x, axis=-1, padlen=min(x.shape[-1] - 1, round(pad))))


def _bridge(mv_CT: NDArray[np.float64], invalid_CT: NDArray[np.bool_]) -> None:
    for c in np.flatnonzero(invalid_CT.any(axis=1) & ~invalid_CT.all(axis=1)):
        bad_T = invalid_CT[c]
        mv_CT[c, bad_T] = np.interp(np.flatnonzero(bad_T), np.flatnonzero(~bad_T), mv_CT[c, ~bad_T])
