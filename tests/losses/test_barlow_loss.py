"""Barlow Twins' loss against torch's own batch normalisation and loops over dimensions."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, reduce
from clef_ray.losses.barlow import Barlow


def embeddings(count=6, dim=4, seed=0, scale=0.8):
    z = torch.randn(2 * count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return scale * z + torch.arange(dim)


def terms_of(z, rows=None, redundancy=0.0051):
    count = len(z) // 2
    pairs = Pairs(torch.full((count, 1), math.nan), torch.zeros(count), torch.zeros(count).long(), (0, 0))
    return Barlow(redundancy)(z, torch.arange(len(z)) if rows is None else torch.tensor(rows), pairs)


def by_loops(z, redundancy=0.0051):
    """Batch normalisation by torch, the matrix by loops."""
    z = torch.as_tensor(z)
    count, dim = len(z) // 2, z.shape[1]
    normal = nn.BatchNorm1d(dim, affine=False).double()
    a, b = (normal(side) for side in (z[:count], z[count:]))
    total = 0.0
    for d in range(dim):
        for e in range(dim):
            c = sum(a[i, d] * b[i, e] for i in range(count)) / count
            total = total + ((1 - c) ** 2 if d == e else redundancy * c**2)
    return total


@pytest.mark.parametrize(("count", "dim", "scale"), [(6, 4, 0.8), (2, 3, 2.0), (7, 1, 0.01), (3, 6, 0.0)])
def test_equals_the_definition_in_value_and_gradient(count, dim, scale):
    z = embeddings(count, dim, scale=scale).requires_grad_()
    for redundancy in (0.0051, 0.5):
        value, expected = reduce(terms_of(z, redundancy=redundancy)), by_loops(z, redundancy)
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(
            *(torch.autograd.grad(x, z)[0] for x in (value, expected)), rtol=1e-9, atol=1e-10
        )


def test_views_alike_whose_dimensions_are_uncorrelated_cost_nothing():
    side = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    assert reduce(terms_of(torch.cat([side, side]))).item() == pytest.approx(0, abs=1e-9)
    assert reduce(terms_of(torch.cat([side, -side]))).item() == pytest.approx(2 * 2**2, rel=1e-4)
    assert reduce(terms_of(torch.cat([side, side.flip(1)]))).item() == pytest.approx(2 + 2 * 0.0051, rel=1e-4)


def test_workers_shares_add_up():
    z = embeddings().requires_grad_()
    whole = terms_of(z)
    shares = [terms_of(z, rows) for rows in ([0, 1, 6, 7], [2, 3, 4, 5, 8, 9, 10, 11])]
    parts = []
    for number in range(len(whole)):
        both = [share[number] for share in shares]
        parts += [part.coefficient * part.total / sum(each.count for each in both) for part in both]
    assert sum(parts).item() == pytest.approx(reduce(whole).item(), rel=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(sum(parts), z)[0],
        torch.autograd.grad(reduce(whole), z)[0],
        rtol=1e-10,
        atol=1e-12,
    )


def test_in_autocast_the_products_stay_in_single_precision():
    z = embeddings(16, 8).float()
    with torch.autocast("cpu", torch.bfloat16):
        value = reduce(terms_of(z)).item()
    assert value == pytest.approx(by_loops(z.double()).item(), rel=1e-5)
    assert np.isnan(Barlow().current_temperature)


def test_impossible_weights_are_refused():
    for weight in (-1.0, math.nan):
        with pytest.raises(ConfigError, match=r"barlow\.redundancy"):
            Barlow(weight)
