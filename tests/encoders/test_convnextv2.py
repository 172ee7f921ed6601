"""ConvNeXt V2-1D against ESI's parameter counts and against a re-statement of its stages with loops over time and channels."""

import math

import numpy as np
import pytest
import torch
from scipy.special import erf
from torch.nn import functional

from clef_ray.encoders import convnextv2
from clef_ray.encoders.convnextv2 import Convnextv2, _Block, _Down, _ResponseNorm, _Size
from clef_ray.errors import ConfigError


def parameters(module):
    return sum(p.numel() for p in module.parameters())


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def small(monkeypatch):
    """The same architecture, narrow and shallow: options -> encoder."""
    monkeypatch.setitem(convnextv2._SIZES, "tiny", _Size((1, 2, 1, 1), (4, 6, 8, 10)))
    torch.manual_seed(0)
    return Convnextv2


@pytest.mark.parametrize(
    ("size", "twelve_leads", "dim", "narrowest"),
    [("tiny", 26_814_144, 768, 96), ("base", 85_558_528, 1024, 128)],
)
def test_published_counts_and_shapes(size, twelve_leads, dim, narrowest):
    with torch.device("meta"):
        wide, narrow = Convnextv2(size, 12), Convnextv2(size)
        assert parameters(wide) == twelve_leads
        assert parameters(wide) - parameters(narrow) == 11 * 4 * narrowest
        assert wide.dim == dim
        assert wide(torch.zeros(2, 12, 5000)).shape == (2, dim)
        assert narrow.tokens(torch.zeros(2, 1, 5000)).shape == (2, 157, dim)


@pytest.mark.parametrize("samples", [1, 2, 3, 4, 5, 31, 33, 250, 999])
def test_any_length(small, samples):
    encoder = small(in_leads=2)
    x = torch.randn(3, 2, samples)
    assert encoder.tokens(x).shape == (3, math.ceil(samples / 32), 10)
    assert encoder(x).shape == (3, 10)
    assert torch.isfinite(encoder(x)).all()


def array(tensor):
    return tensor.detach().numpy()


def normalised(x, layer):
    """Over the channels of each time step."""
    out = np.empty_like(x)
    for t in range(len(x)):
        out[t] = (x[t] - x[t].mean()) / math.sqrt(x[t].var() + 1e-6)
    return out * array(layer.weight) + array(layer.bias)


def down_by_loop(x, conv):
    """One record [time, channels]; windows beside one another, zeros after the end."""
    weight, stride = array(conv.weight), conv.weight.shape[-1]
    out = np.tile(array(conv.bias), (math.ceil(len(x) / stride), 1))
    for t in range(len(x)):
        out[t // stride] += weight[:, :, t % stride] @ x[t]
    return out


def response_norm_by_loop(x, layer):
    norms = [math.sqrt(sum(v * v for v in x[:, c])) for c in range(x.shape[1])]
    mean = sum(norms) / len(norms)
    out = np.empty_like(x)
    for c, norm in enumerate(norms):
        gamma, beta = layer.gamma[c].item(), layer.beta[c].item()
        out[:, c] = gamma * x[:, c] * norm / (mean + 1e-6) + beta + x[:, c]
    return out


def block_by_loop(x, block):
    weight = array(block.depthwise.weight)[:, 0]
    y = np.tile(array(block.depthwise.bias), (len(x), 1))
    for t in range(len(x)):
        for tap in range(7):
            if 0 <= t + tap - 3 < len(x):
                y[t] += weight[:, tap] * x[t + tap - 3]
    norm, widen, _, response, back = block.mix
    y = normalised(y, norm) @ array(widen.weight).T + array(widen.bias)
    y = response_norm_by_loop(0.5 * y * (1 + erf(y / math.sqrt(2))), response)
    return x + y @ array(back.weight).T + array(back.bias)


def shaken(module):
    """Weights of the order of 1 and nothing at its neutral start, so that leaving a part out shows."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.4 * torch.randn_like(p))
    return module.double()


@pytest.mark.parametrize("time", [1, 4, 12])
def test_block_equals_the_loop(time):
    torch.manual_seed(1)
    block = shaken(_Block(5))
    x = torch.randn(2, time, 5, dtype=torch.float64)
    expected = np.stack([block_by_loop(row, block) for row in x.numpy()])
    np.testing.assert_allclose(array(block(x)), expected, rtol=1e-9, atol=1e-10)


def test_response_norm_by_hand():
    """Norms over time 5 and 15, mean 10: the channels are scaled by .5 and 1.5, times gamma, plus beta, plus themselves."""
    layer = _ResponseNorm(2)
    x = torch.tensor([[[3.0, 9.0], [4.0, -12.0]]])
    assert torch.equal(layer(x), x)
    with torch.no_grad():
        layer.gamma.copy_(torch.tensor([2.0, 1.0]))
        layer.beta.copy_(torch.tensor([0.5, -1.0]))
    expected = torch.tensor([[[6.5, 21.5], [8.5, -31.0]]])
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(("stride", "time"), [(4, 1), (4, 8), (4, 11), (2, 5)])
def test_windows_equal_the_loop(stride, time):
    torch.manual_seed(2)
    down = shaken(_Down(3, 4, stride))
    x = torch.randn(2, time, 3, dtype=torch.float64)
    expected = np.stack([down_by_loop(row, down) for row in x.numpy()])
    np.testing.assert_allclose(array(down(x)), expected, rtol=1e-9, atol=1e-12)


def test_forward_equals_the_loop(small):
    """Stem then norm, norm then window, blocks, mean over time, last norm."""
    encoder = shaken(small(in_leads=2))
    x = torch.randn(2, 2, 75, dtype=torch.float64)
    tokens = []
    for record in x.numpy():
        y = record.T
        for number, (stage, repeats) in enumerate(zip(encoder.stages, (1, 2, 1, 1), strict=True)):
            first, second, *blocks = stage
            assert len(blocks) == repeats
            if number == 0:
                y = normalised(down_by_loop(y, first), second)
            else:
                y = down_by_loop(normalised(y, first), second)
            for block in blocks:
                y = block_by_loop(y, block)
        tokens.append(y)
    np.testing.assert_allclose(array(encoder.tokens(x)), tokens, rtol=1e-8, atol=1e-9)
    pooled = normalised(np.mean(tokens, 1), encoder.norm)
    np.testing.assert_allclose(array(encoder(x)), pooled, rtol=1e-8, atol=1e-9)


def test_normalisation_does_not_look_along_time(small):
    """Without response norm (gamma 0, as it starts) a far change of the signal leaves a token as it was.

    With statistics over time, the known defect of the reference, every token would move.
    """
    encoder = small()
    x = torch.randn(1, 1, 32 * 20)
    changed = x.clone()
    changed[..., -32:] += 5
    before, after = encoder.tokens(x), encoder.tokens(changed)
    assert torch.equal(before[:, :12], after[:, :12])
    assert not torch.equal(before[:, -1], after[:, -1])


def test_every_weight_gets_a_gradient(small):
    encoder = small()
    encoder(torch.randn(2, 1, 200))[:, :5].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in encoder.parameters())


def test_flat_line_has_finite_gradients(small):
    """A lead that is off: channels of norm 0, whose derivative must not be 0 / 0."""
    encoder = small()
    encoder(torch.zeros(2, 1, 100)).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_rows_are_independent(small):
    encoder, x = shaken(small()), torch.randn(4, 1, 90, dtype=torch.float64)
    torch.testing.assert_close(encoder(x)[2:3], encoder(x[2:3]))


def test_bfloat16_autocast(small):
    encoder, x = small(), torch.randn(4, 1, 500)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = encoder(x)
    low.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())
    assert functional.cosine_similarity(low.float(), encoder(x)).min() > 0.99


@pytest.mark.parametrize("options", [{"size": "small"}, {"in_leads": 0}], ids=str)
def test_impossible_options_are_refused(options):
    with pytest.raises(
        ConfigError, match=f"convnextv2.*{next(iter(options))}|{next(iter(options))}.*convnextv2"
    ):
        Convnextv2(**options)
