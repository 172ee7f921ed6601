"""Several workers: their shares together are the step of one."""

import numpy as np
import pytest
import torch
from noise_cohort import STILL, assert_same_steps, make_trainer, steps

from clef_ray.distributed import gather_parts, sum_gradients
from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, mean, reduce
from clef_ray.losses.guided import Guided
from clef_ray.losses.ntxent import Ntxent

BATCH = 8


def _problem():
    generator = torch.Generator().manual_seed(0)
    x_BF = torch.randn(2, BATCH, 5, generator=generator, dtype=torch.float64)
    weight_DF = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    risk_B = torch.tensor([1.0, 5, 12, float("nan"), 3, 3, 20, 8], dtype=torch.float64)
    c_B = torch.tensor([1, 0.5, 1, 0, 1, 1 / 3, 1, 1], dtype=torch.float64)
    patient_B = torch.tensor([0, 1, 2, 3, 4, 4, 5, 6])
    risk_BK = risk_B[:, None]
    reference = Guided().reference(risk_BK.numpy())
    return x_BF, weight_DF, Pairs(risk_BK, c_B, patient_B, (0, 1), reference)


def _losses():
    return {
        "ntxent": Ntxent(),
        "ntxent-3": Ntxent(negatives=3),
        "guided": Guided(),
        "guided-3": Guided(negatives=3),
        "published": Guided(**Guided.PRESETS["published"]),
    }


class _Worker:
    device = torch.device("cpu")

    def __init__(self, rank, world_size):
        self.rank, self.world_size = rank, world_size


def work(rank, world_size):
    """One worker's share of one step, as train/loop.py does it: loss and the gradient of a shared linear encoder."""
    x_2BF, weight, pairs = _problem()
    share = BATCH // world_size
    context = _Worker(rank, world_size)
    found = {}
    for name, loss in _losses().items():
        layer = torch.nn.Linear(5, 4, bias=False, dtype=torch.float64)
        layer.weight.data.copy_(weight)
        own = x_2BF[:, rank * share : (rank + 1) * share].reshape(-1, 5)
        z_all, rows = gather_parts(layer(own), 2, context)
        terms = loss(z_all, rows, pairs)
        counts = torch.stack([t.count for t in terms])
        totals = torch.stack([t.total for t in terms])
        if world_size > 1:
            torch.distributed.all_reduce(counts)
        value = (
            mean(totals, counts) * torch.tensor([t.coefficient for t in terms], dtype=torch.float64)
        ).sum()
        value.backward()
        sum_gradients(layer.parameters(), context)
        value = value.detach()
        if world_size > 1:
            torch.distributed.all_reduce(value)
        found[name] = (value.numpy(), layer.weight.grad.numpy())
    return found


def work_in_pool():
    return work(torch.distributed.get_rank(), 2)


def test_one_worker_is_the_plain_loss():
    x_2BF, weight, pairs = _problem()
    for name, loss in _losses().items():
        z = x_2BF.reshape(-1, 5) @ weight.T
        assert work(0, 1)[name][0] == pytest.approx(
            reduce(loss(z, torch.arange(2 * BATCH), pairs)).item(), rel=1e-12
        )


def test_two_workers_give_the_loss_and_gradients_of_one(gloo_pair):
    alone = work(0, 1)
    for found in gloo_pair.run(work_in_pool):
        for name, (value, gradient) in found.items():
            assert value == pytest.approx(alone[name][0], rel=1e-10), name
            np.testing.assert_allclose(gradient, alone[name][1], rtol=1e-10, atol=1e-12, err_msg=name)


CARRIED = {
    "method": "clef",
    "loss.queue": 20,
    "loss.learn_temperature": True,
    "batches": "risk_stratified",
    **STILL,
}


def carried_steps(rank, world_size, micro_batch=None):
    """Five steps, of which the last three have a full queue."""
    trainer = make_trainer(CARRIED, rank, world_size, micro_batch)
    return steps(trainer, 5), trainer.queue.state()


def carried_in_pool(micro_batch):
    return carried_steps(torch.distributed.get_rank(), 2, micro_batch)


@pytest.mark.parametrize("micro_batch", [None, 3])
def test_two_workers_with_a_queue_and_a_learned_temperature_go_the_way_of_one(gloo_pair, micro_batch):
    expected, held = carried_steps(0, 1)
    assert "temperature.log" in expected[0][1]
    assert np.abs(expected[0][1]["temperature.log"]) > 1e-3
    for found, queue in gloo_pair.run(carried_in_pool, micro_batch):
        assert_same_steps(found, expected)
        for name, part in held.items():
            torch.testing.assert_close(queue[name], part, rtol=1e-4, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("setting", [{"encoder.norm": "bn"}, {"encoder.dropout": 0.1}])
@pytest.mark.parametrize(
    ("workers", "micro_batch", "words"),
    [
        (2, None, "2 workers would give another result than one"),
        (1, 3, "3 pieces .* would give another result than one"),
        (2, 3, "2 workers of 2 pieces .* would give another result than one"),
    ],
)
def test_layers_that_see_a_share_of_the_batch_are_refused_where_it_is_divided(
    setting, workers, micro_batch, words
):
    with pytest.raises(ConfigError, match=words):
        make_trainer(setting, 0, workers, micro_batch)
    make_trainer(setting, 0, 1, 8)
