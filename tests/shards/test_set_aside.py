"""Records of many kinds through one ingestion: what fits goes in, what does not is named, and nothing is lost on the way."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from toy import Toy, ecg, signal

from clef_ray.datasets import LEADS, UnreadableError
from clef_ray.errors import ConfigError, DataError
from clef_ray.sections import Filters, Quality
from clef_ray.shards import ingest_local, load_corpus


def mixed():
    twelve = signal(ecg(2, leads=LEADS), leads=LEADS)
    still = ecg(8)
    still[2] = 0.3
    found = {
        "a fits": signal(ecg(0)),
        "b rate": signal(ecg(1, samples=5000, fs=500.0), fs=500.0),
        "c leads": twelve,
        "d long": signal(ecg(3, samples=3000)),
        "e empty": signal(np.zeros((3, 0))),
        "f short": signal(ecg(5, samples=400)),
        "g unknown leads": signal(ecg(6), leads=("I", "II", "ECG")),
        "h broken": UnreadableError("checksum", "h: lead I"),
        "i flat": signal(still),
        "j other rate": signal(ecg(9, samples=2570, fs=257.0), fs=257.0),
        "k loud": signal(ecg(10) * 30, gain=200.0),
    }
    return Toy({name: (f"p{name[0]}", value) for name, value in found.items()})


def test_each_goes_in_or_is_set_aside_with_its_reason(tmp_path):
    manifest = ingest_local(mixed(), str(tmp_path), 4, max_bad=0.9)
    assert manifest.quarantined == {"amplitude": 1, "checksum": 1, "flat lead": 1, "leads": 1, "length": 2}
    assert manifest.fitted == {"resampled": 2, "cut": 1, "padded": 0}
    quarantine = {
        q["record"]: (q["reason"], q["detail"])
        for q in pq.read_table(tmp_path / "quarantine.parquet").to_pylist()
    }
    assert quarantine["e empty"] == ("length", "0 samples at 100 Hz instead of 1000 at 100 Hz")
    assert quarantine["g unknown leads"] == ("leads", "lacks V1; it has I, II, ECG")
    assert quarantine["h broken"] == ("checksum", "h: lead I")
    corpus = load_corpus(str(tmp_path), 100)
    names = corpus.table["record"].tolist()
    assert sorted([*names, *quarantine]) == sorted(mixed().records)
    stored = dict(zip(names, corpus.signals.millivolts(), strict=True))
    np.testing.assert_allclose(stored["c leads"], ecg(2, leads=LEADS)[[0, 1, 6]], atol=6e-4)
    np.testing.assert_allclose(stored["d long"], ecg(3, samples=3000)[:, :1000], atol=6e-4)
    # beats are narrow: what 100 Hz cannot hold is gone
    assert np.corrcoef(stored["b rate"].ravel(), ecg(1, samples=5000, fs=500.0)[:, ::5].ravel())[0, 1] > 0.99


def test_what_is_too_short_is_filled_up_where_the_dataset_says_so(tmp_path):
    dataset = mixed()
    dataset.pad = True
    manifest = ingest_local(dataset, str(tmp_path), 4, max_bad=0.9)
    assert manifest.fitted["padded"] == 1
    assert manifest.quarantined["length"] == 1, "what is empty has nothing to fill up"
    corpus = load_corpus(str(tmp_path), 100)
    filled = corpus.signals.millivolts()[corpus.table["record"].tolist().index("f short")]
    assert (filled[:, 400:] == 0).all()
    np.testing.assert_allclose(filled[:, :400], ecg(5, samples=400), atol=6e-4)


def test_limits_decide_what_is_set_aside(tmp_path):
    loose = ingest_local(mixed(), str(tmp_path / "a"), 4, 0.9, quality=Quality(amplitude_mv=1000))
    assert "amplitude" not in loose.quarantined
    with pytest.raises(DataError, match=r"11 of 11 records.*amplitude 6"):
        ingest_local(mixed(), str(tmp_path / "b"), 4, 0.95, quality=Quality(amplitude_mv=0.5))


def test_filters_change_the_samples_and_the_fingerprint(tmp_path):
    plain = ingest_local(mixed(), str(tmp_path / "plain"), 4, 0.9)
    manifest = ingest_local(mixed(), str(tmp_path / "band"), 4, 0.9, filters=Filters(band=(0.67, 30.0)))
    assert manifest.filters == {"band": [0.67, 30.0], "notch": None}
    assert manifest.fingerprint != plain.fingerprint
    with pytest.raises(ConfigError, match=r"filters\.notch 60 Hz at 100 Hz"):
        ingest_local(mixed(), str(tmp_path / "notch"), 4, 0.9, filters=Filters(notch=60.0))


def test_filters_that_cannot_be_do_not_claim_the_folder(tmp_path):
    """Otherwise the same command with the mistake put right would be refused: made with other parameters."""
    dataset = Toy({"a": ("a", signal(ecg(0)))})
    for filters in (Filters(band=(0.5, 50.0)), Filters(notch=50.0)):
        with pytest.raises(ConfigError, match="at 100 Hz"):
            ingest_local(dataset, str(tmp_path), filters=filters)
    assert ingest_local(dataset, str(tmp_path), filters=Filters(band=(0.5, 40.0))).records == 1
