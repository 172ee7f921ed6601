"""The wide head of the methods that decorrelate dimensions: more dimensions than the encoder has, so that there is room for it."""

from typing import ClassVar, Literal, get_args

from torch import nn

from clef_ray.errors import ConfigError
from clef_ray.losses import Parts
from clef_ray.methods import Learner, Projected, Setting, width
from clef_ray.registry import unknown

Norm = Literal["bn", "ln", "none"]


class Expanded:
    """A method of two views through encoder and expander; its loss is called as it is.

    width: of the expander's three layers. 8192 in the papers, for ResNet-50's 2048 features: four times as many. 1024 is four times what
    encoder S has; 8192 would be 136 million weights on its 0.4 million. norm: `bn` as published, whose statistics would be those of one
    worker's share or of one piece, so that it is refused with several workers or --micro-batch; `ln` and `none` are not.
    """

    trains: ClassVar[bool] = True
    gives: ClassVar[Parts] = "views"
    default_loss: ClassVar[str]

    def __init__(self, width: int = 1024, norm: Norm = "bn") -> None:
        self.width = width
        self.norm = norm

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:  # noqa: ARG002 - as every method
        return Projected(encoder, expander(width(encoder), self.width, self.norm, self.default_loss))


def expander(dim: int, width: int, norm: Norm, where: str) -> nn.Module:
    """Three linear layers, dim -> width -> width -> width; normalisation and ReLU after the first two. where: the method, for errors."""
    if norm not in get_args(Norm):
        raise unknown("value", norm, get_args(Norm), f"{where}.norm")
    if width < 1:
        raise ConfigError(f"{where}.width: {width} given; at least 1 is needed")
    layers: list[nn.Module] = []
    for width_in in (dim, width):
        layers += [nn.Linear(width_in, width), *_normalisation(norm, width), nn.ReLU()]
    # The loss centres every dimension: a bias here would change nothing.
    return nn.Sequential(*layers, nn.Linear(width, width, bias=False))


def _normalisation(norm: Norm, width: int) -> list[nn.Module]:
    if norm == "bn":
        return [nn.BatchNorm1d(width)]
    return [nn.LayerNorm(width)] if norm == "ln" else []
