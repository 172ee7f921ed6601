"""A recording that is there twice is kept once: the copy is set aside, with the record that keeps it."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from toy import Toy, ecg, signal, toy

from clef_ray.cluster.ingest import ingest as ingest_on_ray
from clef_ray.errors import DataError
from clef_ray.sections import Quality
from clef_ray.shards import ingest_local, load_corpus, read_table
from clef_ray.signal.signature import signature


def copies(**other):
    """12 records in parts of 3: r001 again as r004 (same patient, other gain), at 500 Hz as r008 and once more as r009 (another patient)."""
    records = {f"r{i:03d}": (f"p{i:03d}", signal(ecg(i))) for i in range(12)}
    records["r004"] = ("p001", signal(ecg(1), gain=200.0, baseline=5))
    records["r008"] = ("p008", signal(ecg(1, samples=5000, fs=500.0), fs=500.0))
    records["r009"] = ("p009", signal(ecg(1)))
    return Toy(records, **other)


def test_later_copies_are_set_aside_and_the_first_is_named(tmp_path):
    manifest = ingest_local(copies(), str(tmp_path), 3, max_bad=0.5)
    assert manifest.quarantined == {"duplicate": 1, "duplicate of another patient": 2}
    assert (manifest.records, manifest.patients) == (9, 9)
    assert [part.records for part in manifest.parts] == [3, 2, 2, 2]
    quarantine = pq.read_table(tmp_path / "quarantine.parquet").to_pylist()
    assert [(q["record"], q["patient"], q["detail"]) for q in quarantine] == [
        ("r004", "p001", "r001"),
        ("r008", "p008", "r001"),
        ("r009", "p009", "r001"),
    ]
    corpus = load_corpus(str(tmp_path), 100)
    assert corpus.table["record"].tolist() == [f"r{i:03d}" for i in range(12) if i not in (4, 8, 9)]
    np.testing.assert_allclose(corpus.signals.millivolts()[4], ecg(5), atol=6e-4)
    assert manifest.coverage["age"] == 1.0
    assert manifest.fitted["resampled"] == 1, "counted where it was read"


def test_the_quarantine_is_in_the_tables_order_whatever_the_reason(tmp_path):
    data = copies()
    data.records["r003"] = ("p003", signal(ecg(3)[:, :900]))
    data.records["r005"] = ("p005", signal(np.zeros((3, 1000))))
    ingest_local(data, str(tmp_path), 6, max_bad=0.5)
    assert pq.read_table(tmp_path / "quarantine.parquet")["record"].to_pylist() == [
        "r003",
        "r004",
        "r005",
        "r008",
        "r009",
    ]


def test_kept_copies_are_counted(tmp_path):
    manifest = ingest_local(copies(), str(tmp_path), 3, quality=Quality(duplicates="keep"))
    assert (manifest.records, manifest.quarantined) == (12, {})
    assert {name: n for name, n in manifest.hints.items() if "duplicate" in name} == {
        "duplicate": 1,
        "duplicate of another patient": 2,
    }


def test_copies_that_are_equal_to_each_other_go_together_and_again(tmp_path):
    """Of equal signatures only the first is compared with others. Whoever goes on without them finds the same."""
    data = toy(8)
    copy = signal(ecg(1) + np.random.default_rng(0).normal(0, 0.05, (3, 1000)))
    assert signature(copy) != signature(data.records["r001"][1])
    for name in ("r003", "r006", "r007"):
        data.records[name] = (f"p{name[1:]}", copy)
    first = ingest_local(data, str(tmp_path), 3, max_bad=0.5)
    assert pq.read_table(tmp_path / "quarantine.parquet")["detail"].to_pylist() == ["r001"] * 3
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "part-00002.json").unlink()
    assert ingest_local(data, str(tmp_path), 3, max_bad=0.5) == first
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_near_signatures_are_only_candidates(tmp_path, monkeypatch):
    """The samples decide, so that two regular rhythms in step are not taken for one recording."""
    from clef_ray.shards import census

    monkeypatch.setattr(census, "duplicates", lambda _: np.array([[0, 1], [2, 11]]))
    assert ingest_local(toy(), str(tmp_path), 5).quarantined == {}


def test_windows_of_one_recording_are_not_copies_but_those_of_two_files_are(tmp_path):
    """A regular rhythm looks alike one beat later."""
    data = toy(6)
    for name in ("r001", "r002", "r005"):
        data.records[name] = ("p001", signal(ecg(1)))
    data.columns = {"file": ["a", "b", "b", "c", "c", "d"], "start": [0, 0, 400, 0, 400, 0]}
    ingest_local(data, str(tmp_path), 3, max_bad=0.5)
    aside = pq.read_table(tmp_path / "quarantine.parquet").to_pylist()
    assert [(q["record"], q["detail"]) for q in aside] == [("r005", "r001")]


def test_too_many_copies_stop_before_any_part_is_changed(tmp_path):
    with pytest.raises(DataError, match=r"3 of 12 records.*duplicate of another patient 2, duplicate 1"):
        ingest_local(copies(), str(tmp_path), 3)
    assert sum(len(pq.read_table(p)) for p in tmp_path.glob("part-*.parquet")) == 12
    assert len(pq.read_table(tmp_path / "quarantine.parquet")) == 3
    assert ingest_local(copies(), str(tmp_path), 3, max_bad=0.25).records == 9


def test_other_recordings_of_a_patient_stay(tmp_path):
    manifest = ingest_local(toy(12, per_patient=4), str(tmp_path), 5)
    assert (manifest.records, manifest.patients, manifest.quarantined) == (12, 3, {})


def test_a_copy_whose_original_arrives_later_gives_way_to_it(tmp_path):
    """The original's file was missing at first: the same folder as if it had been there from the beginning."""
    from clef_ray.datasets import MISSING_FILE, UnreadableError

    lacking = copies()
    lacking.records["r001"] = ("p001", UnreadableError(MISSING_FILE, "r001.dat"))
    with pytest.raises(DataError, match="missing file 1"):
        ingest_local(lacking, str(tmp_path / "later"), 3)
    ingest_local(copies(), str(tmp_path / "later"), 3, max_bad=0.5)
    ingest_local(copies(), str(tmp_path / "once"), 3, max_bad=0.5)
    for path in (tmp_path / "once").iterdir():
        assert path.read_bytes() == (tmp_path / "later" / path.name).read_bytes(), path.name


def test_what_was_asked_of_the_quality_is_part_of_the_folder(tmp_path):
    manifest = ingest_local(toy(), str(tmp_path), 5, quality=Quality(amplitude_mv=30))
    assert manifest.quality["amplitude_mv"] == 30.0
    assert manifest.filters == {"band": None, "notch": None}
    with pytest.raises(DataError, match=r"quality\.amplitude_mv is 30\.0 there and 20\.0 here"):
        ingest_local(toy(), str(tmp_path), 5)


def test_targets_and_signatures_are_columns_of_their_own(tmp_path):
    manifest = ingest_local(toy(), str(tmp_path), 5)
    assert manifest.targets == {"dbp": "mmHg"}
    assert manifest.source["url"] == "https://example.org/toy"
    table = read_table(str(tmp_path))
    assert np.isnan(table["target_dbp"][0])
    assert table["target_dbp"][1:].tolist() == [71.0 + k for k in range(11)]
    stored = pq.read_table(tmp_path / "part-00000.parquet")
    assert {len(bits) for bits in stored["signature"].to_pylist()} == {32}
    assert json.loads(stored.schema.metadata[b"clef_ray"])["targets"] == {"dbp": "mmHg"}


@pytest.mark.ray
def test_ray_sets_the_same_copies_aside(local_ray, tmp_path):
    """The synthetic cohort has none; what matters is that quality reaches the tasks: nobody has less than 0.1 mV."""
    with pytest.raises(DataError, match="amplitude 4"):
        ingest_on_ray(
            "synthetic",
            {"patients": 4, "records_per_patient": 1},
            str(tmp_path),
            records_per_part=2,
            quality=Quality(amplitude_mv=0.1),
        )
