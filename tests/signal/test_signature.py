"""Signatures of recordings: copies at another rate, gain or length are near, everything else is far; pairs against an explicit search."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from clef_ray.datasets import LEADS, Signal
from clef_ray.datasets._wfdb import read_wfdb
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.signal import INVALID_SAMPLE
from clef_ray.signal.signature import BYTES, MAX_BITS, duplicates, same_recording, signature


def apart(a, b):
    return int(np.bitwise_count(np.frombuffer(a, np.uint8) ^ np.frombuffer(b, np.uint8)).sum())


def nearest(signals):
    """The smallest distance between any two."""
    told = np.stack([np.frombuffer(signature(signal), np.uint8) for signal in signals])
    apart_NN = np.bitwise_count(told[:, None] ^ told).sum(axis=-1)
    return apart_NN[np.triu_indices(len(told), 1)].min()


@pytest.fixture(scope="module")
def people():
    """Two records each of 40 people: 12 leads, 10 s at 500 Hz."""
    cohort = Synthetic(patients=40, records_per_patient=2)
    return [cohort.signal(row) for row in cohort.table().to_dict("records")]


def changed(signal, gain=1.0, offset=0):
    raw_CT = np.rint((signal.raw_CT - signal.baseline_C[:, None]) * gain + offset)
    return replace(
        signal,
        raw_CT=raw_CT.astype(np.int16),
        gain_C=signal.gain_C * np.float32(gain),
        baseline_C=np.full_like(signal.baseline_C, offset),
    )


def at_100_hz(signal):
    raw_CT = np.rint(resample_poly(signal.raw_CT.astype(float), 1, 5, axis=1))
    return replace(signal, raw_CT=raw_CT.astype(np.int16), fs=100.0)


COPIES = {
    "another gain": lambda signal: changed(signal, 0.2),
    "another offset": lambda signal: changed(signal, 1.0, 700),
    "100 Hz": at_100_hz,
    "100 Hz in coarser steps": lambda signal: changed(at_100_hz(signal), 0.2),
    "only the leads that the others follow from": lambda signal: Signal(
        signal.raw_CT[[0, 1, *range(6, 12)]],
        signal.fs,
        ("I", "II", *LEADS[6:]),
        signal.gain_C[:8],
        signal.baseline_C[:8],
    ),
    "a few invalid samples": lambda signal: replace(
        signal, raw_CT=np.where(np.arange(signal.raw_CT.shape[1]) % 997 == 5, INVALID_SAMPLE, signal.raw_CT)
    ),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_near_and_known_by_their_samples(people, how):
    copies = [COPIES[how](signal) for signal in people]
    worst = max(apart(signature(a), signature(b)) for a, b in zip(people, copies, strict=True))
    assert worst <= MAX_BITS
    assert all(same_recording(a, b) for a, b in zip(people, copies, strict=True))


def test_other_records_are_far_also_those_of_the_same_person(people):
    assert nearest(people) > MAX_BITS
    assert not any(same_recording(a, b) for a, b in zip(people[::2], people[1::2], strict=True))


def test_only_the_first_ten_seconds_count(people):
    for signal in people[:5]:
        longer = np.concatenate([signal.raw_CT, signal.raw_CT[:, ::-1]], axis=1)
        assert signature(replace(signal, raw_CT=longer)) == signature(signal)


def test_gain_and_offset_in_whole_numbers_change_no_bit(people):
    for signal in people[:5]:
        assert signature(changed(signal, 2.0, -100)) == signature(signal)


def test_a_signature_is_the_same_on_every_machine():
    """Golden: a signal of whole numbers made without a generator."""
    t = np.arange(5000)
    raw_CT = np.stack([(t * (37 + c) % 1009 + t * t % (401 + c) - 700) for c in range(12)]).astype(np.int16)
    signal = Signal(raw_CT, 500.0, LEADS, np.ones(12, np.float32), np.zeros(12, np.float32))
    assert signature(signal).hex() == "de1fc756fbf5e10dc8fb79bdc5eea0dcfa4f12fa2ff2a49a94691fc7b2f760e5"


def test_what_cannot_be_told_has_no_signature_and_no_copy(people):
    short = replace(people[0], raw_CT=people[0].raw_CT[:, :2499])
    flat = replace(people[0], raw_CT=np.full_like(people[0].raw_CT, 300))
    assert signature(short) == signature(flat) == bytes(BYTES)
    assert duplicates(np.zeros((5, BYTES), dtype=np.uint8)).shape == (0, 2)
    assert not same_recording(flat, flat)
    assert not same_recording(short, short)


def test_records_that_are_mostly_padding_or_one_step_are_told_apart(people):
    """Zeros after 3 s, a transient at the start that is a hundred times as large as the ECG, 5 s and no more."""
    padded = [replace(s, raw_CT=np.where(np.arange(5000) < 1500, s.raw_CT, 0)) for s in people]
    stepped = [
        replace(s, raw_CT=np.where(np.arange(5000) < 60, 20_000, s.raw_CT).astype(np.int16)) for s in people
    ]
    short = [replace(s, raw_CT=s.raw_CT[:, :2500]) for s in people]
    assert nearest(padded) > MAX_BITS
    assert nearest(short) > MAX_BITS
    assert nearest(stepped) > MAX_BITS


def test_a_single_lead_of_any_name_and_rate_has_a_signature(people):
    ones = [Signal(s.raw_CT[1:2, :4800], 257.0, ("ECG",), s.gain_C[:1], s.baseline_C[:1]) for s in people]
    assert nearest(ones) > MAX_BITS


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), max_bits=st.sampled_from([0, 5, 24]))
def test_pairs_are_those_of_an_explicit_search(seed, max_bits):
    """Few base signatures with few or many bits turned over, repeated ones and empty ones among them."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, size=(12, 256))[rng.integers(0, 12, size=60)]
    for row in bits[rng.random(60) < 0.6]:
        row[rng.choice(256, rng.integers(0, 14), replace=False)] ^= 1
    for n in np.flatnonzero(rng.random(60) < 0.5):
        bits[n, rng.choice(256, rng.integers(0, 30), replace=False)] ^= 1
    bits[rng.random(60) < 0.1] = 0
    told = np.packbits(bits.astype(np.uint8), axis=1)
    expected, leaders = set(), {}
    for b in range(60):
        if not bits[b].any():
            continue
        twin = leaders.setdefault(told[b].tobytes(), b)
        if twin != b:
            expected.add((twin, b))
            continue
        others = set(leaders.values()) - {b}
        expected |= {(a, b) for a in others if (bits[a] != bits[b]).sum() <= max_bits}
    found = duplicates(told, max_bits)
    assert [tuple(pair) for pair in found.tolist()] == sorted(expected)


@pytest.mark.realdata
def test_the_two_rates_of_ptbxl_and_its_known_doubles(realdata: Path):
    folder = realdata / "ptbxl_subset"
    high = [h.with_suffix("") for h in sorted((folder / "records500").rglob("*.hea"))]
    low = [h.with_suffix("") for h in sorted((folder / "records100" / "00000").rglob("*.hea"))]
    names = [path.name for path in high + low]
    signals = {path.name: read_wfdb(path) for path in high + low}
    told = np.stack([np.frombuffer(signature(signals[name]), np.uint8) for name in names])
    pairs = {(names[a], names[b]) for a, b in duplicates(told).tolist()}
    known = {
        ("00137", "00138"),
        ("00143", "00144"),
        ("00145", "00463"),
        ("00456", "00457"),
        ("00459", "00460"),
    }
    assert {(a[:5], b[:5]) for a, b in pairs if a[:5] != b[:5]} == known
    # The second of two equal records makes its pair with the first, which stands for it.
    alone = {n[:5] for n in names if n.endswith("hr")} - {b for _, b in known}
    assert {(f"{n}_hr", f"{n}_lr") for n in alone} <= pairs
    assert all(same_recording(signals[a], signals[b]) for a, b in pairs)


@pytest.mark.realdata
def test_challenge_records_that_are_ptbxls(realdata: Path):
    """HR00001 and HR00002 are PTB-XL's first two; the Challenge stores them in other units' spelling and MATLAB files."""
    for n in (1, 2):
        theirs = read_wfdb(realdata / "challenge2021_multisource" / f"HR{n:05d}")
        ours = read_wfdb(realdata / "ptbxl_subset" / "records100" / "00000" / f"{n:05d}_lr")
        assert apart(signature(theirs), signature(ours)) <= MAX_BITS
        assert same_recording(theirs, ours)
