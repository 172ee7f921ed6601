"""Views: the filter against SciPy, what the augmentation does, and that it is a pure function of its counters."""

import numpy as np
import pytest
import torch
from scipy import signal

from clef_ray.augment import NOISES, LeadChoice, gain, noise_spectra, preprocess, two_views, view, window
from clef_ray.config import Signals, Views
from clef_ray.errors import ConfigError
from clef_ray.randomness import fold

QUIET = Views(lead="I", noise_mv=0.0, mask_probability=0.0)


def ecg_like(records: int, samples: int, fs: float) -> torch.Tensor:
    """A 1.2 Hz pulse train with drift and mains: inside, below and above the band."""
    t = torch.arange(samples) / fs
    phase = torch.linspace(0, 3, records)[:, None]
    pulses = torch.exp(-0.5 * (torch.remainder(t * 1.2 + phase, 1) - 0.5) ** 2 / 0.02**2)
    return pulses + 0.5 * torch.sin(2 * torch.pi * 0.2 * t + phase) + 0.1 * torch.sin(2 * torch.pi * 49 * t)


@pytest.mark.parametrize(("fs", "samples"), [(100.0, 1000), (500.0, 5000)])
def test_the_band_pass_is_forward_backward_butterworth(fs, samples):
    x = ecg_like(4, samples, fs)
    sos = signal.butter(5, (0.67, 40.0), btype="bandpass", fs=fs, output="sos")
    expected = signal.sosfiltfilt(sos, x.double().numpy(), axis=1, padlen=samples - 1)
    expected = (expected - expected.mean(1, keepdims=True)) / expected.std(1, keepdims=True)
    inner = slice(samples // 5, -samples // 5)  # the ends depend on how each method continues the signal
    assert np.abs(preprocess(x, Signals(fs=fs)).numpy() - expected)[:, inner].max() < 0.05


def test_the_gain_is_one_in_the_band_and_zero_outside():
    h = gain(10_000, 500.0, (0.67, 40.0)).numpy()
    f = np.fft.rfftfreq(10_000, 1 / 500)
    assert h[0] == pytest.approx(0, abs=1e-12)
    assert h[(f > 1.5) & (f < 25)].min() > 0.98
    assert h[f > 65].max() < 0.01
    assert h[np.argmin(abs(f - 40))] == pytest.approx(0.5, abs=0.02), "-3 dB twice"


@pytest.mark.parametrize("band", [(0.67, 50.0), (0.0, 40.0), (40.0, 0.67)])
def test_a_band_that_does_not_fit_the_rate_is_refused(band):
    with pytest.raises(ConfigError, match=r"signals\.band"):
        preprocess(ecg_like(1, 1000, 100), Signals(fs=100.0, band=band))


@pytest.mark.parametrize(
    ("kind", "inside"), [("wander", (0.05, 0.6)), ("electrode", (0.5, 8)), ("motion", (5, 45))]
)
def test_noise_has_the_asked_rms_in_its_own_band(kind, inside):
    length, fs = 1400, 100.0
    spectrum = noise_spectra(length, fs)[NOISES.index(kind)]
    phases = torch.rand(400, len(spectrum), generator=torch.Generator().manual_seed(0)) * 2 * torch.pi
    full = torch.zeros(400, length // 2 + 1, dtype=torch.complex64)
    full[:, : len(spectrum)] = torch.polar(spectrum.expand(400, -1), phases)
    noise = torch.fft.irfft(full, n=length).numpy()
    assert np.sqrt((noise**2).mean()) == pytest.approx(1, abs=0.02)
    f = np.fft.rfftfreq(length, 1 / fs)
    power = (np.abs(np.fft.rfft(noise)) ** 2).sum(0)
    assert power[(f >= inside[0]) & (f <= inside[1])].sum() / power.sum() > 0.99


def test_a_view_depends_on_key_and_record_not_on_the_batch():
    x, record = ecg_like(6, 1000, 100), torch.tensor([5, 900, 17, 3, 4, 8])
    whole = view(x, record, 11, Signals(fs=100), Views(lead="I"))
    part = view(x[2:4], record[2:4], 11, Signals(fs=100), Views(lead="I"))
    assert torch.allclose(whole[2:4], part, atol=1e-6)
    assert not torch.allclose(whole, view(x, record, 12, Signals(fs=100), Views(lead="I")), atol=0.1)


def test_both_views_are_the_single_views_whether_or_not_they_share_a_lead():
    x, record = torch.stack([ecg_like(6, 1000, 100), ecg_like(6, 1000, 100).flip(0)], dim=1), torch.arange(6)
    x[::2, 1] = x[::2, 0]
    key, signals, views = fold("views", 3, 4), Signals(fs=100), Views(lead="random")
    both = two_views(x, record, 3, 4, signals, views)
    for i, name in enumerate("ab"):
        single = view(x[:, i], record, fold(key, name), signals, views)
        assert torch.allclose(both[6 * i : 6 * i + 6], single, atol=1e-5)


def test_the_input_is_never_changed():
    x = ecg_like(4, 1000, 100)[:, None].repeat(1, 2, 1)
    before = x.clone()
    two_views(x, torch.arange(4), 0, 0, Signals(fs=100), Views(lead="I"))
    assert torch.equal(x, before)


def test_every_view_is_standardised_and_masks_have_the_asked_length():
    x, record = ecg_like(500, 1000, 100), torch.arange(500)
    views = Views(lead="I", noise_mv=0.0, mask_probability=0.2, mask_share=(0.1, 0.3))
    made = view(x, record, 3, Signals(fs=100), views)
    assert torch.allclose(made.mean(1), torch.zeros(500), atol=1e-4)
    assert torch.allclose(made.std(1, correction=0), torch.ones(500), atol=1e-3)
    plain = view(x, record, 3, Signals(fs=100), QUIET)
    runs = []
    for masked, whole in zip(made.numpy(), plain.numpy(), strict=True):
        values, counts = np.unique(masked, return_counts=True)
        if counts.max() > 20:
            zero = masked == values[counts.argmax()]
            edges = np.flatnonzero(np.diff(np.r_[0, zero, 0]))
            assert len(edges) == 2, "one run"
            runs.append(zero.sum())
            assert not np.allclose(masked, whole)
    assert 70 <= len(runs) <= 130, "a fifth of 500"
    assert min(runs) >= 100
    assert max(runs) <= 301


def test_leads_are_drawn_as_published():
    choose = LeadChoice(Views(lead="random", same_lead=0.8), tuple("abcdefghijkl"), seed=5)
    first, second = choose(0, np.arange(20_000)).T
    assert np.bincount(first, minlength=12).min() > 1500
    assert (first == second).mean() == pytest.approx(0.8 + 0.2 / 12, abs=0.01)
    assert np.array_equal(choose(0, np.array([7, 3])), np.stack([first, second], axis=1)[[7, 3]])
    assert not np.array_equal(choose(1, np.arange(100)), choose(0, np.arange(100)))
    assert (LeadChoice(Views(lead="c"), tuple("abc"), 0)(0, np.arange(10)) == 2).all()
    with pytest.raises(ConfigError, match="V9"):
        LeadChoice(Views(lead="V9"), tuple("abc"), 0)


def test_a_window_longer_than_the_records_is_refused():
    assert window(Signals(fs=100, seconds=5), 1000) == 500
    with pytest.raises(ConfigError, match="the records last 10 s"):
        window(Signals(fs=100, seconds=12), 1000)


@pytest.mark.gpu
def test_views_are_the_same_on_the_gpu():
    x, record = ecg_like(16, 1000, 100)[:, None].repeat(1, 2, 1), torch.arange(16)
    cpu = two_views(x, record, 0, 0, Signals(fs=100), Views(lead="I"))
    gpu = two_views(x.cuda(), record.cuda(), 0, 0, Signals(fs=100), Views(lead="I"))
    assert torch.allclose(cpu, gpu.cpu(), atol=1e-3)
