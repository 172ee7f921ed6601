"""The control that every claim needs: the encoder as initialised, never trained."""

from torch import nn


class Random:
    """Nothing is optimised; the seed alone determines the encoder."""

    trains = False
    default_loss = ""

    def heads(self, dim: int) -> nn.Module:  # noqa: ARG002 - the protocol's signature
        return nn.Identity()
