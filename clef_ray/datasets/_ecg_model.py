"""From waves and rhythm to twelve leads: a moving dipole seen by nine electrodes.

Lead field: Dower's matrix (Clin Cardiol 1980;3:87), turned into electrode potentials against Wilson's terminal, so that lead
differences, noise and a shifted electrode are all made where they arise and Einthoven's and Goldberger's relations follow.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clef_ray.datasets._ecg_rhythm import Rhythm
from clef_ray.datasets._ecg_waves import ST, T, Waves

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

#: Leads I, II, V1..V6 per unit of the dipole (x left, y down, z back).
DOWER_83 = np.array(
    [
        (0.632, -0.235, 0.059),
        (0.235, 1.066, -0.132),
        (-0.515, 0.157, -0.917),
        (0.044, 0.164, -1.387),
        (0.882, 0.098, -1.277),
        (1.213, 0.127, -0.601),
        (1.125, 0.127, -0.086),
        (0.831, 0.076, 0.230),
    ]
)
GAIN = 1000.0  # raw units per mV
BEFORE, AFTER = 0.34, 0.70  # s around QRS onset in which a beat's waves lie


class Beats(NamedTuple):
    """Per-beat variation: gain_B of all waves, tilt_B in degrees of the frontal axis, t_gain_B of T alone."""

    gain_B: Array
    tilt_B: Array
    t_gain_B: Array


def breathing(rng: np.random.Generator, onset_B: Array, breath_hz: float) -> Beats:
    """The chest moves: voltage and axis swing with respiration by a few per cent and degrees [C]."""
    wave = np.sin(2 * math.pi * breath_hz * onset_B + rng.uniform(0, 2 * math.pi))
    noise = rng.standard_normal((3, onset_B.size))
    return Beats(1 + 0.035 * wave + 0.012 * noise[0], 2.5 * wave + 0.7 * noise[1], 1 + 0.04 * noise[2])


def dipole(rhythm: Rhythm, beats: Beats, waves: Waves, premature: Waves, samples: int, fs: float) -> Array32:
    """[3, samples]: every beat's Gaussians at their time; QT follows the rate by Fridericia's cube root, lagging behind it."""
    early = rhythm.ectopic_B[:, None]
    centre_BK = np.where(early, premature.centre_K, waves.centre_K)
    effective_rr = 0.8 * rhythm.rr_B.mean() + 0.2 * rhythm.rr_B
    stretch = np.cbrt(effective_rr)[:, None] - 1
    centre_BK[:, T : T + 1] *= 1 + stretch
    centre_BK[:, ST : ST + 1] *= 1 + 0.6 * stretch
    vector_BK3 = (
        np.where(early[..., None], premature.vector_K3, waves.vector_K3) * beats.gain_B[:, None, None]
    )
    vector_BK3[:, T] *= beats.t_gain_B[:, None]
    vector_BK3 = _tilt(vector_BK3, beats.tilt_B)
    first_B = np.round((rhythm.onset_B - BEFORE) * fs).astype(np.int64)
    window = int((BEFORE + AFTER) * fs)
    shift_BK = (first_B / fs)[:, None] - rhythm.onset_B[:, None] - centre_BK
    rise_BK, fall_BK = (
        np.where(early, premature.rise_K, waves.rise_K),
        np.where(early, premature.fall_K, waves.fall_K),
    )
    time_BKW = shift_BK.astype(np.float32)[..., None] + np.arange(window, dtype=np.float32) / np.float32(fs)
    rate_BKW = np.where(
        time_BKW < 0, (1 / rise_BK).astype(np.float32)[..., None], (1 / fall_BK).astype(np.float32)[..., None]
    )
    shape_BKW = np.exp(np.float32(-0.5) * np.square(time_BKW * rate_BKW))
    beat_B3W = vector_BK3.astype(np.float32).transpose(0, 2, 1) @ shape_BKW
    return _overlap(beat_B3W, first_B, samples)


def _tilt(vector_BK3: Array, tilt_B: Array) -> Array:
    angle = np.radians(tilt_B)[:, None]
    x, y = vector_BK3[..., 0], vector_BK3[..., 1]
    turned = (
        x * np.cos(angle) - y * np.sin(angle),
        x * np.sin(angle) + y * np.cos(angle),
        vector_BK3[..., 2],
    )
    return np.stack(turned, axis=-1)


def _overlap(beat_B3W: Array32, first_B: NDArray[np.int64], samples: int) -> Array32:
    """Add the beats at their first samples."""
    window = beat_B3W.shape[2]
    padded = np.zeros((3, samples + 2 * window), dtype=np.float32)
    for beat, first in zip(beat_B3W, first_B.tolist(), strict=True):
        if -window < first < samples:
            padded[:, first + window : first + 2 * window] += beat
    return padded[:, window : window + samples]


def fibrillatory(rng: np.random.Generator, samples: int, fs: float) -> Array32:
    """[3, samples]: f waves, a saw-tooth of 4 to 9 Hz whose frequency and size wander (after Stridh, IEEE Trans Biomed Eng
    2001;48:105), of 0.02 to 0.09 mV in V1, where they are seen best.
    """
    knots = np.linspace(0, samples / fs, int(samples / fs * 5))
    time = np.arange(samples) / fs
    rate, size = (np.interp(time, knots, rng.standard_normal(knots.size)) for _ in range(2))
    phase = 2 * math.pi * np.cumsum(rng.uniform(5, 7.5) + 1.1 * rate) / fs
    wave = np.sin(phase) + 0.45 * np.sin(2 * phase + 0.4) + 0.2 * np.sin(3 * phase)
    wave *= rng.uniform(0.02, 0.09) * np.clip(1 + 0.45 * size, 0.1, 2)
    return np.asarray(np.array((-0.25, 0.45, -0.7))[:, None] * wave, dtype=np.float32)


def vary(rng: np.random.Generator, lead_field_83: Array, spread: float) -> Array:
    """Another torso, or electrodes put on a little elsewhere: each coefficient off by `spread`, larger for the chest leads near the heart."""
    size = spread * np.linalg.norm(lead_field_83, axis=1, keepdims=True)
    return np.asarray(lead_field_83 + size * rng.standard_normal(lead_field_83.shape))


def electrode_field(lead_field_83: Array) -> Array:
    """[9, 3]: potentials of RA, LA, LL, V1..V6 per dipole against Wilson's terminal, the mean of the first three."""
    lead_1, lead_2 = lead_field_83[:2]
    right_arm = -(lead_1 + lead_2) / 3
    return np.stack([right_arm, right_arm + lead_1, right_arm + lead_2, *lead_field_83[2:]])


def twelve_leads(potential_EN: Array32) -> NDArray[np.int16]:
    """[12, samples] raw units. I and II are rounded once and the other limb leads made of them, so that
    III = II - I exactly and aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2 within half a unit.
    """
    scaled = potential_EN * np.float32(GAIN)
    right, left, foot = scaled[:3]
    raw = np.empty((12, scaled.shape[1]), dtype=np.float32)
    np.rint(left - right, out=raw[0])
    np.rint(foot - right, out=raw[1])
    raw[2] = raw[1] - raw[0]
    raw[3] = (raw[0] + raw[1]) * np.float32(-0.5)
    raw[4] = raw[0] - np.float32(0.5) * raw[1]
    raw[5] = raw[1] - np.float32(0.5) * raw[0]
    raw[6:] = scaled[3:] - (right + left + foot) / np.float32(3)
    return np.rint(raw).astype(np.int16)
