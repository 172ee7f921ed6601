"""BYOL: what predicts what, how the target follows, what its schedule is."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from waves import encoder, make_trainer, step

from clef_ray.errors import ConfigError
from clef_ray.methods import At
from clef_ray.methods.byol import Byol

AT = At(torch.arange(3), 0)


class Steps:
    """As much of a setting as the method looks at."""

    steps = 10


def views():
    """Two views of three records [6, 1, 40]."""
    return torch.from_numpy(np.random.default_rng(0).normal(size=(6, 1, 40)).astype(np.float32))


def widths(module):
    return [(m.in_features, m.out_features) for m in module.modules() if isinstance(m, nn.Linear)]


@pytest.mark.parametrize("norm", ["bn", "ln", "none"])
@pytest.mark.parametrize("head", ["none", "byol"])
def test_parts_are_predictions_of_both_views_and_the_targets_they_are_to_meet(head, norm):
    learner, x = Byol(head, norm=norm).learner(encoder(), Steps()), views()
    p_a, p_b, t_b, t_a = learner(x, AT).chunk(4)
    online = nn.Sequential(learner.encoder, learner.projector)
    for x_mCT, p, t in ((x[:3], p_a, t_a), (x[3:], p_b, t_b)):
        torch.testing.assert_close(p, learner.predictor(online(x_mCT)))
        torch.testing.assert_close(t, online(x_mCT), msg="the target starts as the online network is")
    (t_a.sum() + t_b.sum()).backward()
    assert all(p.grad is None or (p.grad == 0).all() for p in learner.parameters())
    still = {name for name, p in learner.named_parameters() if not p.requires_grad}
    assert still == {name for name, _ in learner.named_parameters() if name.startswith("target.")}


def test_widths_are_those_of_the_paper_and_of_the_comparison():
    plain, paper = (Byol(head).learner(encoder(), Steps()) for head in ("none", "byol"))
    assert (widths(plain.projector), widths(plain.predictor)) == ([], [(16, 8), (8, 16)])
    assert widths(paper.projector) == [(16, 4096), (4096, 256)]
    assert widths(paper.predictor) == [(256, 4096), (4096, 256)]
    assert [type(layer) for layer in paper.predictor] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_target_moves_after_each_step_by_the_schedule(schedule):
    """By hand, from the weights before and after real steps: 24 in all, of which five are made."""
    settings = {"method": "byol", "method.ema": 0.9, "method.schedule": schedule, "method.norm": "bn"}
    trainer = make_trainer(settings)
    learner = trainer.learner

    def weights(module):
        return [p.detach().double().numpy().copy() for p in module.parameters()]

    expected = weights(learner.encoder)
    for number in range(5):
        step(trainer, number)
        cosine = 1 - 0.1 * (math.cos(math.pi * number / 24) + 1) / 2
        momentum = cosine if schedule == "cosine" else 0.9
        online = weights(learner.encoder)
        expected = [momentum * t + (1 - momentum) * o for t, o in zip(expected, online, strict=True)]
    for own, wanted in zip(weights(learner.target), expected, strict=True):
        np.testing.assert_allclose(own, wanted, rtol=1e-5, atol=1e-8)
    assert any(not np.allclose(a, b) for a, b in zip(weights(learner.target), online, strict=True))


def test_the_cosine_starts_at_ema_and_comes_near_1():
    learner = Byol(ema=0.996, schedule="cosine").learner(encoder(), Steps())
    found = [learner.momentum(step) for step in range(1, 11)]
    assert found[0] == pytest.approx(0.996)
    assert found[5] == pytest.approx(0.998), "half way"
    assert found == sorted(found)
    assert 0.9999 < found[-1] < 1
    assert Byol().learner(encoder(), Steps()).momentum(7) == 0.996


def test_the_statistics_of_the_batch_refuse_several_workers_and_pieces_and_ln_does_not():
    for world_size, micro_batch in ((2, None), (1, 3)):
        with pytest.raises(ConfigError, match="BatchNorm1d"):
            make_trainer({"method": "byol"}, 0, world_size, micro_batch)
        make_trainer({"method": "byol", "method.norm": "ln"}, 0, world_size, micro_batch)


def test_an_ema_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"method\.ema: 1\.1 given; allowed is 0 to 1"):
        Byol(ema=1.1)
