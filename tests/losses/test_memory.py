"""The losses never hold a matrix of all views against all views, forward or backward."""

import dataclasses

import pytest
import torch
from guided_cases import make_case, pairs_of
from torch.utils._python_dispatch import TorchDispatchMode

from clef_ray.losses import reduce
from clef_ray.losses.guided import Guided
from clef_ray.losses.ntxent import Ntxent

B, Q, DIM, CHUNK = 160, 100, 8, 2**13
#: Twice, for what holds a chunk's pairs of indices; far below all similarities at once.
MOST = 2 * CHUNK
ALL = (2 * B) ** 2


class Largest(TorchDispatchMode):
    """The number of elements of the largest storage that any operation returns."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


@pytest.mark.parametrize(
    ("loss", "k"),
    [
        (Ntxent(), 1),
        (Guided(learn_temperature=True), 1),
        (Guided(**Guided.PRESETS["published"]), 2),
        (Guided(same_patient="positive"), 1),
        (Ntxent(queue=Q), 1),
        (Ntxent(queue=Q, negatives=100, choose="hardest", learn_temperature=True), 1),
        (Guided(queue=Q), 1),
        (Guided(queue=Q, **Guided.PRESETS["published"]), 2),
        (Guided(queue=Q, **Guided.PRESETS["paper"]), 1),
        (Guided(queue=Q, negatives=100, unknown="drop", normaliser="rank", same_patient="positive"), 2),
        *((Guided(queue=Q, negatives=100, choose=c), 2) for c in ("hardest", "risk_far", "stratified")),
    ],
    ids=[
        "ntxent-alone",
        "default-alone",
        "published-alone",
        "positive-alone",
        "ntxent",
        "hardest",
        "default",
        "published",
        "paper",
        "rank",
        "guided-hardest",
        "risk_far",
        "stratified",
    ],
)
def test_nothing_larger_than_a_chunk(loss, k, monkeypatch):
    monkeypatch.setattr("clef_ray.losses._kernel.CHUNK", CHUNK)
    case = make_case(B, q=loss.queue, k=k, dim=DIM, patients=200)
    case = dataclasses.replace(case, z=case.z.float())
    z, pairs, saved = case.z.requires_grad_(), pairs_of(case, loss), []

    def pack(tensor):
        saved.append(tensor.numel())
        return tensor

    with Largest() as largest:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            value = reduce(loss(z, torch.arange(2 * B), pairs))
        value.backward()
    assert CHUNK / 2 < largest.numel <= MOST < ALL / 4
    assert 0 < sum(saved) < 20 * (2 * B + Q) * DIM < ALL
