"""What a dataset reads becomes the one shape of its shards, and nothing is made up on the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly
from toy import LEADS, Toy, ecg, signal

from clef_ray.datasets import LEADS as TWELVE
from clef_ray.datasets import Signal, UnreadableError
from clef_ray.sections import Filters
from clef_ray.shards.fit import fit
from clef_ray.signal import INVALID_SAMPLE


def fitted(given, *, check=lambda _: None, filters=Filters(), **shape):  # noqa: B008
    return fit(given, Toy({}, **shape), filters, check)


def test_what_fits_is_left_alone_to_the_bit():
    given = signal(ecg(1), gain=481.5, baseline=-30)
    done = fitted(given)
    assert done.changes == ()
    assert done.signal is given


def test_leads_are_picked_by_name_with_their_gains():
    twelve = signal(ecg(1, leads=TWELVE), leads=TWELVE)
    given = Signal(
        twelve.raw_CT, 100.0, TWELVE, np.arange(1, 13, dtype=np.float32), np.arange(12, dtype=np.float32)
    )
    done = fitted(given, leads=("V6", "I")).signal
    assert done.leads == ("V6", "I")
    np.testing.assert_array_equal(done.raw_CT, twelve.raw_CT[[11, 0]])
    assert (done.gain_C.tolist(), done.baseline_C.tolist()) == ([12, 1], [11, 0])


def test_a_lead_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UnreadableError, match=r"leads: lacks V1; it has I, II, ECG9") as error:
        fitted(signal(ecg(1), leads=("I", "II", "ECG9")))
    assert error.value.reason == "leads"


@pytest.mark.parametrize("gain", [0.0, np.nan, -1.0])
def test_a_gain_that_is_none_is_refused(gain):
    given = signal(ecg(1))
    broken = Signal(given.raw_CT, 100.0, LEADS, np.array([1000, gain, 1000], np.float32), given.baseline_C)
    with pytest.raises(UnreadableError, match="gain: "):
        fitted(broken)


def test_what_is_longer_is_cut_to_its_first_samples():
    given = signal(ecg(1, samples=1007))
    done = fitted(given)
    assert done.changes == ("cut",)
    np.testing.assert_array_equal(done.signal.raw_CT, given.raw_CT[:, :1000])


@pytest.mark.parametrize(
    ("samples", "fs", "told"),
    [
        (999, 100.0, "999 samples at 100 Hz instead of 1000 at 100 Hz"),
        (4990, 500.0, r"4990 samples at 500 Hz instead of 1000 at 100 Hz \(10 s\)"),
        (0, 100.0, "0 samples at 100 Hz instead of 1000"),
    ],
)
def test_what_is_too_short_says_what_it_has_and_what_is_wanted(samples, fs, told):
    with pytest.raises(UnreadableError, match=told) as error:
        fitted(signal(np.zeros((3, samples)), fs=fs))
    assert error.value.reason == "length"


def test_padding_is_the_raw_value_of_zero_millivolts_at_the_end():
    given = signal(ecg(1, samples=700), gain=200.0, baseline=13)
    done = fitted(given, pad=True)
    assert done.changes == ("padded",)
    np.testing.assert_array_equal(done.signal.raw_CT[:, :700], given.raw_CT)
    assert (done.signal.raw_CT[:, 700:] == 13).all()
    assert (done.signal.millivolts()[:, 700:] == 0).all()
    with pytest.raises(UnreadableError, match="length: 0 samples"):
        fitted(signal(np.zeros((3, 0))), pad=True)


@pytest.mark.parametrize(
    ("fs", "target"), [(500.0, 100.0), (300.0, 500.0), (257.0, 100.0), (1000.0, 500.0), (100.0, 128.0)]
)
def test_resampling_is_scipys_polyphase_rounded_to_a_microvolt(fs, target):
    from fractions import Fraction

    samples = round(12 * fs)
    given = signal(ecg(3, samples=samples, fs=fs), fs=fs)
    done = fitted(given, fs=target, samples=round(10 * target))
    assert done.changes == ("resampled", "cut")
    assert done.signal.fs == target
    assert done.signal.raw_CT.shape == (3, round(10 * target))
    assert done.signal.gain_C.tolist() == [1000] * 3
    ratio = Fraction(target) / Fraction(fs)
    whole = resample_poly(
        given.millivolts().astype(np.float64), ratio.numerator, ratio.denominator, axis=1, padtype="line"
    )
    wanted = whole[:, : round(10 * target)]
    assert np.abs(done.signal.millivolts() - wanted).max() < 6e-4, "at the window's end too"


def test_ten_seconds_are_resampled_and_not_cut():
    done = fitted(signal(ecg(1, samples=5000, fs=500.0), fs=500.0))
    assert done.changes == ("resampled",)


@given(
    start=st.integers(0, 4900),
    length=st.integers(1, 100),
    rates=st.sampled_from([(500.0, 100.0), (500.0, 360.0), (100.0, 500.0), (360.0, 500.0)]),
)
def test_invalid_samples_are_marked_where_they_were_and_smear_nowhere(start, length, rates):
    """Against the record with the gap bridged by a straight line: what is not marked is the same to a microvolt."""
    fs, target = rates
    samples = round(10 * fs)
    start = start % (samples - length)
    mv_CT = ecg(5, samples=samples, fs=fs)
    bridged = mv_CT.astype(np.float64)
    gap = slice(start, start + length)
    known = np.setdiff1d(np.arange(samples), np.arange(start, start + length))
    given = signal(mv_CT, fs=fs)
    given.raw_CT[1, gap] = INVALID_SAMPLE
    bridged[1, gap] = np.interp(
        np.arange(start, start + length), known, np.rint(mv_CT[1, known] * 1000) / 1000
    )
    wanted = fitted(signal(bridged, fs=fs), fs=target, samples=round(10 * target)).signal
    done = fitted(given, fs=target, samples=round(10 * target)).signal
    invalid = done.raw_CT == INVALID_SAMPLE
    assert not invalid[[0, 2]].any()
    assert np.abs(np.where(invalid, 0, done.raw_CT - wanted.raw_CT)).max() <= 1
    at = np.flatnonzero(invalid[1]) / target  # seconds
    first, last = (start - 1) / fs, (start + length) / fs
    assert at.size > 0, "a gap of one sample is marked too"
    assert at.min() >= first - 0.5 / target
    assert at.max() <= last + 0.5 / target
    inside = np.arange(round(10 * target)) / target
    covered = (inside >= start / fs) & (inside <= (start + length - 1) / fs)
    assert invalid[1, covered].all()


def test_the_check_sees_the_window_as_it_was_recorded():
    seen = []
    given = signal(ecg(1, samples=6000, fs=500.0), fs=500.0, gain=200.0)
    fitted(given, check=seen.append)
    assert (seen[0].fs, seen[0].raw_CT.shape, seen[0].gain_C[0]) == (500.0, (3, 5000), 200.0)
    short = signal(ecg(1, samples=3000, fs=500.0), fs=500.0)
    fitted(short, check=seen.append, pad=True)
    assert seen[1].raw_CT.shape == (3, 3000), "padding is not in it"

    def refuse(_):
        raise UnreadableError("flat lead", "II")

    with pytest.raises(UnreadableError, match="flat lead: II"):
        fitted(given, check=refuse)


def test_filters_are_applied_at_the_rate_of_the_shards_and_padding_stays_silent():
    t = np.arange(800) / 100
    hum = np.tile(0.4 * np.sin(2 * np.pi * 30 * t), (3, 1))
    done = fitted(signal(ecg(1, samples=800) + hum), filters=Filters(notch=30.0), pad=True)
    plain = fitted(signal(ecg(1, samples=800)), pad=True)
    middle = np.s_[:, 200:600]
    assert np.abs((done.signal.millivolts() - plain.signal.millivolts())[middle]).max() < 0.05
    assert (done.signal.millivolts()[:, 800:] == 0).all()


def test_what_does_not_fit_into_16_bits_is_refused_by_name():
    mv_CT = np.zeros((3, 5000))
    mv_CT[1] = np.linspace(-40, 40, 5000)
    with pytest.raises(UnreadableError, match="amplitude: "):
        fitted(signal(mv_CT, fs=500.0, gain=500.0))
