"""MoCo: who makes the keys, how their encoder follows, what is enqueued."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from waves import Tiny, encoder, make_trainer, step

from clef_ray.errors import ConfigError
from clef_ray.methods import At
from clef_ray.methods._momentum import Momentum
from clef_ray.methods.moco import Moco

AT = At(torch.arange(3), 0)


def views(seed=0):
    """Two views of three records [6, 1, 40]."""
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(6, 1, 40)).astype(np.float32))


def test_queries_are_view_a_and_keys_view_b_of_norm_1_without_gradient():
    learner, x = Moco("mlp2").learner(encoder(), None), views()
    z = learner(x, AT)
    torch.testing.assert_close(z[:3], learner.head(learner.encoder(x[:3])))
    torch.testing.assert_close(z[3:], functional.normalize(learner.head(learner.encoder(x[3:]))))
    z[3:].square().sum().backward()
    assert all(p.grad is None or (p.grad == 0).all() for p in learner.parameters())
    z = learner(x, AT)
    z[:3].square().sum().backward()
    trained = dict(learner.named_parameters())
    assert {name for name, p in trained.items() if p.grad is None} == {n for n in trained if "keys." in n}
    assert {name for name, p in trained.items() if not p.requires_grad} == {
        n for n in trained if "keys." in n
    }


@pytest.mark.parametrize("head", ["none", "mlp2"])
def test_the_key_encoder_moves_by_the_momentum_after_each_step(head):
    """By hand, from the weights before and after three real steps of the optimiser."""
    trainer = make_trainer({"method": "moco", "method.head": head, "method.momentum": 0.9, "loss.queue": 16})
    learner = trainer.learner

    def weights(*modules):
        return [p.detach().double().numpy().copy() for m in modules for p in m.parameters()]

    expected = weights(learner.encoder, learner.head)
    for number in range(3):
        step(trainer, number)
        online = weights(learner.encoder, learner.head)
        expected = [0.9 * own + 0.1 * new for own, new in zip(expected, online, strict=True)]
    for own, wanted in zip(weights(learner.keys), expected, strict=True):
        np.testing.assert_allclose(own, wanted, rtol=1e-5, atol=1e-8)
    assert any(not np.allclose(a, b) for a, b in zip(weights(learner.keys), online, strict=True))


def test_buffers_follow_by_the_same_rule_counts_are_copied_and_forward_changes_nothing():
    module = Tiny(norm=True)
    follower = Momentum(module)
    mean, var = follower.copy.norm.running_mean, follower.copy.norm.running_var
    for _ in range(2):
        module(views())
    before = [mean.clone(), var.clone()]
    follower(views(1))
    assert torch.equal(mean, before[0]), "it collects no statistics of its own"
    assert torch.equal(var, before[1])
    follower.follow(module, 0.75)
    torch.testing.assert_close(mean, 0.75 * before[0] + 0.25 * module.norm.running_mean)
    torch.testing.assert_close(var, 0.75 * before[1] + 0.25 * module.norm.running_var)
    assert follower.copy.norm.num_batches_tracked.item() == module.norm.num_batches_tracked.item() == 2
    assert module.norm.momentum == 0.1, "the module itself goes on collecting them"


def test_in_training_batch_normalisation_uses_the_batchs_own_statistics():
    module = Tiny(norm=True)
    torch.testing.assert_close(Momentum(module)(views()), module(views()))


def test_keys_are_enqueued_once_a_step_normalised_whatever_the_batch():
    """method.md §10.4: all norms 1, B more each step, and a batch that does not divide the queue."""
    trainer = make_trainer({"method": "moco", "loss.queue": 19})
    held = []
    for number in range(4):
        step(trainer, number)
        queue = trainer.queue.held
        held.append(len(queue.z_QD))
        torch.testing.assert_close(queue.z_QD.norm(dim=1), torch.ones(held[-1]))
        batch = trainer.plan.batches(number // 3)[number % 3]
        np.testing.assert_array_equal(queue.patient_Q[-8:], trainer.subjects.patient_N[batch])
    assert held == [8, 16, 19, 19]


def test_the_first_step_has_no_negatives_and_no_gradient():
    trainer = make_trainer({"method": "moco"})
    assert trainer.loss.queue == 65536
    values = step(trainer, 0)
    assert values[0] == 0
    assert all((p.grad == 0).all() for p in trainer.learner.parameters() if p.grad is not None)
    assert step(trainer, 1)[0] > 0


@pytest.mark.parametrize("momentum", [-0.1, 1.1, float("nan")])
def test_a_momentum_that_is_none_is_refused(momentum):
    with pytest.raises(ConfigError, match=r"method\.momentum: .* allowed is 0 to 1"):
        Moco(momentum=momentum)


def test_batch_normalisation_is_refused_on_several_workers():
    with pytest.raises(ConfigError, match="BatchNorm1d"):
        make_trainer({"method": "moco"}, world_size=2, norm=True)
