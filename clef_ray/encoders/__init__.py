"""Encoders, one per file: signals in, one feature vector per record out.

To add an encoder: write `encoders/my_encoder.py` with an `nn.Module` class `MyEncoder` whose constructor's parameters
are its options (one of them `in_leads: int = 1`; of a `size` the smallest comes first), with `dim`, the number of features,
`tokens(x_BCT) -> y_BND`, the features of every time step or patch, and `forward(x_BCT) -> z_BD`, which pools them as its
docstring says. Signals may have any length. Nothing else needs an edit; the contract test finds the encoder by its file name.
"""

from typing import Protocol

from torch import Tensor


class Encoder(Protocol):
    """What training and evaluation need of an encoder (which is also an `nn.Module`)."""

    dim: int

    def __call__(self, x_BCT: Tensor) -> Tensor:
        """[records, leads, samples] -> [records, dim]."""
        ...

    def tokens(self, x_BCT: Tensor) -> Tensor:
        """[records, leads, samples] -> [records, steps, dim]: what is pooled."""
        ...
