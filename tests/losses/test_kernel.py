"""The half of the similarities against all of them: the same sums and gradients, whichever way is taken."""

import dataclasses
import math

import pytest
import torch
from guided_cases import make_case, make_loss, pairs_of
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import SWITCHES
from test_guided_loop import compare

from clef_ray.losses import _kernel
from clef_ray.losses._kernel import Weights, negatives
from clef_ray.losses.guided import Guided
from clef_ray.losses.ntxent import Ntxent

#: 1 / τ of 39 is within what the half takes, 41 beyond.
TAUS = (1 / 39, 1 / 41, 0.07, 1.0)


@st.composite
def cases(draw):
    return make_case(
        draw(st.integers(1, 6)),
        k=draw(st.sampled_from([1, 2])),
        dim=draw(st.integers(2, 5)),
        seed=draw(st.integers(0, 10**6)),
        patients=draw(st.sampled_from([0, 1, 3])),
        unknown=draw(st.sampled_from([0.0, 0.3, 0.8])),
    )


switches = st.fixed_dictionaries(
    {name: st.sampled_from(values) for name, values in SWITCHES.items() if name != "choose"}
)


def everything(loss, case, rows, dtype=torch.float64):
    """Totals and counts of an uneven mixture's terms, and its gradients."""
    z = case.z.to(dtype).requires_grad_()
    terms = loss(z, rows, pairs_of(case, loss))
    value = sum(number * t.total for number, t in enumerate(terms, start=1))
    inputs = [z, *loss.parameters()]
    gradients = torch.autograd.grad(value, inputs, allow_unused=True, materialize_grads=True)
    return [t.total for t in terms], [t.count for t in terms], *gradients


@settings(max_examples=200)
@given(
    cases(),
    switches,
    st.sampled_from([0.0, 0.2, 1.0]),
    st.sampled_from(TAUS),
    st.booleans(),
    st.sampled_from([1, 30, 2**19]),
)
def test_all_negatives_of_all_anchors_equal_the_loop(case, switches, alpha, tau, learn, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_kernel, "CHUNK", chunk)
        compare({**switches, "alpha": alpha}, case, tau, learn_temperature=learn)


@settings(max_examples=200)
@given(
    cases(),
    switches,
    st.sampled_from([0.0, 0.2, 1.0]),
    st.sampled_from([(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)]),
    st.sampled_from(TAUS),
    st.sampled_from([7, 30, 2**19]),
)
def test_half_equals_all(case, switches, alpha, lambdas, tau, chunk):
    """Anchors in another order are computed with all views; with no temperature left to the half, from each row's largest term."""
    weighted, aligned = lambdas
    options = {**switches, "alpha": alpha, "lambda_w": weighted, "lambda_d": aligned}
    loss, views = make_loss(options, case, temperature=tau, learn_temperature=True), len(case.z)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_kernel, "CHUNK", chunk)
        half = everything(loss, case, torch.arange(views))
        others = [everything(loss, case, torch.arange(views).flip(0))]
        patch.setattr(_kernel, "_LARGEST_KAPPA", 0.0)
        others.append(everything(loss, case, torch.arange(views)))
    for other in others:
        torch.testing.assert_close(other[:2], half[:2], rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(other[2], half[2], rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(other[3:], half[3:], rtol=1e-5, atol=1e-6)  # a float32 parameter


def test_equal_risks_to_the_right_are_not_all_there_is(monkeypatch):
    """alpha 0: anchors of no weight at all get the unguided ones; one whose strangers of another risk lie to its left does not."""
    monkeypatch.setattr(_kernel, "CHUNK", 1)
    case = make_case(3)
    batch = tuple(dataclasses.replace(x, risk=(r,)) for x, r in zip(case.batch, (4.0, 9.0, 9.0), strict=True))
    compare({"alpha": 0.0, "mask": "none"}, dataclasses.replace(case, batch=batch))


@pytest.mark.parametrize(
    "loss", [Ntxent(), *(Guided(**o) for o in Guided.PRESETS.values())], ids=["ntxent", *Guided.PRESETS]
)
def test_float32_is_close_to_float64(loss):
    case = make_case(64, dim=16, patients=50)
    exact = everything(loss, case, torch.arange(128))
    found = everything(loss, case, torch.arange(128), torch.float32)
    torch.testing.assert_close([x.double() for x in found[0]], exact[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(found[2].double(), exact[2], rtol=0, atol=1e-5 * exact[2].abs().max().item())


def strangers(rows_C, first, x_CT):
    """Everybody is a negative but the anchor itself."""
    base_CT = torch.ones_like(x_CT)
    base_CT[torch.arange(len(rows_C)), rows_C - first] = 0 if first <= rows_C[0] else 1
    return Weights(base_CT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kappa", [1.0, 39.0, 40.0, 41.0, 1000.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_nothing_leaves_the_range_of_float32(sign, kappa, dtype):
    """All negatives as far away, or as close, as can be: log Σ = ±κ + log 2, and each view is pushed from the others."""
    u = torch.tensor([[1.0, 0.0], [sign, 0.0]], dtype=dtype, requires_grad=True)
    one, zero = torch.ones((), dtype=dtype), torch.zeros((), dtype=dtype)
    found = negatives(u, torch.arange(2), strangers, kappa * one, zero, zero, symmetric=True)
    torch.testing.assert_close(found.log_R, (sign * kappa * one).expand(2), rtol=1e-6, atol=1e-6)
    (gradient,) = torch.autograd.grad(found.log_R.sum(), u)
    torch.testing.assert_close(gradient, 2 * kappa * u.detach().flip(0), rtol=1e-5, atol=0)


def test_many_equal_views_do_not_overflow():
    u = torch.ones(4096, 1, requires_grad=True)
    one, zero = torch.ones(()), torch.zeros(())
    found = negatives(u, torch.arange(4096), strangers, 40 * one, zero, zero, symmetric=True)
    torch.testing.assert_close(found.log_R, torch.full((4096,), 40 + math.log(4095)))
    (gradient,) = torch.autograd.grad(found.log_R.sum(), u)
    torch.testing.assert_close(gradient, torch.full((4096, 1), 80.0), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("symmetric", "kappa", "rows", "half"),
    [
        (True, 5.0, torch.arange(12), True),
        (False, 5.0, torch.arange(12), False),
        (True, 41.0, torch.arange(12), False),
        (True, 5.0, torch.arange(12).flip(0), False),
        (True, 5.0, torch.arange(6), False),
    ],
)
def test_half_is_computed_where_it_says_all(symmetric, kappa, rows, half, monkeypatch):
    monkeypatch.setattr(_kernel, "CHUNK", 36)
    seen = []

    def weigh(rows_C, first, x_CT):
        assert x_CT.shape == (len(rows_C), 12 - first)
        assert x_CT.numel() <= 36
        seen.append((rows_C.tolist(), first))
        return Weights(torch.ones_like(x_CT))

    u, zero = torch.nn.functional.normalize(torch.randn(12, 3)).requires_grad_(), torch.zeros(())
    found = negatives(u, rows, weigh, torch.tensor(kappa), zero, zero, symmetric=symmetric)
    once = list(seen)
    found.log_R.sum().backward()
    assert seen == [*once, *once]
    assert [i for rows_C, _ in once for i in rows_C] == rows.tolist()
    assert [first for _, first in once] == ([rows_C[0] for rows_C, _ in once] if half else [0] * len(once))
    assert found.total_R.tolist() == [12] * len(rows)


def test_what_fits_one_chunk_is_computed_once():
    """And a second backward pass finds it as it was."""
    calls = []

    def weigh(rows_C, first, x_CT):
        calls.append(first)
        return Weights(torch.ones_like(x_CT), torch.full_like(x_CT, 0.3), torch.ones_like(x_CT))

    u, half = torch.nn.functional.normalize(torch.randn(12, 3)).requires_grad_(), torch.tensor(0.5)
    found = negatives(u, torch.arange(12), weigh, torch.tensor(9.0), half, half, symmetric=True)
    value = found.log_R.sum() + found.aligned
    gradients = [torch.autograd.grad(value, u, retain_graph=True)[0] for _ in range(2)]
    assert torch.equal(*gradients)
    assert calls == [0]
