"""Signals as an exported file wants them: windows at the encoder's rate, band-passed."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clef_ray.augment import band_pass
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import DataError
from clef_ray.export.programme import leads_of, samples_of
from clef_ray.signal.filters import resample
from clef_ray.weights import Weights


def windows(weights: Weights, recordings: Iterable[tuple[NDArray[np.float32], float]]) -> Tensor:
    """The first window of each recording [leads, samples] in mV at its rate [Hz]: [N, leads, samples of the window]. A shorter one is left out;
    DataError where none is left.
    """
    fs, wanted = weights.signals.fs, samples_of(weights)
    cut = [resample(mv_CT, rate, fs)[:, :wanted] for mv_CT, rate in recordings]
    whole = [x_CT for x_CT in cut if x_CT.shape[1] == wanted]
    if not whole:
        raise DataError(
            f"none of {len(cut)} records is as long as the encoder's window, {weights.signals.seconds:g} s"
        )
    x_NCT = torch.from_numpy(np.stack(whole).astype(np.float32))
    return band_pass(x_NCT.flatten(0, 1), weights.signals).view_as(x_NCT)


def made_up(weights: Weights, count: int) -> Tensor:
    """Windows of `count` patients of the synthetic cohort, in the lead that the encoder was trained on, I where that is several."""
    cohort = Synthetic(patients=count, seed=1)  # other people than those of the default cohort
    at_once = leads_of(weights)
    leads = weights.leads if at_once == len(weights.leads) else ("I",) * at_once
    rows = [cohort.leads.index(lead) for lead in leads]
    signals = (cohort.signal({"record": f"p{patient:06d}-1"}) for patient in range(count))
    seconds = weights.signals.seconds
    repeats = int(np.ceil(seconds * cohort.fs / cohort.samples))
    return windows(weights, ((np.tile(s.millivolts()[rows], repeats), cohort.fs) for s in signals))
