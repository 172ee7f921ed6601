"""Contrastive predictive coding as loops over records, starts, steps ahead and candidates, with the context from the past alone."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from clef_ray.encoders.clef import Clef
from clef_ray.errors import ConfigError
from clef_ray.methods import At, Setting
from clef_ray.methods.cpc import Cpc
from clef_ray.sections import Signals, Views


class Three(nn.Module):
    """An encoder of three features of a segment, of any length."""

    dim = 3

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(3, 3)

    def forward(self, x):
        return self.map(torch.stack((x.mean((1, 2)), x.std((1, 2)), x[:, 0, -1]), 1))


def setting(seconds=2.3, fs=100.0):
    return Setting(Signals(fs=fs, seconds=seconds), Views(), 10, pd.DataFrame(), np.arange(3))


def at(rows):
    return At(torch.arange(rows), 5)


def info_nce(learner, x, steps):
    """One view of one record [1, T]; the LSTM is given only what is past, so that it cannot have seen more."""
    length = x.shape[1] // 4
    z = torch.cat([learner.encoder(x[None, :, length * s : length * (s + 1)]) for s in range(4)])
    losses = []
    for s in range(4):
        context = learner.past(z[None, : s + 1])[0][0, -1]
        for k in range(1, steps + 1):
            if s + k > 3:
                continue
            w = learner.predict.weight[3 * (k - 1) : 3 * k]
            scores = [float(z[u] @ w @ context) for u in range(4)]
            losses.append(math.log(sum(math.exp(v) for v in scores)) - scores[s + k])
    return sum(losses) / len(losses)


@pytest.mark.parametrize("steps", [1, 3])
def test_equals_the_loop(steps):
    """2.3 s are four segments of .57 s; the two samples left over do not matter."""
    torch.manual_seed(0)
    learner = Cpc(0.57, steps, context=5).learner(Three(), setting()).double()
    x = torch.randn(4, 1, 230, dtype=torch.float64)
    found = learner(x, at(2))
    assert found.shape == (2, 1)
    with torch.no_grad():
        wanted = [info_nce(learner, row, steps) for row in x]
    np.testing.assert_allclose(
        found[:, 0].tolist(), [(wanted[0] + wanted[2]) / 2, (wanted[1] + wanted[3]) / 2], rtol=1e-10
    )
    changed = x.clone()
    changed[..., 228:] += 50
    assert torch.equal(learner(changed, at(2)), found)


def test_a_record_is_on_its_own_and_every_weight_learns():
    torch.manual_seed(0)
    learner = Cpc().learner(Clef(), setting())
    x = torch.randn(6, 1, 230)
    whole = learner(x, at(3))
    torch.testing.assert_close(learner(x[[1, 2, 4, 5]], at(2)), whole[1:], rtol=1e-5, atol=1e-6)
    whole.sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in learner.parameters())


def test_bfloat16():
    torch.manual_seed(0)
    learner, x = Cpc().learner(Clef(), setting()), torch.randn(4, 1, 230)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = learner(x, at(2))
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, learner(x, at(2)), rtol=0.02, atol=0.02)


def test_segments_are_counted_exactly():
    """1.2 / .4 is a little less than 3 in floating point."""
    assert Cpc(0.4, 2).learner(Three(), setting(1.2)).segments == 3
    assert Cpc(0.7, 2).learner(Three(), setting(2.1)).segments == 3


def test_what_cannot_be_forecast_is_refused():
    with pytest.raises(ConfigError, match=r"view of 1.5 s has 3 segments of 0.5 s; 3 steps ahead need 4"):
        Cpc().learner(Three(), setting(1.5))
    with pytest.raises(ConfigError, match=r"segment: 0.005 given; one sample lasts 0.01 s"):
        Cpc(0.005).learner(Three(), setting())
    for options in ({"segment": 0.0}, {"steps": 0}, {"context": 0}):
        with pytest.raises(ConfigError, match=f"cpc, {next(iter(options))}: 0 given"):
            Cpc(**options)
