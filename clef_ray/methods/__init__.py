"""Pretraining methods, one per file: which heads sit on the encoder, and which loss compares the views.

To add one: a file NAME.py with class Name; `trains` says whether there is anything to optimise, `default_loss` names a file of losses/,
and the constructor's parameters are its switches. `heads(dim)` returns the module between encoder and loss; it is thrown away after
pretraining.
"""

from typing import ClassVar, Literal, Protocol

from torch import nn

Head = Literal["none", "mlp2"]


class Method(Protocol):
    """What the training loop needs of a method."""

    trains: ClassVar[bool]
    default_loss: ClassVar[str]

    def heads(self, dim: int) -> nn.Module:
        """The module applied to the encoder's output [*, dim] before the loss."""
        ...


def projection(head: Head, dim: int) -> nn.Module:
    """`none`: the loss acts on the encoder's output, as published for CLEF; `mlp2`: SimCLR's dim -> dim -> 128 (Chen et al. 2020)."""
    if head == "none":
        return nn.Identity()
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 128))
