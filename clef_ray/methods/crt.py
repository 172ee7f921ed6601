"""The cross reconstruction transformer (Zhang et al. 2022, arXiv 2205.09928), after the paper's description: its abstract is what
could be read, all that it leaves open is our choice.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.errors import ConfigError
from clef_ray.losses import Parts
from clef_ray.methods import At, Learner, Setting, width
from clef_ray.methods._reconstruct import (
    WIDTH,
    Placed,
    check_patches,
    error_left_out,
    keep,
    patchwise,
    trunk,
)

Drop = tuple[float, float]


def spectrum(x_RT: Tensor, frequencies: int) -> Tensor:
    """[R, 3, frequencies] of signals of unit variance: log(1 + |X| / sqrt(T)), cosine and sine of the phase.

    X: the first frequencies of the Fourier transform. Cosine and sine, so that phases of -π and π are the same.
    """
    found_RF = torch.fft.rfft(x_RT)[:, :frequencies]
    phase_RF = found_RF.angle()
    size_RF = torch.log1p(found_RF.abs() / x_RT.shape[-1] ** 0.5)
    return torch.stack((size_RF, phase_RF.cos(), phase_RF.sin()), 1)


def bands(s_RCF: Tensor, bins: int) -> Tensor:
    """[R, ceil(F / bins), C * bins]: neighbouring frequencies together, the last lot filled with zeros."""
    lots = (s_RCF.shape[-1] + bins - 1) // bins
    padded_RCF = functional.pad(s_RCF, (0, lots * bins - s_RCF.shape[-1]))
    return padded_RCF.reshape(*s_RCF.shape[:2], lots, bins).transpose(1, 2).flatten(2)


class CrossReconstruction(Learner):
    """Drop patches of time and lots of frequencies; reconstruct both from what is left of both."""

    parts = 1

    def __init__(self, encoder: nn.Module, drop: Drop, bins: int, setting: Setting) -> None:
        super().__init__(encoder)
        self.drop, self.bins = drop, bins
        self.steps, self.done = setting.steps, 0
        self.top = setting.signals.band[1] / setting.signals.fs  # periods per sample
        self.time, self.frequency = Placed(width(encoder)), Placed(3 * bins)
        self.trunk = trunk()
        self.time_out = nn.Linear(WIDTH, patchwise(encoder).patch)
        self.frequency_out = nn.Linear(WIDTH, 3 * bins)

    def share(self) -> float:
        """Of the patches that are dropped now: from the first value of `drop` in the first step straight to the second in the last."""
        return self.drop[0] + (self.drop[1] - self.drop[0]) * self.done / max(self.steps - 1, 1)

    def after_step(self, step: int) -> None:
        self.done = step

    def get_extra_state(self) -> Tensor:
        """The steps done, which a resumed training goes on from. No buffer: on a GPU the host would wait for it in every step."""
        return torch.tensor(self.done)

    def set_extra_state(self, state: Tensor) -> None:
        self.done = int(state)

    def forward(self, x_2mCT: Tensor, at: At) -> Tensor:
        """[m, 1 + 2 D]: each record's error of reconstruction, the mean of both views, and both views' encodings, for losses/crt.py.

        An encoding is the mean over the encoder's tokens, of what is left of the view.
        """
        encoder, device, share = patchwise(self.encoder), x_2mCT.device, self.share()
        with torch.autocast(device.type, enabled=False):
            s_R3F = spectrum(x_2mCT.squeeze(1), int(self.top * x_2mCT.shape[-1] + 1e-9) + 1)
        time_RNP, real_NP = encoder.patches(x_2mCT), encoder.patches(torch.ones_like(x_2mCT[:1]))[0]
        bands_RMP, band_MP = bands(s_R3F, self.bins), bands(torch.ones_like(s_R3F[:1]), self.bins)[0]
        keep_RK = keep(at, len(real_NP), share, 0, device)
        keep_RJ = keep(at, len(band_MP), share, 1, device)
        tokens_RKD = encoder.tokens(x_2mCT, keep_RK)
        left_RJP = torch.take_along_dim(bands_RMP, keep_RJ[..., None], 1)
        placed = self.time(tokens_RKD, keep_RK, len(real_NP)), self.frequency(left_RJP, keep_RJ, len(band_MP))
        made_RNW, made_RMW = self.trunk(torch.cat(placed, 1)).split((len(real_NP), len(band_MP)), 1)
        error_R = error_left_out(self.time_out(made_RNW), time_RNP, real_NP, keep_RK)
        error_R = error_R + error_left_out(self.frequency_out(made_RMW), bands_RMP, band_MP, keep_RJ)
        z_a, z_b = tokens_RKD.mean(1).chunk(2)
        return torch.cat((error_R.reshape(2, -1).mean(0)[:, None], z_a, z_b), 1)


class Crt:
    """drop: shares of the patches that are dropped in the first and the last step, each above 0 and below 1, rising (the paper's
    curriculum); bins: neighbouring frequencies that are dropped together.

    Needs an encoder with patches (encoder=vit). Dropped, not masked: the encoder does not see them. The loss `crt` adds the instance
    discrimination. Ours: the drop shares; the spectrum up to the band's upper edge, as log magnitude and cosine and sine of the phase;
    mean squared errors of both domains over what was dropped, with equal weight. The paper's transformer takes both domains and is kept whole;
    here the encoder that is kept takes time, and a transformer of 4 blocks above it joins both. loss.weight=0 is without the discrimination.
    views.noise_mv=0 and views.mask_probability=0 are nearest to the paper: dropping is its only change of a signal.
    """

    trains: ClassVar[bool] = True
    gives: ClassVar[Parts] = "own_views"
    default_loss: ClassVar[str] = "crt"

    def __init__(self, drop: Drop = (0.3, 0.7), bins: int = 20) -> None:
        if not 0 < drop[0] <= drop[1] < 1:
            raise ConfigError(f"method crt, drop: {drop} given; allowed is 0 < first <= last < 1")
        if bins < 1:
            raise ConfigError(f"method crt, bins: {bins} given; at least 1")
        self.drop, self.bins = drop, bins

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:
        """ConfigError for an encoder without patches, and a view of one patch or one lot of frequencies."""
        check_patches(encoder, "crt", setting)
        frequencies = int(setting.signals.band[1] * setting.seconds + 1e-9) + 1
        if frequencies <= self.bins:
            raise ConfigError(
                f"method crt, bins: {self.bins} given; a view has {frequencies} frequencies up to "
                f"{setting.signals.band[1]:g} Hz, and at least two lots are needed"
            )
        return CrossReconstruction(encoder, self.drop, self.bins, setting)
