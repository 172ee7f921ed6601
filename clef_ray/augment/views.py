"""Two views of each record of a batch."""

import math
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

#: Records whose views are made at once on a CPU: few enough to stay in its caches from the first step to the last. A GPU takes all.
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class _Shown:
    """Which rows of a batch are filtered: most records show one lead twice (82 % by default), which is filtered once.

    from_F: rows of the batch; gain_F1, baseline_F1: theirs. in_R: where among them every view is found. host_R: the same, on the host.
    """

    from_F: Tensor
    gain_F1: Tensor
    baseline_F1: Tensor
    in_R: Tensor
    host_R: NDArray[np.int64]

    @classmethod
    def of(cls, batch: Batch) -> "_Shown":
        new_b2 = np.ones((len(batch), 2), dtype=bool)
        new_b2[:, 1] = batch.lead_b2[:, 0] != batch.lead_b2[:, 1]
        in_R, device = np.cumsum(new_b2) - 1, batch.raw_b2T.device
        from_F = torch.from_numpy(np.flatnonzero(new_b2)).to(device)
        gain_F1, baseline_F1 = (x.flatten()[from_F, None] for x in (batch.gain_b2, batch.baseline_b2))
        return cls(from_F, gain_F1, baseline_F1, torch.from_numpy(in_R).to(device), in_R)


@dataclass(frozen=True, slots=True)
class _Added:
    """The noise of every view. stretch_R: which (`Noise.stretch`); mv_R1: its RMS, 0 for none."""

    stretch_R: Tensor
    mv_R1: Tensor

    @classmethod
    def of(
        cls, batch: Batch, samples: int, kind_R: Tensor, start_R: Tensor, views: Views, noise: Noise
    ) -> "_Added":
        """samples: of a view; kind_R, start_R: numbers in 0..1. One kind of noise or none, each as likely."""
        device = batch.raw_b2T.device
        kind_R = (kind_R * (len(noise.rows_KCL) + 1)).long() - 1
        mv_R1 = torch.where(kind_R >= 0, views.noise_mv, 0.0)[:, None]
        lead_R = torch.from_numpy(batch.lead_b2.flatten())
        stretch_R = noise.stretch(kind_R.clamp(min=0), lead_R, start_R, samples)
        return cls(stretch_R.to(device), mv_R1.to(device))


@dataclass(frozen=True, slots=True)
class _Masks:
    """The views of which one run is set to zero: samples start_M1 to start_M1 + length_M1 - 1 of row in_M1.

    to_W: 0 to the longest run's last sample. before_R: how many such views there are before each row, on the host.
    """

    in_M1: Tensor
    start_M1: Tensor
    length_M1: Tensor
    to_W: Tensor
    before_R: NDArray[np.int64]

    @classmethod
    def of(
        cls, batch: Batch, samples: int, masked_R: Tensor, share_R: Tensor, start_R: Tensor, views: Views
    ) -> "_Masks":
        """masked_R, share_R, start_R: numbers in 0..1. With probability mask_probability a run of U(mask_share) of the view's samples."""
        device = batch.raw_b2T.device
        low, high = views.mask_share
        length_R = (low + (high - low) * share_R) * samples
        start_R = start_R * (samples - length_R)
        first_R, end_R = start_R.ceil().long(), (start_R + length_R).ceil().clamp_(max=samples).long()
        masked_R = (masked_R < views.mask_probability) & (first_R < end_R)
        in_M = torch.nonzero(masked_R).squeeze(1)
        in_M1, start_M1, end_M1 = (x_M[:, None].to(device) for x_M in (in_M, first_R[in_M], end_R[in_M]))
        to_W = torch.arange(math.ceil(high * samples) + 1, device=device)
        return cls(in_M1, start_M1, end_M1 - start_M1, to_W, np.append(0, np.cumsum(masked_R.numpy())))

    def clear(self, x_RT: Tensor, first: int, last: int) -> None:
        """In place; x_RT: the views in rows `first` to before `last`."""
        m = slice(int(self.before_R[first]), int(self.before_R[last]))
        # As many positions for every run, of a shorter one its last sample again: the host need not know how many there are.
        at_MW = torch.minimum(self.to_W, self.length_M1[m] - 1)
        at_MW += (self.in_M1[m] - first) * x_RT.shape[1] + self.start_M1[m]
        x_RT.view(-1).index_fill_(0, at_MW.view(-1), 0.0)


def two_views(batch: Batch, seed: int, epoch: int, signals: Signals, views: Views, noise: Noise) -> Tensor:
    """Both views of a batch: [2b, T], view a in rows 0..b-1, view b in rows b..2b-1. Keyed by (seed, epoch, record, view).

    On a CPU in pieces, on as many threads as torch has: the pieces, and so the results, are the same on any number of threads.
    """
    made = _Views.of(batch, fold("views", seed, epoch), signals, views, noise)
    at_once = _AT_ONCE if made.x_2bT.device.type == "cpu" else len(batch)
    in_threads(
        lambda first: made.write(first, min(first + at_once, len(batch))), range(0, len(batch), at_once)
    )
    return made.x_2bT.flatten(0, 1)


@dataclass(frozen=True, slots=True)
class _Views:
    """All that is decided about a batch's views, and the memory x_2bT that they are written into, some records at a time.

    Until they are written their rows R are 2 n + v for view v of record n, as those of raw_RT are.
    in_RV: the samples of the window that a view shows; None: all.
    """

    raw_RT: Tensor
    shown: _Shown
    in_RV: Tensor | None
    added: _Added | None
    masks: _Masks | None
    signals: Signals
    noise: Noise
    x_2bT: Tensor

    @classmethod
    def of(cls, batch: Batch, key: int, signals: Signals, views: Views, noise: Noise) -> "_Views":
        view, which = torch.arange(2)[None, None], torch.arange(6)[:, None, None]
        row = torch.from_numpy(batch.rows_b)[None, :, None]
        kind_R, start_R, masked_R, share_R, at_R, first_R = uniform(key, row, view, which).flatten(1)
        within, device = batch.raw_b2T.shape[-1], batch.raw_b2T.device
        samples = within if views.seconds is None else min(within, round(views.seconds * signals.fs))
        first_R = (first_R.double() * (within - samples + 1)).long()
        return cls(
            batch.raw_b2T.flatten(0, 1),
            _Shown.of(batch),
            (first_R[:, None] + torch.arange(samples)).to(device) if samples < within else None,
            _Added.of(batch, samples, kind_R, start_R, views, noise) if views.noise_mv > 0 else None,
            _Masks.of(batch, samples, masked_R, share_R, at_R, views) if views.mask_probability > 0 else None,
            signals,
            noise,
            torch.empty(2, len(batch), samples, device=device),
        )

    @torch.inference_mode()
    def write(self, first: int, last: int) -> None:
        """Both views of the records from `first` to before `last`."""
        x_RT = self._filtered(2 * first, 2 * last)
        if self.in_RV is not None:
            x_RT = x_RT.gather(1, self.in_RV[2 * first : 2 * last])
        if self.added is not None:
            added = self.added
            self.noise.add_(x_RT, added.stretch_R[2 * first : 2 * last], added.mv_R1[2 * first : 2 * last])
        if self.masks is not None:
            self.masks.clear(x_RT, 2 * first, 2 * last)
        per_R1, shape = centre_(x_RT).reciprocal_(), (last - first, 2, -1)
        torch.mul(x_RT.view(shape), per_R1.view(shape), out=self.x_2bT[:, first:last].transpose(0, 1))

    def _filtered(self, first: int, last: int) -> Tensor:
        """The band-passed leads of the views in rows `first` to before `last`, in mV."""
        shown, samples = self.shown, self.raw_RT.shape[1]
        begin, end = int(shown.host_R[first]), int(shown.host_R[last - 1]) + 1
        frame_FL, inside_FT = frame(end - begin, samples, self.signals.fs, self.raw_RT.device)
        raw_FT = self.raw_RT.index_select(0, shown.from_F[begin:end])
        torch.sub(raw_FT, shown.baseline_F1[begin:end], out=inside_FT).div_(shown.gain_F1[begin:end])
        return band_pass_frame(frame_FL, samples, self.signals).index_select(
            0, shown.in_R[first:last] - begin
        )
