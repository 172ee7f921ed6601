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


def frame(rows: int, samples: int, fs: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Memory [R, L] for signals and their continuation, and the part of it [R, T] that the signals themselves are to be written into."""
    left, right = pad_samples(samples, fs)
    frame_RL = torch.empty(rows, left + samples + right, device=device)
    return frame_RL, frame_RL[:, left : left + samples]


def band_pass_frame(frame_RL: Tensor, samples: int, signals: Signals) -> Tensor:
    """`band_pass` of signals that lie in their `frame`, whose continuation is written here."""
    left, right = pad_samples(samples, signals.fs)
    if right:
        end = left + samples
        first_R1, last_R1 = 2 * frame_RL[:, left : left + 1], 2 * frame_RL[:, end - 1 : end]
        before_RL, after_RL = frame_RL[:, left + 1 : 2 * left + 1], frame_RL[:, end - 1 - right : end - 1]
        torch.sub(first_R1, before_RL.flip(1), out=frame_RL[:, :left])
        torch.sub(last_R1, after_RL.flip(1), out=frame_RL[:, end:])
    length = frame_RL.shape[1]
    spectrum_RF = torch.fft.rfft(frame_RL)
    # As pairs of real numbers: torch would make the gain complex and multiply four times.
    view_as_real(spectrum_RF).flatten(1).mul_(gain(length, signals.fs, signals.band, frame_RL.device))
    filtered_RL: Tensor = torch.fft.irfft(spectrum_RF, n=length)
    return filtered_RL[:, left : left + samples]


def band_pass(x_BT: Tensor, signals: Signals) -> Tensor:
    """[B, T] at signals.fs, each row between the edges signals.band. Works on all rows at once, on their device."""
    rows, samples = x_BT.shape
    frame_BL, inside_BT = frame(rows, samples, signals.fs, x_BT.device)
    inside_BT.copy_(x_BT)
    return band_pass_frame(frame_BL, samples, signals)


def centre_(x_BT: Tensor) -> Tensor:
    """Takes its mean from each row, in place, and returns the rows' standard deviations [B, 1].

    One pass after the other: in one alone, a small deviation from a large mean would be lost. 1e-8 (method §3) keeps a constant row from
    being divided by 0.
    """
    x_BT.sub_(x_BT.mean(dim=1, keepdim=True))
    norm_B1: Tensor = torch.linalg.vector_norm(x_BT, dim=1, keepdim=True)
    return norm_B1.mul_(x_BT.shape[1] ** -0.5).add_(1e-8)


def standardise_(x_BT: Tensor) -> Tensor:
    """Zero mean and unit standard deviation per row, in place."""
    return x_BT.div_(centre_(x_BT))


def preprocess(x_BT: Tensor, signals: Signals) -> Tensor:
    """What evaluation sees: band-pass and z-score, no augmentation. x_BT: mV at signals.fs."""
    return standardise_(band_pass(x_BT, signals))
