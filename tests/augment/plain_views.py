"""Two views, slowly: one record and view after the other, in NumPy's and SciPy's float64, straight from method §3. Shares only the random
numbers and the choice of how many samples continue a signal with the code it is held against.
"""

import numpy as np
import torch
from scipy import signal as scipy_signal

from clef_ray.augment import Batch, Noise
from clef_ray.augment.filters import pad_samples
from clef_ray.config import Signals, Views
from clef_ray.randomness import fold, uniform


def plain_views(
    batch: Batch, seed: int, epoch: int, signals: Signals, views: Views, noise: Noise
) -> np.ndarray:
    """[2b, T]"""
    key, made = fold("views", seed, epoch), []
    for view in range(2):
        for n, row in enumerate(batch.rows_b):
            counters = [torch.tensor(int(row)), torch.tensor(view)]
            drawn = [float(uniform(key, *counters, torch.tensor(which))) for which in range(6)]
            mv_T = (batch.raw_b2T[n, view].double() - batch.baseline_b2[n, view]) / batch.gain_b2[n, view]
            made.append(_view(mv_T.numpy(), int(batch.lead_b2[n, view]), drawn, signals, views, noise))
    return np.stack(made)


def _view(mv_T, lead, drawn, signals, views, noise):
    x_T, (kind, start, masked, share, at, crop) = _filtered(mv_T, signals), drawn
    if views.seconds is not None:
        shown = round(views.seconds * signals.fs)
        first = int(crop * (len(x_T) - shown + 1))
        x_T = x_T[first : first + shown]
    samples = len(x_T)
    rows_KCL = noise.rows_KCL.numpy().astype(np.float64)
    kind = int(np.float32(kind) * np.float32(len(rows_KCL) + 1)) - 1
    if views.noise_mv > 0 and kind >= 0:
        rows_CL = rows_KCL[kind]
        row_L = rows_CL[lead if len(rows_CL) > 1 else 0]
        first = int(start * (len(row_L) - samples + 1))
        cut_T = row_L[first : first + samples]
        x_T = x_T + (cut_T - cut_T.mean()) / cut_T.std() * views.noise_mv
    if np.float32(masked) < views.mask_probability:
        low, high = views.mask_share
        length = (low + (high - low) * torch.tensor(share, dtype=torch.float32)) * samples
        begin = torch.tensor(at, dtype=torch.float32) * (samples - length)
        time_T = np.arange(samples)
        x_T = np.where((time_T >= begin.item()) & (time_T < (begin + length).item()), 0.0, x_T)
    return (x_T - x_T.mean()) / (x_T.std() + 1e-8)


def _filtered(mv_T, signals):
    left, right = pad_samples(len(mv_T), signals.fs)
    before_L = 2 * mv_T[0] - mv_T[left:0:-1]
    after_L = 2 * mv_T[-1] - mv_T[-2 : -2 - right : -1]
    x_L = np.concatenate([before_L, mv_T, after_L])
    sos = scipy_signal.butter(5, signals.band, btype="bandpass", fs=signals.fs, output="sos")
    _, response_F = scipy_signal.freqz_sos(sos, worN=np.fft.rfftfreq(len(x_L), 1 / signals.fs), fs=signals.fs)
    y_L = np.fft.irfft(np.fft.rfft(x_L) * np.abs(response_F) ** 2, n=len(x_L))
    return y_L[left : left + len(mv_T)]
