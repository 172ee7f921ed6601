"""What a feed delivers for one step: of each record two leads of one window, as they are stored."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """One worker's slice of one global batch. (raw - baseline) / gain is mV.

    rows_b, lead_b2: positions of the records in the corpus and of the views' leads in the feed's `leads`; they stay on the host.
    raw_b2T: int16; gain_b2, baseline_b2: float32, raw units per mV and at 0 mV; on the training device after `to`.
    """

    rows_b: NDArray[np.int64]
    lead_b2: NDArray[np.int64]
    raw_b2T: Tensor
    gain_b2: Tensor
    baseline_b2: Tensor

    def __len__(self) -> int:
        return len(self.rows_b)

    def __getitem__(self, piece: slice | NDArray[np.int64]) -> "Batch":
        """Some of the records."""
        return Batch(
            self.rows_b[piece],
            self.lead_b2[piece],
            self.raw_b2T[piece],
            self.gain_b2[piece],
            self.baseline_b2[piece],
        )

    def to(self, device: torch.device) -> "Batch":
        """On a device; from pinned memory the host does not wait for the copy."""
        return replace(
            self,
            raw_b2T=self.raw_b2T.to(device, non_blocking=True),
            gain_b2=self.gain_b2.to(device, non_blocking=True),
            baseline_b2=self.baseline_b2.to(device, non_blocking=True),
        )

    def pinned(self) -> "Batch":
        """In memory that a GPU reads by itself."""
        return replace(
            self,
            raw_b2T=self.raw_b2T.pin_memory(),
            gain_b2=self.gain_b2.pin_memory(),
            baseline_b2=self.baseline_b2.pin_memory(),
        )
