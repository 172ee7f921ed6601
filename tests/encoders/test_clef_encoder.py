"""The CLEF encoder against the published parameter counts and against an independent transcription of its block."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from clef_ray.encoders.clef import Clef
from clef_ray.errors import ConfigError


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("size", "one_lead", "twelve_leads", "tensors", "normalisation", "dim", "steps"),
    [
        ("S", 447_792, 453_424, 257, 4_608, 256, 40),
        ("M", 30_654_000, 30_665_264, 507, 66_368, 1024, 20),
        ("L", 296_623_360, 296_645_888, 957, 322_048, 2048, 5),
    ],
)
def test_published_shape(size, one_lead, twelve_leads, tensors, normalisation, dim, steps):
    with torch.device("meta"):
        published, wide = Clef(size, 1, "bn"), Clef(size, 12, "bn")
        active = Clef(size)
        assert (parameters(published), parameters(wide)) == (one_lead, twelve_leads)
        assert len(published.state_dict()) == tensors
        assert parameters(active) == one_lead - normalisation
        assert active.dim == dim
        assert active.blocks(active.stem(torch.zeros(2, 1, 5000))).shape == (2, dim, steps)
        assert wide(torch.zeros(2, 12, 5000)).shape == (2, dim)


@pytest.mark.parametrize("samples", [1, 2, 15, 250, 999, 1000, 5000])
def test_any_length(samples):
    """100 Hz and 500 Hz, even, odd and shorter than the kernel."""
    torch.manual_seed(0)
    encoder = Clef(in_leads=2)
    time = samples
    y = encoder.stem(torch.randn(1, 2, samples))
    time = -(-time // 2)
    assert y.shape[-1] == time
    for block in encoder.blocks:
        y, time = block(y), -(-time // block.stride)
        assert y.shape[-1] == time
    assert torch.isfinite(y).all()


def same_conv(x, conv, groups, stride):
    """SAME convolution by windows: sum over taps of weight times the sample it meets, zeros outside."""
    batch, channels, samples = x.shape
    out = -(-samples // stride)
    width = conv.weight.shape[-1]
    left = max(0, (out - 1) * stride + width - samples) // 2
    per_in, per_out = channels // groups, conv.weight.shape[0] // groups
    y = torch.zeros(batch, conv.weight.shape[0], out, dtype=x.dtype)
    for t in range(out):
        for tap in range(width):
            at = t * stride + tap - left
            if 0 <= at < samples:
                for g in range(groups):
                    rows = slice(g * per_out, (g + 1) * per_out)
                    y[:, rows, t] += x[:, g * per_in : (g + 1) * per_in, at] @ conv.weight[rows, :, tap].T
    return y + conv.bias[:, None]


def transcribed_block(block, x, groups, first):
    y = x if first else x * torch.sigmoid(x)
    y = torch.einsum("oi,bit->bot", block.conv1.weight[..., 0], y) + block.conv1.bias[:, None]
    y = same_conv(y * torch.sigmoid(y), block.conv2, groups, block.stride)
    y = (
        torch.einsum("oi,bit->bot", block.conv3.weight[..., 0], y * torch.sigmoid(y))
        + block.conv3.bias[:, None]
    )
    gate = y.mean(2) @ block.squeeze.weight.T + block.squeeze.bias
    gate = torch.sigmoid((gate * torch.sigmoid(gate)) @ block.excite.weight.T + block.excite.bias)
    if block.stride == 2:
        if x.shape[2] % 2:
            x = torch.cat([x, torch.zeros_like(x[:, :, :1])], 2)  # zeros, not -inf: negative maxima become 0
        x = torch.maximum(x[:, :, 0::2], x[:, :, 1::2])
    grown = y.shape[1] - x.shape[1]
    x = torch.cat(
        [x.new_zeros(len(x), grown // 2, x.shape[2]), x, x.new_zeros(len(x), grown - grown // 2, x.shape[2])],
        1,
    )
    return x + gate[:, :, None] * y


def test_forward_equals_the_transcription():
    """Odd lengths, group counts of the published table (out channels / 8), all ten blocks, float64."""
    torch.manual_seed(0)
    encoder = Clef().double()
    x = torch.randn(2, 1, 75, dtype=torch.float64)
    y = same_conv(x, encoder.stem[0], 1, 2)
    y = y * torch.sigmoid(y)
    widths = [32, 64, 64, 64, 128, 128, 128, 128, 256, 256]
    strides = [2, 2, 2, 1, 2, 1, 2, 1, 2, 1]
    with torch.no_grad():
        for i, (block, width, stride) in enumerate(zip(encoder.blocks, widths, strides, strict=True)):
            assert block.stride == stride
            y = transcribed_block(block, y, width // 8, first=i == 0)
        torch.testing.assert_close(encoder(x), y.mean(2), rtol=1e-9, atol=1e-12)


def test_every_weight_that_can_learn_gets_a_gradient():
    """Distributed training waits for every gradient; with `bn` the published, unused first normalisation is frozen."""
    for norm in ("none", "bn"):
        encoder = Clef(norm=norm)
        encoder(torch.randn(4, 1, 500)).square().sum().backward()
        assert all((p.grad is not None) == p.requires_grad for p in encoder.parameters())
        frozen = sum(p.numel() for p in encoder.parameters() if not p.requires_grad)
        assert frozen == (64 if norm == "bn" else 0)


def test_norm_and_dropout_are_where_they_should_be():
    assert not any(isinstance(m, nn.BatchNorm1d | nn.Dropout) for m in Clef().modules())
    dropped = Clef(dropout=0.5)
    assert parameters(dropped) == parameters(Clef())
    x = torch.randn(2, 1, 300)
    assert not torch.equal(dropped(x), dropped(x))
    dropped.eval()
    assert torch.equal(dropped(x), dropped(x))


def test_rows_are_independent_without_norm():
    encoder, x = Clef(), torch.randn(5, 1, 400)
    torch.testing.assert_close(encoder(x)[2:3], encoder(x[2:3]), rtol=1e-4, atol=1e-6)


def test_bfloat16_autocast():
    torch.manual_seed(0)
    encoder, x = Clef(), torch.randn(4, 1, 1000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = encoder(x)
    low.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())
    assert functional.cosine_similarity(low.float(), encoder(x)).min() > 0.99


@pytest.mark.parametrize(
    "options", [{"size": "XL"}, {"norm": "gn"}, {"in_leads": 0}, {"dropout": 1.0}], ids=str
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match=f"clef.*{next(iter(options))}|{next(iter(options))}.*clef"):
        Clef(**options)
