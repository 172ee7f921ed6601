"""The vision transformer on one-dimensional patches ("ViT-1D"), the encoder of masked reconstruction.

Blocks of Dosovitskiy et al. 2021 (arXiv 2010.11929, section 3.1: normalise, attend, add; normalise, two layers with
GELU, add), the widths of DeiT (Touvron et al. 2021, table 1), patches of all leads of a stretch of time, sinusoidal
positions (Vaswani et al. 2017, section 3.5), so that no length is special.
"""

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.errors import ConfigError
from clef_ray.registry import unknown

DEPTH = 12
HEAD = 64  # features of one attention head
_WIDTHS = {"tiny": 192, "small": 384, "base": 768}


def sinusoid(position: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Position embeddings [*, width] of positions [*]: sin and cos of position / 10000^(2i / width), in turn.

    Computed in float32 at least: bfloat16 cannot tell position 257 from 256.
    """
    exact = torch.promote_types(dtype, torch.float32)
    even = torch.arange(0, width, 2, device=position.device, dtype=exact)
    angle = position[..., None].to(exact) * torch.exp(even * (-math.log(10_000.0) / width))
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(-2).to(dtype)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); the mlp is four times as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x_BND: Tensor) -> Tensor:
        # Of the 3 * width outputs the first third are the queries, then keys, then values, head after head in each.
        by_head = self.qkv(self.norm1(x_BND)).unflatten(-1, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)
        q, k, v = by_head.unbind(0)
        mixed_BND = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x_BND = x_BND + self.out(mixed_BND)
        y_BND: Tensor = x_BND + self.mlp(self.norm2(x_BND))
        return y_BND


def _initialise(module: nn.Module) -> None:
    """As He et al. 2022 (masked autoencoders) start: Xavier-uniform weights, biases 0."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


class Vit(nn.Module):
    """ViT-1D: 12 pre-norm blocks with heads of 64 features.

    size: tiny (5.4 M parameters, 192 features, 3 heads), small (21.3 M, 384, 6) or base (85.1 M, 768, 12).
    patch: samples of one patch, at least 1: 75 is 0.3 s at ST-MEM's 250 Hz (Na et al. 2024, its ViT-B/75); at 500 Hz
    the same stretch is 150. in_leads: leads of the input; a patch holds all of them (ST-MEM itself has one token per
    lead and stretch).

    Base is 85,114,368 parameters with one lead and patch 75, and 85,747,968 with twelve. The ESI paper's ViT-1D has
    84.92 M; its setting is not published in a form that could be confirmed, so it is not copied.
    """

    masks: ClassVar[bool] = True  # tokens() can be asked for some of the patches: see methods/masked

    def __init__(
        self, size: Literal["tiny", "small", "base"] = "tiny", patch: int = 75, in_leads: int = 1
    ) -> None:
        super().__init__()
        if size not in _WIDTHS:
            raise unknown("size", size, _WIDTHS, "encoder vit")
        if patch < 1:
            raise ConfigError(f"encoder vit, patch: {patch} given; at least 1 sample")
        if in_leads < 1:
            raise ConfigError(f"encoder vit, in_leads: {in_leads} given; at least 1")
        self.dim = _WIDTHS[size]
        self.patch = patch
        self.embed = nn.Linear(in_leads * patch, self.dim)
        self.blocks = nn.Sequential(*(Block(self.dim) for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(self.dim, eps=1e-6)
        self.apply(_initialise)

    def patches(self, x_BCT: Tensor) -> Tensor:
        """Patches [records, ceil(samples / patch), leads * patch] of signals [records, leads, samples >= 1].

        One lead's samples after the other's; the last patch is filled with zeros.
        """
        samples = x_BCT.shape[-1]
        patches = (samples + self.patch - 1) // self.patch  # no negative number: ONNX rounds those towards 0
        padded_BCT = functional.pad(x_BCT, (0, patches * self.patch - samples))
        return padded_BCT.reshape(*x_BCT.shape[:2], patches, self.patch).transpose(1, 2).flatten(2)

    def tokens(self, x_BCT: Tensor, keep_BK: Tensor | None = None) -> Tensor:
        """Features [records, K, dim], after the last normalisation, of the patches at positions keep_BK, in its order.

        keep_BK: int64, 0 <= position < ceil(samples / patch), K >= 1; None: all of them. The others are not seen at all
        (they are no keys of the attention either); a kept one carries the embedding of its own position.
        """
        patches_BKP = self.patches(x_BCT)
        if keep_BK is None:
            position = torch.arange(patches_BKP.shape[1], device=x_BCT.device)
        else:
            position = keep_BK
            patches_BKP = torch.take_along_dim(patches_BKP, keep_BK[..., None], dim=1)
        # In the weights' type, so that under autocast the residual stream stays float32.
        place = sinusoid(position, self.dim, self.embed.weight.dtype)
        y_BKD: Tensor = self.norm(self.blocks(self.embed(patches_BKP) + place))
        return y_BKD

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Features [records, dim] of signals [records, leads, samples], any length: the mean over the tokens.

        The mean and no class token: masked reconstruction would never train one, and a mean takes any number of tokens.
        """
        return self.tokens(x_BCT).mean(1)
