"""The temperature of the softmax: a number, or a parameter that is trained."""

import math

import torch
from torch import Tensor, nn

from clef_ray.errors import ConfigError

#: A learned temperature stays within these: below, one negative takes the whole gradient; above, all negatives look alike.
LEARNED = (0.01, 1.0)


class Temperature(nn.Module):
    """start: the temperature, or where a learned one starts. A learned one is the exponential of its parameter, which is kept within log .01 .. log 1: stopped there, not stuck."""

    def __init__(self, start: float, learned: bool, where: str) -> None:
        super().__init__()
        if not 0 < start < math.inf:
            raise ConfigError(f"{where}.temperature: {start:g} given; it must be above 0")
        if learned and not LEARNED[0] <= start <= LEARNED[1]:
            raise ConfigError(
                f"{where}.temperature: {start:g} given; a learned temperature starts within {LEARNED[0]:g} to {LEARNED[1]:g}"
            )
        self.start = start
        self.log = nn.Parameter(torch.tensor(math.log(start))) if learned else None

    def inverse(self, like: Tensor) -> Tensor:
        """1 / τ as a scalar of `like`'s dtype, with gradient where it is learned."""
        if self.log is None:
            return like.new_tensor(1 / self.start)
        with torch.no_grad():
            self.log.clamp_(math.log(LEARNED[0]), math.log(LEARNED[1]))
        return 1 / self.log.to(like.dtype).exp()

    def current(self) -> float:
        """τ as it is now."""
        return self.start if self.log is None else float(self.log.detach().exp().clamp(*LEARNED))
