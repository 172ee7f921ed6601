"""MoCo's loss against He et al. 2020, eq. 1, as a loop over queries and keys."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, Queue, mean, reduce
from clef_ray.losses.moco import Moco

PATIENTS, QUEUED = [0, 1, 2, 2], [1, 5, 2, 6, 7]
TAU = 0.2


def numbers(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def pairs_of(patients=PATIENTS, queue_z=None, queued=QUEUED):
    def unknown(n):
        return torch.full((n, 1), torch.nan), torch.zeros(n)

    queue = (
        None
        if queue_z is None
        else Queue(queue_z, *unknown(len(queued)), torch.tensor(queued[: len(queue_z)]))
    )
    return Pairs(*unknown(len(patients)), torch.tensor(patients), (0, 0), queue=queue)


def by_loop(z, patients, queue_z, queued, tau):
    """Mean of -log softmax in NumPy; z: queries, then keys."""
    z, queue_z = np.asarray(z), np.asarray(queue_z)
    b, total = len(z) // 2, 0.0

    def e(x, y):
        return math.exp(x @ y / math.sqrt((x @ x) * (y @ y)) / tau)

    for i in range(b):
        own = e(z[i], z[b + i])
        others = sum(e(z[i], key) for key, of in zip(queue_z, queued, strict=True) if of != patients[i])
        total -= math.log(own / (own + others))
    return total / b


def test_equals_the_loop_in_value_and_gradient():
    z, queue_z = numbers(8, 3), numbers(5, 3, seed=1) * 4
    z.requires_grad_()
    value = reduce(Moco(TAU)(z, torch.arange(8), pairs_of(queue_z=queue_z)))
    plain = z.detach().numpy()
    assert value.item() == pytest.approx(by_loop(plain, PATIENTS, queue_z, QUEUED, TAU), rel=1e-12)
    (gradient,) = torch.autograd.grad(value, z)
    step = 1e-6
    for n, d in np.ndindex(4, 3):
        ends = []
        for sign in (1, -1):
            moved = plain.copy()
            moved[n, d] += sign * step
            ends.append(by_loop(moved, PATIENTS, queue_z, QUEUED, TAU))
        assert gradient[n, d].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-9)
    assert (gradient[4:] == 0).all(), "no gradient reaches a key"


def test_is_the_papers_cross_entropy_over_all_keys_where_all_patients_differ():
    z, queue_z = numbers(8, 6), numbers(7, 6, seed=1)
    unit, keys = functional.normalize(z), functional.normalize(queue_z)
    positive = (unit[:4] * unit[4:]).sum(1, keepdim=True)
    logits = torch.cat([positive, unit[:4] @ keys.T], dim=1) / 0.07
    expected = functional.cross_entropy(logits, torch.zeros(4, dtype=torch.long))
    pairs = pairs_of([0, 1, 2, 3], queue_z, [*range(4, 11)])
    assert reduce(Moco()(z, torch.arange(8), pairs)).item() == pytest.approx(expected.item(), rel=1e-12)


def test_neither_the_norm_of_queries_nor_of_keys_matters():
    z, queue_z = numbers(8, 3), numbers(5, 3, seed=1)
    scale_8, scale_5 = numbers(8, 1, seed=2).abs() + 0.1, numbers(5, 1, seed=3).abs() + 0.1
    values = [
        reduce(Moco()(x, torch.arange(8), pairs_of(queue_z=q))).item()
        for x, q in ((z, queue_z), (z * scale_8, queue_z * scale_5))
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-12)


def test_other_keys_of_the_batch_and_of_the_same_patient_are_no_negatives():
    """What subject 2 loses does not depend on the keys of subjects 0, 1 and 3, nor on the queue's key of its patient."""
    z, queue_z = numbers(8, 3), numbers(5, 3, seed=1)
    moved_z, moved_queue = z.clone(), queue_z.clone()
    moved_z[[4, 5, 7]] += 3
    moved_queue[2] = z[2] * 5
    (before,) = Moco()(z, torch.tensor([2, 6]), pairs_of(queue_z=queue_z))
    (after,) = Moco()(moved_z, torch.tensor([2, 6]), pairs_of(queue_z=moved_queue))
    assert before.total.item() == after.total.item()
    moved_queue[3] = z[2]
    (nearer,) = Moco()(moved_z, torch.tensor([2, 6]), pairs_of(queue_z=moved_queue))
    assert nearer.total.item() > after.total.item()


def test_workers_shares_add_up():
    z, pairs = numbers(8, 3), pairs_of(queue_z=numbers(5, 3, seed=1))
    (whole,) = Moco()(z, torch.arange(8), pairs)
    parts = [Moco()(z, torch.tensor(rows), pairs)[0] for rows in ([0, 1, 4, 5], [2, 3, 6, 7])]
    assert sum(p.total.item() for p in parts) == pytest.approx(whole.total.item(), rel=1e-13)
    assert [p.count.item() for p in parts] == [2, 2]
    assert whole.count.item() == 4


@pytest.mark.parametrize("queue_z", [None, numbers(2, 3)], ids=["no queue yet", "one's own keys alone"])
def test_without_negatives_the_loss_and_its_gradient_are_zero(queue_z):
    z = numbers(4, 3).requires_grad_()
    pairs = pairs_of([5, 5], queue_z, [5, 5])
    (term,) = Moco()(z, torch.arange(4), pairs)
    value = mean(term.total, term.count)
    value.backward()
    assert value.item() == 0
    assert (z.grad == 0).all()


def test_products_are_in_single_precision_under_autocast():
    z, queue_z = numbers(8, 3).float(), numbers(5, 3, seed=1).float()
    exact = reduce(Moco()(z.double(), torch.arange(8), pairs_of(queue_z=queue_z))).item()
    with torch.autocast("cpu", torch.bfloat16):
        value = reduce(Moco()(z, torch.arange(8), pairs_of(queue_z=queue_z)))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "words"), [({"queue": 0}, r"moco\.queue: 0"), ({"temperature": 0.0}, r"moco\.temperature: 0")]
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        Moco(**options)


def test_the_defaults_are_the_papers():
    assert (Moco().queue, Moco().current_temperature) == (65536, 0.07)
