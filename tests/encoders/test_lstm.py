"""The LSTM against an explicit loop over its cells in NumPy."""

import numpy as np
import pytest
import torch

from clef_ray.encoders.lstm import Lstm
from clef_ray.errors import ConfigError
from clef_ray.train.pieces import refuse_shared_state

pytestmark = pytest.mark.usefixtures("one_thread")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def layer(x_TC, weights):
    """One layer of Hochreiter and Schmidhuber's cell with forget gate; gates in the order input, forget, candidate, output."""
    w_x, w_h, b_x, b_h = (w.detach().numpy() for w in weights)
    hidden, cell, out = np.zeros(256), np.zeros(256), []
    for x_C in x_TC:
        i, f, g, o = np.split(w_x @ x_C + b_x + w_h @ hidden + b_h, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        out.append(hidden)
    return np.stack(out)


@pytest.mark.parametrize(("samples", "average"), [(13, 1), (1, 1), (13, 4), (3, 7)])
def test_forward_equals_the_loop(samples, average):
    """Two leads; average 4 of 13 samples leaves a last step of one sample, 7 of 3 a step of three."""
    torch.manual_seed(0)
    encoder = Lstm(in_leads=2, average=average).double()
    x_BCT = torch.randn(2, 2, samples, dtype=torch.float64)
    with torch.no_grad():
        y_BND, z_BD = encoder.tokens(x_BCT), encoder(x_BCT)
    for record in range(2):
        x_TC = x_BCT[record].numpy().T
        x_NC = np.stack([x_TC[t : t + average].mean(0) for t in range(0, samples, average)])
        y_ND = layer(layer(x_NC, encoder.recurrence.all_weights[0]), encoder.recurrence.all_weights[1])
        np.testing.assert_allclose(y_BND[record], y_ND, rtol=1e-10, atol=1e-12)
        pooled = np.concatenate([y_ND.mean(0), y_ND.max(0), y_ND[-1]])
        np.testing.assert_allclose(z_BD[record], pooled, rtol=1e-10, atol=1e-12)


def test_size():
    with torch.device("meta"):
        for leads in (1, 12):
            hand = 4 * 256 * (leads + 256 + 2) + 4 * 256 * (256 + 256 + 2)
            assert sum(p.numel() for p in Lstm(leads).parameters()) == hand
        assert hand == 802_816
        assert Lstm().dim == 768


def test_steps_see_the_past_only():
    torch.manual_seed(0)
    encoder, x = Lstm(), torch.randn(1, 1, 20)
    changed = x.clone()
    changed[..., 12:] += 1
    with torch.no_grad():
        before, after = encoder.tokens(x), encoder.tokens(changed)
    torch.testing.assert_close(before[:, :12], after[:, :12])
    assert not torch.allclose(before[:, 12], after[:, 12])


def test_every_parameter_gets_a_gradient_and_records_are_alone():
    torch.manual_seed(0)
    encoder, x = Lstm(), torch.randn(3, 1, 15)
    encoder(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in encoder.parameters())
    torch.testing.assert_close(encoder(x)[1:2], encoder(x[1:2]))
    refuse_shared_state(encoder, 4, 4)


@pytest.mark.parametrize("option", ["in_leads", "average"])
def test_impossible_options_are_refused(option):
    with pytest.raises(ConfigError, match=f"lstm, {option}: 0 given; at least 1"):
        Lstm(**{option: 0})
