"""CLOCS' loss against loops over its similarity matrix."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, _kernel, reduce
from clef_ray.losses.clocs import Clocs


def pairs_of(patients):
    count = len(patients)
    return Pairs(
        torch.full((count, 1), math.nan),
        torch.zeros(count),
        torch.tensor(patients, dtype=torch.int64),
        (0, 0),
    )


def by_loops(z, patients, tau):
    """The definition, with Python numbers."""
    count = len(patients)
    a, b = z[:count], z[count:]
    s = [[math.exp(x @ y / np.linalg.norm(x) / np.linalg.norm(y) / tau) for y in b] for x in a]
    row = [sum(s[i]) for i in range(count)]
    column = [sum(s[i][j] for i in range(count)) for j in range(count)]
    lists = [
        [-math.log(s[i][i] / row[i]) for i in range(count)],
        [-math.log(s[i][i] / column[i]) for i in range(count)],
        [],
        [],
    ]
    for i in range(count):
        for j in range(count):
            if patients[i] == patients[j] and i < j:
                lists[2].append(-math.log(s[i][j] / row[i]))
            if patients[i] == patients[j] and i > j:
                lists[3].append(-math.log(s[i][j] / column[j]))
    means = [sum(each) / len(each) for each in lists if each]
    return sum(means) / len(means)


def embeddings(count, dim=3, seed=0):
    return torch.randn(2 * count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def value_of(z, patients, tau=0.1, rows=None):
    rows = torch.arange(len(z)) if rows is None else torch.tensor(rows)
    return Clocs(tau)(z, rows, pairs_of(patients))


@settings(max_examples=20)
@given(
    patients=st.lists(st.integers(0, 3), min_size=1, max_size=7),
    tau=st.sampled_from([0.02, 0.1, 1.0]),
    seed=st.integers(0, 99),
)
def test_equals_the_loop(patients, tau, seed):
    z = embeddings(len(patients), seed=seed)
    assert reduce(value_of(z, patients, tau)).item() == pytest.approx(
        by_loops(z.numpy(), patients, tau), rel=1e-10, abs=1e-12
    )


@pytest.mark.parametrize("patients", [[0, 1, 2], [4, 4, 1, 4, 1]])
@pytest.mark.parametrize("tau", [0.1, 0.02])
def test_gradient_is_that_of_finite_differences(patients, tau):
    z = embeddings(len(patients)).requires_grad_()
    (found,) = torch.autograd.grad(reduce(value_of(z, patients, tau)), z)
    plain = z.detach().numpy()
    for at in np.ndindex(*plain.shape):
        up, down = plain.copy(), plain.copy()
        up[at] += 1e-6
        down[at] -= 1e-6
        slope = (by_loops(up, patients, tau) - by_loops(down, patients, tau)) / 2e-6
        assert found[at].item() == pytest.approx(slope, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("tau", [0.1, 0.02])
def test_in_several_chunks_it_is_the_same(monkeypatch, tau):
    z, patients = embeddings(6), [0, 0, 1, 2, 1, 0]
    expected = torch.autograd.grad(reduce(value_of(z.requires_grad_(), patients, tau)), z)[0]
    monkeypatch.setattr(_kernel, "ROWS", 5)
    value = reduce(value_of(z, patients, tau))
    assert value.item() == pytest.approx(by_loops(z.detach().numpy(), patients, tau), rel=1e-10)
    torch.testing.assert_close(torch.autograd.grad(value, z)[0], expected, rtol=1e-9, atol=1e-12)


def test_of_different_patients_it_is_cross_entropy_both_ways():
    z = embeddings(6, dim=4)
    logits = functional.normalize(z[:6]) @ functional.normalize(z[6:]).T / 0.1
    expected = (
        functional.cross_entropy(logits, torch.arange(6))
        + functional.cross_entropy(logits.T, torch.arange(6))
    ) / 2
    torch.testing.assert_close(reduce(value_of(z, [5, 3, 1, 0, 2, 4])), expected, rtol=1e-12, atol=0)
    names = [term.name for term in value_of(z, range(6))]
    assert names == [term.name for term in value_of(z, [0] * 6)], "an epoch adds up its steps' terms"


def test_two_records_of_one_patient_by_hand():
    """a1 = b1 and a2 = b2 stand at a right angle: e^(1/tau) on the diagonal, 1 elsewhere."""
    z = torch.eye(2, dtype=torch.float64).repeat(2, 1)
    own, other = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert reduce(value_of(z, [7, 7], tau=0.5)).item() == pytest.approx((2 * own + 2 * other) / 4, rel=1e-12)
    assert reduce(value_of(z, [7, 8], tau=0.5)).item() == pytest.approx(own, rel=1e-12)


@pytest.mark.parametrize("patients", [[0, 1, 2, 3], [0, 0, 1, 0]])
def test_workers_shares_add_up(patients):
    z = embeddings(4).requires_grad_()
    whole = value_of(z, patients)
    shares = [value_of(z, patients, rows=rows) for rows in ([0, 1, 4, 5], [2, 3, 6, 7])]
    parts = []
    for number, term in enumerate(whole):
        both = [share[number] for share in shares]
        assert sum(part.count.item() for part in both) == term.count.item()
        assert {part.coefficient for part in both} == {term.coefficient}
        torch.testing.assert_close(both[0].total + both[1].total, term.total, rtol=1e-12, atol=1e-12)
        parts += [term.coefficient * part.total / max(term.count.item(), 1) for part in both]
    torch.testing.assert_close(
        torch.autograd.grad(sum(parts), z)[0],
        torch.autograd.grad(reduce(whole), z)[0],
        rtol=1e-10,
        atol=1e-12,
    )


def test_in_autocast_the_sums_stay_in_single_precision():
    z, patients = embeddings(5).float(), [0, 0, 1, 2, 1]
    expected = by_loops(z.double().numpy(), patients, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        assert reduce(value_of(z, patients)).item() == pytest.approx(expected, rel=1e-5)


def test_impossible_temperatures_are_refused():
    with pytest.raises(ConfigError, match=r"clocs\.temperature"):
        Clocs(temperature=0)
