"""The shapes of one heart beat: a sum of Gaussians in three dimensions, one set for conducted beats and one for ectopic ones.

The form is the vector version of the dynamical ECG model (McSharry, IEEE Trans Biomed Eng 2003;50:289; Clifford, Physiol Meas
2010;31:595): each wave has a time, a rise and a fall, and a dipole. Axes are Frank's: x to the left, y to the feet, z to the back.
Dipoles were set by eye and by measurement so that the twelve leads look and measure like each diagnosis [C].
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Order of the waves: two atrial, five ventricular, ST segment, T.
ST, T = 7, 8

#: Ventricular activation by sequence: (time, width) as shares of the QRS duration, and the dipole [mV].
NORMAL_QRS = (
    (0.17, 0.085, (-0.18, -0.12, -0.42)),  # septum
    (0.43, 0.115, (1.10, 0.78, 0.30)),  # apex and free wall
    (0.62, 0.105, (0.22, 0.10, 0.78)),  # lateral and posterior wall
    (0.81, 0.085, (-0.18, -0.07, 0.26)),  # base
    (0.50, 0.100, (0.0, 0.0, 0.0)),
)
LBBB_QRS = (
    (0.16, 0.085, (0.20, 0.05, 0.10)),  # septum from the right: no q wave
    (0.36, 0.105, (0.78, 0.34, 0.62)),
    (0.55, 0.110, (0.42, 0.16, 0.80)),
    (0.71, 0.095, (0.72, 0.12, 0.62)),  # the second notch of I and V6
    (0.87, 0.070, (0.14, 0.0, 0.16)),
)
#: The right ventricle when it is activated last, added to NORMAL_QRS: to the right and front.
RBBB_LATE = np.array((-0.44, -0.08, -0.62))
ECTOPIC_QRS = (
    (0.20, 0.110, (0.30, 0.30, 0.20)),
    (0.42, 0.125, (1.00, 1.00, 1.00)),
    (0.60, 0.120, (0.75, 0.70, 0.85)),
    (0.80, 0.090, (0.20, -0.15, 0.30)),
    (0.50, 0.100, (0.0, 0.0, 0.0)),
)
T_DIPOLE = np.array((0.42, 0.20, -0.16))
#: ST displacement by type of the injury: (share of patients, ST dipole, T dipole in place of the usual one, per unit).
INJURY = (
    (0.50, (-0.19, -0.14, 0.06), (-0.10, -0.04, 0.10)),  # subendocardial: depression in I, II, V4-V6
    (0.20, (0.06, -0.03, -0.24), (0.22, 0.02, -0.34)),  # anterior elevation
    (0.15, (-0.10, 0.24, 0.10), (-0.10, 0.40, 0.05)),  # inferior elevation
    (0.15, (-0.04, -0.03, 0.04), (-0.36, -0.16, 0.20)),  # inverted T
)


class Waves(NamedTuple):
    """centre_K, rise_K, fall_K: s from QRS onset; vector_K3: mV; the last two waves are ST and T, timed for an RR interval of 1 s."""

    centre_K: Array
    rise_K: Array
    fall_K: Array
    vector_K3: Array


def turn(vector: Array, frontal: float = 0.0, horizontal: float = 0.0) -> Array:
    """Dipoles [..., 3] rotated by degrees: frontal clockwise as seen by the reader (towards the feet), horizontal towards the back."""
    f, h = math.radians(frontal), math.radians(horizontal)
    in_frontal = np.array([[math.cos(f), math.sin(f), 0], [-math.sin(f), math.cos(f), 0], [0, 0, 1]])
    in_horizontal = np.array([[math.cos(h), 0, math.sin(h)], [0, 1, 0], [-math.sin(h), 0, math.cos(h)]])
    return np.asarray(vector @ in_frontal @ in_horizontal)


def conducted(
    traits: Mapping[str, float], diagnoses: tuple[str, ...], injury: float, severity: float, field_83: Array
) -> Waves:
    """The beat that came through the atria. injury, severity: 0..1, which ST change and how much; field_83: I, II, V1-V6 per dipole."""
    duration = traits["qrs"] / 1000
    centre, width, qrs = _ventricles(traits, diagnoses, duration)
    # In Dower's skewed lead field the measured axis turns faster than the dipole, and is 54 degrees for NORMAL_QRS as it stands.
    qrs = turn(qrs, 0.75 * (traits["axis"] - 54), traits["transition"])
    if "LBBB" not in diagnoses:
        qrs = _voltage(qrs, centre, width, "LVH" in diagnoses, severity, field_83)
    st, t = _repolarisation(traits, diagnoses, injury, severity)
    p_centre, p_width, p = _atria(traits, "AF" in diagnoses)
    times, widths = np.concatenate([p_centre, centre]), np.concatenate([p_width, width])
    return _assemble(times, widths, np.concatenate([p, qrs]), st, t, traits["qtc"] / 1000, duration)


def ectopic(rng: np.random.Generator, qtc: float) -> Waves:
    """A ventricular premature beat of one focus: no P, QRS of 140 to 175 ms, ST and T against it. qtc: ms."""
    duration = rng.uniform(0.140, 0.175)
    # A right ventricular focus spreads to the left and back, a left one to the right and front.
    side = 1.0 if rng.random() < 0.6 else -1.0
    direction = np.array(
        (side * rng.uniform(0.45, 0.9), rng.uniform(-0.6, 0.9), side * rng.uniform(0.5, 0.9))
    )
    centre, width, shape = _unpack(ECTOPIC_QRS, duration)
    qrs = shape * direction * rng.uniform(0.9, 1.2)
    silent = np.zeros((2, 3))
    times, widths = np.concatenate([np.full(2, -0.1), centre]), np.concatenate([np.full(2, 0.02), width])
    dipoles = np.concatenate([silent, qrs])
    return _assemble(
        times, widths, dipoles, -0.10 * direction, -0.45 * direction, qtc / 1000 + 0.04, duration
    )


def _unpack(
    parts: tuple[tuple[float, float, tuple[float, float, float]], ...], duration: float
) -> tuple[Array, Array, Array]:
    times = np.array([(time, width) for time, width, _ in parts]) * duration
    return times[:, 0], times[:, 1], np.array([dipole for _, _, dipole in parts])


def _ventricles(
    traits: Mapping[str, float], diagnoses: tuple[str, ...], duration: float
) -> tuple[Array, Array, Array]:
    if "LBBB" in diagnoses:
        return _unpack(LBBB_QRS, duration)
    late = "RBBB" in diagnoses
    centre, width, qrs = _unpack(NORMAL_QRS, min(duration, 0.092) if late else duration)
    qrs = qrs * np.array([traits["septum"], 1, 1, traits["terminal"], 1])[:, None]
    if late:
        qrs[2:4] *= np.array((0.55, 0.3))[:, None]  # the late right ventricle opposes them
        centre[4], width[4] = 0.80 * duration, 0.115 * duration
        qrs[4] = RBBB_LATE * (0.6 + 0.4 * traits["terminal"])
    return centre, width, np.asarray(qrs * math.exp(traits["log_qrs"]))


def _voltage(
    qrs: Array, centre: Array, width: Array, hypertrophy: bool, severity: float, field_83: Array
) -> Array:
    """Scale the left ventricle to a Sokolow-Lyon index (S V1 + R V5 or V6) above 3.5 mV in LVH and at most 3.3 mV otherwise."""
    time = np.linspace(0, 0.12, 61)[:, None]
    leads = field_83 @ (qrs.T @ np.exp(-0.5 * ((time - centre) / width) ** 2).T)
    index = max(0.0, -leads[2].min()) + max(leads[6].max(), leads[7].max())
    wanted = 3.75 + 1.5 * severity if hypertrophy else min(index, 3.3)
    gain = np.ones(len(qrs))
    gain[1:4] = wanted / index
    return np.asarray(qrs * gain[:, None])


def _repolarisation(
    traits: Mapping[str, float], diagnoses: tuple[str, ...], injury: float, severity: float
) -> tuple[Array, Array]:
    usual = T_DIPOLE * math.exp(traits["log_t"])
    t = turn(usual, 0.35 * (traits["axis"] - 43) + traits["t_angle"], traits["t_angle"])
    st = np.array((1.0, 0.5, -1.0)) * traits["st"]
    if "LBBB" in diagnoses:  # secondary change: against the QRS
        return np.array((-0.10, -0.02, -0.20)), np.array((-0.34, -0.04, -0.42)) * (0.8 + 0.4 * severity)
    if "RBBB" in diagnoses:
        t = t + np.array((0.06, 0.0, 0.22))
    if "LVH" in diagnoses:  # strain in the more severe half only
        strain = max(0.0, 2 * severity - 1)
        st = st + strain * np.array((-0.10, -0.04, -0.04))
        t = t * (1 - strain) + strain * np.array((-0.16, 0.02, -0.16))
    if "STC" in diagnoses:
        edges = np.cumsum([share for share, _, _ in INJURY])
        _, st_injury, t_injury = INJURY[min(int(np.searchsorted(edges, injury)), len(INJURY) - 1)]
        amount = 0.4 + severity
        st, t = st + amount * np.array(st_injury), 0.4 * t + amount * np.array(t_injury)
    return st, t


def _atria(traits: Mapping[str, float], fibrillating: bool) -> tuple[Array, Array, Array]:
    width, pr = traits["p_width"] / 1000, traits["pr"] / 1000
    gain = 0.0 if fibrillating else math.exp(traits["log_p"])
    right = np.array((0.045, 0.075, -0.055)) * gain
    left = np.array((0.085, 0.070, 0.045)) * gain * math.exp(traits["log_left_atrium"])
    axis = traits["p_axis"] - 50
    return np.array((0.36, 0.62)) * width - pr, np.full(2, 0.165 * width), turn(np.stack([right, left]), axis)


def _assemble(
    centre: Array, width: Array, dipole: Array, st: Array, t: Array, qtc: float, duration: float
) -> Waves:
    """Add ST and T. T ends (by the tangent: two widths of its fall after its peak) one QTc after QRS onset at an RR of 1 s."""
    t_fall = 0.042 + 0.1 * max(0.0, duration - 0.1)
    t_peak = qtc - 2 * t_fall
    st_peak = duration + 0.35 * (t_peak - duration)
    return Waves(
        centre_K=np.array([*centre, st_peak, t_peak]),
        rise_K=np.array([*width, 0.5 * (st_peak - duration) + 0.012, 0.066]),
        fall_K=np.array([*width, 0.07, t_fall]),
        vector_K3=np.array([*dipole, st, t]),
    )
