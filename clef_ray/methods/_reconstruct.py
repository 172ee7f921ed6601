"""What methods of reconstruction share: which patches are left out, what stands in their places, how far off the outcome is."""

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from clef_ray.encoders.vit import Block, sinusoid
from clef_ray.errors import ConfigError
from clef_ray.methods import At, Setting
from clef_ray.randomness import hash_u32

WIDTH, DEPTH = 256, 4  # of the decoder that ST-MEM publishes, four heads of 64


class Patchwise(Protocol):
    """An encoder that can leave patches out (`masks = True`), as encoders/vit.py describes."""

    dim: int
    patch: int

    def patches(self, x_BCT: Tensor) -> Tensor: ...

    def tokens(self, x_BCT: Tensor, keep_BK: Tensor | None = None) -> Tensor: ...


def patchwise(encoder: nn.Module) -> Patchwise:
    """The encoder, of which `check_patches` has found that it can leave patches out."""
    return cast("Patchwise", encoder)


def check_patches(encoder: nn.Module, method: str, setting: Setting) -> None:
    """ConfigError for an encoder that takes no patches, and for a view of one patch, of which nothing can be left out."""
    if not getattr(encoder, "masks", False):
        given = type(encoder).__name__.lower()
        raise ConfigError(
            f"method {method} leaves patches out of the encoder's input, which encoder {given!r} cannot; set encoder=vit"
        )
    samples, patch = setting.samples, patchwise(encoder).patch
    if samples <= patch:
        raise ConfigError(
            f"method {method}: a view of {samples} samples is one patch of encoder.patch={patch}; at least two are "
            "needed, so lower encoder.patch"
        )


def keep(at: At, patches: int, share: float, domain: int, device: torch.device) -> Tensor:
    """Positions of the patches that stay, int64 [2m, K] ascending: for view a of all m records, then view b.

    Of `patches` >= 2 a `share` in 0..1 is left out, rounded to whole patches: at least one stays and one does not. Drawn
    anew for every epoch, record, view and domain (0, 1, ...: of several sequences of one view), equally likely sets.
    """
    kept = min(max(round((1 - share) * patches), 1), patches - 1)
    row, view = at.rows_m[:, None], torch.arange(2, device=at.rows_m.device)[:, None, None]
    position = torch.arange(patches, device=at.rows_m.device)
    drawn_2mN = hash_u32(at.key, row, view, position, torch.full_like(position, domain))
    first_2mK = drawn_2mN.argsort(stable=True, dim=-1)[..., :kept]
    keep_RK: Tensor = first_2mK.sort(-1).values.flatten(0, 1).to(device)
    return keep_RK


class Placed(nn.Module):
    """Kept tokens in their places of the whole sequence, one learned vector in all others, and every place's position added.

    dim: features of a token.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(dim, WIDTH)
        self.absent = nn.Parameter(0.02 * torch.randn(WIDTH))

    def forward(self, y_RKD: Tensor, keep_RK: Tensor, patches: int) -> Tensor:
        """[R, patches, WIDTH] of tokens that stand at keep_RK."""
        kept_RKW = self.project(y_RKD).to(self.absent.dtype)
        whole_RNW = self.absent.expand(len(keep_RK), patches, WIDTH)
        position = torch.arange(patches, device=keep_RK.device)
        place_NW = sinusoid(position, WIDTH, self.absent.dtype)
        return whole_RNW.scatter(1, keep_RK[..., None].expand_as(kept_RKW), kept_RKW) + place_NW


def trunk() -> nn.Sequential:
    """The decoder's transformer, [R, N, WIDTH] -> [R, N, WIDTH]."""
    return nn.Sequential(*(Block(WIDTH) for _ in range(DEPTH)), nn.LayerNorm(WIDTH))


def error_left_out(made_RNP: Tensor, wanted_RNP: Tensor, real_NP: Tensor, keep_RK: Tensor) -> Tensor:
    """Mean squared difference [R] over the values of the patches that are not at keep_RK, in wanted_RNP's precision.

    real_NP: 1 for a value, 0 for what only fills the last patch, which does not count.
    """
    out_RN = torch.ones_like(wanted_RNP[..., 0]).scatter(1, keep_RK, 0)
    counted_RNP = out_RN[..., None] * real_NP
    squared_RNP = (made_RNP.to(wanted_RNP.dtype) - wanted_RNP).square()
    return (squared_RNP * counted_RNP).sum((1, 2)) / counted_RNP.sum((1, 2))
