"""Band-pass and z-score, for training and for evaluation alike.

The band-pass multiplies the spectrum with the squared magnitude of a Butterworth filter: what running it forwards and backwards does
(scipy.signal.sosfiltfilt), without its recursion. Both continue the signal at its ends by odd reflection; SciPy by 33 samples unless told
otherwise, here by 2 s or more, for so long the 0.67 Hz edge rings. Signals that are silent at their ends come out alike to 2e-3 of their
standard deviation. Of random drift, continued alike, 95 % of the deviation is the same from 2 s on; at the very ends it may differ by 30 %,
for SciPy starts each direction in a state of its own, and here the end meets the beginning.
"""

from functools import lru_cache

import numpy as np
import torch
from scipy import fft as scipy_fft
from scipy import signal as scipy_signal
from torch import Tensor, view_as_real
from torch.nn.functional import layer_norm, pad

from clef_ray.errors import ConfigError
from clef_ray.sections import Signals


def pad_samples(samples: int, fs: float) -> tuple[int, int]:
    """Samples of odd reflection on the left and right: at least 2 s (the 0.67 Hz edge rings that long), to a length that FFTs like."""
    least = min(samples - 1, round(2 * fs))
    total = scipy_fft.next_fast_len(samples + 2 * least, real=True)
    extra = total - samples
    if extra // 2 + extra % 2 >= samples:
        return 0, 0
    return extra // 2, extra - extra // 2


@lru_cache(maxsize=16)
def gain(length: int, fs: float, band: tuple[float, float], device: torch.device) -> Tensor:
    """|H(f)|^2 of the order-5 Butterworth band-pass: what filtering forward and backward does to each frequency; each twice, [2F], for the
    real and the imaginary part.

    Raises ConfigError where the band does not fit below fs/2.
    """
    low, high = band
    if not 0 < low < high < fs / 2:
        raise ConfigError(f"signals.band {band} Hz does not fit fs {fs} Hz: need 0 < low < high < {fs / 2}")
    sos = scipy_signal.butter(5, band, btype="bandpass", fs=fs, output="sos")
    frequencies = scipy_fft.rfftfreq(length, 1 / fs)
    _, response = scipy_signal.freqz_sos(sos, worN=frequencies, fs=fs)
    return torch.from_numpy((np.abs(response) ** 2).astype(np.float32).repeat(2)).to(device)


def band_pass(x_BT: Tensor, signals: Signals) -> Tensor:
    """[B, T] at signals.fs, each row between the edges signals.band. Works on all rows at once, on their device."""
    samples = x_BT.shape[1]
    left, right = pad_samples(samples, signals.fs)
    if right:
        first_B1, last_B1 = 2 * x_BT[:, :1], 2 * x_BT[:, -1:]
        x_BT = pad(x_BT, (left, right), mode="reflect")
        x_BT[:, :left].neg_().add_(first_B1)
        x_BT[:, left + samples :].neg_().add_(last_B1)
    length = x_BT.shape[1]
    spectrum_BF = torch.fft.rfft(x_BT)
    # As pairs of real numbers: torch would make the gain complex and multiply four times.
    view_as_real(spectrum_BF).flatten(1).mul_(gain(length, signals.fs, signals.band, x_BT.device))
    filtered_BT: Tensor = torch.fft.irfft(spectrum_BF, n=length)
    return filtered_BT[:, left : left + samples]


def standardise(x_BT: Tensor) -> Tensor:
    """Zero mean and unit standard deviation per row (method §3; 1e-8 keeps a constant row from dividing by 0)."""
    return layer_norm(x_BT, x_BT.shape[1:], eps=1e-16)


def preprocess(x_BT: Tensor, signals: Signals) -> Tensor:
    """What evaluation sees: band-pass and z-score, no augmentation. x_BT: mV at signals.fs."""
    return standardise(band_pass(x_BT, signals))
