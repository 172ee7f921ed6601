"""Work that concerns the batch as a whole, divided among the workers: what one of them does need not be done by the others, too."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

#: A worker's few numbers [n] -> those of every worker [W, n], in the same order on all; no gradient. Every worker has to call it.
Everyone = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Share:
    """rows_R: the rows of the batch that are this worker's; total: how many there are; everyone: None where this worker does all of the work."""

    rows_R: Tensor
    total: int
    everyone: Everyone | None = None

    def of(self, pieces: int) -> Tensor:
        """[n] which of so many equal pieces of work are this worker's, in ascending order; all where it works alone."""
        if self.everyone is None:
            return torch.arange(pieces, device=self.rows_R.device)
        return owned(pieces, self.rows_R, self.total)

    def exchanged(self, found_n: Tensor) -> Tensor:
        """[W, n] what every worker found of its pieces."""
        return found_n[None] if self.everyone is None else self.everyone(found_n)


def owned(pieces: int, rows_R: Tensor, total: int) -> Tensor:
    """[n] which of so many pieces of work go with the rows `rows_R` of `total`, in ascending order.

    Piece k goes with row floor(k total / pieces): whatever rows the workers have, each piece is exactly one worker's.
    """
    piece_P = torch.arange(pieces, device=rows_R.device)
    return piece_P[torch.isin(piece_P * total // pieces, rows_R)]
