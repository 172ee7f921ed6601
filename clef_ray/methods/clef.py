"""CLEF (arXiv 2512.02180): two views, negatives weighed by the difference in clinical risk."""

from typing import ClassVar

from torch import nn

from clef_ray.losses import Parts
from clef_ray.methods import Head, Learner, Projected, Setting, projection, width


class Clef:
    """head: no projection head is published for CLEF."""

    trains: ClassVar[bool] = True
    gives: ClassVar[Parts] = "views"
    default_loss: ClassVar[str] = "guided"

    def __init__(self, head: Head = "none") -> None:
        self.head = head

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:  # noqa: ARG002 - as every method
        return Projected(encoder, projection(self.head, width(encoder)))
