"""Identities, precision and errors of the guided loss."""

import dataclasses
import math

import pytest
import torch
from guided_cases import make_case, pairs_of
from oracle import NAN, Subject

from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, RiskReference, mean, reduce
from clef_ray.losses.guided import Guided
from clef_ray.losses.ntxent import Ntxent

B = 8
ROWS = torch.arange(2 * B)
CASE = make_case(B, q=6, dim=6, patients=9, unknown=0.0)


def risks(value):
    """The case with every risk set to `value`."""
    return dataclasses.replace(
        CASE,
        batch=tuple(dataclasses.replace(s, risk=value) for s in CASE.batch),
        queue=tuple(dataclasses.replace(s, risk=value) for s in CASE.queue),
    )


EQUAL, UNKNOWN = risks((4.0,)), risks((NAN,))


def value_and_gradient(loss, case, dtype=torch.float64):
    z = case.z.to(dtype).requires_grad_()
    value = reduce(loss(z, torch.arange(len(z)), pairs_of(case, loss)))
    return value, torch.autograd.grad(value, z)[0]


@pytest.mark.parametrize("negatives", [None, 3])
@pytest.mark.parametrize("choose", ["random", "hardest"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("options", "case"),
    [
        ({"mask": "none", "alpha": 0.3}, EQUAL),
        ({"mask": "none", "normaliser": "batch_minmax"}, EQUAL),
        ({"mask": "none", "normaliser": "global_max"}, EQUAL),
        ({"mask": "none", "normaliser": "rank"}, EQUAL),
        ({"mask": "none", "alpha": 0.0}, EQUAL),  # no guidance left, and still every negative
        ({"mask": "none", "alpha": 1.0, "weight_norm": "none"}, CASE),
        ({"mask": "none", "alpha": 1.0, "weight_norm": "mean1"}, CASE),
        ({}, UNKNOWN),
        ({"normaliser": "rank"}, UNKNOWN),
        ({"normaliser": "batch_minmax", "weight_norm": "none"}, UNKNOWN),
    ],
    ids=lambda x: str(x) if isinstance(x, dict) else "",
)
def test_is_ntxent_where_risk_says_nothing(options, case, negatives, choose, dtype):
    """Value and gradient of L_w alone; with a queue, and several records of a patient."""
    shared = {"negatives": negatives, "choose": choose, "queue": 6}
    guided = value_and_gradient(Guided(lambda_d=0, **shared, **options), case, dtype)
    plain = value_and_gradient(Ntxent(**shared), case, dtype)
    exact = {"rtol": 1e-10, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(guided, plain, **exact)


def test_guidance_says_something_otherwise():
    guided, plain = (value_and_gradient(loss, CASE)[0] for loss in (Guided(lambda_d=0), Ntxent()))
    assert abs(guided - plain) > 1e-2


def test_nothing_known_leaves_the_alignment_empty():
    """All risks NaN: L_d counts no pair and gives 0 with gradient 0."""
    for normaliser in ("fixed_scale", "batch_minmax"):
        loss = Guided(normaliser=normaliser, queue=6)
        (_, gradient), (_, without) = (
            value_and_gradient(x, UNKNOWN) for x in (loss, Guided(normaliser=normaliser, queue=6, lambda_d=0))
        )
        assert torch.equal(gradient, without)
        aligned = loss(CASE.z, ROWS, pairs_of(UNKNOWN, loss))[1]
        assert aligned.total == aligned.count == 0


def test_nobody_left_is_no_loss():
    """`drop` among nothing but unknown risks: 0 with gradient 0."""
    for similarity in ("half_cosine", "batch_minmax"):
        loss = Guided(unknown="drop", queue=6, similarity=similarity, exclude_diag=False)
        value, gradient = value_and_gradient(loss, UNKNOWN)
        assert value == 0
        assert (gradient == 0).all()


def test_alignment_is_zero_where_similarity_is_risk_similarity():
    """Two patients at opposite ends: cosine -1 between them is exactly what D = 1 asks for."""
    pairs = Pairs(
        torch.tensor([[0.0], [10.0]]), torch.ones(2), torch.tensor([0, 1]), (0, 0), RiskReference(100.0, 1.0)
    )
    (term,) = Guided(lambda_w=0)(torch.tensor([[1.0], [-1.0], [2.0], [-3.0]]), torch.arange(4), pairs)
    assert term.total.item() == pytest.approx(0, abs=1e-12)
    assert term.count.item() == 8


def test_norm_of_embeddings_never_matters():
    scaled = dataclasses.replace(
        CASE,
        z=CASE.z * torch.linspace(0.1, 9, 2 * B, dtype=torch.float64)[:, None],
        queue_z=CASE.queue_z * torch.linspace(3, 0.2, 6, dtype=torch.float64)[:, None],
    )
    loss = Guided(queue=6)
    torch.testing.assert_close(
        *(value_and_gradient(loss, case)[0] for case in (CASE, scaled)), rtol=1e-10, atol=0
    )


def test_published_trains_where_no_risk_is_known_at_all():
    """As the released code does: every NaN is 0 %, so every pair is alike."""
    case = make_case(B, unknown=1.0)
    case = dataclasses.replace(case, training=tuple((float("nan"),) for _ in case.training))
    zero = dataclasses.replace(case, batch=tuple(dataclasses.replace(s, risk=(0.0,)) for s in case.batch))
    loss = Guided(**Guided.PRESETS["published"])
    values = [value_and_gradient(loss, c) for c in (case, zero)]
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-12)
    assert values[0][1].abs().max() > 0


# precision

FORMS = {
    "ntxent": Ntxent(temperature=0.02),
    "learned": Ntxent(temperature=0.02, learn_temperature=True),
    **{name: Guided(**options, temperature=0.02) for name, options in Guided.PRESETS.items()},
    "rank": Guided(temperature=0.02, normaliser="rank", alpha=0.0, weight_norm="none", exclude_diag=False),
    "positive": Guided(temperature=0.02, same_patient="positive"),
    "hardest": Guided(temperature=0.02, choose="hardest", negatives=1),
    "drop": Guided(temperature=0.02, unknown="drop", similarity="batch_minmax"),
}


def collapsed(z):
    z[:] = z[0].clone()


def opposite(z):
    z[:] = z[0].clone()
    z[1::2] *= -1


def some_collapsed(z):
    z[1] = z[0]
    z[2] = -z[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("arrange", [collapsed, opposite, some_collapsed], ids=lambda f: f.__name__)
@pytest.mark.parametrize("b", [2, B])
@pytest.mark.parametrize("name", FORMS)
def test_low_precision_is_finite_at_low_temperature(name, b, arrange, dtype):
    """Long embeddings under autocast: loss and gradient stay finite, in float32, close to float64's."""
    loss, case = FORMS[name], make_case(b, dim=6, patients=0 if b == 2 else 6, seed=5, unknown=0.3)
    z = (case.z * 1000).to(dtype)
    arrange(z)
    z.requires_grad_()
    pairs, rows = pairs_of(case, loss), torch.arange(2 * b)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = reduce(loss(z, rows, pairs))
    gradients = torch.autograd.grad(value, [z, *loss.parameters()])
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert all(torch.isfinite(g).all() for g in gradients)
    if name == "hardest" or (arrange is collapsed and getattr(loss, "similarity", "") == "batch_minmax"):
        return  # rounding decides which of equals is hardest, and what the extrema of equals are
    exact = reduce(loss(z.detach().double(), rows, pairs))
    # log τ is a float32, and similarities near 1 are divided by .02: float32's last digit at 50
    assert value.item() == pytest.approx(exact.item(), rel=1e-4, abs=2e-5)


def test_backward_within_autocast_is_that_without():
    loss, case = Guided(), make_case(B)
    z, pairs = case.z.float(), pairs_of(case, loss)
    gradients = []
    for within in (False, True):
        leaf = z.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=within):
            reduce(loss(leaf, torch.arange(2 * B), pairs)).backward()
        gradients.append(leaf.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("weight_norm", ["mean1", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_negative_of_no_weight_hides_no_other(weight_norm, dtype):
    """alpha 0: a patient at the same risk, and as close as can be, weighs nothing; the far ones, e^-100 beside it, are all there is.

    Three patients, the first two of equal risk: an anchor of the first has its positive and the third's views at cosine
    -1, so that L_w is log(1 + 2 v) with v = 2 under mean1 (weights 0, 0, 2, 2) and D under none.
    """
    batch = tuple(Subject((r,), 1.0, i) for i, r in enumerate((4.0, 4.0, 9.0)))
    case = dataclasses.replace(make_case(3), batch=batch)
    loss = Guided(alpha=0.0, lambda_d=0, weight_norm=weight_norm, temperature=0.01, normaliser="batch_minmax")
    signs = torch.tensor([1, 1, -1, -1, 1, -1], dtype=dtype)
    z = (signs[:, None] * torch.tensor([[3.0, 4.0]], dtype=dtype)).requires_grad_()
    (term,) = loss(z, torch.tensor([0]), pairs_of(case, loss))
    v = 2.0 if weight_norm == "mean1" else 25 / (25 + 1e-6)
    assert term.total.item() == pytest.approx(math.log(1 + 2 * v), rel=1e-5)


@pytest.mark.parametrize("name", FORMS)
def test_zero_embedding_is_finite(name):
    case = dataclasses.replace(
        CASE, z=torch.cat([CASE.z[:3], torch.zeros(1, 6, dtype=torch.float64), CASE.z[4:]])
    )
    value, gradient = value_and_gradient(FORMS[name], dataclasses.replace(case, queue=(), queue_z=None))
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("negatives", [None, 1])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_lone_patient_costs_nothing(dtype, negatives):
    """A batch of one patient has no negatives: loss 0 and gradient 0, not NaN."""
    batch = (Subject((3.0,), 1.0, 5), Subject((4.0,), 1.0, 5))
    case = dataclasses.replace(make_case(2, dim=6), batch=batch)
    for loss in (
        Guided(negatives=negatives),
        Ntxent(negatives=negatives),
        Guided(negatives=negatives, alpha=0.0),
    ):
        value, gradient = value_and_gradient(loss, case, dtype)
        assert value.item() == pytest.approx(0, abs=1e-12)
        assert gradient.abs().max() == pytest.approx(0, abs=1e-12)


def test_no_negatives_under_softmax_is_a_constant():
    """The row is the anchor and its positive, half each: log 1/2 whatever the embeddings, since only the denominator is weighted."""
    case = make_case(1, dim=6)
    loss = Guided(lambda_d=0, weight_norm="softmax")
    value, gradient = value_and_gradient(loss, case)
    assert value.item() == pytest.approx(-math.log(2), rel=1e-6)
    assert gradient.abs().max() == pytest.approx(0, abs=1e-12)


# terms and errors


def test_lambda_zero_leaves_a_term_out():
    pairs = pairs_of(CASE, Guided())
    assert [t.name for t in Guided(lambda_d=0)(CASE.z, ROWS, pairs)] == ["weighted"]
    assert [t.name for t in Guided(lambda_w=0)(CASE.z, ROWS, pairs)] == ["alignment"]
    both = Guided(lambda_w=0.5, lambda_d=3)(CASE.z, ROWS, pairs)
    assert [t.coefficient for t in both] == [0.5, 3]
    alone = [Guided(lambda_d=0)(CASE.z, ROWS, pairs)[0], Guided(lambda_w=0)(CASE.z, ROWS, pairs)[0]]
    for one, other in zip(both, alone, strict=True):
        torch.testing.assert_close(
            mean(one.total, one.count), mean(other.total, other.count), rtol=1e-12, atol=0
        )


def test_gradient_reaches_neither_queue_nor_risks():
    loss = Guided(queue=6, similarity="batch_minmax")
    pairs = pairs_of(CASE, loss)
    pairs.queue.z_QD.requires_grad_()
    value = reduce(loss(CASE.z.clone().requires_grad_(), ROWS, pairs))
    assert torch.autograd.grad(value, pairs.queue.z_QD, allow_unused=True) == (None,)
    pairs.queue.z_QD.requires_grad_(False)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0},
        {"temperature": float("nan")},
        {"temperature": 1.5, "learn_temperature": True},
        {"alpha": 1.2},
        {"alpha": -0.1},
        {"lambda_d": -1},
        {"lambda_w": 0, "lambda_d": 0},
        {"lambda_w": float("inf")},
        {"negatives": 0},
        {"queue": -1},
        {"choose": "nearest"},
        {"normaliser": "batch"},
        {"mask": "natural"},
        {"unknown": "mean"},
        {"weight_norm": "sum"},
        {"similarity": "cosine"},
        {"power": 3},
        {"same_patient": "anchor"},
    ],
    ids=str,
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match=rf"guided.*{next(iter(options))}"):
        Guided(**options)


@pytest.mark.parametrize("normaliser", ["fixed_scale", "global_max", "rank"])
def test_a_missing_reference_is_refused(normaliser):
    pairs = Pairs(torch.ones(B, 1), torch.ones(B), torch.arange(B), (0, 0))
    with pytest.raises(ConfigError, match=f"{normaliser}.*reference"):
        Guided(normaliser=normaliser)(CASE.z, ROWS, pairs)
