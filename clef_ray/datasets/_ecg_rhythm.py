"""When the heart beats: sinus rhythm with respiratory and slower variation, atrial fibrillation, and premature beats."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Rhythm(NamedTuple):
    """onset_B: s, QRS onsets from before the record to its end; rr_B: s, the interval before each; ectopic_B: a premature beat."""

    onset_B: Array
    rr_B: Array
    ectopic_B: NDArray[np.bool_]


def sinus(rng: np.random.Generator, seconds: float, rate: float, sdnn: float, breath_hz: float) -> Rhythm:
    """Sinus rhythm at `rate` [1/min]: respiratory and 0.1 Hz waves as in McSharry 2003, and noise, of `sdnn` [ms] together."""
    mean = 60 / rate
    count = int(seconds / mean * 1.3) + 4
    time = np.arange(count) * mean
    phase = rng.uniform(0, 2 * math.pi, 2)
    waves = np.sin(2 * math.pi * breath_hz * time + phase[0]) + 0.8 * np.sin(
        2 * math.pi * 0.1 * time + phase[1]
    )
    shape = (waves + 0.6 * rng.standard_normal(count)) / 1.085  # variance 0.5 + 0.32 + 0.36
    return _place(rng, np.maximum(mean + sdnn / 1000 * shape, 0.6 * mean))


def fibrillation(rng: np.random.Generator, seconds: float, rate: float) -> Rhythm:
    """Irregular intervals without a pattern: gamma with a coefficient of variation of 0.14 to 0.27, at least 0.34 s [C]."""
    variation = rng.uniform(0.14, 0.27)
    mean = 60 / rate
    count = int(seconds / mean * 1.6) + 6
    return _place(rng, np.maximum(rng.gamma(1 / variation**2, mean * variation**2, count), 0.34))


def with_ectopics(rng: np.random.Generator, rhythm: Rhythm, seconds: float) -> Rhythm:
    """One to four beats come early (at 0.5 to 0.65 of the interval); the sinus goes on, so a compensatory pause follows."""
    inside = np.flatnonzero((rhythm.onset_B > 0.6) & (rhythm.onset_B < seconds - 1.6))
    start = int(rng.integers(2))
    chosen = rng.permutation(inside[start::2])[: int(rng.integers(1, 5))]  # never two in a row
    early = np.maximum(rng.uniform(0.5, 0.65, chosen.size) * rhythm.rr_B[chosen], 0.33)
    onset, ectopic = rhythm.onset_B.copy(), rhythm.ectopic_B.copy()
    onset[chosen] = onset[chosen - 1] + early
    ectopic[chosen] = True
    return Rhythm(onset, rhythm.rr_B, ectopic)


def _place(rng: np.random.Generator, rr: Array) -> Rhythm:
    onset = np.cumsum(rr) - rr[0] - rng.uniform(0.2, 1.0) * rr[0]
    return Rhythm(onset, rr, np.zeros(rr.size, dtype=np.bool_))
