"""From a part's bytes to int16 samples: nothing is lost on the way, whatever the rate and however large."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly

from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import StorageError
from clef_ray.shards import Manifest, Stored, ingest_local, load_corpus, part_rows, read_rows


@given(st.floats(0.01, 900), st.integers(0, 99))
def test_millivolts_are_rounded_to_a_microvolt_or_to_what_fits_into_16_bits(largest, seed):
    mv = np.random.default_rng(seed).uniform(-largest, largest, (2, 3, 50)).astype(np.float32)
    mv[1] /= 100
    found = Stored.of_millivolts(mv)
    peak = np.abs(mv).max(axis=-1, keepdims=True)
    step = np.maximum(1e-3, peak / 32_766)
    assert (np.abs(found.millivolts() - mv) <= 0.51 * step + 1e-6 * peak).all()
    assert (found.gain_NK <= 1000).all()
    if largest < 32:
        assert (found.gain_NK == 1000).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("shards"))
    ingest_local(Synthetic(patients=70, records_per_patient=1, seed=2), out, records_per_part=60)
    return out


def test_at_the_stored_rate_the_samples_are_those_that_were_stored(folder):
    """Each record's samples are what the dataset gave, bit for bit, in any order, with repeats and with chosen leads."""
    cohort = Synthetic(patients=70, records_per_patient=1, seed=2)
    rows, pick = np.array([69, 3, 3, 61]), np.array([[0, 1], [1, 1], [1, 0], [0, 0]])
    found = read_rows(folder, rows, cohort.fs, ("V2", "I"), pick)
    signals = [cohort.signal(row) for row in cohort.table().iloc[rows].to_dict("records")]
    for n, signal in enumerate(signals):
        for k, lead in enumerate(np.array(["V2", "I"])[pick[n]]):
            at = signal.leads.index(lead)
            assert np.array_equal(found.raw_NKT[n, k], signal.raw_CT[at])
            assert found.gain_NK[n, k] == signal.gain_C[at]
            assert found.baseline_NK[n, k] == signal.baseline_C[at]


def test_at_another_rate_they_are_scipys_to_half_a_microvolt(folder):
    whole, half = load_corpus(folder, 500.0, ("II",)), load_corpus(folder, 250.0, ("II",))
    rows = np.arange(len(whole.table))
    expected = resample_poly(whole.millivolts(rows, "II"), 1, 2, axis=-1, padtype="line")
    np.testing.assert_allclose(half.millivolts(rows, "II"), expected, atol=0.5e-3 + 1e-5)
    assert half.signals.raw_NKT.dtype == np.int16


def test_parts_cover_the_corpus_and_a_part_that_is_gone_is_named(folder, tmp_path):
    manifest = Manifest.load(folder)
    assert np.concatenate(part_rows(manifest)).tolist() == list(range(70))
    shutil.copy(f"{folder}/manifest.json", tmp_path)
    with pytest.raises(StorageError, match=r"part-00001\.parquet"):
        read_rows(str(tmp_path), np.array([65]), 500.0, ("I",))
