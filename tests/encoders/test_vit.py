"""ViT-1D against a re-statement of patches, positions, attention and masking with loops over records, tokens and heads."""

import math

import numpy as np
import pytest
import torch
from scipy.special import erf
from torch.nn import functional

from clef_ray.encoders import vit
from clef_ray.encoders.vit import Block, Vit, sinusoid
from clef_ray.errors import ConfigError


def parameters(module):
    return sum(p.numel() for p in module.parameters())


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def shallow(monkeypatch):
    """The same architecture with two blocks: options -> encoder."""
    monkeypatch.setattr(vit, "DEPTH", 2)
    torch.manual_seed(0)
    return Vit


@pytest.fixture
def encoder(shallow):
    return shallow(patch=4, in_leads=2).double()


@pytest.mark.parametrize(
    ("size", "width", "total"),
    [("tiny", 192, 5_511_744), ("small", 384, 21_640_320), ("base", 768, 85_747_968)],
)
def test_parameters(size, width, total):
    """Twelve blocks: two norms, query-key-value, output, two layers of the mlp; then embedding and last norm."""
    with torch.device("meta"):
        wide, narrow = Vit(size, 75, 12), Vit(size)
    block = 2 * 2 * width + (3 * width**2 + 3 * width) + (width**2 + width) + (8 * width**2 + 5 * width)
    assert parameters(wide) == 12 * block + 12 * 75 * width + width + 2 * width == total
    assert parameters(wide) - parameters(narrow) == 11 * 75 * width
    assert wide.dim == width


@pytest.mark.parametrize(("samples", "patches"), [(1, 1), (74, 1), (75, 1), (76, 2), (150, 2), (999, 14)])
def test_any_length(shallow, samples, patches):
    encoder = shallow()
    tokens = encoder.tokens(torch.randn(2, 1, samples))
    assert tokens.shape == (2, patches, 192)
    assert torch.isfinite(tokens).all()
    assert encoder(torch.randn(2, 1, samples)).shape == (2, 192)


def patches_by_loop(x, patch):
    records, leads, samples = x.shape
    out = np.zeros((records, -(-samples // patch), leads * patch))
    for b in range(records):
        for c in range(leads):
            for t in range(samples):
                out[b, t // patch, c * patch + t % patch] = x[b, c, t]
    return out


def position_by_formula(position, width):
    out = np.empty(width)
    for i in range(width // 2):
        out[2 * i] = math.sin(position / 10_000 ** (2 * i / width))
        out[2 * i + 1] = math.cos(position / 10_000 ** (2 * i / width))
    return out


def normalised(x, layer):
    out = np.empty_like(x)
    for at in np.ndindex(x.shape[:-1]):
        v = x[at]
        out[at] = (v - v.mean()) / math.sqrt(((v - v.mean()) ** 2).mean() + 1e-6)
    return out * array(layer.weight) + array(layer.bias)


def linear(x, layer):
    return x @ array(layer.weight).T + array(layer.bias)


def array(tensor):
    return tensor.detach().numpy()


def block_by_loop(x, block):
    """One record [tokens, width]: every head and every query on its own."""
    width = x.shape[1]
    q, k, v = np.split(linear(normalised(x, block.norm1), block.qkv), 3, axis=1)
    mixed = np.zeros_like(x)
    for head in range(width // 64):
        own = slice(64 * head, 64 * head + 64)
        for query in range(len(x)):
            share = np.array([math.exp(q[query, own] @ k[key, own] / 8) for key in range(len(x))])
            mixed[query, own] = (share / share.sum()) @ v[:, own]
    x = x + linear(mixed, block.out)
    hidden = linear(normalised(x, block.norm2), block.mlp[0])
    return x + linear(0.5 * hidden * (1 + erf(hidden / math.sqrt(2))), block.mlp[2])


def shaken(module):
    """Normalisations and biases away from their neutral start, so that leaving one out shows."""
    with torch.no_grad():
        for p in module.parameters():
            if p.dim() == 1:
                p.add_(0.3 * torch.randn_like(p))
    return module


def test_block_equals_the_loop():
    torch.manual_seed(1)
    block = shaken(Block(128)).double()
    x = torch.randn(2, 5, 128, dtype=torch.float64)
    expected = np.stack([block_by_loop(row, block) for row in x.numpy()])
    np.testing.assert_allclose(array(block(x)), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("keep", [None, [[2, 0], [1, 3]]], ids=["all", "some"])
def test_tokens_equal_the_loop(shallow, keep):
    """Patches, positions, blocks, last norm and mean; kept patches with the embeddings of their own positions."""
    encoder = shaken(shallow(patch=4, in_leads=2)).double()
    x = torch.randn(2, 2, 14, dtype=torch.float64)
    patches = patches_by_loop(x.numpy(), 4)
    np.testing.assert_array_equal(array(encoder.patches(x)), patches)
    expected = []
    for record, positions in enumerate(keep or [range(4)] * 2):
        y = np.stack([patches[record, n] for n in positions])
        y = linear(y, encoder.embed) + np.stack([position_by_formula(n, 192) for n in positions])
        for block in encoder.blocks:
            y = block_by_loop(y, block)
        expected.append(normalised(y, encoder.norm))
    given = None if keep is None else torch.tensor(keep)
    np.testing.assert_allclose(array(encoder.tokens(x, given)), expected, rtol=1e-8, atol=1e-9)
    if keep is None:
        np.testing.assert_allclose(array(encoder(x)), np.mean(expected, 1), rtol=1e-8, atol=1e-9)


def test_positions_in_lower_precision():
    """float32 far from 0, and bfloat16, which has no 257: only the result may be rounded."""
    positions = torch.tensor([0, 1, 256, 257, 5000])
    exact = np.stack([position_by_formula(n, 64) for n in positions.tolist()])
    np.testing.assert_allclose(sinusoid(positions, 64, torch.float32).numpy(), exact, atol=2e-3)
    low = sinusoid(positions, 64, torch.bfloat16)
    assert low.dtype == torch.bfloat16
    np.testing.assert_allclose(low.float().numpy(), exact, atol=8e-3)


def test_keeping_all_is_keeping_none_out(encoder):
    x = torch.randn(3, 2, 19, dtype=torch.float64)
    everything = torch.arange(5).expand(3, 5)
    torch.testing.assert_close(encoder.tokens(x, everything), encoder.tokens(x))


def test_order_of_the_kept(encoder):
    x, keep = torch.randn(2, 2, 24, dtype=torch.float64), torch.tensor([[0, 3, 5], [4, 2, 1]])
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(encoder.tokens(x, keep[:, order]), encoder.tokens(x, keep)[:, order])


def test_what_is_not_kept_has_no_influence(encoder):
    x, keep = torch.randn(2, 2, 24, dtype=torch.float64), torch.tensor([[0, 3, 5], [4, 2, 1]])
    before = encoder.tokens(x, keep)
    patch_T = torch.arange(24) // 4
    changed = x.clone()
    for record in range(2):
        changed[record, :, ~torch.isin(patch_T, keep[record])] += 7
    assert torch.equal(encoder.tokens(changed, keep), before)
    changed[:, :, patch_T == 3] += 7  # kept in the first record only, where every token attends to it
    after = encoder.tokens(changed, keep)
    assert (after[0] != before[0]).any(-1).all()
    assert torch.equal(after[1], before[1])


def test_every_weight_gets_a_gradient(shallow):
    encoder = shallow(patch=10)
    encoder(torch.randn(2, 1, 45)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in encoder.parameters())


def test_rows_are_independent(encoder):
    x = torch.randn(4, 2, 40, dtype=torch.float64)
    torch.testing.assert_close(encoder(x)[2:3], encoder(x[2:3]))


def test_bfloat16(shallow):
    encoder, x = shallow(), torch.randn(4, 1, 600)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = encoder(x)
    low.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())
    assert functional.cosine_similarity(low.float(), encoder(x)).min() > 0.99
    assert encoder.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("options", [{"size": "huge"}, {"patch": 0}, {"in_leads": 0}], ids=str)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match=f"vit.*{next(iter(options))}|{next(iter(options))}.*vit"):
        Vit(**options)
