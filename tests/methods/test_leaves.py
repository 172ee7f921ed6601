"""LEAVES: the learned views by their formulas, and gradients that go against the encoder's."""

import math

import numpy as np
import pytest
import torch
from seen import Seen, at, setting
from waves import gradients, make_trainer, step

from clef_ray.errors import ConfigError
from clef_ray.methods import At
from clef_ray.methods.leaves import LearnedViews, Leaves, _Draws, interpolate

BOUNDS = {"jitter": 0.3, "scale": 0.5, "warp": 0.4, "distortion": 0.5}


def waves(records=3, samples=50, channels=1):
    t = torch.arange(samples, dtype=torch.float64) / samples
    phase = torch.arange(2 * records * channels).view(-1, channels, 1)
    return torch.sin(2 * math.pi * (3 * t + phase / 7))


def views(**bounds):
    torch.manual_seed(0)
    module = LearnedViews(**{**dict.fromkeys(BOUNDS, 0.0), **bounds}).double()
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return module


def draw(x, name, count, rows=(4, 9, 2)):
    return _Draws(at(*rows), x)(name, count).numpy()


def test_18_amounts_are_learned():
    assert sum(p.numel() for p in LearnedViews(**BOUNDS).parameters()) == 18


def test_without_bounds_to_grow_to_views_stay_as_they_are():
    x = waves()
    torch.testing.assert_close(views()(x, at(4, 9, 2)), x, rtol=1e-12, atol=1e-12)


def test_jitter_adds_white_noise_of_its_amount():
    module, x = views(jitter=0.3), waves(channels=2)
    sd = 0.3 / (1 + math.exp(-module.jitter.item()))
    expected = x.numpy() + sd * draw(x, "jitter", 100).reshape(6, 2, 50)
    np.testing.assert_allclose(module(x, at(4, 9, 2)).detach(), expected, rtol=1e-9)


def test_scale_is_one_factor_per_view():
    module, x = views(scale=0.5), waves()
    sd = 0.5 / (1 + math.exp(-module.scale.item()))
    expected = x.numpy() * (1 + sd * draw(x, "scale", 1)[:, :, None])
    np.testing.assert_allclose(module(x, at(4, 9, 2)).detach(), expected, rtol=1e-9)


def test_warp_is_a_slow_curve_of_unit_variance_times_its_amount():
    module, x = views(warp=0.4), waves()
    sd = 0.4 / (1 + math.exp(-module.warp.item()))
    normal, expected = draw(x, "warp", 4), x.numpy().copy()
    for n in range(6):
        for t in range(50):
            curve = sum(normal[n, k] * math.cos((k + 1) * math.pi * (t + 0.5) / 50) for k in range(4))
            expected[n, 0, t] *= 1 + sd * curve * math.sqrt(2 / 4)
    np.testing.assert_allclose(module(x, at(4, 9, 2)).detach(), expected, rtol=1e-7, atol=1e-9)


def test_distortion_takes_samples_at_the_integral_of_times_speed():
    module, x = views(distortion=0.5), waves(samples=40)
    height, centre, spread = (
        torch.sigmoid(p).detach().numpy() for p in (module.distortion, module.centre, module.spread)
    )
    normal, found = draw(x, "distortion", 5), module(x, at(4, 9, 2)).detach().numpy()
    for n in range(6):
        speed = []
        for i in range(39):
            at_share = (i + 0.5) / 39
            bumps = (
                normal[n, k]
                * 0.5
                * height[k]
                * math.exp(-(((at_share - centre[k]) / (0.02 + 0.28 * spread[k])) ** 2) / 2)
                for k in range(5)
            )
            speed.append(math.exp(sum(bumps)))
        place = np.append(0, np.cumsum(speed)) / sum(speed) * 39
        assert (np.diff(place) > 0).all()
        wanted = np.interp(place, np.arange(40), x[n, 0].numpy())
        np.testing.assert_allclose(found[n, 0], wanted, rtol=1e-4, atol=1e-5)
    assert np.abs(found - x.numpy()).max() > 0.05


def test_amounts_stay_within_their_bounds():
    module = LearnedViews(**BOUNDS)
    for push in (-1e4, 1e4):
        for parameter in module.parameters():
            parameter.data.fill_(push)
        for name, bound in BOUNDS.items():
            assert torch.all((module.amount(name) >= 0) & (module.amount(name) <= bound))
        assert module(waves().float(), at(4, 9, 2)).isfinite().all()


@pytest.mark.parametrize("samples", [1, 2, 3, 17])
def test_any_length(samples):
    module = views(**BOUNDS)
    y = module(waves(samples=samples), at(4, 9, 2))
    assert y.shape == (6, 1, samples)
    y.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in module.parameters())


def test_interpolation_against_numpy_within_and_beyond_the_window():
    x, shift = waves(channels=2), torch.linspace(-60, 60, 300, dtype=torch.float64).view(6, 50)
    found = interpolate(x, shift)
    for n in range(6):
        for c in range(2):
            wanted = np.interp(np.arange(50) + shift[n].numpy(), np.arange(50), x[n, c].numpy())
            np.testing.assert_allclose(found[n, c], wanted, rtol=1e-9, atol=1e-12)


def test_draws_are_standard_normal_and_each_records_own():
    x = torch.zeros(20, 1, 4000, dtype=torch.float64)
    key = At(torch.arange(10), 7)
    normal = _Draws(key, x)("jitter", 4000).numpy()
    assert abs(normal.mean()) < 0.02
    assert normal.std() == pytest.approx(1, abs=0.02)
    assert np.abs(np.corrcoef(normal) - np.eye(20)).max() < 0.1
    alone = _Draws(At(torch.tensor([6]), 7), x)("jitter", 4000).numpy()
    np.testing.assert_array_equal(alone, normal[[6, 16]])
    for other in (_Draws(At(torch.arange(10), 8), x)("jitter", 9), _Draws(key, x)("warp", 9)):
        assert np.abs(other.numpy() - normal[:, :9]).max() > 1


def test_amounts_climb_what_the_encoder_descends():
    """The encoder's gradient is the loss's slope, the views' is its negative: both by finite differences."""
    torch.manual_seed(0)
    learner = Leaves(head="mlp2").learner(Seen(), setting(lead="I")).double()
    x, where = waves(samples=30), at(4, 9, 2)

    def loss():
        z = learner(x, where)
        return (z[:3] * z[3:]).sum() + z.square().sum()

    loss().backward()
    for name, parameter in learner.named_parameters():
        sign = -1 if name.startswith("views.") else 1
        place = (0,) * parameter.ndim
        with torch.no_grad():
            values = []
            for step in (1e-6, -2e-6):
                parameter[place] += step
                values.append(loss().item())
            parameter[place] += 1e-6
        slope = (values[0] - values[1]) / 2e-6
        assert parameter.grad[place].item() == pytest.approx(sign * slope, rel=1e-4, abs=1e-7), name


def test_a_step_in_pieces_is_the_plain_step():
    whole, pieces = (make_trainer({"method": "leaves"}, micro_batch=size) for size in (None, 3))
    torch.testing.assert_close(step(whole, 0), step(pieces, 0), rtol=1e-5, atol=0)
    found, expected = gradients(pieces), gradients(whole)
    assert sum(name.startswith("views.") for name in expected) == 6
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-5)


def test_the_optimiser_moves_the_amounts_and_the_loss_of_still_weights_grows():
    trainer = make_trainer({"method": "leaves", "optimiser.lr": 0.1})
    trainer.encoder.requires_grad_(False)
    start = {name: p.detach().clone() for name, p in trainer.learner.views.named_parameters()}
    losses = [step(trainer, 0)[0].item() for _ in range(8)]
    assert losses[-1] > losses[0]
    assert all(not torch.equal(p, start[name]) for name, p in trainer.learner.views.named_parameters())


@pytest.mark.parametrize("name", BOUNDS)
def test_impossible_bounds_are_refused(name):
    for bound in (-0.1, 1.5, math.nan):
        with pytest.raises(ConfigError, match=rf"leaves.{name}.*0 to 1"):
            Leaves(**{name: bound})
