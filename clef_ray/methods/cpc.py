"""Contrastive predictive coding (van den Oord et al. 2018, arXiv 1807.03748) within each record."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from clef_ray.errors import ConfigError
from clef_ray.losses import Parts
from clef_ray.methods import At, Learner, Setting, width


class Forecast(Learner):
    """Encode segments one by one, sum up the past with an LSTM, and tell the segments to come from the record's others."""

    parts = 1

    def __init__(self, encoder: nn.Module, segments: int, steps: int, context: int) -> None:
        super().__init__(encoder)
        self.segments, self.steps = segments, steps
        self.past = nn.LSTM(width(encoder), context, batch_first=True)
        self.predict = nn.Linear(context, steps * width(encoder), bias=False)

    def forward(self, x_2mCT: Tensor, at: At) -> Tensor:  # noqa: ARG002 - as every learner
        """[m, 1]: each record's InfoNCE, the mean over both views, all starts and all steps ahead."""
        samples = x_2mCT.shape[-1] // self.segments
        cut_RCSL = x_2mCT[..., : self.segments * samples].reshape(*x_2mCT.shape[:2], self.segments, samples)
        z_RSD = self.encoder(cut_RCSL.transpose(1, 2).flatten(0, 1)).reshape(len(x_2mCT), self.segments, -1)
        past_RSH, _ = self.past(z_RSD)
        predicted_RSKD = self.predict(past_RSH).reshape(*z_RSD.shape[:2], self.steps, -1)
        with torch.autocast(x_2mCT.device.type, enabled=False):
            wide = torch.promote_types(z_RSD.dtype, torch.float32)
            score_RKSU = torch.einsum("rskd,rud->rksu", predicted_RSKD.to(wide), z_RSD.to(wide))
            log_RKSU = score_RKSU.log_softmax(-1)
            # After segment s, step k = 1, 2, ... is segment s + k: the k-th diagonal above the main one.
            found = [log_RKSU[:, k - 1].diagonal(k, 1, 2) for k in range(1, self.steps + 1)]
            return -torch.cat(found, 1).mean(1).reshape(2, -1).mean(0)[:, None]


class Cpc:
    """segment [s]: length of what is encoded at once; steps: how many segments ahead are predicted, each by its own linear map;
    context: units of the LSTM that sums up the past. A window holds at least steps + 1 segments; what is left over at its end
    is not used.

    The score is z_{t+k} · W_k c_t, the loss the paper's eq. 4 with all other segments of the same record and view as negatives (its
    section 3.1 has this choice among others): records are not compared, so batches may be divided among any number of workers
    and pieces, and a patient's other records play no part.
    What differs from its use on ECGs (Mehari and Strodthoff 2022, arXiv 2103.12676): segments are encoded apart from one another,
    because the encoders here see far into the future of a time step, which would give the answer away; and the encoder is kept
    without the LSTM. Lengths and sizes are our choice, not the paper's.
    """

    trains: ClassVar[bool] = True
    gives: ClassVar[Parts] = "own"
    default_loss: ClassVar[str] = "own"

    def __init__(self, segment: float = 0.5, steps: int = 3, context: int = 256) -> None:
        if not segment > 0:
            raise ConfigError(f"method cpc, segment: {segment:g} given; it must be above 0 s")
        for name, value in (("steps", steps), ("context", context)):
            if value < 1:
                raise ConfigError(f"method cpc, {name}: {value} given; at least 1")
        self.segment, self.steps, self.context = segment, steps, context

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:
        """ConfigError for a view of too few segments, or segments shorter than a sample."""
        fs = setting.signals.fs
        segments = int(setting.seconds / self.segment + 1e-9)
        if segments <= self.steps:
            raise ConfigError(
                f"method cpc: a view of {setting.seconds:g} s has {segments} segments of {self.segment:g} s; {self.steps} steps ahead "
                f"need {self.steps + 1}, so lower method.segment or method.steps"
            )
        if self.segment * fs < 1:
            raise ConfigError(f"method cpc, segment: {self.segment:g} given; one sample lasts {1 / fs:g} s")
        return Forecast(encoder, segments, self.steps, self.context)
