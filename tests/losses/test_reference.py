"""What the training patients' risks say about pairs: scale, mean and ranks, against all pairs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import NAN, Reference
from scipy import stats

from clef_ray.errors import DataError
from clef_ray.losses import Pairs, RiskReference
from clef_ray.losses.guided import Guided

NORMALISERS = ("fixed_scale", "global_max", "rank")


def reference(risk_PK, **options):
    return Guided(**options).reference(np.asarray(risk_PK, dtype=np.float64))


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("normaliser", NORMALISERS)
@pytest.mark.parametrize("k", [1, 2])
def test_reference_of_few_patients_is_exact(normaliser, power, k):
    """Ties among the risks, and patients of whom half a point is unknown."""
    risk_PK = (
        np.round(np.random.default_rng(0).gamma(2, 3, (150, k)), 1).astype(np.float32).astype(np.float64)
    )
    unknown = np.full((9, k), 5.0)
    unknown[:, 0] = np.nan
    found = reference(np.concatenate([unknown, risk_PK]), normaliser=normaliser, power=power, alpha=0.3)
    expected = Reference(normaliser, power, tuple(map(tuple, risk_PK.tolist())))
    if normaliser != "rank":
        assert found.scale == pytest.approx(expected.scale, rel=1e-12)
    assert found.mean_dissimilarity == pytest.approx(expected.mean(0.3), rel=1e-12)


def test_reference_of_many_patients_is_close_and_free_of_order():
    """20,000 log-normal risks: within 1 % of all 200 million pairs, sampled here at random."""
    rng = np.random.default_rng(1)
    risks = rng.lognormal(1.5, 0.6, 20_000)
    delta = (rng.choice(risks, 2_000_000) - rng.choice(risks, 2_000_000)) ** 2
    found = reference(risks[:, None])
    assert found.scale == pytest.approx(np.quantile(delta, 0.99), rel=0.02)
    assert found.mean_dissimilarity == pytest.approx(
        (0.8 * np.minimum(delta / found.scale, 1) + 0.2).mean(), rel=0.01
    )
    assert reference(rng.permutation(risks)[:, None]) == found
    largest = reference(risks[:, None], normaliser="global_max")
    assert largest.scale == pytest.approx(
        (risks.max() - risks.min()) ** 2, rel=1e-6
    )  # not that of a thinning


def test_reference_of_many_points_is_close_and_free_of_order():
    """20,000 points of z-scored age and sex: within 2 % of pairs sampled at random."""
    rng = np.random.default_rng(2)
    points = np.stack([rng.normal(size=20_000), rng.integers(0, 2, 20_000) * 2.0 - 1], 1)
    one, other = (points[rng.integers(0, 20_000, 500_000)] for _ in range(2))
    delta = ((one - other) ** 2).sum(1)
    found = reference(points)
    assert found.scale == pytest.approx(np.quantile(delta, 0.99), rel=0.02)
    assert found.mean_dissimilarity == pytest.approx(
        (0.8 * np.minimum(delta / found.scale, 1) + 0.2).mean(), rel=0.02
    )
    assert reference(rng.permutation(points)) == found


def test_ranks_of_uniform_risks_have_the_mean_of_two_uniform_numbers():
    """E abs(U - V) = 1/3, E (U - V)² = 1/6, whatever the risks' distribution."""
    risks = np.exp(np.random.default_rng(3).normal(size=(50_000, 1)) * 2)
    for power, mean in ((1, 1 / 3), (2, 1 / 6)):
        found = reference(risks, normaliser="rank", power=power, alpha=0.0)
        assert found.mean_dissimilarity == pytest.approx(mean, rel=2e-3)


def alignment(loss, risk_BK, found):
    """W between two subjects, read off L_d: similarity 1/2 of orthogonal embeddings, so that L_d = (W - 1/2)²."""
    pairs = Pairs(risk_BK, torch.ones(2), torch.tensor([0, 1]), (0, 0), found)
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64).repeat(2, 1)
    (term,) = loss(z, torch.arange(4), pairs)
    return (term.total / term.count).sqrt().item()


def test_ranks_of_tied_risks_that_float32_rounds():
    """Records carry float32 risks: a risk that half the training patients share is still at the middle of their ranks."""
    for shared in (0.1, 0.3, 3.47, 7.9):  # rounded up or down
        training = np.array([shared] * 50 + [99.0] * 50)[:, None]
        loss = Guided(normaliser="rank", power=1, alpha=0.0, mask="none", lambda_w=0)
        found = reference(training, normaliser="rank", power=1, alpha=0.0)
        risk_BK = torch.tensor([[shared], [99.0]], dtype=torch.float32)
        middle = np.diff(stats.rankdata(training[:, 0])[[0, -1]])[0] / 100
        assert alignment(loss, risk_BK, found) == pytest.approx(abs(middle - 0.5), abs=1e-6)


@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_reference_of_equal_risks_is_the_least_dissimilarity(normaliser):
    found = reference(np.full((10, 1), 3.0), normaliser=normaliser)
    assert found.scale == 1.0
    assert found.mean_dissimilarity == pytest.approx(0.2)


def test_scale_is_the_largest_where_nearly_all_risks_are_equal():
    """One patient in a thousand differs: the 99 % quantile is 0."""
    found = reference([[3.0]] * 999 + [[8.0]])
    assert found == RiskReference(25.0, pytest.approx(0.2 + 0.8 * 2 / 1000))


@settings(max_examples=100)
@given(
    st.lists(st.floats(0, 100), min_size=2, max_size=40),
    st.sampled_from(NORMALISERS),
    st.sampled_from([1, 2]),
    st.floats(0, 1),
)
def test_reference_is_in_range(risks, normaliser, power, alpha):
    found = reference(np.array(risks)[:, None], normaliser=normaliser, power=power, alpha=alpha)
    assert found.scale > 0
    assert alpha - 1e-12 <= found.mean_dissimilarity <= 1 + 1e-12


@pytest.mark.parametrize(
    "risks", [np.empty((0, 1)), np.full((5, 1), NAN), [[1.0], [NAN]], [[1.0, 2.0], [3.0, NAN]]]
)
@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_reference_needs_two_known_risks(risks, normaliser):
    with pytest.raises(DataError, match="two training patients with a known risk"):
        reference(risks, normaliser=normaliser)
