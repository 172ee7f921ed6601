"""The published implementation's numbers, computed independently of this package (method.md, golden values)."""

import math

import pytest
import torch

from clef_ray.losses import Pairs, reduce
from clef_ray.losses.guided import Guided
from clef_ray.losses.ntxent import Ntxent

Z = torch.tensor(
    [[math.sin(0.7 * k + 1.3 * j * (1 + 0.1 * k)) for j in range(4)] for k in range(6)], dtype=torch.float64
)
PAIRS = Pairs(
    risk_B=torch.tensor([1.0, 5.0, 12.0], dtype=torch.float64),
    completeness_B=torch.tensor([1.0, 0.5, 0.25], dtype=torch.float64),
    patient_B=torch.tensor([0, 1, 2]),
    key=(0, 0),
)
PUBLISHED = {
    "normaliser": "batch_minmax",
    "weight_norm": "softmax",
    "similarity": "batch_minmax",
    "same_patient": "negative",
}


def test_ntxent():
    assert reduce(Ntxent()(Z, torch.arange(6), PAIRS)).item() == pytest.approx(20.505676, abs=1e-6)


@pytest.mark.parametrize(
    ("mask", "l_w", "l_d"), [("none", 18.702797, 0.266060), ("literal", 18.703361, 0.244977)]
)
def test_guided_published(mask, l_w, l_d):
    weighted, alignment = Guided(mask=mask, **PUBLISHED)(Z, torch.arange(6), PAIRS)
    assert (weighted.total / weighted.count).item() == pytest.approx(l_w, abs=1e-6)
    assert (alignment.total / alignment.count).item() == pytest.approx(l_d, abs=1e-6)


def test_published_total_is_the_mean_of_both():
    loss = Guided(mask="none", lambda_w=0.5, lambda_d=0.5, **PUBLISHED)(Z, torch.arange(6), PAIRS)
    assert reduce(loss).item() == pytest.approx((18.702797 + 0.266060) / 2, abs=1e-6)
