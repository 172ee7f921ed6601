"""Masked reconstruction, the control that contrasts nothing: masked autoencoders (He et al. 2022, arXiv 2111.06377) on ECGs,
after ST-MEM (Na et al. 2024, arXiv 2402.09450).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from clef_ray.errors import ConfigError
from clef_ray.losses import Parts
from clef_ray.methods import At, Learner, Setting, width
from clef_ray.methods._reconstruct import WIDTH, Placed, check_patches, error_left_out, keep, patchwise, trunk


class Reconstruction(Learner):
    """Encode the patches that are kept; reconstruct the others from them, their own place and nothing else."""

    parts = 1

    def __init__(self, encoder: nn.Module, ratio: float) -> None:
        super().__init__(encoder)
        self.ratio = ratio
        self.placed = Placed(width(encoder))
        self.trunk = trunk()
        self.out = nn.Linear(WIDTH, patchwise(encoder).patch)

    def forward(self, x_2mCT: Tensor, at: At) -> Tensor:
        """[m, 1]: each record's mean squared error over both views' masked samples, which are of unit variance over the window."""
        encoder = patchwise(self.encoder)
        wanted_RNP, real_NP = encoder.patches(x_2mCT), encoder.patches(torch.ones_like(x_2mCT[:1]))[0]
        patches = len(real_NP)
        keep_RK = keep(at, patches, self.ratio, 0, x_2mCT.device)
        tokens_RKD = encoder.tokens(x_2mCT, keep_RK)
        made_RNP = self.out(self.trunk(self.placed(tokens_RKD, keep_RK, patches)))
        return error_left_out(made_RNP, wanted_RNP, real_NP, keep_RK).reshape(2, -1).mean(0)[:, None]


class Masked:
    """ratio: share of the patches that are masked, above 0 and below 1; .75 as ST-MEM and the masked autoencoder.

    Needs an encoder with patches (encoder=vit). The decoder has 4 blocks of 256 features (ST-MEM's size). Target: the
    samples themselves, not normalised within a patch. Each view is masked by itself, anew in each epoch.
    What differs from ST-MEM: one lead at a time, so that there are no lead embeddings and no separators between leads; and the
    target is the view with its noise and its zeroed run: set views.noise_mv=0 and views.mask_probability=0 for the paper's.
    Records are not compared, so batches may be divided among any number of workers and pieces.
    """

    trains: ClassVar[bool] = True
    gives: ClassVar[Parts] = "own"
    default_loss: ClassVar[str] = "own"

    def __init__(self, ratio: float = 0.75) -> None:
        if not 0 < ratio < 1:
            raise ConfigError(f"method masked, ratio: {ratio:g} given; allowed is 0 < ratio < 1")
        self.ratio = ratio

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:
        """ConfigError for an encoder without patches, or a window of one patch."""
        check_patches(encoder, "masked", setting)
        return Reconstruction(encoder, self.ratio)
