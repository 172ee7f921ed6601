"""The loss of the cross reconstruction transformer: the mean error, and NT-Xent of the encodings as an explicit loop."""

import math

import pytest
import torch

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, reduce
from clef_ray.losses.crt import Crt

B, D = 4, 3


@pytest.fixture
def case():
    """Four records, the first and the last of one patient."""
    torch.manual_seed(0)
    z = torch.randn(B, 1 + 2 * D, dtype=torch.float64, requires_grad=True)
    patient = torch.tensor([7, 1, 2, 7])
    return z, Pairs(torch.full((B, 1), math.nan), torch.zeros(B), patient, key=(0, 0))


def by_loop(z, patient, weight, temperature):
    views = [*z[:, 1 : 1 + D], *z[:, 1 + D :]]
    u = [v / v.square().sum().sqrt() for v in views]
    total = 0
    for i in range(2 * B):
        positive = (u[i] @ u[(i + B) % (2 * B)] / temperature).exp()
        others = [k for k in range(2 * B) if patient[k % B] != patient[i % B]]
        negatives = sum((u[i] @ u[k] / temperature).exp() for k in others)
        total = total - (positive / (positive + negatives)).log()
    return z[:, 0].sum() / B + weight * total / (2 * B)


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_equals_the_loop(case, weight):
    z, pairs = case
    found = reduce(Crt(weight, 0.2)(z, torch.arange(B), pairs))
    wanted = by_loop(z, pairs.patient_B.tolist(), weight, 0.2)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    (gradient,) = torch.autograd.grad(found, z, retain_graph=True)
    (reference,) = torch.autograd.grad(wanted, z)
    torch.testing.assert_close(gradient, reference, rtol=1e-9, atol=1e-10)


def test_workers_add_up(case):
    z, pairs = case
    loss = Crt()
    whole = loss(z, torch.arange(B), pairs)
    parts = [loss(z, torch.tensor(rows), pairs) for rows in ([0, 1], [2, 3])]
    assert [term.name for term in whole] == ["reconstruction", "instance"]
    for n, term in enumerate(whole):
        torch.testing.assert_close(parts[0][n].total + parts[1][n].total, term.total)
        assert parts[0][n].count + parts[1][n].count == term.count


def test_refusals():
    with pytest.raises(ConfigError, match="crt, weight: -1 given"):
        Crt(-1)
