"""Icentia11k: windows of each kind by hand, what is read for them, the split, and segments that cannot be read."""

from collections import Counter

import numpy as np
import pytest
import wfdb
from layouts import icentia11k as layout

from clef_ray.datasets import icentia11k
from clef_ray.datasets._folds import dealt_folds
from clef_ray.datasets.icentia11k import Icentia11k
from clef_ray.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path):
    layout.write(tmp_path)
    return tmp_path


def by_record(dataset):
    table = dataset.table()
    labels = zip(table["label_beat"], table["label_rhythm"], strict=True)
    return dict(zip(table["record"], labels, strict=True))


def test_beats_come_from_the_first_segment_that_has_one_which_fits(folder):
    """The first segment has two normal beats, of which 500 is too near to its begin, and a ventricular one too near to its end."""
    drawn = [by_record(Icentia11k(str(folder), windows="beats", seed=seed)) for seed in range(20)]
    assert {name: label for name, label in drawn[7].items() if name.startswith("p00000")} == {
        "p00000_s00-0002750": (["N"], ["N"]),
        "p00000_s01-0004750": (["V"], ["AFIB"]),
        "p00000_s01-0006750": (["S"], ["AFIB"]),
    }
    # Of the other patient one of two normal beats, in both windows of which the rhythm changes, and an aberrated atrial one.
    other = {name: label for found in drawn for name, label in found.items() if name.startswith("p10999")}
    assert other == {
        "p10999_s00-0001750": (["N"], None),
        "p10999_s00-0004750": (["N"], None),
        "p10999_s07-0006750": (["S"], None),
    }


def test_rhythms_begin_where_they_are_marked_and_last_for_the_window(folder):
    assert by_record(Icentia11k(str(folder), windows="rhythm")) == {
        "p00000_s00-0000100": (["N"], ["N"]),
        "p00000_s01-0000200": (None, ["AFIB"]),
        # "(N" of the other patient lasts 2,900 samples and "(AFL" 3,800: both longer than 2,500.
        "p10999_s00-0000300": (None, ["N"]),
        "p10999_s00-0003200": (None, ["AFL"]),
    }
    longer = by_record(Icentia11k(str(folder), windows="rhythm", seconds=12))
    assert sorted(longer) == ["p00000_s00-0000100", "p00000_s01-0000200", "p10999_s00-0003200"]


def test_regular_windows_come_from_different_segments_and_read_no_other(folder, monkeypatch):
    read = []
    real = icentia11k.read_annotations
    monkeypatch.setattr(icentia11k, "read_annotations", lambda path: read.append(path.name) or real(path))
    for seed in range(5):
        read.clear()
        table = Icentia11k(str(folder), seed=seed).table()
        assert Counter(table["patient"]) == {"p00000": 1, "p10999": 1}
        assert sorted(read) == [record.split("-")[0] for record in table["record"]]
    table = Icentia11k(str(folder), per_patient=2).table()
    assert [record.split("-")[0] for record in table["record"]] == sorted(layout.MARKS)
    assert len(Icentia11k(str(folder), per_patient=50).table()) == 4, "no more than there are segments"


def test_labels_of_regular_windows_are_what_is_marked_there(folder):
    seen = Counter()
    for seed in range(30):
        for row in Icentia11k(str(folder), per_patient=2, seed=seed).table().to_dict("records"):
            marks = layout.MARKS[row["file"].rpartition("/")[2]]
            inside = [s for at, s, _ in marks if row["start"] <= at < row["start"] + 2500]
            expected = {"S" if s == "a" else s for s in inside if s in "NSVa"}
            assert set(row["label_beat"] or ()) == expected
            seen[str(row["label_beat"]), str(row["label_rhythm"])] += 1
    assert len(seen) > 5


def test_a_window_is_what_wfdb_reads_under_one_name(folder):
    dataset = Icentia11k(str(folder), windows="beats")
    for row in dataset.table().to_dict("records"):
        signal = dataset.signal(row)
        start = row["start"]
        expected = wfdb.rdrecord(str(folder / row["file"]), sampfrom=start, sampto=start + 2500).p_signal.T
        np.testing.assert_allclose(signal.millivolts(), expected, atol=1e-6)
        assert (signal.leads, signal.fs) == (("ECG",), 250.0)


def test_another_rate_keeps_the_window(folder):
    dataset = Icentia11k(str(folder), windows="beats", fs=500, seconds=5)
    assert (dataset.samples, dataset.fs) == (2500, 500)
    assert dataset.table()["length"].unique().tolist() == [1250]


@pytest.mark.parametrize(
    "option", [{"windows": "beats"}, {"seconds": 9.0}, {"fs": 125.0}, {"per_patient": 2}, {"seed": 1}]
)
def test_parameters_tell_options_and_listings_apart(folder, option):
    assert option.items() <= Icentia11k(str(folder), **option).parameters().items()
    before = Icentia11k(str(folder)).parameters()
    for kind in ("hea", "atr", "dat"):
        (folder / f"p10/p10999/p10999_s07.{kind}").rename(folder / f"p10/p10999/p10999_s08.{kind}")
    assert Icentia11k(str(folder)).parameters()["listing"] != before["listing"]


def test_the_split_is_70_15_15_and_no_option_moves_a_patient(folder):
    patients = [f"p{i:05d}" for i in range(11_000)]
    fold_N = dealt_folds("icentia11k", patients)
    shares = [np.mean(fold_N <= 8), np.mean(fold_N == 9), np.mean(fold_N == 10)]
    np.testing.assert_allclose(shares, [0.70, 0.15, 0.15], atol=0.015)
    fold = dict(zip(patients, fold_N, strict=True))
    for options in ({}, {"windows": "beats", "seed": 3}, {"windows": "rhythm", "seconds": 5.0}):
        table = Icentia11k(str(folder), **options).table()
        assert all(fold[row["patient"]] == row["fold"] for row in table.to_dict("records"))


def test_segments_that_cannot_be_read_are_passed_over_and_counted(folder):
    (folder / "p00/p00000/p00000_s00.atr").unlink()
    (folder / "p10/p10999/p10999_s00.hea").write_text("nonsense")
    dataset = Icentia11k(str(folder), per_patient=50)
    assert by_record(dataset).keys() == {
        name for name in by_record(dataset) if name[:10] in ("p00000_s00", "p00000_s01", "p10999_s07")
    }
    assert {
        name: dataset.parameters()[name] for name in ("unusable", "unannotated", "patients", "segments")
    } == {
        "unusable": 1,
        "unannotated": 1,
        "patients": 2,
        "segments": 4,
    }
    row = dataset.table().iloc[0]
    assert row["record"].startswith("p00000_s00")
    assert row["label_beat"] is row["label_rhythm"] is None
    # Without its first segment the patient's normal beat comes from the second, the only one there that fits.
    assert "p00000_s01-0002750" in by_record(Icentia11k(str(folder), windows="beats"))


def test_what_can_be_wrong_is_told(folder, tmp_path_factory):
    with pytest.raises(ConfigError, match=r"icentia11k\.per_patient is 0; allowed is 1 to 50"):
        Icentia11k(str(folder), per_patient=0)
    with pytest.raises(DataError, match=r"icentia11k\.windows: rhythm: no window in the 2 patients"):
        Icentia11k(str(folder), windows="rhythm", seconds=59).table()
    other = tmp_path_factory.mktemp("other")
    (other / "p00").mkdir()
    with pytest.raises(DataError, match=r"has no segments"):
        Icentia11k(str(other)).table()
