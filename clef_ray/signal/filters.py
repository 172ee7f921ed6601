"""Resampling."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from clef_ray.errors import ConfigError


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
