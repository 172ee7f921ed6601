"""VICReg's loss against loops over records and dimensions."""

import math

import numpy as np
import pytest
import torch

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, reduce
from clef_ray.losses.vicreg import Vicreg


def embeddings(count=5, dim=4, seed=0, scale=0.8):
    return scale * torch.randn(
        2 * count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def terms_of(z, rows=None, **options):
    count = len(z) // 2
    pairs = Pairs(torch.full((count, 1), math.nan), torch.zeros(count), torch.zeros(count).long(), (0, 0))
    return Vicreg(**options)(z, torch.arange(len(z)) if rows is None else torch.tensor(rows), pairs)


def by_loops(z, weights=(25, 25, 1)):
    count, dim = len(z) // 2, z.shape[1]
    invariance = sum((z[i, d] - z[count + i, d]) ** 2 for i in range(count) for d in range(dim)) / count / dim
    variance = covariance = 0.0
    for side in (z[:count], z[count:]):
        mean = [sum(side[i, d] for i in range(count)) / count for d in range(dim)]
        for d in range(dim):
            for e in range(dim):
                shared = sum((side[i, d] - mean[d]) * (side[i, e] - mean[e]) for i in range(count)) / (
                    count - 1
                )
                if d == e:
                    variance += max(0.0, 1 - math.sqrt(shared + 1e-4)) / dim
                else:
                    covariance += shared**2 / dim
    return weights[0] * invariance + weights[1] * variance + weights[2] * covariance


@pytest.mark.parametrize(("count", "dim", "scale"), [(5, 4, 0.8), (2, 3, 2.0), (7, 1, 0.1), (3, 6, 0.0)])
def test_equals_the_loop(count, dim, scale):
    z = embeddings(count, dim, scale=scale)
    assert reduce(terms_of(z)).item() == pytest.approx(by_loops(z.numpy()), rel=1e-12)
    asked = {"invariance": 3.0, "variance": 2.0, "covariance": 7.0}
    assert reduce(terms_of(z, **asked)).item() == pytest.approx(by_loops(z.numpy(), (3, 2, 7)), rel=1e-12)


def test_gradient_is_that_of_finite_differences():
    z = embeddings().requires_grad_()
    (found,) = torch.autograd.grad(reduce(terms_of(z)), z)
    plain = z.detach().numpy()
    for at in np.ndindex(*plain.shape):
        up, down = plain.copy(), plain.copy()
        up[at] += 1e-6
        down[at] -= 1e-6
        assert found[at].item() == pytest.approx((by_loops(up) - by_loops(down)) / 2e-6, rel=1e-5, abs=1e-6)


def test_one_place_for_all_costs_the_variance_and_its_gradient_is_finite():
    z = torch.full((6, 3), 0.5, requires_grad=True)
    invariance, variance, covariance = terms_of(z)
    assert (invariance.total.item(), covariance.total.item()) == (0, 0)
    assert variance.total.item() == pytest.approx(2 * (1 - 0.01), rel=1e-6)
    reduce([variance]).backward()
    assert z.grad.isfinite().all()


def test_workers_shares_add_up():
    z = embeddings(6).requires_grad_()
    whole = terms_of(z)
    shares = [terms_of(z, rows) for rows in ([0, 1, 6, 7], [2, 3, 4, 5, 8, 9, 10, 11])]
    parts = []
    for number, term in enumerate(whole):
        both = [share[number] for share in shares]
        count = sum(part.count for part in both)
        assert count.item() == pytest.approx(term.count.item(), rel=1e-12) == 1
        parts += [part.coefficient * part.total / count for part in both]
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
        terms = terms_of(z)
    assert reduce(terms).item() == pytest.approx(by_loops(z.double().numpy()), rel=1e-5)
    assert terms_of(z.bfloat16())[2].total.dtype == torch.float32


@pytest.mark.parametrize("name", ["invariance", "variance", "covariance"])
def test_impossible_weights_are_refused(name):
    for weight in (-1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match=rf"vicreg\.{name}"):
            Vicreg(**{name: weight})
