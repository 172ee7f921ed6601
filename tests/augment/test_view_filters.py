"""The band-pass against SciPy's, on the training device and for whole batches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import CPU, ecg_like
from scipy import signal

from clef_ray.augment import band_pass, preprocess, standardise_
from clef_ray.augment.filters import gain, pad_samples
from clef_ray.config import Signals
from clef_ray.errors import ConfigError


def filtfilt(x: np.ndarray, fs: float, band=(0.67, 40.0)) -> np.ndarray:
    """SciPy, with the ends continued as far as ours are."""
    sos = signal.butter(5, band, btype="bandpass", fs=fs, output="sos")
    return signal.sosfiltfilt(sos, x.astype(np.float64), axis=1, padlen=pad_samples(x.shape[1], fs)[0])


@settings(max_examples=25)
@given(
    fs=st.sampled_from([100.0, 128.0, 250.0, 360.0, 500.0, 1000.0]),
    seconds=st.floats(8, 12),
    seed=st.integers(0, 10**6),
)
def test_the_band_pass_is_scipys_forward_backward_filter(fs, seconds, seed):
    """Tolerances are shares of the filtered signal's standard deviation; the ends are the only difference."""
    rng, samples = np.random.default_rng(seed), round(fs * seconds)
    drift = rng.normal(size=(2, samples)) + np.cumsum(rng.normal(size=(2, samples)), axis=1) / fs**0.5
    t, edge = np.arange(samples) / fs, round(2 * fs)
    silent = rng.normal(size=(2, samples)) * np.exp(-0.5 * ((t - seconds / 2) / 0.5) ** 2)
    for x, inside, anywhere in ((silent, 2e-3, 2e-3), (drift, 0.05, 0.5)):
        found = band_pass(torch.from_numpy(x.astype(np.float32)), Signals(fs=fs)).numpy()
        expected = filtfilt(x, fs)
        error = np.abs(found - expected) / expected.std(axis=1, keepdims=True)
        assert error[:, edge:-edge].max() < inside
        assert error.max() < anywhere


def test_a_record_is_filtered_alike_in_any_batch():
    x = ecg_like(40, 1000, 100)
    whole = band_pass(x, Signals(fs=100))
    assert torch.allclose(whole[7:9], band_pass(x[7:9], Signals(fs=100)), atol=1e-6)


def test_the_input_is_never_changed():
    x = ecg_like(4, 1000, 100)
    before = x.clone()
    preprocess(x, Signals(fs=100))
    assert torch.equal(x, before)


def test_the_gain_is_one_in_the_band_and_zero_outside():
    h = gain(10_000, 500.0, (0.67, 40.0), CPU).numpy()
    assert np.array_equal(h[::2], h[1::2]), "for real and imaginary parts"
    h, f = h[::2], np.fft.rfftfreq(10_000, 1 / 500)
    assert h[0] == pytest.approx(0, abs=1e-12)
    assert h[(f > 1.5) & (f < 25)].min() > 0.98
    assert h[f > 65].max() < 0.01
    assert h[np.argmin(abs(f - 40))] == pytest.approx(0.5, abs=0.02), "-3 dB twice"


@pytest.mark.parametrize("band", [(0.67, 50.0), (0.0, 40.0), (40.0, 0.67)])
def test_a_band_that_does_not_fit_the_rate_is_refused(band):
    with pytest.raises(ConfigError, match=r"signals\.band"):
        preprocess(ecg_like(1, 1000, 100), Signals(fs=100.0, band=band))


def test_z_scores_are_numpys_and_a_constant_row_is_zero():
    x = torch.randn(5, 700, generator=torch.Generator().manual_seed(0)) * 0.01 + 3
    x[4] = 0.25
    found, expected = standardise_(x.clone()).numpy(), x.double().numpy()
    expected = (expected - expected.mean(1, keepdims=True)) / (expected.std(1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(found[:4], expected[:4], atol=1e-3)
    assert np.abs(found[4]).max() == 0
