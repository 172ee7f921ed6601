"""Two views of a batch of records, made on the training device with counter-based randomness (method.md §3, `CODE` recipe).

Per view: choose a lead, band-pass 0.67-40 Hz (Butterworth order 5, zero phase), add one of five kinds of noise, zero one run of samples,
z-score. Band-pass and noise are applied together in the frequency domain: one forward and one inverse FFT per view.

The published noise comes from recordings that may not be redistributed. Ours is random-phase noise with the spectra of the three kinds they
hold: [C] baseline wander (breathing, below 0.6 Hz), electrode movement (1/f between 0.5 and 8 Hz) and motion (muscle, 5 Hz to the band's
edge). Shapes: B records, C leads, T samples, F frequencies.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft as scipy_fft
from scipy import signal as scipy_signal
from torch import Tensor

from clef_ray.errors import ConfigError
from clef_ray.randomness import fold, uniform
from clef_ray.sections import Signals, Views

#: The five kinds of augmentation, drawn uniformly; "none" leaves the signal as it is.
NOISES = ("none", "wander", "electrode", "motion", "mixture")


def window(signals: Signals, samples: int) -> int:
    """Samples of the training window, cut from a record's beginning. ConfigError where the records are shorter."""
    wanted = round(signals.seconds * signals.fs)
    if wanted > samples:
        raise ConfigError(
            f"signals.seconds {signals.seconds}: the records last {samples / signals.fs:g} s; choose a shorter window"
        )
    return wanted


def pad_samples(samples: int, fs: float) -> tuple[int, int]:
    """Samples of odd reflection on the left and right: at least 2 s (the 0.67 Hz edge rings that long), to a length that FFTs like."""
    least = min(samples - 1, round(2 * fs))
    total = scipy_fft.next_fast_len(samples + 2 * least, real=True)
    extra = total - samples
    if extra // 2 + extra % 2 >= samples:
        return 0, 0
    return extra // 2, extra - extra // 2


@lru_cache(maxsize=16)
def gain(length: int, fs: float, band: tuple[float, float]) -> Tensor:
    """|H(f)|^2 [F] of the order-5 Butterworth band-pass: what filtering forward and backward does to each frequency.

    Raises ConfigError where the band does not fit below fs/2.
    """
    low, high = band
    if not 0 < low < high < fs / 2:
        raise ConfigError(f"signals.band {band} Hz does not fit fs {fs} Hz: need 0 < low < high < {fs / 2}")
    sos = scipy_signal.butter(5, band, btype="bandpass", fs=fs, output="sos")
    frequencies = scipy_fft.rfftfreq(length, 1 / fs)
    _, response = scipy_signal.freqz_sos(sos, worN=frequencies, fs=fs)
    return torch.from_numpy((np.abs(response) ** 2).astype(np.float32))


@lru_cache(maxsize=16)
def noise_spectra(length: int, fs: float) -> Tensor:
    """Amplitude spectra [5, F'] of NOISES, scaled so that random phases give an RMS of 1; F' ends at 45 Hz."""
    frequencies = scipy_fft.rfftfreq(length, 1 / fs)
    f = frequencies[frequencies <= 45.0]
    wander = ((f > 0.05) & (f < 0.6)).astype(float)
    electrode = np.where((f >= 0.5) & (f <= 8), 1 / np.maximum(f, 0.5), 0.0)
    motion = (f >= 5).astype(float)
    kinds = []
    for spectrum in (np.zeros_like(f), wander, electrode, motion):
        power = 2 * np.sum(spectrum**2) / length**2  # Parseval for the one-sided spectrum without 0 Hz
        kinds.append(spectrum / np.sqrt(power) if power else spectrum)
    kinds.append(np.sqrt(np.mean(np.square(kinds[1:4]), axis=0)))
    return torch.from_numpy(np.stack(kinds).astype(np.float32))


class _Filtered(NamedTuple):
    """Band-passed signals in the frequency domain: spectrum [B, F] of `length` samples, of which `samples` from `left` on are the signal."""

    spectrum_BF: Tensor
    left: int
    samples: int
    length: int

    def signal(self) -> Tensor:
        """Back to [B, T]."""
        x_BL: Tensor = torch.fft.irfft(self.spectrum_BF, n=self.length)
        return x_BL[:, self.left : self.left + self.samples]


def _filter(x_BT: Tensor, signals: Signals) -> _Filtered:
    samples = x_BT.shape[1]
    left, right = pad_samples(samples, signals.fs)
    if right:
        head = 2 * x_BT[:, :1] - x_BT[:, 1 : left + 1].flip(1)
        tail = 2 * x_BT[:, -1:] - x_BT[:, -right - 1 : -1].flip(1)
        x_BT = torch.cat([head, x_BT, tail], dim=1)
    length = x_BT.shape[1]
    spectrum_BF = torch.fft.rfft(x_BT)
    spectrum_BF *= gain(length, signals.fs, signals.band).to(x_BT.device)
    return _Filtered(spectrum_BF, left, samples, length)


def standardise(x_BT: Tensor) -> Tensor:
    """Zero mean and unit standard deviation per row (method §3: std + 1e-8)."""
    x_BT = x_BT - x_BT.mean(1, keepdim=True)
    # torch.std takes 13 times as long as the norm of the centred rows (CPU).
    deviation_B1: Tensor = torch.linalg.vector_norm(x_BT, dim=1, keepdim=True) / x_BT.shape[1] ** 0.5
    return x_BT / (deviation_B1 + 1e-8)


def preprocess(x_BT: Tensor, signals: Signals) -> Tensor:
    """What evaluation sees: band-pass and z-score, no augmentation. x_BT: mV at signals.fs."""
    return standardise(_filter(x_BT, signals).signal())


@dataclass(frozen=True)
class LeadChoice:
    """Which of the stored leads each view of a record shows; a pure function of (seed, epoch, record).

    `random`: two uniform draws, the second made equal to the first with probability same_lead. The feed asks before it reads, so that only
    these leads are decoded and moved to the device.
    """

    views: Views
    leads: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        if self.views.lead not in ("random", *self.leads):
            raise ConfigError(
                f"views.lead {self.views.lead!r}: the shards hold {', '.join(self.leads)}; `random` uses them all"
            )

    def __call__(self, epoch: int, records: NDArray[np.int64]) -> NDArray[np.int64]:
        """[records, 2] positions in `leads`: of view a and of view b."""
        if self.views.lead != "random":
            return np.full((len(records), 2), self.leads.index(self.views.lead))
        key, record_B = fold("views", self.seed, epoch), torch.from_numpy(records)
        first = (uniform(fold(key, "lead a"), record_B) * len(self.leads)).long()
        second = (uniform(fold(key, "lead b"), record_B) * len(self.leads)).long()
        same = uniform(fold(key, "same lead"), record_B) < self.views.same_lead
        chosen: NDArray[np.int64] = torch.stack([first, torch.where(same, first, second)], dim=1).numpy()
        return chosen


def view(x_BT: Tensor, record_B: Tensor, key: int, signals: Signals, views: Views) -> Tensor:
    """One augmented view [B, T] of one lead in mV; a pure function of (key, record)."""
    return _augment(_filter(x_BT, signals), record_B, key, signals, views)


def _augment(filtered: _Filtered, record_B: Tensor, key: int, signals: Signals, views: Views) -> Tensor:
    """Noise (into the spectrum, in place), mask and z-score."""
    if views.noise_mv > 0:
        spectrum_BF, device = filtered.spectrum_BF, record_B.device
        spectra = noise_spectra(filtered.length, signals.fs).to(device)
        kind_B = (uniform(fold(key, "kind"), record_B) * len(NOISES)).long()
        bins = torch.arange(spectra.shape[1], device=device)
        phase_BF = uniform(fold(key, "phase"), record_B[:, None], bins[None, :]) * (2 * torch.pi)
        spectrum_BF[:, : spectra.shape[1]] += torch.polar(spectra[kind_B] * views.noise_mv, phase_BF)
    return standardise(_mask(filtered.signal(), record_B, key, views))


def _mask(x_BT: Tensor, record_B: Tensor, key: int, views: Views) -> Tensor:
    """One run of U(mask_share) of the window set to zero, with probability mask_probability."""
    if views.mask_probability <= 0:
        return x_BT
    samples = x_BT.shape[1]
    low, high = views.mask_share
    length_B = (low + (high - low) * uniform(fold(key, "mask length"), record_B)) * samples
    start_B = uniform(fold(key, "mask start"), record_B) * (samples - length_B)
    masked_M = torch.nonzero(uniform(fold(key, "mask"), record_B) < views.mask_probability).squeeze(1)
    time = torch.arange(samples, device=x_BT.device)
    start_M, end_M = start_B[masked_M], (start_B + length_B)[masked_M]
    inside_MT = (time >= start_M[:, None]) & (time < end_M[:, None])
    return x_BT.index_copy(0, masked_M, x_BT[masked_M].masked_fill(inside_MT, 0.0))


def two_views(
    x_B2T: Tensor, record_B: Tensor, seed: int, epoch: int, signals: Signals, views: Views
) -> Tensor:
    """Both views of a batch: [2B, T], view a in rows 0..B-1, view b in rows B..2B-1. Keyed by (seed, epoch, record, view).

    x_B2T: mV, of each record the lead that view a shows and the lead that view b shows (LeadChoice).
    """
    key = fold("views", seed, epoch)
    one = _filter(x_B2T[:, 0], signals)
    other = one._replace(spectrum_BF=one.spectrum_BF.clone())
    # Most records show the same lead twice (82 % by default): those are filtered once.
    different_M = torch.nonzero((x_B2T[:, 0] != x_B2T[:, 1]).any(1)).squeeze(1)
    if len(different_M):
        other.spectrum_BF[different_M] = _filter(x_B2T[different_M, 1], signals).spectrum_BF
    return torch.cat(
        [
            _augment(filtered, record_B, fold(key, name), signals, views)
            for filtered, name in ((one, "a"), (other, "b"))
        ]
    )
