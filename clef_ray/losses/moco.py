"""InfoNCE of a query, its key and a queue of earlier keys (MoCo: He et al. 2020, arXiv 1911.05722, eq. 1)."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, Parts, Queue, Term
from clef_ray.losses._temperature import Temperature


class Moco(nn.Module):
    """The cross-entropy of a softmax over cosines / temperature, in which the record's own key is to be found among the queue's keys.

    temperature: .07, as the paper's first version and CLEF's comparison have it (the second version: .2). queue: how many keys are kept, of
    batches of any size.
    The negatives are the keys of earlier steps, not those of the batch. Keys of the anchor's own patient are left out: they are no negatives.
    Where an anchor has no negatives, as none has in the first step, its loss is 0 and so is its gradient; the paper starts from a
    queue of random vectors instead. So the loss rises, with the logarithm of their number, while the queue fills.
    Queries and keys are normalised here; the method has already normalised the keys that it hands to the queue.
    """

    takes: ClassVar[Parts] = "keys"
    uses_risk: ClassVar[bool] = False

    def __init__(self, temperature: float = 0.07, queue: int = 65536) -> None:
        super().__init__()
        if queue < 1:
            raise ConfigError(
                f"moco.queue: {queue} given; at least 1 is needed, there are no other negatives"
            )
        self.temperature = Temperature(temperature, learned=False, where="moco")
        self.queue = queue

    @property
    def current_temperature(self) -> float:
        return self.temperature.current()

    def forward(self, z_all: Tensor, rows: Tensor, pairs: Pairs) -> list[Term]:
        """One term, `nce`: mean over the queries of -log softmax of the own key. z_all: [2B, D], q_a of every subject, then k_b.

        Memory: a few times [R, Q] numbers.
        """
        batch = len(pairs.patient_B)
        query_R = rows[rows < batch]
        with torch.autocast(z_all.device.type, enabled=False):
            z_2BD = z_all if z_all.dtype == torch.float64 else z_all.float()
            q_RD = functional.normalize(z_2BD[query_R], dim=-1)
            k_RD = functional.normalize(z_2BD[query_R + batch].detach(), dim=-1)
            s_RV = (q_RD * k_RD).sum(-1, keepdim=True)
            if pairs.queue is not None:
                s_RV = torch.cat([s_RV, _negatives(q_RD, pairs.patient_B[query_R], pairs.queue)], dim=1)
            logits_RV = s_RV * self.temperature.inverse(s_RV)
            total = functional.cross_entropy(logits_RV, torch.zeros_like(query_R), reduction="sum")
        return [Term("nce", 1.0, total, total.new_tensor(len(query_R)))]


def _negatives(q_RD: Tensor, patient_R: Tensor, queue: Queue) -> Tensor:
    """[R, Q] cosines with the queue's keys, -inf with those of the same patient."""
    k_QD = functional.normalize(queue.z_QD.detach().to(q_RD.dtype), dim=-1)
    return (q_RD @ k_QD.T).masked_fill(patient_R[:, None] == queue.patient_Q, -torch.inf)
