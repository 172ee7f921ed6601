"""The published implementation's numbers for a small formula of an input, computed independently of this package."""

import math

import pytest
import torch

from clef_ray.losses import Pairs, mean, reduce
from clef_ray.losses.guided import Guided
from clef_ray.losses.ntxent import Ntxent

Z = torch.tensor(
    [[math.sin(0.7 * k + 1.3 * j * (1 + 0.1 * k)) for j in range(4)] for k in range(6)], dtype=torch.float64
)
PAIRS = Pairs(
    risk_BK=torch.tensor([[1.0], [5.0], [12.0]]),
    completeness_B=torch.tensor([1.0, 0.5, 0.25]),
    patient_B=torch.tensor([0, 1, 2]),
    key=(0, 0),
)
ROWS = torch.arange(6)
PUBLISHED = Guided.PRESETS["published"]


def test_ntxent():
    assert reduce(Ntxent()(Z, ROWS, PAIRS)).item() == pytest.approx(20.505676, abs=1e-6)


@pytest.mark.parametrize(
    ("mask", "l_w", "l_d"), [("none", 18.702797, 0.266060), ("literal", 18.703361, 0.244977)]
)
def test_guided_published(mask, l_w, l_d):
    weighted, alignment = Guided(**{**PUBLISHED, "mask": mask})(Z, ROWS, PAIRS)
    assert mean(weighted.total, weighted.count).item() == pytest.approx(l_w, abs=1e-6)
    assert mean(alignment.total, alignment.count).item() == pytest.approx(l_d, abs=1e-6)


def test_published_total_is_the_mean_of_both():
    assert reduce(Guided(**PUBLISHED)(Z, ROWS, PAIRS)).item() == pytest.approx(
        (18.702797 + 0.266060) / 2, abs=1e-6
    )


def test_paper_differs_from_published_in_the_weights_alone():
    """The quoted W = D exp(-c_i c_k), not normalised: L_d is the published one with that mask, L_w by hand from the W printed."""
    weighted, alignment = Guided(**Guided.PRESETS["paper"])(Z, ROWS, PAIRS)
    assert mean(alignment.total, alignment.count).item() == pytest.approx(0.244977, abs=1e-6)
    w = [[0, 0.185468, 0.778801], [0.185468, 0, 0.462399], [0.778801, 0.462399, 0]]
    unit = torch.nn.functional.normalize(Z)
    e = (unit @ unit.T / 0.07).exp().tolist()
    expected = sum(
        -math.log(e[i][(i + 3) % 6] / (e[i][(i + 3) % 6] + sum(w[i % 3][k % 3] * e[i][k] for k in range(6))))
        for i in range(6)
    )
    assert weighted.total.item() == pytest.approx(expected, rel=1e-6)


def test_float32_agrees():
    loss = Guided(**PUBLISHED)
    exact = reduce(loss(Z, ROWS, PAIRS)).item()
    assert reduce(loss(Z.float(), ROWS, PAIRS)).item() == pytest.approx(exact, rel=1e-5)
