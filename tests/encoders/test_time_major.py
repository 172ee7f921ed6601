"""The training step's own arithmetic against PyTorch's."""

import itertools
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from clef_ray.encoders import _time_major as tm
from clef_ray.encoders import clef
from clef_ray.encoders.clef import Clef
from clef_ray.train.cost import _Counter


def same(x_BCT, kernel, stride):
    total = max(0, (-(-x_BCT.shape[-1] // stride) - 1) * stride + kernel - x_BCT.shape[-1])
    return functional.pad(x_BCT, (total // 2, total - total // 2))


@pytest.mark.parametrize(
    ("stride", "samples"), list(itertools.product([1, 2], [1, 2, 7, 16, 17, 31, 33, 64, 97]))
)
@pytest.mark.parametrize(("channels", "per"), [(4, 4), (12, 4), (16, 8)])
def test_a_grouped_convolution_and_its_gradients_are_pytorchs(stride, samples, channels, per):
    torch.manual_seed(samples)
    x = torch.randn(3, samples, channels, requires_grad=True)
    convolution = nn.Conv1d(channels, channels, 16, stride, groups=channels // per)
    want = convolution(same(x.transpose(1, 2), 16, stride)).transpose(1, 2)
    agree(tm.grouped_convolution(x, convolution), want, (x, *convolution.parameters()))


@pytest.mark.parametrize("samples", [1, 2, 5, 40, 41])
@pytest.mark.parametrize("leads", [1, 3])
def test_the_stem_is_a_convolution(samples, leads):
    x, convolution = torch.randn(2, leads, samples), nn.Conv1d(leads, 8, 16, 2)
    want = convolution(same(x, 16, 2)).transpose(1, 2)
    agree(tm.stem(x, convolution), want, tuple(convolution.parameters()))


@pytest.mark.parametrize("steps", [1, 2, 7, 8])
def test_pooling_is_pytorchs_with_a_zero_at_the_end_of_an_odd_one(steps):
    x = torch.randn(2, steps, 3).round().requires_grad_()  # with ties
    padded = functional.pad(x.transpose(1, 2), (0, steps % 2))
    want = functional.max_pool1d(padded, 2).transpose(1, 2)
    got = tm.larger_of_two(x)
    assert torch.equal(got, want)
    g = torch.randn_like(want)
    assert torch.equal(torch.autograd.grad(got, x, g)[0], torch.autograd.grad(want, x, g)[0])


@pytest.mark.parametrize("grown", [0, 4, 5])
def test_the_gate_and_its_gradients_are_what_autograd_makes_of_the_formula(grown):
    c = 6 + grown
    x, y = torch.randn(3, 9, 6, requires_grad=True), torch.randn(3, 9, c, requires_grad=True)
    squeeze, excitation = nn.Linear(c, 3), nn.Linear(3, c)
    gate = torch.sigmoid(excitation(functional.silu(squeeze(y.mean(1)))))
    want = functional.pad(x, (grown // 2, grown - grown // 2)) + y * gate[:, None]
    agree(tm.excite(x, y, squeeze, excitation), want, (x, y, *squeeze.parameters(), *excitation.parameters()))


def test_a_convolution_of_kernel_1_is_pytorchs():
    x, convolution = torch.randn(3, 9, 6, requires_grad=True), nn.Conv1d(6, 4, 1)
    want = convolution(x.transpose(1, 2)).transpose(1, 2)
    agree(tm.pointwise(x, convolution), want, (x, *convolution.parameters()))


# Not batch normalisation over a few steps, whose variances are nearly none: there rounding is all that one sees.
@pytest.mark.parametrize(
    ("norm", "leads", "samples"),
    [("none", 3, 250), ("none", 1, 37), ("none", 1, 1), ("bn", 1, 600), ("gn", 1, 64), ("ln", 1, 37)],
)
def test_the_encoder_trains_as_the_one_that_is_judged(norm, leads, samples):
    """In training on a CPU, against the modules one after the other, which evaluation, GPUs and exports go through."""
    torch.manual_seed(0)
    encoder = Clef(in_leads=leads, norm=norm)
    x = torch.randn(4, leads, samples)
    want = encoder.blocks(encoder.stem(x)).mean(-1)
    agree(encoder(x), want, tuple(p for p in encoder.parameters() if p.requires_grad))


def test_it_costs_what_the_modules_cost():
    """A FLOP count tells of the network, not of the way that its gradients are computed."""
    encoder, x = Clef(), torch.randn(2, 1, 1000)

    def operations(forward):
        counter = _Counter()
        with counter:
            forward().sum().backward()
        return counter.flops

    assert operations(lambda: encoder(x)) == operations(lambda: encoder.blocks(encoder.stem(x)))


@pytest.mark.parametrize("way", ["evaluation", "a gradient of the signal", "no gradient", "bf16"])
def test_elsewhere_the_modules_run_as_ever(way, monkeypatch):
    monkeypatch.setattr(clef, "stem", None)  # which the other arithmetic begins with
    encoder, x = Clef(), torch.randn(2, 1, 100)
    encoder.train(way != "evaluation")
    x.requires_grad_(way == "a gradient of the signal")
    with torch.set_grad_enabled(way != "no gradient"), torch.autocast("cpu", enabled=way == "bf16"):
        encoder(x)


def agree(got, want, inputs):
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    g = torch.randn_like(want)
    mine, theirs = (torch.autograd.grad(y, inputs, g, retain_graph=True) for y in (got, want))
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5 * max(1.0, b.abs().max().item()))


def test_a_first_step_does_not_load_the_compiler():
    """Which takes seconds, in every process of every trial."""
    script = (
        "import sys, torch; from clef_ray.encoders.clef import Clef; Clef()(torch.randn(2, 1, 100)).sum().backward();"
        "sys.exit('torch._dynamo.eval_frame' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
