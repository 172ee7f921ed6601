"""Masked reconstruction: the masks' distribution and independence, what the encoder sees, and the error as explicit loops."""

import numpy as np
import pandas as pd
import pytest
import torch

from clef_ray.encoders import vit
from clef_ray.encoders.clef import Clef
from clef_ray.encoders.vit import Vit
from clef_ray.errors import ConfigError
from clef_ray.methods import At, Setting
from clef_ray.methods._reconstruct import WIDTH, Placed, error_left_out, keep
from clef_ray.methods.masked import Masked
from clef_ray.sections import Signals, Views


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
    """47 samples."""
    return Setting(Signals(fs=47, seconds=1, band=(0.67, 18)), Views(), 10, pd.DataFrame(), np.arange(3))


def at(*rows, key=5):
    return At(torch.tensor(rows), key)


CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("patches", "share", "kept"), [(10, 0.75, 2), (8, 0.75, 2), (2, 0.9, 1), (2, 0.1, 1), (100, 0.3, 70)]
)
def test_how_many_stay(patches, share, kept):
    kept_RK = keep(at(4, 9, 2), patches, share, 0, CPU)
    assert kept_RK.shape == (6, kept)
    assert kept_RK.dtype == torch.int64
    for row in kept_RK.tolist():
        assert row == sorted(set(row))
        assert row[0] >= 0
        assert row[-1] < patches


def test_masks_belong_to_the_record():
    """In any piece and at any place in it the same; another one for the other view, record, epoch and domain."""
    whole = keep(at(4, 9, 2), 40, 0.5, 0, CPU)
    assert torch.equal(keep(at(2, 4), 40, 0.5, 0, CPU), whole[[2, 0, 5, 3]])
    others = [whole[0], whole[1], whole[3]]
    others += [keep(at(4, key=6), 40, 0.5, 0, CPU)[0], keep(at(4), 40, 0.5, 1, CPU)[0]]
    assert len({tuple(row.tolist()) for row in others}) == 5


def test_every_set_is_equally_likely():
    """Of 4 patches 2: six sets, each in a sixth of 6,000 draws within five standard deviations."""
    kept_RK = keep(At(torch.arange(3000), 1), 4, 0.5, 0, CPU)
    _, counts = torch.unique(kept_RK, dim=0, return_counts=True)
    assert len(counts) == 6
    assert (counts - 1000).abs().max() < 5 * (6000 * 5 / 36) ** 0.5


def test_places_are_filled():
    """A kept token's projection in its own place, the learned vector elsewhere, and every place's position."""
    placed = Placed(3).double()
    tokens, keep_RK = torch.randn(2, 2, 3, dtype=torch.float64), torch.tensor([[0, 3], [1, 2]])
    found = placed(tokens, keep_RK, 4)
    angle = [[n / 10_000 ** (i / WIDTH) for i in range(0, WIDTH, 2)] for n in range(4)]
    position = np.stack([np.sin(angle), np.cos(angle)], -1).reshape(4, WIDTH)
    for r in range(2):
        for n in range(4):
            wanted = placed.absent
            if n in keep_RK[r]:
                k = keep_RK[r].tolist().index(n)
                wanted = placed.project.weight @ tokens[r, k] + placed.project.bias
            wanted = wanted.detach().numpy() + position[n]
            np.testing.assert_allclose(found[r, n].detach().numpy(), wanted, rtol=1e-9, atol=1e-9)


@pytest.fixture
def learner():
    """47 samples in ten patches of 5, the last of them of 2: three stay (of 10, .7 masked)."""
    return Masked(0.7).learner(Vit(patch=5), setting()).double()


def reconstructed(learner, x, where):
    """The errors, and what the decoder made of every patch."""
    made = []
    hook = learner.out.register_forward_hook(lambda module, given, output: made.append(output.detach()))
    errors = learner(x, where)
    hook.remove()
    return errors, made[0]


def test_error_equals_the_loop(learner):
    """Over the samples of masked patches alone, without the zeros that fill the last patch; the mean of both views."""
    x, where = torch.randn(4, 1, 47, dtype=torch.float64), at(7, 8)
    errors, made = reconstructed(learner, x, where)
    kept = keep(where, 10, 0.7, 0, CPU).tolist()
    wanted = []
    for row in range(4):
        squares = [
            (made[row, t // 5, t % 5] - x[row, 0, t]).item() ** 2
            for t in range(47)
            if t // 5 not in kept[row]
        ]
        wanted.append(sum(squares) / len(squares))
    np.testing.assert_allclose(
        errors[:, 0].tolist(), [(wanted[0] + wanted[2]) / 2, (wanted[1] + wanted[3]) / 2], rtol=1e-10
    )


def test_masked_samples_are_not_seen(learner):
    x, where = torch.randn(4, 1, 47, dtype=torch.float64), at(7, 8)
    _, before = reconstructed(learner, x, where)
    kept_TR = torch.stack([torch.isin(torch.arange(47) // 5, row) for row in keep(where, 10, 0.7, 0, CPU)])
    _, hidden = reconstructed(learner, x + 9 * ~kept_TR[:, None], where)
    assert torch.equal(hidden, before)
    _, seen = reconstructed(learner, x + 9 * kept_TR[:, None], where)
    assert (seen != before).all()


def test_a_record_is_on_its_own_and_every_weight_learns(learner):
    x = torch.randn(6, 1, 47, dtype=torch.float64)
    whole = learner(x, at(3, 1, 2))
    torch.testing.assert_close(learner(x[[1, 2, 4, 5]], at(1, 2)), whole[1:])
    whole.sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in learner.parameters())


def test_bfloat16():
    learner, x = Masked(0.7).learner(Vit(patch=5), setting()), torch.randn(4, 1, 47)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = learner(x, at(7, 8))
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, learner(x, at(7, 8)), rtol=0.02, atol=0.02)


def test_what_cannot_be_masked_is_refused():
    with pytest.raises(ConfigError, match=r"masked.*'clef' cannot; set encoder=vit"):
        Masked().learner(Clef(), setting())
    with pytest.raises(ConfigError, match=r"47 samples is one patch of encoder.patch=47"):
        Masked().learner(Vit(patch=47), setting())
    for ratio in (0.0, 1.0):
        with pytest.raises(ConfigError, match=rf"masked, ratio: {ratio:g} given"):
            Masked(ratio)


def test_the_error_keeps_the_signals_precision():
    """A reconstruction of 1 in bfloat16, for which 1.001 is 1 too: (1 - 1.001)²."""
    made, wanted = torch.ones(1, 2, 1, dtype=torch.bfloat16), torch.full((1, 2, 1), 1.001)
    found = error_left_out(made, wanted, torch.ones(2, 1), torch.tensor([[0]]))
    torch.testing.assert_close(found, torch.tensor([1e-6]), rtol=1e-3, atol=0)
