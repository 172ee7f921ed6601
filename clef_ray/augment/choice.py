"""What of a record the two views show; asked before reading, so that only that is decoded and moved to the device."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from clef_ray.errors import ConfigError
from clef_ray.randomness import fold, uniform
from clef_ray.sections import Signals, Views


def window(signals: Signals, samples: int) -> int:
    """Samples of the training window. ConfigError where the records, of `samples` samples, are shorter."""
    wanted = round(signals.seconds * signals.fs)
    if wanted > samples:
        raise ConfigError(
            f"signals.seconds {signals.seconds}: the records last {samples / signals.fs:g} s; choose a shorter window"
        )
    return wanted


@dataclass(frozen=True)
class Choice:
    """Which leads and which window of a record its views show; a pure function of (seed, epoch, record).

    leads: those the feed delivers. Lead `random`: two uniform draws, the second made equal to the first with probability same_lead.
    ConfigError where the shards lack the lead.
    """

    signals: Signals
    views: Views
    leads: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        if self.views.lead not in ("random", *self.leads):
            raise ConfigError(
                f"views.lead {self.views.lead!r}: the shards hold {', '.join(self.leads)}; `random` uses them all"
            )

    def lead(self, epoch: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """[rows, 2] positions in `leads`: of view a and of view b."""
        if self.views.lead != "random":
            return np.full((len(rows), 2), self.leads.index(self.views.lead))
        key, record_b = fold("views", self.seed, epoch), torch.from_numpy(rows)
        first = (uniform(fold(key, "lead a"), record_b) * len(self.leads)).long()
        second = (uniform(fold(key, "lead b"), record_b) * len(self.leads)).long()
        same = uniform(fold(key, "same lead"), record_b) < self.views.same_lead
        chosen: NDArray[np.int64] = torch.stack([first, torch.where(same, first, second)], dim=1).numpy()
        return chosen

    def start(self, epoch: int, rows: NDArray[np.int64], samples: int) -> NDArray[np.int64]:
        """The first sample of each record's window, [rows]: both views show the same one. samples: of a record.

        ConfigError where the window is longer than the records.
        """
        most = samples - window(self.signals, samples)
        if self.views.crop == "first" or most == 0:
            return np.zeros(len(rows), dtype=np.int64)
        key = fold("views", self.seed, epoch, "crop")
        start: NDArray[np.int64] = (uniform(key, torch.from_numpy(rows)).double() * (most + 1)).long().numpy()
        return start
