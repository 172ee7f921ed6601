"""The CLEF encoder against the published parameter counts and against an independent transcription in NumPy."""

import net1d_numpy
import numpy as np
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
        assert active.tokens(torch.zeros(2, 1, 5000)).shape == (2, steps, dim)


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


def published_names(encoder, size):
    """The encoder's tensors under the names of Net1D, one module after the other."""
    state, found = encoder.state_dict(), {}

    def put(ours, theirs):
        found.update({f"{theirs}.{key.removeprefix(ours + '.')}": v.numpy() for key, v in state.items() if key.startswith(f"{ours}.")})  # fmt: skip

    put("stem.0", "first_conv.conv")
    put("stem.1.0", "first_bn")
    at = 0
    for i, repeats in enumerate(net1d_numpy.SHAPES[size][3]):
        for j in range(repeats):
            block = f"stage_list.{i}.block_list.{j}"
            for n in (1, 2, 3):
                put(f"blocks.{at}.before{n}.0", f"{block}.bn{n}")
                put(f"blocks.{at}.conv{n}", f"{block}.conv{n}.conv")
            put(f"blocks.{at}.squeeze", f"{block}.se_fc1")
            put(f"blocks.{at}.excite", f"{block}.se_fc2")
            at += 1
    return found


def lively(encoder):
    """Normalisation that does something: its weights, biases and running statistics random."""
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm1d | nn.GroupNorm | nn.LayerNorm):
            nn.init.normal_(module.weight, 1, 0.2)
            nn.init.normal_(module.bias, 0, 0.2)
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return encoder


@pytest.mark.parametrize(
    ("norm", "leads", "samples"),
    [("none", 1, 1), ("none", 1, 261), ("none", 12, 128), ("bn", 1, 75), ("gn", 2, 75), ("ln", 2, 75)],
)
def test_forward_and_tokens_equal_the_transcription(norm, leads, samples):
    """In NumPy, float64, odd lengths too: every block, the group counts of the published table, what is normalised where."""
    torch.manual_seed(0)
    encoder = lively(Clef(in_leads=leads, norm=norm)).double().eval()
    x = torch.randn(2, leads, samples, dtype=torch.float64)
    expected = net1d_numpy.steps(published_names(encoder, "S"), x.numpy(), "S", norm)
    with torch.no_grad():
        np.testing.assert_allclose(encoder.tokens(x).numpy(), expected.transpose(0, 2, 1), rtol=1e-8, atol=1e-10)  # fmt: skip
        np.testing.assert_allclose(encoder(x).numpy(), expected.mean(2), rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(encoder.float()(x.float()).numpy(), expected.mean(2), rtol=1e-4, atol=1e-5)


def test_every_weight_that_can_learn_gets_a_gradient():
    """Distributed training waits for every gradient; with `bn` the published, unused first normalisation is frozen."""
    for norm in ("none", "bn", "gn", "ln"):
        encoder = Clef(norm=norm)
        encoder(torch.randn(3, 1, 60)).square().sum().backward()
        assert all((p.grad is not None) == p.requires_grad for p in encoder.parameters())
        frozen = sum(p.numel() for p in encoder.parameters() if not p.requires_grad)
        assert frozen == (64 if norm == "bn" else 0)


def test_norm_and_dropout_are_where_they_should_be():
    assert not any(isinstance(m, nn.BatchNorm1d | nn.Dropout) for m in Clef().modules())
    dropped = Clef(dropout=0.5)
    assert parameters(dropped) == parameters(Clef())
    x = torch.randn(2, 1, 60)
    assert not torch.equal(dropped(x), dropped(x))
    dropped.eval()
    assert torch.equal(dropped(x), dropped(x))


@pytest.mark.parametrize("norm", ["none", "gn", "ln"])
def test_rows_are_independent_but_for_batch_normalisation(norm):
    encoder, x = Clef(norm=norm), torch.randn(5, 1, 60)
    torch.testing.assert_close(encoder(x)[2:3], encoder(x[2:3]), rtol=1e-4, atol=1e-6)


def test_bfloat16_autocast():
    torch.manual_seed(0)
    encoder, x = Clef(), torch.randn(3, 1, 250)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = encoder(x)
    low.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())
    assert functional.cosine_similarity(low.float(), encoder(x)).min() > 0.99


@pytest.mark.parametrize(
    "options", [{"size": "XL"}, {"norm": "xn"}, {"in_leads": 0}, {"dropout": 1.0}], ids=str
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match=f"clef.*{next(iter(options))}|{next(iter(options))}.*clef"):
        Clef(**options)
