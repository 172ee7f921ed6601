"""Two views of each record of a batch."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clef_ray.augment.batch import Batch
from clef_ray.augment.filters import band_pass, standardise
from clef_ray.augment.noise import Noise
from clef_ray.randomness import fold, uniform
from clef_ray.sections import Signals, Views

#: Records whose views are made at once on a CPU, where they then stay in its cache: twice as fast as a whole batch. A GPU takes all.
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class _Draws:
    """What chance decides, per record and view, [2, b]: numbers in 0..1, and a pure function of (key, record, view)."""

    kind: Tensor
    start: Tensor
    masked: Tensor
    mask_share: Tensor
    mask_start: Tensor

    @classmethod
    def of(cls, key: int, rows: NDArray[np.int64]) -> "_Draws":
        view, which = torch.arange(2)[None, :, None], torch.arange(5)[:, None, None]
        return cls(*uniform(key, torch.from_numpy(rows)[None, None], view, which))

    def __getitem__(self, piece: slice) -> "_Draws":
        """Those of some of the records."""
        return _Draws(
            self.kind[:, piece],
            self.start[:, piece],
            self.masked[:, piece],
            self.mask_share[:, piece],
            self.mask_start[:, piece],
        )


def two_views(batch: Batch, seed: int, epoch: int, signals: Signals, views: Views, noise: Noise) -> Tensor:
    """Both views of a batch: [2b, T], view a in rows 0..b-1, view b in rows b..2b-1. Keyed by (seed, epoch, record, view)."""
    draws = _Draws.of(fold("views", seed, epoch), batch.rows_b)
    at_once = _AT_ONCE if batch.raw_b2T.device.type == "cpu" else len(batch)
    x_2bT = torch.empty(2, len(batch), batch.raw_b2T.shape[-1], device=batch.raw_b2T.device)
    for first in range(0, len(batch), at_once):
        piece = slice(first, first + at_once)
        x_2bT[:, piece] = _views(batch[piece], draws[piece], signals, views, noise)
    return x_2bT.flatten(0, 1)


def _views(batch: Batch, draws: _Draws, signals: Signals, views: Views, noise: Noise) -> Tensor:
    """[2, b, T]."""
    x_RT = _filtered(batch, signals)
    if views.noise_mv > 0:
        _add_noise(x_RT, batch, draws, views, noise)
    if views.mask_probability > 0:
        _mask(x_RT, draws, views)
    return standardise(x_RT).view(2, len(batch), -1)


def _filtered(batch: Batch, signals: Signals) -> Tensor:
    """The band-passed leads of both views, [2b, T]. Most records show the same lead twice (82 % by default): those are filtered once."""
    b = len(batch)
    other = np.flatnonzero(batch.lead_b2[:, 0] != batch.lead_b2[:, 1])
    x_RT = torch.cat([batch.millivolts(0), batch[other].millivolts(1)]) if len(other) else batch.millivolts(0)
    filtered_RT = band_pass(x_RT, signals)
    both_2bT = filtered_RT[:b].repeat(2, 1)
    both_2bT[b + other] = filtered_RT[b:]
    return both_2bT


def _add_noise(x_RT: Tensor, batch: Batch, draws: _Draws, views: Views, noise: Noise) -> None:
    """One kind of noise or none, each as likely; in place."""
    device, kinds = x_RT.device, len(noise.rows_KCL)
    kind_R = (draws.kind.flatten() * (kinds + 1)).long() - 1
    lead_R = torch.from_numpy(batch.lead_b2.T.flatten())
    given_R1 = torch.where(kind_R >= 0, views.noise_mv, 0.0)[:, None].to(device)
    kind_R, start_R = kind_R.clamp(min=0).to(device), draws.start.flatten().to(device)
    x_RT.addcmul_(noise.cut(kind_R, lead_R.to(device), start_R, x_RT.shape[1]), given_R1)


def _mask(x_RT: Tensor, draws: _Draws, views: Views) -> None:
    """One run of U(mask_share) of the window set to zero, with probability mask_probability; in place."""
    masked_M = torch.nonzero(draws.masked.flatten() < views.mask_probability).squeeze(1)
    low, high = views.mask_share
    length_M = (low + (high - low) * draws.mask_share.flatten()[masked_M]) * x_RT.shape[1]
    start_M = draws.mask_start.flatten()[masked_M] * (x_RT.shape[1] - length_M)
    start_M1, end_M1 = (edge_M[:, None].to(x_RT.device) for edge_M in (start_M, start_M + length_M))
    time_T = torch.arange(x_RT.shape[1], device=x_RT.device)
    masked_M = masked_M.to(x_RT.device)
    x_MT = x_RT.index_select(0, masked_M).masked_fill_((time_T >= start_M1) & (time_T < end_M1), 0.0)
    x_RT.index_copy_(0, masked_M, x_MT)
