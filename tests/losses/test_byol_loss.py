"""BYOL's loss against the published implementation's number and Grill et al. 2020, eq. 2, as a loop."""

import math

import numpy as np
import pytest
import torch

from clef_ray.losses import Pairs, reduce
from clef_ray.losses.byol import Byol

#: Five subjects, of which two are records of one patient: it does not matter.
PAIRS = Pairs(torch.full((5, 1), torch.nan), torch.zeros(5), torch.tensor([0, 1, 1, 2, 3]), (0, 0))


def numbers(seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(20, 3)))


def by_loop(z):
    """|p/|p| - t/|t||^2, both ways, mean over the records; z: p_a, p_b, t_b, t_a."""
    b, total = len(z) // 4, 0.0
    for i in range(b):
        for p, t in ((z[i], z[2 * b + i]), (z[b + i], z[3 * b + i])):
            total += sum((p / math.sqrt(p @ p) - t / math.sqrt(t @ t)) ** 2)
    return total / b


def test_golden_value():
    """method.md §1.3, to its six digits: the mean over records of the sum of both ways."""
    f = torch.tensor(
        [[math.sin(0.7 * k + 1.3 * j * (1 + 0.1 * k)) for j in range(4)] for k in range(6)],
        dtype=torch.float64,
    )
    q, k = f[:3], f[3:]
    p_1, z_2, p_2, z_1 = q, k, 1.5 * k + 0.1, q + 0.2
    pairs = Pairs(torch.full((3, 1), torch.nan), torch.zeros(3), torch.arange(3), (0, 0))
    value = reduce(Byol()(torch.cat([p_1, p_2, z_2, z_1]), torch.arange(12), pairs)).item()
    assert value == pytest.approx(6.872490, abs=1.5e-6)


def test_equals_the_loop_in_value_and_gradient():
    z = numbers().requires_grad_()
    value = reduce(Byol()(z, torch.arange(20), PAIRS))
    plain = z.detach().numpy()
    assert value.item() == pytest.approx(by_loop(plain), rel=1e-12)
    (gradient,) = torch.autograd.grad(value, z)
    for n, d in np.ndindex(10, 3):
        ends = []
        for step in (1e-6, -1e-6):
            moved = plain.copy()
            moved[n, d] += step
            ends.append(by_loop(moved))
        assert gradient[n, d].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-8)
    assert (gradient[10:] == 0).all(), "no gradient reaches a target"


def test_workers_shares_add_up():
    z = numbers()
    (whole,) = Byol()(z, torch.arange(20), PAIRS)
    first = torch.tensor([0, 1])
    rows = [torch.cat([subjects + part * 5 for part in range(4)]) for subjects in (first, torch.arange(2, 5))]
    parts = [Byol()(z, r, PAIRS)[0] for r in rows]
    assert sum(p.total.item() for p in parts) == pytest.approx(whole.total.item(), rel=1e-13)
    assert [p.count.item() for p in parts] == [2, 3]


def test_lies_between_0_and_8_whatever_the_norms():
    p = numbers()[:10]
    for t, expected in ((7 * p, 0), (-0.1 * p, 8)):
        assert reduce(Byol()(torch.cat([p, t]), torch.arange(20), PAIRS)).item() == pytest.approx(
            expected, abs=1e-12
        )


def test_products_are_in_single_precision_under_autocast():
    z = numbers().float()
    with torch.autocast("cpu", torch.bfloat16):
        value = reduce(Byol()(z, torch.arange(20), PAIRS))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(by_loop(z.double().numpy()), rel=1e-5)
