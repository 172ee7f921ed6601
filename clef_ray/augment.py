"""Two views of a batch of records, made on the training device with counter-based randomness (method.md §3, `CODE` recipe).

Per view: choose a lead, band-pass 0.67-40 Hz (Butterworth order 5, zero phase), add one of five kinds of noise, zero one run of samples,
z-score. Band-pass and noise are applied together in the frequency domain: one forward and one inverse FFT per view.

The published noise comes from recordings that may not be redistributed. Ours is random-phase noise with the spectra of the three kinds they
hold: [C] baseline wander (breathing, below 0.6 Hz), electrode movement (1/f between 0.5 and 8 Hz) and motion (muscle, 5 Hz to the band's
edge). Shapes: B records, C leads, T samples, F frequencies.
"""

from functools import lru_cache

import numpy as np
import torch
from scipy import fft as scipy_fft
from scipy import signal as scipy_signal
from torch import Tensor

from clef_ray.config import Signals, Views
from clef_ray.errors import ConfigError
from clef_ray.randomness import fold, uniform

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


def _padded_spectrum(x_BT: Tensor, fs: float) -> tuple[Tensor, int, int]:
    left, right = pad_samples(x_BT.shape[1], fs)
    if right:
        head = 2 * x_BT[:, :1] - x_BT[:, 1 : left + 1].flip(1)
        tail = 2 * x_BT[:, -1:] - x_BT[:, -right - 1 : -1].flip(1)
        x_BT = torch.cat([head, x_BT, tail], dim=1)
    return torch.fft.rfft(x_BT), left, x_BT.shape[1]


def standardise(x_BT: Tensor) -> Tensor:
    """Zero mean and unit standard deviation per row (method §3: std + 1e-8)."""
    return (x_BT - x_BT.mean(1, keepdim=True)) / (x_BT.std(1, correction=0, keepdim=True) + 1e-8)


def preprocess(x_BT: Tensor, signals: Signals) -> Tensor:
    """What evaluation sees: band-pass and z-score, no augmentation. x_BT: mV at signals.fs."""
    spectrum, left, length = _padded_spectrum(x_BT, signals.fs)
    spectrum = spectrum * gain(length, signals.fs, signals.band).to(x_BT.device)
    return standardise(torch.fft.irfft(spectrum, n=length)[:, left : left + x_BT.shape[1]])


def choose_leads(views: Views, leads: tuple[str, ...], key: int, record_B: Tensor) -> tuple[Tensor, Tensor]:
    """Row indices [B] of the lead each view uses. `random`: two uniform draws, the second made equal with probability same_lead."""
    if views.lead != "random":
        if views.lead not in leads:
            raise ConfigError(
                f"views.lead {views.lead!r}: the shards hold {', '.join(leads)}; `random` uses them all"
            )
        fixed = torch.full_like(record_B, leads.index(views.lead))
        return fixed, fixed
    first = (uniform(fold(key, "lead a"), record_B) * len(leads)).long()
    second = (uniform(fold(key, "lead b"), record_B) * len(leads)).long()
    same = uniform(fold(key, "same lead"), record_B) < views.same_lead
    return first, torch.where(same, first, second)


def view(x_BT: Tensor, record_B: Tensor, key: int, signals: Signals, views: Views) -> Tensor:
    """One augmented view [B, T] of one lead in mV; a pure function of (key, record)."""
    spectrum, left, length = _padded_spectrum(x_BT, signals.fs)
    spectrum = spectrum * gain(length, signals.fs, signals.band).to(x_BT.device)
    if views.noise_mv > 0:
        spectra = noise_spectra(length, signals.fs).to(x_BT.device)
        kind_B = (uniform(fold(key, "kind"), record_B) * len(NOISES)).long()
        bins = torch.arange(spectra.shape[1], device=x_BT.device)
        phase_BF = uniform(fold(key, "phase"), record_B[:, None], bins[None, :]) * (2 * torch.pi)
        spectrum[:, : spectra.shape[1]] += torch.polar(spectra[kind_B] * views.noise_mv, phase_BF)
    x_BT = torch.fft.irfft(spectrum, n=length)[:, left : left + x_BT.shape[1]]
    return standardise(_mask(x_BT, record_B, key, views))


def _mask(x_BT: Tensor, record_B: Tensor, key: int, views: Views) -> Tensor:
    """One run of U(mask_share) of the window set to zero, with probability mask_probability."""
    if views.mask_probability <= 0:
        return x_BT
    samples = x_BT.shape[1]
    low, high = views.mask_share
    length_B = (low + (high - low) * uniform(fold(key, "mask length"), record_B)) * samples
    start_B = uniform(fold(key, "mask start"), record_B) * (samples - length_B)
    masked_B = uniform(fold(key, "mask"), record_B) < views.mask_probability
    time = torch.arange(samples, device=x_BT.device)
    inside = (time >= start_B[:, None]) & (time < (start_B + length_B)[:, None]) & masked_B[:, None]
    return x_BT.masked_fill(inside, 0.0)


def two_views(
    x_BCT: Tensor,
    record_B: Tensor,
    leads: tuple[str, ...],
    seed: int,
    epoch: int,
    signals: Signals,
    views: Views,
) -> Tensor:
    """Both views of a batch: [2B, T], view a in rows 0..B-1, view b in rows B..2B-1. Keyed by (seed, epoch, record, view)."""
    key = fold("views", seed, epoch)
    rows = torch.arange(len(x_BCT), device=x_BCT.device)
    chosen = choose_leads(views, leads, key, record_B)
    return torch.cat(
        [
            view(x_BCT[rows, lead_B], record_B, fold(key, name), signals, views)
            for name, lead_B in zip(("a", "b"), chosen, strict=True)
        ]
    )
