"""SimCLR (Chen et al., ICML 2020) with CLEF's recipe: the same views and schedule, NT-Xent in place of the guided loss."""

from torch import nn

from clef_ray.methods import Head, projection


class Simclr:
    """head: `none` as in CLEF's comparison (method.md §3), `mlp2` as in the original paper."""

    trains = True
    default_loss = "ntxent"

    def __init__(self, head: Head = "none") -> None:
        self.head = head

    def heads(self, dim: int) -> nn.Module:
        return projection(self.head, dim)
