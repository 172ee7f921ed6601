"""Encoders, one per file: signals in, one feature vector per record out.

To add an encoder: write `encoders/my_encoder.py` with an `nn.Module` class `MyEncoder` whose constructor's parameters
are its options (one of them `in_leads: int = 1`), with `dim`, the number of features, and `forward(x_BCT) -> z_BD`.
Nothing else needs an edit.
"""

from typing import Protocol

from torch import Tensor


class Encoder(Protocol):
    """What training and evaluation need of an encoder (which is also an `nn.Module`)."""

    dim: int

    def __call__(self, x_BCT: Tensor) -> Tensor:
        """[records, leads, samples] -> [records, dim]."""
        ...
