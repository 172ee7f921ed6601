"""The residual encoders against a forward pass in NumPy, and their sizes against sums over the published layer widths."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from clef_ray.encoders.resnet1d import Resnet1d
from clef_ray.encoders.xresnet1d101 import Xresnet1d101
from clef_ray.errors import ConfigError
from clef_ray.registry import ENCODERS
from clef_ray.train.pieces import refuse_shared_state

pytestmark = pytest.mark.usefixtures("one_thread")


FORMS = {
    "x101": Xresnet1d101,
    "18": lambda *a, **k: Resnet1d(18, *a, **k),
    "50": lambda *a, **k: Resnet1d(50, *a, **k),
    "wang": lambda *a, **k: Resnet1d("wang", *a, **k),
}
#: stem (kernels, widths, stride, pooled), kernel, blocks, inner widths, expansion: as published, written down a second time.
LAYOUT = {
    "x101": ((5, 5, 5), (32, 32, 64), 2, True, 5, (3, 4, 23, 3), (64, 64, 64, 64), 4),
    "18": ((7,), (64,), 2, False, 3, (2, 2, 2, 2), (64, 128, 256, 512), 1),
    "50": ((5,), (128,), 2, True, 5, (3, 4, 6, 3), (128, 128, 128, 128), 4),
    "wang": ((7,), (128,), 1, False, 5, (1, 1, 1), (128, 128, 128), 1),
}


def steps(form):
    """(kernel, in, out, stride) of every convolution in the order of the module, a block's branch before its shortcut."""
    stem_kernels, stem_widths, stem_stride, pooled, kernel, repeats, inner, expansion = LAYOUT[form]
    width, out = None, []
    for i, (k, w) in enumerate(zip(stem_kernels, stem_widths, strict=True)):
        out.append((k, width, w, stem_stride if i == 0 else 1))
        width = w
    blocks = []
    for stage, (count, middle) in enumerate(zip(repeats, inner, strict=True)):
        for i in range(count):
            stride = 2 if stage and not i else 1
            wide = middle * expansion
            if expansion == 4:
                branch = [(1, width, middle, 1), (kernel, middle, middle, stride), (1, middle, wide, 1)]
            else:
                branch = [(kernel, width, wide, stride), (kernel, wide, wide, 1)]
            pooling = form == "x101" and stride == 2
            projected = width != wide or (stride == 2 and form != "x101")
            shortcut = (1, width, wide, 1 if form == "x101" else stride) if projected else None
            blocks.append((branch, pooling, shortcut))
            width = wide
    return out, pooled, blocks


@pytest.mark.parametrize(("norm", "leads"), [("bn", 1), ("bn", 12), ("none", 1)])
@pytest.mark.parametrize("form", FORMS)
def test_parameters_are_those_of_the_layer_widths(form, norm, leads):
    stem, _, blocks = steps(form)
    convolutions = [c for branch, _, shortcut in blocks for c in [*branch, *([shortcut] if shortcut else [])]]
    count = sum(k * (leads if i is None else i) * o for k, i, o, _ in stem + convolutions)
    count += sum((1 if norm == "none" else 2) * o for _, _, o, _ in stem + convolutions)
    with torch.device("meta"):
        assert sum(p.numel() for p in FORMS[form](leads, norm).parameters()) == count


def test_published_count():
    """1.80 M for XResNet1d101 with twelve leads (ESI's table of encoders); the others as their docstring says."""
    with torch.device("meta"):
        count = {f: sum(p.numel() for p in FORMS[f]().parameters()) for f in FORMS}
        twelve = sum(p.numel() for p in Xresnet1d101(12).parameters())
    assert round(twelve / 1e6, 2) == 1.80
    assert count == {"x101": 1_802_912, "18": 3_843_904, "50": 4_240_256, "wang": 527_488}


@pytest.mark.parametrize(
    ("form", "dim", "total"), [("x101", 256, 32), ("18", 512, 16), ("50", 512, 32), ("wang", 128, 4)]
)
def test_time_steps_and_features(form, dim, total):
    encoder = FORMS[form](norm="gn").eval()
    assert (encoder.dim, FORMS[form](norm="gn", pool="mean").dim) == (2 * dim, dim)
    with torch.no_grad():
        for samples in (1, 2, 32, 33, 250, 5000 if form == "18" else 1000):
            assert encoder.tokens(torch.zeros(1, 1, samples)).shape == (1, math.ceil(samples / total), dim)
        assert encoder(torch.zeros(3, 1, 40)).shape == (3, 2 * dim)


def randomise(encoder, seed=0):
    """Every parameter and buffer away from its start, in sizes that keep the activations near 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in encoder.modules():
            if isinstance(module, nn.Conv1d):
                module.weight.normal_(0, module.weight[0].numel() ** -0.5, generator=generator)
                if module.bias is not None:
                    module.bias.normal_(0, 0.2, generator=generator)
            elif isinstance(module, nn.BatchNorm1d | nn.GroupNorm):
                module.weight.uniform_(0.3, 1.0, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    return encoder


class Oracle:
    """The forward pass of one record [channels, T] in NumPy, float64, from the encoder's tensors and `steps` alone."""

    def __init__(self, encoder, form, norm):
        layers = [m for m in encoder.modules() if isinstance(m, nn.Conv1d | nn.BatchNorm1d | nn.GroupNorm)]
        self.layers, self.norm = iter(layers), norm
        self.stem, self.stem_pooled, self.blocks = steps(form)

    def convolve(self, x, kernel, stride):
        layer = next(self.layers)
        weight, bias = layer.weight.detach().numpy(), layer.bias
        assert weight.shape[2] == kernel
        side = kernel // 2
        y = np.zeros((len(weight), -(-x.shape[1] // stride)))
        for t in range(y.shape[1]):
            for tap in range(kernel):
                if 0 <= t * stride + tap - side < x.shape[1]:
                    y[:, t] += weight[:, :, tap] @ x[:, t * stride + tap - side]
        if self.norm == "none":
            return y + bias.detach().numpy()[:, None]
        assert bias is None
        scaling = next(self.layers)
        if self.norm == "bn":
            mean, variance = scaling.running_mean.numpy()[:, None], scaling.running_var.numpy()[:, None]
        else:
            mean, variance = np.zeros_like(y), np.zeros_like(y)
            for first in range(0, len(y), 16):
                mean[first : first + 16] = y[first : first + 16].mean()
                variance[first : first + 16] = y[first : first + 16].var()
        scale, shift = scaling.weight.detach().numpy()[:, None], scaling.bias.detach().numpy()[:, None]
        return (y - mean) / np.sqrt(variance + 1e-5) * scale + shift

    @staticmethod
    def pooled(x, width, side, reduce):
        """Of each window of `width` samples every second sample, that part of it which lies in the record."""
        windows = [
            x[:, max(0, t - side) : t - side + width] for t in range(0, x.shape[1], 2)
        ]  # stride 2 throughout
        return np.stack([reduce(w, axis=1) for w in windows], axis=1)

    def tokens(self, x):
        for kernel, _, _, stride in self.stem:
            x = np.maximum(self.convolve(x, kernel, stride), 0)
        if self.stem_pooled:
            x = self.pooled(x, 3, 1, np.max)
        for branch, pooling, shortcut in self.blocks:
            y = x
            for i, (kernel, _, _, stride) in enumerate(branch):
                y = self.convolve(y, kernel, stride)
                y = np.maximum(y, 0) if i < len(branch) - 1 else y
            if pooling:
                x = self.pooled(x, 2, 0, np.mean)
            if shortcut:
                x = self.convolve(x, 1, shortcut[3])
            x = np.maximum(x + y, 0)
        assert next(self.layers, None) is None
        return x.T


@pytest.mark.parametrize(
    ("form", "norm"),
    [*[(f, "bn") for f in FORMS], ("x101", "gn"), ("18", "gn"), ("x101", "none"), ("wang", "none")],
)
def test_forward_equals_the_numpy_transcription(form, norm):
    """Every block, an odd length, two leads; then the pooling."""
    encoder = randomise(FORMS[form](2, norm).double()).eval()
    x = np.random.default_rng(1).standard_normal((2, 41))
    expected = Oracle(encoder, form, norm).tokens(x)
    x_BCT = torch.from_numpy(x)[None]
    with torch.no_grad():
        np.testing.assert_allclose(encoder.tokens(x_BCT)[0], expected, rtol=1e-9, atol=1e-9)
        pooled = np.concatenate([expected.mean(0), expected.max(0)])
        np.testing.assert_allclose(encoder(x_BCT)[0], pooled, rtol=1e-9, atol=1e-9)
        encoder.pool = "mean"
        np.testing.assert_allclose(encoder(x_BCT)[0], expected.mean(0), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("form", "norm", "zero"),
    [("x101", n, True) for n in ("bn", "gn", "none")]
    + [("18", "none", True), ("50", "none", True), ("18", "bn", False), ("50", "gn", False)],
)
def test_branches_start_at_zero(form, norm, zero):
    torch.manual_seed(0)
    encoder = FORMS[form](norm=norm).eval()
    x = encoder.stem(torch.randn(2, 1, 64))
    for block in list(encoder.blocks)[:4]:
        assert (block.branch(x).abs().max().item() == 0) == zero
        x = block(x)


def test_xresnet_starts_as_kaiming():
    torch.manual_seed(0)
    convolution = Xresnet1d101().blocks[5].branch[1][0]
    assert convolution.weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 5)), rel=0.03)


@pytest.mark.parametrize(
    ("form", "norm"),
    [("x101", "bn"), ("x101", "gn"), ("x101", "none"), ("18", "gn"), ("50", "none"), ("wang", "bn")],
)
def test_every_parameter_gets_a_gradient(form, norm):
    encoder = randomise(FORMS[form](norm=norm)).train()
    encoder(torch.randn(3, 1, 70, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    for name, p in encoder.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        assert p.grad.any(), name


def test_records_do_not_see_each_other():
    """In evaluation none does; in training only `bn` looks across records, and only there several workers are refused."""
    x = torch.randn(5, 1, 130, generator=torch.Generator().manual_seed(0))
    for norm in ("bn", "gn", "none"):
        encoder = randomise(Resnet1d("wang", norm=norm))
        with torch.no_grad():
            encoder.eval()
            before = {k: v.clone() for k, v in encoder.state_dict().items()}
            torch.testing.assert_close(encoder(x)[1:3], encoder(x[1:3]), rtol=1e-4, atol=1e-5)
            assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
            rested = encoder(x)
            trained, alone = encoder.train()(x), encoder(x[1:3])
        assert torch.allclose(trained[1:3], alone, atol=1e-4) == (norm != "bn")
        assert torch.allclose(trained, rested, atol=1e-4) == (norm != "bn")
        refuse_shared_state(encoder, 1, 1)
        if norm == "bn":
            with pytest.raises(ConfigError, match="BatchNorm1d"):
                refuse_shared_state(encoder, 2, 1)
        else:
            refuse_shared_state(encoder, 2, 3)


def test_one_sample():
    """Group normalisation leaves a record of one sample something to tell; batch normalisation trains on two of them."""
    for norm in ("bn", "gn"):
        encoder = randomise(Xresnet1d101(norm=norm)).train()
        z_BD = encoder(torch.tensor([[[1.0]], [[-2.0]]])).detach()
        assert torch.isfinite(z_BD).all()
        assert not torch.allclose(z_BD[0], z_BD[1], atol=1e-3)


def test_options():
    assert ENCODERS.options("resnet1d", {"variant": "50"})["variant"] == 50
    assert ENCODERS.options("resnet1d", {"variant": "wang", "norm": "none"})["norm"] == "none"
    for wrong in ({"norm": "ln"}, {"pool": "last"}, {"in_leads": 0}):
        for build in (Xresnet1d101, Resnet1d):
            with pytest.raises(ConfigError, match=next(iter(wrong))):
                build(**wrong)
    with pytest.raises(ConfigError, match=r"variant '34'.*18, 50, wang"):
        Resnet1d(34)
