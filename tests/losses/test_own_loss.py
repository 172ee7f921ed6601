"""The mean of what each subject's loss is."""

import math

import pytest
import torch

from clef_ray.losses import Pairs, mean
from clef_ray.losses.own import Own

PAIRS = Pairs(torch.full((4, 1), torch.nan), torch.zeros(4), torch.arange(4), (0, 0))


def test_is_the_mean_of_those_that_have_one_and_so_is_its_gradient():
    z = torch.tensor([[1.0], [-math.inf], [4.0], [0.5]], requires_grad=True)
    (term,) = Own()(z, torch.arange(4), PAIRS)
    value = mean(term.total, term.count)
    value.backward()
    assert value.item() == pytest.approx(5.5 / 3)
    assert term.count.item() == 3
    torch.testing.assert_close(z.grad[:, 0], torch.tensor([1 / 3, 0, 1 / 3, 1 / 3]))


def test_workers_shares_add_up_though_one_has_nothing():
    z = torch.tensor([[1.0], [-math.inf], [4.0], [-math.inf]])
    parts = [Own()(z, torch.tensor(rows), PAIRS)[0] for rows in ([0, 2], [1, 3])]
    assert [(p.total.item(), p.count.item()) for p in parts] == [(5, 2), (0, 0)]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_went_wrong_is_not_taken_for_a_subject_without_a_loss(bad):
    (term,) = Own()(torch.tensor([[1.0], [bad], [4.0], [0.5]]), torch.arange(4), PAIRS)
    assert not term.total.isfinite()
    assert term.count.item() == 4
