"""Records and batches that the tests of the views share."""

import numpy as np
import torch

from clef_ray.augment import Batch, Noise
from clef_ray.shards import Stored

CPU = torch.device("cpu")


def ecg_like(records: int, samples: int, fs: float) -> torch.Tensor:
    """A 1.2 Hz pulse train with drift and mains: inside, below and above the band."""
    t = torch.arange(samples) / fs
    phase = torch.linspace(0, 3, records)[:, None]
    pulses = torch.exp(-0.5 * (torch.remainder(t * 1.2 + phase, 1) - 0.5) ** 2 / 0.02**2)
    return pulses + 0.5 * torch.sin(2 * torch.pi * 0.2 * t + phase) + 0.1 * torch.sin(2 * torch.pi * 49 * t)


def batch_of(
    x_b2T: torch.Tensor, rows: list[int] | None = None, lead: list[list[int]] | None = None
) -> Batch:
    """A batch of these mV, in steps of 1 uV; both views show the feed's first lead unless told otherwise."""
    stored = Stored.of_millivolts(x_b2T.numpy())
    rows_b = np.arange(len(x_b2T)) if rows is None else np.array(rows)
    lead_b2 = np.zeros((len(x_b2T), 2), dtype=np.int64) if lead is None else np.array(lead)
    arrays = (torch.from_numpy(x) for x in (stored.raw_NKT, stored.gain_NK, stored.baseline_NK))
    return Batch(rows_b, lead_b2, *arrays)


def one_lead(x_bT: torch.Tensor, rows: list[int] | None = None) -> Batch:
    return batch_of(x_bT[:, None].repeat(1, 2, 1), rows)


def noise(signals, leads=("I",), device=CPU) -> Noise:
    return Noise.of(None, signals, leads, device)
