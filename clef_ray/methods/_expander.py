"""The wide head of the methods that decorrelate dimensions: more dimensions than the encoder has, so that there is room for it."""

from typing import Literal, get_args

from torch import nn

from clef_ray.errors import ConfigError
from clef_ray.registry import unknown

Norm = Literal["bn", "ln", "none"]


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
