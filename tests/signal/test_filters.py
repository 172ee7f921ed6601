"""Resampling and filters against closed forms and SciPy."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, filtfilt

from clef_ray.datasets import Signal
from clef_ray.errors import ConfigError
from clef_ray.sections import Filters
from clef_ray.signal import INVALID_SAMPLE
from clef_ray.signal.filters import apply, band_pass, notch, resample, resampled_length


def _clean():
    return np.random.default_rng(0).normal(0, 0.5, size=(3, 1000)).astype(np.float32)


@pytest.mark.parametrize("rates", [(500, 100), (100, 500), (360, 500), (500, 257)])
def test_resampling_a_sine_gives_the_sine_at_the_other_rate(rates):
    """Closed form: 5 Hz lies in the pass band of every pair; the ends (0.2 s) are left out."""
    fs_in, fs_out = rates
    x = np.sin(2 * np.pi * 5 * np.arange(10 * fs_in) / fs_in) + 3.0
    y = resample(np.stack([x, -x]).astype(np.float32), fs_in, fs_out)
    expected = np.sin(2 * np.pi * 5 * np.arange(y.shape[-1]) / fs_out) + 3.0
    inner = slice(fs_out // 5, -fs_out // 5)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y[0, inner], expected[inner], atol=6e-3)
    np.testing.assert_allclose(y[1], -y[0], atol=1e-5)


def test_downsampling_removes_what_would_alias():
    """80 Hz would appear as 20 Hz at 100 Hz."""
    x = np.sin(2 * np.pi * 80 * np.arange(5000) / 500).astype(np.float32)
    assert np.abs(resample(x, 500, 100)[20:-20]).max() < 0.01


def test_an_offset_does_not_ring_at_the_ends():
    y = resample(np.full(5000, 2.5, dtype=np.float32), 500, 100)
    np.testing.assert_allclose(y, 2.5, atol=1e-5)


def test_equal_rates_change_nothing():
    x = _clean()
    assert resample(x, 100, 100.0) is x


@given(
    samples=st.integers(1, 400),
    fs_in=st.sampled_from([100, 128, 257, 360, 500]),
    fs_out=st.sampled_from([100, 200, 250, 500]),
)
def test_the_promised_length_is_the_length(samples, fs_in, fs_out):
    x = np.zeros((2, samples), dtype=np.float32)
    assert resample(x, fs_in, fs_out).shape == (2, resampled_length(samples, fs_in, fs_out))


@pytest.mark.parametrize("rates", [(0, 100), (100, -1), (float("nan"), 100)])
def test_a_rate_that_is_not_positive_is_an_error(rates):
    with pytest.raises(ConfigError, match="must be positive"):
        resample(_clean(), *rates)


def _sine(hz, fs=500, seconds=20):
    return np.sin(2 * np.pi * hz * np.arange(seconds * fs) / fs)


def _gain(filtered, original):
    inner = slice(len(original) // 4, -len(original) // 4)
    return np.dot(filtered[inner], original[inner]) / np.dot(original[inner], original[inner])


@pytest.mark.parametrize(
    ("hz", "low", "high"), [(0.1, -1e-4, 1e-4), (5, 0.999, 1.001), (20, 0.999, 1.001), (100, -1e-4, 1e-4)]
)
def test_a_band_pass_keeps_its_band_and_nothing_else_and_shifts_nothing(hz, low, high):
    """In phase: the projection onto the sine itself is the gain."""
    x = _sine(hz, seconds=60)
    y = band_pass(x, 500, (0.67, 40.0))
    assert low <= _gain(y, x) <= high
    if hz in (5, 20):
        np.testing.assert_allclose(y[5000:-5000], x[5000:-5000], atol=2e-3)


def test_the_edges_lie_6_db_down_after_both_directions():
    for edge in (0.67, 40.0):
        x = _sine(edge, seconds=60)
        assert _gain(band_pass(x, 500, (0.67, 40.0)), x) == pytest.approx(0.5, abs=0.01)


def test_the_band_pass_is_the_one_of_filtfilt_away_from_the_ends():
    x = np.random.default_rng(0).normal(size=10_000)
    expected = filtfilt(*butter(5, (0.67, 40.0), btype="bandpass", fs=500), x)
    np.testing.assert_allclose(band_pass(x, 500, (0.67, 40.0))[3000:-3000], expected[3000:-3000], atol=2e-3)


@pytest.mark.parametrize("hz", [50, 60])
def test_a_notch_takes_the_mains_and_leaves_its_neighbours(hz):
    x = _sine(hz)
    assert np.abs(notch(x, 500, hz)[1000:-1000]).max() < 1e-3
    for other in (10, hz - 10, hz + 10):
        assert _gain(notch(_sine(other), 500, hz), _sine(other)) == pytest.approx(1, abs=0.03)


@pytest.fixture
def signal():
    beats = 1.2 * _sine(5, seconds=10) + 0.3 * _sine(50, seconds=10) + 2.0
    raw_CT = np.rint(np.stack([beats * 200 - 40, -beats * 400])).astype(np.int16)
    gain_C, baseline_C = np.float32([200, 400]), np.float32([-40, 0])
    return Signal(raw_CT, 500.0, ("I", "II"), gain_C, baseline_C)


def test_no_filter_changes_nothing(signal):
    assert apply(signal, Filters()) is signal


def test_filters_are_applied_to_millivolts_and_stored_in_microvolts(signal):
    filtered = apply(signal, Filters(band=(0.67, 40.0), notch=50.0))
    assert filtered.raw_CT.dtype == np.int16
    assert (filtered.leads, filtered.fs, filtered.gain_C.tolist()) == (signal.leads, 500.0, [1000, 1000])
    expected = 1.2 * _sine(5, seconds=10)
    inner = slice(1500, -1500)
    np.testing.assert_allclose(
        filtered.millivolts()[:, inner], np.stack([expected, -expected])[:, inner], atol=0.02
    )


def test_invalid_samples_stay_invalid_and_do_not_ring(signal):
    raw_CT = signal.raw_CT.copy()
    raw_CT[1, 2500:2510] = INVALID_SAMPLE
    with_gap = apply(replace(signal, raw_CT=raw_CT), Filters(notch=60.0))
    without = apply(signal, Filters(notch=60.0))
    assert np.flatnonzero(np.isnan(with_gap.millivolts()[1])).tolist() == list(range(2500, 2510))
    np.testing.assert_allclose(with_gap.millivolts()[1, 2515:], without.millivolts()[1, 2515:], atol=0.05)
    np.testing.assert_array_equal(with_gap.raw_CT[0], without.raw_CT[0])


def test_a_lead_beyond_32_mv_takes_coarser_steps_rather_than_being_cut(signal):
    large = replace(signal, gain_C=np.float32([5, 400]))
    filtered, expected_T = apply(large, Filters(notch=60.0)), large.millivolts()[0]
    assert expected_T.max() > 100
    np.testing.assert_allclose(filtered.millivolts()[0, 500:-500], expected_T[500:-500], atol=1.0)


@pytest.mark.parametrize("filters", [Filters(band=(0.67, 60.0)), Filters(notch=50.0)])
def test_a_filter_beyond_half_the_rate_is_an_error(signal, filters):
    with pytest.raises(ConfigError, match="at 100 Hz"):
        apply(replace(signal, fs=100.0), filters)


@pytest.mark.parametrize(
    "given", [{"band": (40.0, 0.67)}, {"band": (0.0, 40.0)}, {"notch": 0.0}, {"notch": float("nan")}]
)
def test_filters_that_cannot_be_are_refused_where_they_are_set(given):
    with pytest.raises(ConfigError, match="filters"):
        Filters(**given)


@pytest.mark.parametrize("samples", [2, 50])
def test_a_short_record_can_be_filtered(samples):
    x = np.random.default_rng(0).normal(size=(2, samples))
    assert np.isfinite(band_pass(x, 500, (0.67, 40.0))).all()
    assert np.isfinite(notch(x, 500, 50)).all()
