"""Noise as electrodes pick it up: baseline wander, muscle and mains.

It is made per electrode, before any lead is formed, so that it obeys Einthoven's law as the signal does. Random spectra are shaped and
transformed back once: the cheapest way to coloured noise on all electrodes. Amplitudes are our choice [C], those of resting records.
"""

import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

#: Bandwidth of diagnostic ECG recorders [Hz] (Kligfield, Circulation 2007;115:1306).
BANDWIDTH = 150.0
MAINS = 50.0

#: What a wearable's amplifier lets through [Hz]: the bandwidth of monitoring, not of diagnosis.
WEARABLE = (0.5, 40.0)

#: How much more noise dry electrodes pick up than gel ones. Our choice [C].
DRY = 3.0


def electrode_noise(
    rng: np.random.Generator, electrodes: int, samples: int, fs: float, breath_hz: float, scale: float
) -> NDArray[np.float32]:
    """[electrodes, samples] in mV. A record's noise level is log-normal around `scale` 1; 0 is a clean record."""
    # The transform's period exceeds the record, so that its end does not lead back to its start.
    length = scipy.fft.next_fast_len(samples + int(fs), real=True)
    frequency = np.arange(1, int(BANDWIDTH * length / fs), dtype=np.float32) * (fs / length)
    typical, spread = [0.04, 0.009, 0.003, 0.02], [0.6, 0.5, 0.8, 0.6]
    wander, muscle, mains, breath = np.exp(rng.normal(np.log(typical), spread))  # mV RMS
    power = _share(1 / (1 + (frequency / 0.25) ** 4)) * wander**2
    power += _share(frequency**2 / (1 + (frequency / 45) ** 2) ** 2) * muscle**2
    spectrum = np.zeros((electrodes, frequency.size + 1), dtype=np.complex64)
    white = rng.standard_normal((electrodes, frequency.size, 2), dtype=np.float32)
    # A bin whose real and imaginary parts have variance (length/2)^2 p adds p to the signal's variance.
    shape = (length / 2) * np.sqrt(power, dtype=np.float32)
    spectrum[:, 1:] = white.view(np.complex64)[..., 0] * shape
    noise = scipy.fft.irfft(spectrum, n=length, axis=1)[:, :samples]
    time = np.arange(samples, dtype=np.float32) / np.float32(fs)
    hum_2T = _sine(time, rng.normal(MAINS, 0.02), rng), _sine(time, breath_hz, rng)
    coupling_E2 = (rng.normal(0, 1, (electrodes, 2)) * (mains, breath)).astype(np.float32)
    return np.asarray((noise + coupling_E2 @ np.stack(hum_2T)) * np.float32(scale), dtype=np.float32)


def wearable(potential_EN: NDArray[np.float32], fs: float) -> NDArray[np.float32]:
    """[electrodes, samples] as a wearable's amplifier hands them on: first order above, second order below the edges of WEARABLE, in one
    direction as electronics does, so that slow waves (the ST segment) are distorted.
    """
    high = butter(1, WEARABLE[0], "highpass", fs=fs, output="sos")
    low = butter(2, WEARABLE[1], "lowpass", fs=fs, output="sos")
    return np.asarray(sosfilt(np.concatenate([high, low]), potential_EN, axis=1), dtype=np.float32)


def _share(density: NDArray[np.float32]) -> NDArray[np.float32]:
    """The density over the frequencies, summing to 1."""
    return np.asarray(density / density.sum(), dtype=np.float32)


def _sine(time: NDArray[np.float32], hz: float, rng: np.random.Generator) -> NDArray[np.float32]:
    phase = np.float32(rng.uniform(0, 2 * math.pi))
    return np.asarray(np.sin(np.float32(2 * math.pi * hz) * time + phase), dtype=np.float32)
