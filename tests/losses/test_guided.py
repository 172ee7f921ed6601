"""Identities, precision and errors of the losses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clef_ray.errors import ConfigError, DataError
from clef_ray.losses import Pairs, RiskReference, reduce
from clef_ray.losses.guided import Guided, risk_reference
from clef_ray.losses.ntxent import Ntxent

B = 8
ROWS = torch.arange(2 * B)


def make_pairs(risk, completeness=None):
    risk_B = torch.as_tensor(risk, dtype=torch.float64)
    return Pairs(
        risk_B=risk_B,
        completeness_B=torch.ones_like(risk_B) if completeness is None else torch.as_tensor(completeness),
        patient_B=torch.tensor([0, 1, 2, 3, 3, 5, 6, 7]),
        key=(0, 5),
        reference=RiskReference(scale=100.0, mean_dissimilarity=0.5),
    )


def embeddings(seed=0):
    return torch.randn(2 * B, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


SOME = torch.linspace(1.0, 30.0, B).tolist()


@pytest.mark.parametrize("negatives", [None, 3])
@pytest.mark.parametrize(
    ("options", "risk"),
    [
        ({"mask": "none", "alpha": 0.3}, [4.0] * B),
        ({"mask": "none", "normaliser": "batch_minmax"}, [4.0] * B),
        ({}, [4.0] * B),
        ({"alpha": 0.0}, [4.0] * B),  # no guidance left, and still every negative
        ({"mask": "none", "alpha": 1.0, "weight_norm": "none"}, SOME),
    ],
    ids=str,
)
def test_is_ntxent_where_risk_says_nothing(options, risk, negatives):
    guided = reduce(Guided(lambda_d=0, negatives=negatives, **options)(embeddings(), ROWS, make_pairs(risk)))
    plain = reduce(Ntxent(negatives=negatives)(embeddings(), ROWS, make_pairs(risk)))
    torch.testing.assert_close(guided, plain, rtol=1e-10, atol=0)


def test_guidance_says_something_otherwise():
    guided = reduce(Guided(lambda_d=0)(embeddings(), ROWS, make_pairs(SOME)))
    assert abs(guided - reduce(Ntxent()(embeddings(), ROWS, make_pairs(SOME)))) > 1e-2


def test_alignment_is_zero_where_similarity_is_risk_similarity():
    """Two patients at opposite ends: cosine -1 between them is exactly what D = 1 asks for."""
    pairs = Pairs(
        torch.tensor([0.0, 10.0]), torch.ones(2), torch.tensor([0, 1]), (0, 0), RiskReference(100.0, 1.0)
    )
    (term,) = Guided(lambda_w=0)(torch.tensor([[1.0], [-1.0], [2.0], [-3.0]]), torch.arange(4), pairs)
    assert term.total.item() == pytest.approx(0, abs=1e-12)
    assert term.count.item() == 8


def test_norm_of_embeddings_never_matters():
    z = embeddings()
    scaled = z * torch.linspace(0.1, 9, 2 * B, dtype=torch.float64)[:, None]
    loss = Guided()
    torch.testing.assert_close(
        reduce(loss(z, ROWS, make_pairs(SOME))),
        reduce(loss(scaled, ROWS, make_pairs(SOME))),
        rtol=1e-10,
        atol=0,
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    "loss",
    [Guided(temperature=0.02), Ntxent(temperature=0.02), Guided(temperature=0.02, similarity="batch_minmax")],
    ids=repr,
)
def test_low_precision_is_finite_at_low_temperature(dtype, loss):
    """Collapsed, opposite and very long embeddings, under autocast: the loss and its gradient stay finite, and in float32."""
    z = (embeddings() * 1000).to(dtype)
    z[1] = z[0]
    z[2] = -z[0]
    z.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = reduce(loss(z, ROWS, make_pairs(SOME)))
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert torch.isfinite(z.grad).all()
    exact = reduce(loss(z.detach().double(), ROWS, make_pairs(SOME)))
    assert value.item() == pytest.approx(exact.item(), rel=1e-4)


def test_zero_embedding_is_finite():
    z = embeddings()
    z[3] = 0
    z.requires_grad_()
    value = reduce(Guided()(z, ROWS, make_pairs(SOME)))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(z.grad).all()


def test_a_lone_patient_costs_nothing():
    """A batch of one patient has no negatives: loss 0, not NaN."""
    pairs = Pairs(
        torch.tensor([3.0, 4.0]), torch.ones(2), torch.tensor([5, 5]), (0, 0), RiskReference(1.0, 1.0)
    )
    for loss in (Guided(), Ntxent(), Guided(negatives=1)):
        assert reduce(loss(embeddings()[:4], torch.arange(4), pairs)).item() == pytest.approx(0, abs=1e-12)


def test_lambda_zero_leaves_a_term_out():
    pairs = make_pairs(SOME)
    assert [t.name for t in Guided(lambda_d=0)(embeddings(), ROWS, pairs)] == ["weighted"]
    assert [t.name for t in Guided(lambda_w=0)(embeddings(), ROWS, pairs)] == ["alignment"]
    both = Guided(lambda_w=0.5, lambda_d=3)(embeddings(), ROWS, pairs)
    assert [t.coefficient for t in both] == [0.5, 3]


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0},
        {"temperature": float("nan")},
        {"alpha": 1.2},
        {"alpha": -0.1},
        {"lambda_d": -1},
        {"lambda_w": 0, "lambda_d": 0},
        {"negatives": 0},
        {"mask": "natural"},
        {"power": 3},
        {"same_patient": "positive"},
    ],
    ids=str,
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match=rf"guided.*{next(iter(options))}"):
        Guided(**options)


def test_too_many_negatives_are_refused_with_the_maximum():
    for loss in (Ntxent(negatives=15), Guided(negatives=15)):
        with pytest.raises(ConfigError, match=r"15 given.*8 subjects.*at most 14"):
            loss(embeddings(), ROWS, make_pairs(SOME))


def test_fixed_scale_without_a_reference_is_refused():
    pairs = Pairs(torch.ones(B), torch.ones(B), torch.arange(B), (0, 0))
    with pytest.raises(ConfigError, match="reference"):
        Guided()(embeddings(), ROWS, pairs)


# the reference of the training patients


@pytest.mark.parametrize("power", [1, 2])
def test_reference_of_few_patients_is_exact(power):
    risks = np.random.default_rng(0).gamma(2, 3, 300)
    one, other = np.triu_indices(300, 1)
    delta = np.abs(risks[one] - risks[other]) ** power
    scale = np.quantile(delta, 0.99)
    found = risk_reference(np.append(risks, [np.nan] * 9), power, 0.2)
    assert found.scale == pytest.approx(scale, rel=1e-12)
    assert found.mean_dissimilarity == pytest.approx(
        (0.8 * np.minimum(delta / scale, 1) + 0.2).mean(), rel=1e-12
    )


def test_reference_of_many_patients_is_close_and_free_of_order():
    """20,000 log-normal risks: within 1 % of all 200 million pairs, sampled here at random."""
    rng = np.random.default_rng(1)
    risks = rng.lognormal(1.5, 0.6, 20_000)
    delta = (rng.choice(risks, 2_000_000) - rng.choice(risks, 2_000_000)) ** 2
    found = risk_reference(risks, 2, 0.2)
    assert found.scale == pytest.approx(np.quantile(delta, 0.99), rel=0.02)
    assert found.mean_dissimilarity == pytest.approx(
        (0.8 * np.minimum(delta / found.scale, 1) + 0.2).mean(), rel=0.01
    )
    assert risk_reference(rng.permutation(risks), 2, 0.2) == found


def test_reference_of_equal_risks_is_the_least_dissimilarity():
    assert risk_reference(np.full(10, 3.0), 2, 0.2) == RiskReference(1.0, pytest.approx(0.2))


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=40), st.sampled_from([1, 2]), st.floats(0, 1))
def test_reference_is_in_range(risks, power, alpha):
    found = risk_reference(np.array(risks), power, alpha)
    assert found.scale > 0
    assert alpha - 1e-12 <= found.mean_dissimilarity <= 1 + 1e-12


@pytest.mark.parametrize("risks", [[], [np.nan] * 5, [1.0, np.nan]])
def test_reference_needs_two_known_risks(risks):
    with pytest.raises(DataError, match="two training patients with a known risk"):
        risk_reference(np.array(risks), 2, 0.2)
