"""LEAVES (Yu, Yang, Sano, PMLR 298, 2025, arXiv 2210.07340) after the paper's description: the views are learned, against the encoder.

What is the paper's: jitter, scale, magnitude warp and time distortion with some 20 learned amounts, which maximise the contrastive loss that
the encoder minimises. The formulas below, the bounds and the starting values are this project's: only the abstract was at hand.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from clef_ray.errors import ConfigError
from clef_ray.losses import Parts
from clef_ray.methods import At, Head, Learner, Projected, Setting, projection, width
from clef_ray.randomness import fold, uniform

#: Slowest cosines that a magnitude warp is made of, and bumps that a time distortion is made of.
WAVES, BUMPS = 4, 5

#: Width (SD) of a bump, as a share of the window.
BUMP_WIDTH = (0.02, 0.3)

#: Where the amounts start: at 27 % of their bounds.
START = -1.0


class Leaves:
    """NT-Xent between two learned views; both come from the same 18 amounts, each with noise of its own.

    jitter [SD of the signal], scale, warp (relative), distortion (of the log of time's speed): the upper bounds within which the views may
    grow, 0 for none; without bounds the worst view is noise alone. The gradient that reaches the amounts is reversed, so that one optimiser
    serves both sides. Recommended with views.noise_mv=0 and views.mask_probability=0: the views are otherwise augmented twice.
    head: `none`, or `mlp2` as in SimCLR. Noise is drawn by (seed, epoch, record), so that workers and pieces change nothing.
    """

    trains: ClassVar[bool] = True
    gives: ClassVar[Parts] = "views"
    default_loss: ClassVar[str] = "ntxent"

    def __init__(
        self,
        jitter: float = 0.3,
        scale: float = 0.5,
        warp: float = 0.5,
        distortion: float = 0.5,
        head: Head = "none",
    ) -> None:
        self.bounds = {"jitter": jitter, "scale": scale, "warp": warp, "distortion": distortion}
        for name, bound in self.bounds.items():
            if not 0 <= bound <= 1:
                raise ConfigError(f"leaves.{name}: {bound:g} given; allowed is 0 to 1")
        self.head = head

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:  # noqa: ARG002 - as every method
        return _Adversarial(encoder, projection(self.head, width(encoder)), LearnedViews(**self.bounds))


class _Adversarial(Projected):
    """Encoder and head behind the learned views."""

    def __init__(self, encoder: nn.Module, head: nn.Module, views: nn.Module) -> None:
        super().__init__(encoder, head)
        self.views = views

    def forward(self, x_2mCT: Tensor, at: At) -> Tensor:
        """[2m, D]: z_a of all records, then z_b."""
        return super().forward(self.views(x_2mCT, at), at)


class LearnedViews(nn.Module):
    """Two views of each record, distorted in time, warped and scaled in magnitude, and jittered, by learned amounts; gradients arrive reversed.

    Bounded: an amount is its bound times the logistic function of its parameter. Time is distorted by its speed, exp of a sum of BUMPS
    bumps of learned height, centre and width, each times a normal number, scaled so that a window begins and ends where it did.
    """

    def __init__(self, jitter: float, scale: float, warp: float, distortion: float) -> None:
        super().__init__()
        self.bounds = {"jitter": jitter, "scale": scale, "warp": warp, "distortion": distortion}
        self.jitter, self.scale, self.warp = (nn.Parameter(torch.tensor(START)) for _ in range(3))
        self.distortion = nn.Parameter(torch.full((BUMPS,), START))
        self.centre = nn.Parameter(torch.logit((torch.arange(BUMPS) + 0.5) / BUMPS))
        self.spread = nn.Parameter(torch.zeros(BUMPS))

    def forward(self, x_2mCT: Tensor, at: At) -> Tensor:
        """[2m, C, T] of [2m, C, T], view a of all records, then view b; any T >= 1, all leads distorted alike."""
        with torch.autocast(x_2mCT.device.type, enabled=False):
            draw = _Draws(at, x_2mCT)
            x_2mCT = interpolate(x_2mCT, self._shift(draw, x_2mCT.shape[-1]))
            magnitude_2mT = 1 + self.amount("warp") * draw("warp", WAVES) @ _waves(x_2mCT)
            x_2mCT = x_2mCT * magnitude_2mT[:, None] * (1 + self.amount("scale") * draw("scale", 1)[:, None])
            noise_2mCT = draw("jitter", x_2mCT[0].numel()).view_as(x_2mCT)
            return x_2mCT + self.amount("jitter") * noise_2mCT

    def amount(self, name: str) -> Tensor:
        """How much of one augmentation, 0 to its bound."""
        return self.bounds[name] * self._learned(name)

    def _learned(self, name: str) -> Tensor:
        return torch.sigmoid(_reversed(getattr(self, name)))

    def _shift(self, draw: "_Draws", samples: int) -> Tensor:
        """[2m, T] how many samples later than its own each sample is taken."""
        low, high = BUMP_WIDTH
        spread_K1 = (low + (high - low) * self._learned("spread"))[:, None]
        between_I = (torch.arange(samples - 1, device=spread_K1.device) + 0.5) / max(samples - 1, 1)
        bump_KI = torch.exp(-(((between_I - self._learned("centre")[:, None]) / spread_K1) ** 2) / 2)
        speed_2mI = torch.exp(
            (draw("distortion", BUMPS) * self.amount("distortion")) @ bump_KI.to(draw.dtype)
        )
        relative_2mI = speed_2mI / speed_2mI.mean(-1, keepdim=True)
        return nn.functional.pad((relative_2mI - 1).cumsum(-1), (1, 0))


class _Draws:
    """Normal numbers of two views of some records, a pure function of (at.key, record, view, what they are for)."""

    def __init__(self, at: At, x_2mCT: Tensor) -> None:
        self.key, self.dtype = at.key, x_2mCT.dtype
        self.row_21 = at.rows_m.to(x_2mCT.device).repeat(2)[:, None]
        self.view_21 = torch.arange(2, device=x_2mCT.device).repeat_interleave(len(at.rows_m))[:, None]

    def __call__(self, name: str, count: int) -> Tensor:
        """[2m, count] by Box and Muller's formula."""
        counters = self.row_21, self.view_21, torch.arange(count, device=self.row_21.device)
        radius, angle = (uniform(fold("leaves", self.key, name, part), *counters) for part in range(2))
        normal = torch.sqrt(-2 * torch.log(1 - radius)) * torch.cos(2 * math.pi * angle)
        return normal.to(self.dtype)


def _waves(x_2mCT: Tensor) -> Tensor:
    """[WAVES, T] cosines of 1, 2, ... half periods; with normal numbers in front their sum has variance 1 on average over the window."""
    samples = x_2mCT.shape[-1]
    phase_T = (torch.arange(samples, device=x_2mCT.device, dtype=x_2mCT.dtype) + 0.5) * math.pi / samples
    order_K1 = torch.arange(1, WAVES + 1, device=x_2mCT.device)[:, None]
    return torch.cos(order_K1 * phase_T) * math.sqrt(2 / WAVES)


def interpolate(x_NCT: Tensor, shift_NT: Tensor) -> Tensor:
    """The signals between their samples, linearly: at t + shift, of which what lies outside is taken at the first or last sample.

    Whole samples and the rest are kept apart: float32 would be too coarse for their sum in a long window.
    """
    at_T = torch.arange(x_NCT.shape[-1], device=x_NCT.device)
    last = x_NCT.shape[-1] - 1
    shift_NT = shift_NT.clamp(-at_T, last - at_T)
    whole_NT = shift_NT.detach().floor()
    low_NT = at_T + whole_NT.long()
    below_NCT, above_NCT = (
        x_NCT.gather(-1, index_NT[:, None].expand_as(x_NCT))
        for index_NT in (low_NT, (low_NT + 1).clamp(max=last))
    )
    return below_NCT + (shift_NT - whole_NT)[:, None] * (above_NCT - below_NCT)


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004 - autograd's signature
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004 - autograd's signature
        return -gradients[0]


def _reversed(x: Tensor) -> Tensor:
    """The same, but what minimises a function of it maximises that in what comes before."""
    same: Tensor = _Reverse.apply(x)  # type: ignore[no-untyped-call]
    return same
