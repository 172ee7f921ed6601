"""Noise that views are given: cut at random from long stretches, made up here or recorded.

A cut starts anywhere, has its mean removed and is scaled to an RMS of views.noise_mv over the window; it is added to the band-passed signal
and not filtered itself, as in the published recipe. A lead gets the noise recorded on that lead. Stretches are never written to.

The published noise is `DATA_noises_real.mat` of PhysioNet's ecg-ppg-simulator-arrhythmia, which may not be redistributed: `clef-ray noise`
makes a bank of it. Ours ("synthetic", the default) has random phases and the spectra of the three kinds it holds: [C] baseline wander
(breathing, below 0.6 Hz), electrode movement (1/f between 0.5 and 8 Hz) and motion (muscle, 5 to 45 Hz); a mixture is their mean power.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft as scipy_fft
from torch import Tensor

from clef_ray.augment.bank import NoiseBank, find_bank, load_bank
from clef_ray.augment.filters import centre_
from clef_ray.errors import ConfigError
from clef_ray.sections import Signals, Views

#: The kinds of synthetic noise. A view is given one of them or none at all, each as likely.
KINDS = ("wander", "electrode", "motion", "mixture")

#: The noise that needs no bank.
SYNTHETIC = "synthetic"

#: Seconds of each kind of synthetic noise, at least four windows.
SECONDS = 600.0


def spectra(length: int, fs: float) -> NDArray[np.float64]:
    """Amplitude spectra [4, F] of KINDS, scaled so that random phases give an RMS of 1 over `length` samples."""
    f = scipy_fft.rfftfreq(length, 1 / fs)
    wander = ((f > 0.05) & (f < 0.6)).astype(float)
    electrode = np.where((f >= 0.5) & (f <= 8), 1 / np.maximum(f, 0.5), 0.0)
    motion = ((f >= 5) & (f <= 45)).astype(float)
    kinds = [x / np.sqrt(2 * np.sum(x**2)) * length for x in (wander, electrode, motion)]  # Parseval
    return np.stack([*kinds, np.sqrt(np.mean(np.square(kinds), axis=0))])


@lru_cache(maxsize=2)
def synthetic(fs: float, seconds: float) -> NDArray[np.float32]:
    """`seconds` of each of KINDS at an RMS of 1, [4, L]: the same for every run, as a recording is."""
    length = scipy_fft.next_fast_len(round(seconds * fs), real=True)
    spectra_KF = spectra(length, fs)
    phase_KF = np.random.Generator(np.random.Philox(0)).uniform(0, 2 * np.pi, spectra_KF.shape)
    noise_KL: NDArray[np.float32] = scipy_fft.irfft(spectra_KF * np.exp(1j * phase_KF), n=length).astype(
        np.float32
    )
    noise_KL.setflags(write=False)
    return noise_KL


@dataclass(frozen=True, slots=True)
class Noise:
    """Stretches of noise on the training device. rows_KCL: kinds, the feed's leads (or one for all of them), samples at the training rate."""

    rows_KCL: Tensor

    @classmethod
    def of(
        cls, bank: NoiseBank | None, signals: Signals, leads: tuple[str, ...], device: torch.device
    ) -> "Noise":
        """From a bank, for the leads that a feed delivers; synthetic without one. ConfigError where it lacks one of them or is too short."""
        if bank is None:
            noise_KL = synthetic(signals.fs, max(SECONDS, 4 * signals.seconds))
            return cls(torch.tensor(noise_KL[:, None], device=device))
        noise_KCL = bank.of_leads(leads).at_rate(signals.fs).noise_KCL
        if noise_KCL.shape[-1] < round(signals.seconds * signals.fs):
            raise ConfigError(
                f"signals.seconds {signals.seconds}: the noise of views.noise lasts {noise_KCL.shape[-1] / signals.fs:g} s"
            )
        return cls(torch.from_numpy(np.ascontiguousarray(noise_KCL)).to(device))

    def stretch(self, kind_R: Tensor, lead_R: Tensor, start_R: Tensor, samples: int) -> Tensor:
        """Numbers [R] of stretches for `add_`. kind_R: 0..K-1; lead_R: positions in the feed's leads; start_R: 0..1, of what is there."""
        _, leads, length = self.rows_KCL.shape
        row_R = kind_R * leads + (lead_R if leads > 1 else 0)
        return row_R * length + (start_R.double() * (length - samples + 1)).long()

    def add_(self, x_RT: Tensor, stretch_R: Tensor, rms_R1: Tensor) -> None:
        """Add a stretch to each row, in place: without its mean, at this RMS."""
        every = self.rows_KCL.view(-1).unfold(0, x_RT.shape[1], 1)  # a view: every stretch of this length
        cut_RT = every.index_select(0, stretch_R)
        x_RT.addcmul_(cut_RT, rms_R1 / centre_(cut_RT))


def require_bank(views: Views, storage: str) -> None:
    """ConfigError where `bank_of` would find none; reads nothing of it."""
    if views.noise != SYNTHETIC:
        find_bank(views.noise, storage)


def bank_of(views: Views, storage: str) -> NoiseBank | None:
    """The bank that views.noise names, from `<storage>/noise`; None for synthetic noise. ConfigError where there is no such bank."""
    return None if views.noise == SYNTHETIC else load_bank(views.noise, storage)
