"""Quality checks on raw numbers: each reason by hand, against slow counts, and on every real record."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clef_ray.datasets import LEADS, Signal
from clef_ray.datasets._wfdb import read_wfdb
from clef_ray.errors import ConfigError
from clef_ray.sections import Quality
from clef_ray.signal import INVALID_SAMPLE
from clef_ray.signal.quality import hints, longest_run, problem

DEFAULT = Quality()


def _signal(raw_CT, gain=1000, baseline=0, leads=("I", "II", "V1"), fs=100.0):
    ones_C = np.ones(len(raw_CT), dtype=np.float32)
    return Signal(np.asarray(raw_CT, dtype=np.int16), fs, leads, gain * ones_C, baseline * ones_C)


def _clean():
    return np.random.default_rng(0).normal(0, 500, size=(3, 1000)).astype(np.int16)


def test_a_clean_record_has_no_problem():
    assert problem(_signal(_clean()), DEFAULT) is None


@pytest.mark.parametrize(("share", "expected"), [(50, None), (51, ("invalid samples", "II"))])
def test_more_than_five_percent_invalid_samples_of_one_lead_are_too_many(share, expected):
    raw_CT = _clean()
    raw_CT[1, 200 : 200 + share] = INVALID_SAMPLE
    assert problem(_signal(raw_CT), DEFAULT) == expected


def test_flat_leads_are_named_also_where_some_samples_are_invalid():
    raw_CT = _clean()
    raw_CT[[0, 2]] = 300
    raw_CT[2, :20] = INVALID_SAMPLE
    assert problem(_signal(raw_CT), DEFAULT) == ("flat lead", "I, V1")


def test_an_entirely_invalid_lead_counts_as_invalid_not_as_flat():
    raw_CT = _clean()
    raw_CT[0] = INVALID_SAMPLE
    assert problem(_signal(raw_CT), DEFAULT) == ("invalid samples", "I")


@pytest.mark.parametrize(("run", "expected"), [(499, None), (500, ("flat lead", "V1"))])
@pytest.mark.parametrize("start", [0, 137, 500])
def test_a_lead_that_is_still_for_half_the_record_is_flat(run, expected, start):
    raw_CT = _clean()
    raw_CT[2, start : start + run] = -77
    assert problem(_signal(raw_CT), DEFAULT) == expected


@given(length=st.integers(3, 300), share=st.floats(0.05, 1), run=st.integers(1, 300), at=st.integers(0, 300))
def test_flat_is_what_a_slow_count_says(length, share, run, at):
    """The quick look must let no run pass; runs of fewer than three samples never count."""
    raw_T = np.arange(length) * 7
    raw_T[at : at + run] = -1
    longest = max(sum(raw_T == -1), 1)
    assert longest_run(raw_T.astype(np.int16)) == longest
    found = problem(_signal(raw_T[None], leads=("I",)), Quality(flat_share=share, saturated_share=1))
    assert (found == ("flat lead", "I")) == (longest >= max(3, share * length))


@pytest.mark.parametrize(("clipped", "expected"), [(50, None), (51, ("saturated", "II"))])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_lead_that_stays_at_its_limit_is_saturated(clipped, expected, sign):
    """In runs of 17 pairs of neighbours."""
    raw_CT = _clean()
    for first in (100, 300, 600):
        raw_CT[1, first : first + 18] = sign * 4095
    raw_CT[1, 617] = sign * 4095 if clipped == 51 else 0
    assert problem(_signal(raw_CT), DEFAULT) == expected


def test_a_value_that_is_often_the_highest_but_never_twice_in_a_row_is_no_saturation():
    raw_CT = _clean()
    raw_CT[1, ::7] = 4095
    assert problem(_signal(raw_CT), DEFAULT) is None


@pytest.mark.parametrize("value", [-20.5, 20.5])
@pytest.mark.parametrize(("gain", "baseline"), [(1000, 0), (200, 1024), (1000, -11_000)])
def test_amplitudes_that_no_surface_ecg_has(value, gain, baseline):
    mv_CT = _clean() / 2000
    for most, expected in ((value, ("amplitude", "V1")), (np.sign(value) * 19.5, None)):
        mv_CT[2, 7] = most
        raw_CT = mv_CT * gain + baseline
        if raw_CT.min() > INVALID_SAMPLE:
            assert problem(_signal(raw_CT.clip(-32767, 32767), gain, baseline), DEFAULT) == expected


def test_an_invalid_sample_is_no_amplitude():
    raw_CT = _clean()
    raw_CT[1, 3] = INVALID_SAMPLE
    assert problem(_signal(raw_CT), DEFAULT) is None


def test_thresholds_are_those_that_are_given():
    raw_CT = _clean()
    raw_CT[0, 0] = 19_000
    raw_CT[1, :30] = INVALID_SAMPLE
    assert problem(_signal(raw_CT), replace(DEFAULT, invalid_share=0.02)) == ("invalid samples", "II")
    assert problem(_signal(raw_CT), replace(DEFAULT, amplitude_mv=5)) == ("amplitude", "I")
    assert problem(_signal(raw_CT), DEFAULT) is None


@pytest.mark.parametrize(
    "given",
    [
        {"invalid_share": -0.1},
        {"flat_share": 0},
        {"saturated_share": 1.1},
        {"amplitude_mv": 0},
        {"limb_error": -1},
    ],
)
def test_thresholds_that_cannot_be_are_refused_where_they_are_set(given):
    with pytest.raises(ConfigError, match="quality"):
        Quality(**given)


def _twelve(seconds=10, fs=500):
    """Twelve leads of a heart that points down and left: the limb leads as Einthoven has them, V6 like I."""
    rng = np.random.default_rng(0)
    t = np.arange(seconds * fs) / fs % 0.8
    beat = np.exp(-(((t - 0.4) / 0.02) ** 2)) + 0.2 * np.exp(-(((t - 0.6) / 0.05) ** 2))
    one, two = 0.8 * beat, 1.1 * beat + 0.1 * np.roll(beat, 20)
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    chest = [a * beat for a in (-0.6, -0.2, 0.4, 1.0, 1.2, 0.9)]
    noisy = np.stack(limb + chest) + rng.normal(0, 0.01, size=(12, len(t)))
    return _signal(np.rint(noisy * 1000), leads=LEADS, fs=float(fs))


@pytest.mark.parametrize("fs", [100, 500, 1000])
def test_a_proper_record_gives_no_hint(fs):
    assert hints(_twelve(fs=fs), DEFAULT) == ()


def test_exchanged_arms_are_hinted_at():
    """What the device then records: I turned over, II and III, aVR and aVL in each other's place. The limb leads still add up."""
    raw_CT = _twelve().raw_CT.copy()
    raw_CT[:5] = np.stack([-raw_CT[0], raw_CT[2], raw_CT[1], raw_CT[4], raw_CT[3]])
    assert hints(replace(_twelve(), raw_CT=raw_CT), DEFAULT) == ("arm leads",)


@pytest.mark.parametrize(("a", "b"), [("II", "III"), ("aVR", "aVL"), ("I", "aVR")])
def test_leads_under_each_others_names_are_hinted_at(a, b):
    names = {a: b, b: a}
    renamed = replace(_twelve(), leads=tuple(names.get(lead, lead) for lead in LEADS))
    assert "limb leads" in hints(renamed, DEFAULT)


def test_hints_respect_gains_and_offsets_of_each_lead():
    signal = _twelve()
    factor_C = np.linspace(0.2, 2, 12)
    raw_CT = np.rint(signal.raw_CT * factor_C[:, None] + 500)
    gain_C = (1000 * factor_C).astype(np.float32)
    assert hints(replace(signal, raw_CT=raw_CT.astype(np.int16), gain_C=gain_C), DEFAULT) == ()


def test_no_hint_without_the_leads_it_takes_or_with_too_little_to_see():
    signal = _twelve()
    for leads in (("I",), ("II", "V5"), ("I", "V1")):
        rows = [LEADS.index(lead) for lead in leads]
        some = Signal(-signal.raw_CT[rows], signal.fs, leads, signal.gain_C[rows], signal.baseline_C[rows])
        assert hints(some, DEFAULT) == ()
    assert hints(replace(signal, raw_CT=signal.raw_CT[:, :300]), DEFAULT) == ()
    assert hints(replace(signal, raw_CT=np.zeros_like(signal.raw_CT)), DEFAULT) == ()


@pytest.mark.realdata
def test_what_the_defaults_make_of_real_records(realdata: Path):
    """None of PTB-XL is set aside; six leads at 0 and artefacts of 23 mV are."""
    expected = {
        "ptbxl_subset/records500": Counter({None: 500}),
        "challenge2021_multisource": Counter({None: 31, "flat lead": 2}),
        "cinc2017_subset": Counter({None: 120}),
        "code15_subset": Counter({None: 27, "amplitude": 3}),
    }
    odd = Counter()
    for corpus, counts in expected.items():
        signals = [read_wfdb(h.with_suffix("")) for h in sorted((realdata / corpus).rglob("*.hea"))]
        found = [problem(signal, DEFAULT) for signal in signals]
        assert Counter(reason and reason[0] for reason in found) == counts
        odd.update(hint for signal in signals for hint in hints(signal, DEFAULT))
    assert odd == {"arm leads": 3}
