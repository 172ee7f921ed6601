"""The queue of past embeddings: negatives beyond the batch (He et al. 2020, arXiv 1911.05722, without its momentum encoder).

Every worker pushes the same gathered batch, so the queue does not depend on their number; it is in the checkpoint, so that a resumed run
sees the negatives that an uninterrupted one sees.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from clef_ray.losses import Pairs, Queue


class EmbeddingQueue:
    """The newest `rows` views of past steps, first in, first out. rows = 0: no queue.

    held: what it holds, oldest first; None while there is nothing.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.held: Queue | None = None

    def push(self, z_VD: Tensor, pairs: Pairs) -> None:
        """Add views of a batch (one of every subject, or first views, then second: V = B or 2B) without their graph; of more than `rows`
        the last stay.
        """
        if not self.rows:
            return
        views = len(z_VD) // len(pairs.patient_B)
        risk_VK, completeness_V = pairs.risk_BK.repeat(views, 1), pairs.completeness_B.repeat(views)
        new = Queue(z_VD.detach(), risk_VK, completeness_V, pairs.patient_B.repeat(views))
        if self.held is None:
            self.held = Queue(*(part[-self.rows :].clone() for part in _parts(new)))
            return
        joined = zip(_parts(self.held), _parts(new), strict=True)
        self.held = Queue(*(self._newest(old, added) for old, added in joined))

    def _newest(self, old: Tensor, added: Tensor) -> Tensor:
        # cut first, join then: the result holds no storage beyond its rows
        added = added[-self.rows :]
        return torch.cat([old[max(len(old) + len(added) - self.rows, 0) :], added])

    def state(self) -> dict[str, Tensor]:
        """For the checkpoint; empty while nothing is held."""
        if self.held is None:
            return {}
        return dict(zip(Queue.__slots__, _parts(self.held), strict=True))

    def load(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Inverse of `state`."""
        self.held = Queue(**{name: part.to(device) for name, part in state.items()}) if state else None


def _parts(queue: Queue) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return queue.z_QD, queue.risk_QK, queue.completeness_Q, queue.patient_Q
