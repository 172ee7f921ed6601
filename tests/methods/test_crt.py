"""The cross reconstruction transformer: spectrum, curriculum, what is seen of both domains, and the error as explicit loops."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from clef_ray.encoders import vit
from clef_ray.encoders.clef import Clef
from clef_ray.encoders.vit import Vit
from clef_ray.errors import ConfigError
from clef_ray.methods import At, Setting
from clef_ray.methods._reconstruct import keep
from clef_ray.methods.crt import Crt, bands, spectrum
from clef_ray.sections import Signals, Views

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_block(monkeypatch):
    """A shallow encoder, on one thread."""
    monkeypatch.setattr(vit, "DEPTH", 1)
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def setting():
    """47 samples, 19 frequencies, 11 steps."""
    return Setting(Signals(fs=47, seconds=1, band=(0.67, 18)), Views(), 11, pd.DataFrame(), np.arange(3))


def at(*rows):
    return At(torch.tensor(rows), 5)


@pytest.fixture
def learner():
    """Ten patches of 5 samples, the last of 2; 19 frequencies up to 18 Hz in five lots of 4, the last of 3; half is dropped."""
    return Crt((0.5, 0.5), 4).learner(Vit(patch=5), setting()).double()


def test_spectrum_of_a_cosine():
    """5 cos(2π 3 t / T + 2): |X_3| = 5 T / 2, phase 2."""
    t = torch.arange(64, dtype=torch.float64)
    found = spectrum(5 * torch.cos(2 * math.pi * 3 * t / 64 + 2)[None], 6)
    wanted = [math.log(1 + 5 * 64 / 2 / 8), math.cos(2), math.sin(2)]
    np.testing.assert_allclose(found[0, :, 3].numpy(), wanted, rtol=1e-9)
    np.testing.assert_allclose(found[0, 0, [0, 1, 2, 4, 5]].numpy(), 0, atol=1e-9)


def test_bands_hold_neighbours():
    s = torch.arange(21.0).reshape(1, 3, 7)
    assert bands(s, 4).tolist() == [
        [[0, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 17], [4, 5, 6, 0, 11, 12, 13, 0, 18, 19, 20, 0]]
    ]


def test_curriculum_rises_and_is_resumed():
    learner = Crt((0.2, 0.6), 4).learner(Vit(patch=5), setting())
    shares = []
    for step in range(11):
        shares.append(learner.share())
        learner.after_step(step + 1)
    np.testing.assert_allclose(shares, np.linspace(0.2, 0.6, 11))
    learner.after_step(5)
    resumed = Crt((0.2, 0.6), 4).learner(Vit(patch=5), setting())
    resumed.load_state_dict(learner.state_dict())
    assert resumed.share() == learner.share() == pytest.approx(0.4)
    kept = []
    hook = resumed.time.register_forward_pre_hook(lambda module, given: kept.append(given[1].shape[1]))
    resumed(torch.randn(2, 1, 47), at(0))
    hook.remove()
    assert kept == [6]


def observed(learner, x, where):
    """The result; what is made of time and of frequencies; the frequencies that are given to the transformer."""
    seen = {}
    hooks = [
        learner.time_out.register_forward_hook(lambda m, given, output: seen.update(time=output.detach())),
        learner.frequency_out.register_forward_hook(
            lambda m, given, output: seen.update(bands=output.detach())
        ),
        learner.frequency.register_forward_pre_hook(lambda m, given: seen.update(given=given[0])),
    ]
    result = learner(x, where)
    for hook in hooks:
        hook.remove()
    return result, seen


def test_error_equals_the_loop(learner):
    """Dropped samples, and dropped frequencies with three values each; fillings of the last patch and lot do not count."""
    x, where = torch.randn(4, 1, 47, dtype=torch.float64), at(7, 8)
    result, seen = observed(learner, x, where)
    kept, left = keep(where, 10, 0.5, 0, CPU).tolist(), keep(where, 5, 0.5, 1, CPU).tolist()
    wanted = []
    for row in range(4):
        time = [
            (seen["time"][row, t // 5, t % 5] - x[row, 0, t]).item() ** 2
            for t in range(47)
            if t // 5 not in kept[row]
        ]
        transform = np.fft.fft(x[row, 0].numpy())[:19]
        values = [[math.log(1 + abs(c) / math.sqrt(47)), c.real / abs(c), c.imag / abs(c)] for c in transform]
        frequency = [
            (seen["bands"][row, f // 4, 4 * part + f % 4].item() - values[f][part]) ** 2
            for f in range(19)
            for part in range(3)
            if f // 4 not in left[row]
        ]
        wanted.append(sum(time) / len(time) + sum(frequency) / len(frequency))
        given = seen["given"][row].numpy()
        for j, lot in enumerate(left[row]):
            for f in range(4 * lot, min(4 * lot + 4, 19)):
                np.testing.assert_allclose(given[j, f % 4 :: 4], values[f], rtol=1e-9, atol=1e-12)
    assert result.shape == (2, 1 + 2 * 192)
    np.testing.assert_allclose(
        result[:, 0].tolist(), [(wanted[0] + wanted[2]) / 2, (wanted[1] + wanted[3]) / 2], rtol=1e-9
    )


def test_encodings_are_of_what_is_left(learner):
    """View a's, then view b's; dropped samples do not reach them, the others do."""
    x, where = torch.randn(4, 1, 47, dtype=torch.float64), at(7, 8)
    keep_RK = keep(where, 10, 0.5, 0, CPU)
    encoded = learner.encoder.tokens(x, keep_RK).mean(1)
    result = learner(x, where)
    torch.testing.assert_close(result[:, 1:], torch.cat((encoded[:2], encoded[2:]), 1))
    kept_RT = torch.stack([torch.isin(torch.arange(47) // 5, row) for row in keep_RK])
    assert torch.equal(learner(x + 9 * ~kept_RT[:, None], where)[:, 1:], result[:, 1:])


def test_a_record_is_on_its_own_and_every_weight_learns(learner):
    x = torch.randn(6, 1, 47, dtype=torch.float64)
    whole = learner(x, at(3, 1, 2))
    torch.testing.assert_close(learner(x[[1, 2, 4, 5]], at(1, 2)), whole[1:])
    whole[:, 0].sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in learner.parameters())


def test_bfloat16():
    learner, x = Crt(bins=4).learner(Vit(patch=5), setting()), torch.randn(4, 1, 47)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = learner(x, at(7, 8))
    assert low.dtype == torch.float32
    torch.testing.assert_close(low[:, 0], learner(x, at(7, 8))[:, 0], rtol=0.02, atol=0.02)


def test_what_cannot_be_dropped_is_refused():
    with pytest.raises(ConfigError, match=r"method crt.*'clef' cannot; set encoder=vit"):
        Crt().learner(Clef(), setting())
    with pytest.raises(ConfigError, match=r"one patch of encoder.patch=47"):
        Crt().learner(Vit(patch=47), setting())
    with pytest.raises(ConfigError, match=r"bins: 19 given; a view has 19 frequencies up to 18 Hz"):
        Crt(bins=19).learner(Vit(patch=5), setting())
    for drop in ((0.0, 0.5), (0.5, 1.0), (0.6, 0.5)):
        with pytest.raises(ConfigError, match=r"crt, drop: .* given"):
            Crt(drop)
    with pytest.raises(ConfigError, match=r"crt, bins: 0 given"):
        Crt(bins=0)
