"""Gradient caching: a batch in pieces has the loss, the gradients and the fingerprint of the whole, and the memory of a piece."""

import weakref

import numpy as np
import pytest
import torch
from noise_cohort import STILL, assert_same_steps, make_trainer, same, steps, train, weights
from torch import nn

from clef_ray.errors import ConfigError
from clef_ray.train.pieces import backward_all, cut, embed_all


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
def test_pieces_cover_the_slice_once_in_order(size):
    covered = [list(range(7))[piece] for piece in cut(7, size)]
    assert [n for piece in covered for n in piece] == list(range(7))
    assert max(map(len, covered)) == min(size, 7)
    assert cut(7, None) == [slice(0, 7)]
    with pytest.raises(ConfigError, match="--micro-batch 0: at least 1"):
        cut(7, 0)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_in_double_precision_the_gradients_are_those_of_the_whole(size):
    """A nonlinear network and a loss in which every embedding meets every other, differentiated at once."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x_V6F = torch.randn(2, 6, 4, dtype=torch.float64)

    def loss(z_12D):
        return torch.logsumexp(z_12D @ z_12D.T, dim=1).sum() + (z_12D[:6] * z_12D[6:]).sum()

    def embed(piece):
        return net(x_V6F[:, piece].reshape(-1, 4))

    whole = loss(net(x_V6F.reshape(12, 4)))
    expected = torch.autograd.grad(whole, net.parameters())
    pieces = cut(6, size)
    z = embed_all(embed, pieces, 2)
    value = loss(z)
    value.backward()
    backward_all(embed, pieces, z, 2)
    assert value.item() == pytest.approx(whole.item(), rel=1e-13)
    for parameter, gradient in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"method": "simclr", "loss.queue": 12, "loss.learn_temperature": True},
        {"loss.preset": "published", "method.head": "mlp2"},
        {"loss.negatives": 5, "loss.unknown": "drop", "loss.queue": 30, "batches": "risk_stratified"},
    ],
)
@pytest.mark.parametrize("micro_batch", [1, 3, 8])
def test_a_step_in_pieces_is_the_plain_step(settings, micro_batch):
    plain, pieces = (
        steps(make_trainer({**STILL, **settings}, micro_batch=m), 3) for m in (None, micro_batch)
    )
    assert_same_steps(pieces, plain)
    assert all(np.linalg.norm(g) > 0 for _, gradients in plain for g in gradients.values())


def test_a_run_in_pieces_ends_near_the_plain_one_and_is_the_same_run(tmp_path):
    plain, pieces = train(tmp_path / "plain"), train(tmp_path / "pieces", micro_batch=3)
    records = [s.read_bytes("pretrain.json").split(b'"fingerprint": "')[1][:16] for s in (plain, pieces)]
    assert records[0] == records[1], "how much is encoded at once is not part of a run's identity"
    a, b = weights(plain), weights(pieces)
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4)
    assert same(weights(train(tmp_path / "larger", micro_batch=8)), a), "one piece is the plain step"


def held_bytes(trainer):
    """The most bytes that autograd holds at once during a step, parameters aside."""
    parameters = {p.data_ptr() for p in trainer.learner.parameters()}
    now, peak = 0, 0

    class Held:
        def __init__(self, tensor):
            nonlocal now, peak
            self.tensor = tensor
            size = 0 if tensor.data_ptr() in parameters else tensor.numel() * tensor.element_size()
            now += size
            peak = max(peak, now)
            weakref.finalize(self, release, size)

    def release(size):
        nonlocal now
        now -= size

    with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
        steps(trainer, 1)
    assert now == 0, "everything is let go"
    return peak


def test_the_graph_held_at_once_is_that_of_one_piece():
    settings = {"optimiser.batch": 16}
    whole = held_bytes(make_trainer(settings))
    alone = held_bytes(make_trainer({"optimiser.batch": 2}))
    pieces = held_bytes(make_trainer(settings, micro_batch=2))
    assert whole > 7 * alone
    assert pieces < 1.05 * alone
