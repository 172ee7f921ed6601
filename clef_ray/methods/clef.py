"""CLEF (arXiv 2512.02180): two views, negatives weighed by the difference in clinical risk."""

from torch import nn

from clef_ray.methods import Head, projection


class Clef:
    """head: no projection head is published for CLEF."""

    trains = True
    default_loss = "guided"

    def __init__(self, head: Head = "none") -> None:
        self.head = head

    def heads(self, dim: int) -> nn.Module:
        return projection(self.head, dim)
