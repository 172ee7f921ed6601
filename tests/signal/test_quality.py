"""Quality checks and resampling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clef_ray.errors import ConfigError
from clef_ray.signal.filters import resample, resampled_length
from clef_ray.signal.quality import problem

LEADS = ("I", "II", "V1")


def _clean():
    return np.random.default_rng(0).normal(0, 0.5, size=(3, 1000)).astype(np.float32)


def test_a_clean_record_has_no_problem():
    assert problem(_clean(), LEADS) is None


@pytest.mark.parametrize(("share", "expected"), [(50, None), (51, ("invalid samples", "II"))])
def test_more_than_five_percent_invalid_samples_of_one_lead_are_too_many(share, expected):
    mv_CT = _clean()
    mv_CT[1, 200 : 200 + share] = np.nan
    assert problem(mv_CT, LEADS) == expected


def test_flat_leads_are_named_also_where_some_samples_are_invalid():
    mv_CT = _clean()
    mv_CT[[0, 2]] = 0.3
    mv_CT[2, :20] = np.nan
    assert problem(mv_CT, LEADS) == ("flat lead", "I, V1")


def test_an_entirely_invalid_lead_counts_as_invalid_not_as_flat():
    mv_CT = _clean()
    mv_CT[0] = np.nan
    assert problem(mv_CT, LEADS) == ("invalid samples", "I")


@pytest.mark.parametrize("value", [-20.5, 20.5])
def test_amplitudes_that_no_surface_ecg_has(value):
    mv_CT = _clean()
    mv_CT[2, 7] = value
    assert problem(mv_CT, LEADS) == ("amplitude", "V1")
    mv_CT[2, 7] = np.sign(value) * 19.5
    assert problem(mv_CT, LEADS) is None


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
