"""SimCLR (Chen et al., ICML 2020) with CLEF's recipe: the same views and schedule, NT-Xent in place of the guided loss."""

from typing import ClassVar

from torch import nn

from clef_ray.losses import Parts
from clef_ray.methods import Head, Learner, Projected, Setting, projection, width


class Simclr:
    """head: `none` as in CLEF's comparison (method.md §3), `mlp2` as in the original paper."""

    trains: ClassVar[bool] = True
    gives: ClassVar[Parts] = "views"
    default_loss: ClassVar[str] = "ntxent"

    def __init__(self, head: Head = "none") -> None:
        self.head = head

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:  # noqa: ARG002 - as every method
        return Projected(encoder, projection(self.head, width(encoder)))
