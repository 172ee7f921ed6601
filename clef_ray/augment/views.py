"""Two views of each record of a batch."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clef_ray.augment.batch import Batch
from clef_ray.augment.filters import band_pass_frame, centre_, frame
from clef_ray.augment.noise import Noise
from clef_ray.augment.threads import in_threads
from clef_ray.randomness import fold, uniform
from clef_ray.sections import Signals, Views

#: Records whose views are made at once on a CPU: few enough to stay in a core's own cache from the first step to the last. A GPU takes all.
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class _Draws:
    """What chance decides, per record and view, [b, 2]: numbers in 0..1, and a pure function of (key, record, view)."""

    kind: Tensor
    start: Tensor
    masked: Tensor
    mask_share: Tensor
    mask_start: Tensor

    @classmethod
    def of(cls, key: int, rows: NDArray[np.int64]) -> "_Draws":
        view, which = torch.arange(2)[None, None], torch.arange(5)[:, None, None]
        return cls(*uniform(key, torch.from_numpy(rows)[None, :, None], view, which))

    def __getitem__(self, piece: slice) -> "_Draws":
        """Those of some of the records."""
        return _Draws(
            self.kind[piece],
            self.start[piece],
            self.masked[piece],
            self.mask_share[piece],
            self.mask_start[piece],
        )


def two_views(batch: Batch, seed: int, epoch: int, signals: Signals, views: Views, noise: Noise) -> Tensor:
    """Both views of a batch: [2b, T], view a in rows 0..b-1, view b in rows b..2b-1. Keyed by (seed, epoch, record, view).

    On a CPU in pieces, by as many threads as torch has: the same pieces and so the same bits, however many these are.
    """
    draws = _Draws.of(fold("views", seed, epoch), batch.rows_b)
    on_cpu = batch.raw_b2T.device.type == "cpu"
    at_once = _AT_ONCE if on_cpu else len(batch)
    x_2bT = torch.empty(2, len(batch), batch.raw_b2T.shape[-1], device=batch.raw_b2T.device)

    def make(first: int) -> None:
        piece = slice(first, first + at_once)
        _write_views(x_2bT[:, piece], batch[piece], draws[piece], signals, views, noise)

    in_threads(make, range(0, len(batch), at_once))
    return x_2bT.flatten(0, 1)


@torch.inference_mode()
def _write_views(
    x_2bT: Tensor, batch: Batch, draws: _Draws, signals: Signals, views: Views, noise: Noise
) -> None:
    """Both views of a piece into x_2bT. Its rows R are 2 n + v for view v of record n, until they are written."""
    x_RT = _filtered(batch, signals)
    if views.noise_mv > 0:
        _add_noise(x_RT, batch, draws, views, noise)
    if views.mask_probability > 0:
        _mask(x_RT, draws, views)
    deviation_R1 = centre_(x_RT)
    shape = (len(batch), 2, -1)
    torch.div(x_RT.view(shape), deviation_R1.view(shape), out=x_2bT.transpose(0, 1))


def _filtered(batch: Batch, signals: Signals) -> Tensor:
    """The band-passed leads of both views, [R, T]. Most records show the same lead twice (82 % by default): those are filtered once."""
    device, samples = batch.raw_b2T.device, batch.raw_b2T.shape[-1]
    other_R = np.ones((len(batch), 2), dtype=bool)
    other_R[:, 1] = batch.lead_b2[:, 0] != batch.lead_b2[:, 1]
    of_F, in_F = np.flatnonzero(other_R), np.cumsum(other_R) - 1
    frame_FL, inside_FT = frame(len(of_F), samples, signals.fs, device)
    batch.millivolts(torch.from_numpy(of_F).to(device), out=inside_FT)
    return band_pass_frame(frame_FL, samples, signals).index_select(0, torch.from_numpy(in_F).to(device))


def _add_noise(x_RT: Tensor, batch: Batch, draws: _Draws, views: Views, noise: Noise) -> None:
    """One kind of noise or none, each as likely; in place."""
    device, kinds = x_RT.device, len(noise.rows_KCL)
    kind_R = (draws.kind.flatten() * (kinds + 1)).long() - 1
    lead_R = torch.from_numpy(batch.lead_b2.flatten())
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
    # Numbers of one type on both sides: torch compares these at once, and would otherwise convert each first.
    time_T = torch.arange(x_RT.shape[1], device=x_RT.device, dtype=start_M.dtype)
    masked_M = masked_M.to(x_RT.device)
    x_MT = x_RT.index_select(0, masked_M).masked_fill_((time_T >= start_M1) & (time_T < end_M1), 0.0)
    x_RT.index_copy_(0, masked_M, x_MT)
