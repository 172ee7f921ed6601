"""Views: what the augmentation does, and that it is a pure function of its counters."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_views import plain_views
from recordings import CPU, batch_of, ecg_like, noise, one_lead

from clef_ray.augment import Noise, NoiseBank, preprocess, two_views, views
from clef_ray.config import Signals, Views

QUIET = Views(lead="I", noise_mv=0.0, mask_probability=0.0)
SIGNALS = Signals(fs=100)


def test_a_view_without_augmentation_is_what_evaluation_sees():
    batch = one_lead(ecg_like(6, 1000, 100))
    found = two_views(batch, 0, 0, SIGNALS, QUIET, noise(SIGNALS))
    expected = preprocess(batch.raw_b2T[:, 0].float() / 1000, SIGNALS)
    assert torch.allclose(found, expected.repeat(2, 1), atol=1e-4)


def bank() -> NoiseBank:
    """Two kinds of noise on three leads, of 7 s, far from zero."""
    noise_KCL = np.random.default_rng(1).normal(50, 3, size=(2, 3, 1750)).astype(np.float32)
    return NoiseBank(("electrode", "motion"), ("I", "II", "V1"), 250.0, noise_KCL)


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize(
    "chosen",
    [
        Views(),
        Views(mask_probability=1.0, mask_share=(0.0, 0.99)),
        Views(noise_mv=0.0, mask_probability=1.0, mask_share=(0.3, 0.3)),
        Views(mask_probability=0.0),
        Views(seconds=2.5, mask_probability=0.5),
        Views(seconds=5),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_views_are_those_made_slowly_one_after_the_other(monkeypatch, recorded, chosen, threads):
    """In float64 by NumPy and SciPy. Every sample, in units of the view's standard deviation."""
    monkeypatch.setattr(views, "_AT_ONCE", 8)
    rng, signals = np.random.default_rng(0), Signals(fs=250, seconds=5)
    lead = rng.integers(3, size=(21, 2))
    lead[::2, 1] = lead[::2, 0]
    x = rng.normal(size=(21, 3, 1250)).cumsum(axis=2) / 10 + rng.normal(size=(21, 3, 1250))
    x = torch.from_numpy(x[np.arange(21)[:, None], lead].astype(np.float32))
    batch = batch_of(x, rng.permutation(1000)[:21].tolist(), lead.tolist())
    batch = replace(batch, baseline_b2=batch.baseline_b2 + 300)
    given = Noise.of(bank() if recorded else None, signals, ("I", "II", "V1"), CPU)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    found = two_views(batch, 3, 4, signals, chosen, given).numpy()
    torch.set_num_threads(before)
    expected = plain_views(batch, 3, 4, signals, chosen, given)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_shorter_view_is_cut_anywhere_in_the_filtered_window_each_view_elsewhere():
    """The ends too; found by what is shown there, since nothing but the z-score changes it."""
    signals = Signals(fs=100, seconds=1)
    batch = one_lead(ecg_like(400, 100, 100))
    quiet = replace(QUIET, seconds=0.9)
    x_NT = preprocess(batch.raw_b2T[:, 0].float() / 1000, signals)
    cut_N11S = x_NT.unfold(1, 90, 1)
    cut_N11S = (cut_N11S - cut_N11S.mean(-1, keepdim=True)) / cut_N11S.std(-1, keepdim=True, unbiased=False)
    found_2NS = two_views(batch, 0, 0, signals, quiet, noise(signals)).unflatten(0, (2, -1))
    off_2N11 = (found_2NS[:, :, None] - cut_N11S).abs().amax(-1)
    assert off_2N11.amin(-1).max() < 1e-3
    at_2N = off_2N11.argmin(-1)
    assert {*at_2N[0].tolist()} == {*at_2N[1].tolist()} == {*range(11)}
    assert 0.02 < (at_2N[0] == at_2N[1]).float().mean() < 0.2, "1 in 11 by chance"


def test_threads_change_no_bit():
    batch, given = one_lead(ecg_like(70, 1000, 100)), noise(SIGNALS)
    before, found = torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(two_views(batch, 1, 2, SIGNALS, Views(lead="I"), given))
    torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_a_view_depends_on_key_and_record_not_on_the_batch(monkeypatch):
    batch, given = one_lead(ecg_like(6, 1000, 100), [5, 900, 17, 3, 4, 8]), noise(SIGNALS)
    whole = two_views(batch, 1, 2, SIGNALS, Views(lead="I"), given)
    part = two_views(batch[2:4], 1, 2, SIGNALS, Views(lead="I"), given)
    assert torch.allclose(whole[[2, 3, 8, 9]], part, atol=1e-5)
    for seed, epoch in ((2, 2), (1, 3)):
        other = two_views(batch, seed, epoch, SIGNALS, Views(lead="I"), given)
        assert not torch.allclose(whole, other, atol=0.1)
    assert not torch.allclose(whole[:6], whole[6:], atol=0.1), "the two views differ"
    monkeypatch.setattr(views, "_AT_ONCE", 4)
    in_pieces = two_views(batch, 1, 2, SIGNALS, Views(lead="I"), given)
    assert torch.allclose(whole, in_pieces, atol=1e-5)


def test_both_views_are_the_single_views_whether_or_not_they_share_a_lead():
    """Records that show one lead twice are filtered once; each view is what a batch of that lead alone gives."""
    x = torch.stack([ecg_like(6, 1000, 100), ecg_like(6, 1000, 100).flip(0)], dim=1)
    x[::2, 1] = x[::2, 0]
    lead = [[0, 0], [0, 1]] * 3
    signals, chosen, given = SIGNALS, Views(), noise(SIGNALS)
    both = two_views(batch_of(x, lead=lead), 3, 4, signals, chosen, given)
    first = two_views(batch_of(x[:, [0, 0]], lead=[[0, 0]] * 6), 3, 4, signals, chosen, given)
    second = two_views(batch_of(x[:, [1, 1]], lead=[[1, 1]] * 6), 3, 4, signals, chosen, given)
    assert torch.allclose(both[:6], first[:6], atol=1e-5)
    assert torch.allclose(both[6:], second[6:], atol=1e-5)


def test_gain_and_baseline_are_undone():
    batch = one_lead(ecg_like(4, 1000, 100))
    other = replace(
        batch,
        raw_b2T=(batch.raw_b2T // 2 + 70).to(torch.int16),
        gain_b2=batch.gain_b2 / 2,
        baseline_b2=batch.baseline_b2 + 70,
    )
    found = [two_views(b, 0, 0, SIGNALS, Views(lead="I"), noise(SIGNALS)) for b in (batch, other)]
    assert torch.allclose(found[0], found[1], atol=0.02), "one unit is 2 uV"


def test_the_batch_is_never_changed():
    batch = one_lead(ecg_like(4, 1000, 100))
    before = batch.raw_b2T.clone()
    two_views(batch, 0, 0, SIGNALS, Views(lead="I"), noise(SIGNALS))
    assert torch.equal(batch.raw_b2T, before)


def test_every_view_is_standardised_and_masks_have_the_asked_length():
    batch = one_lead(ecg_like(500, 1000, 100))
    masking = Views(lead="I", noise_mv=0.0, mask_probability=0.2, mask_share=(0.1, 0.3))
    made = two_views(batch, 3, 0, SIGNALS, masking, noise(SIGNALS))
    assert torch.allclose(made.mean(1), torch.zeros(1000), atol=1e-4)
    assert torch.allclose(made.std(1, correction=0), torch.ones(1000), atol=1e-3)
    plain = two_views(batch, 3, 0, SIGNALS, QUIET, noise(SIGNALS))
    runs = []
    for masked, whole in zip(made.numpy(), plain.numpy(), strict=True):
        values, counts = np.unique(masked, return_counts=True)
        if counts.max() > 20:
            zero = masked == values[counts.argmax()]
            edges = np.flatnonzero(np.diff(np.r_[0, zero, 0]))
            assert len(edges) == 2, "one run"
            runs.append(zero.sum())
            assert not np.allclose(masked, whole)
    assert 150 <= len(runs) <= 250, "a fifth of 1000"
    assert min(runs) >= 100
    assert max(runs) <= 301


@pytest.mark.gpu
def test_views_are_the_same_on_the_gpu():
    gpu, batch = torch.device("cuda"), one_lead(ecg_like(16, 1000, 100))
    found = [
        two_views(batch.to(device), 0, 0, SIGNALS, Views(lead="I"), noise(SIGNALS, device=device)).cpu()
        for device in (torch.device("cpu"), gpu)
    ]
    assert torch.allclose(*found, atol=1e-3)
