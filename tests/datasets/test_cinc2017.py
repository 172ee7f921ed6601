"""CinC 2017: its three layouts, labels as the table has them, records as wfdb reads them, and what can be wrong."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb
from layouts import cinc2017 as layout

from clef_ray.datasets import UnreadableError
from clef_ray.datasets.cinc2017 import Cinc2017
from clef_ray.errors import ConfigError, DataError
from clef_ray.shards import ingest_local


@pytest.fixture
def folder(tmp_path):
    layout.write(tmp_path)
    return tmp_path


def test_labels_are_those_of_version_3_where_it_is_there(folder):
    def labels():
        table = Cinc2017(str(folder)).table()
        return dict(zip(table["record"], table["label_rhythm"], strict=True))

    assert labels() == {record: [label] for record, label in layout.LABELS.items()}
    (folder / "REFERENCE-v3.csv").unlink()
    assert labels()["A00004"] == ["N"], "as the first version says"


def test_each_record_counts_as_a_patient(folder):
    table = Cinc2017(str(folder)).table()
    assert table["patient"].tolist() == table["record"].tolist()


@pytest.mark.parametrize("option", [{"seconds": 5.0}, {"fs": 250.0}, {"pad": True}])
def test_parameters_tell_options_apart(folder, option):
    assert option.items() <= Cinc2017(str(folder), **option).parameters().items()


@pytest.mark.parametrize("place", ["training/A00", "."])
def test_the_other_layouts_give_the_same(folder, tmp_path_factory, place):
    other = tmp_path_factory.mktemp("other")
    for record in layout.LABELS:
        layout.write_record(other, record, place)
    shutil.copy(folder / "REFERENCE-v3.csv", other / "REFERENCE-v3.csv")
    one, two = Cinc2017(str(folder)), Cinc2017(str(other))
    for a, b in zip(one.table().to_dict("records"), two.table().to_dict("records"), strict=True):
        assert a["label_rhythm"] == b["label_rhythm"]
        np.testing.assert_array_equal(one.signal(a).raw_CT, two.signal(b).raw_CT)
    assert one.parameters() == two.parameters()


def test_a_record_is_whole_and_in_mv(folder):
    dataset = Cinc2017(str(folder))
    for row in dataset.table().to_dict("records"):
        signal = dataset.signal(row)
        np.testing.assert_array_equal(signal.raw_CT[0], layout.samples(row["record"]))
        np.testing.assert_allclose(signal.millivolts()[0], layout.samples(row["record"]) / 1000, atol=1e-6)
        assert (signal.fs, signal.leads) == (300.0, ("ECG",))


def test_a_record_in_two_folders_is_found_in_the_same_one_on_every_disk(folder, monkeypatch):
    """PhysioNet's validation/ holds copies of 300 training records."""
    layout.write_record(folder, "A00001", "validation")
    found = Cinc2017(str(folder)).table()
    rglob = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda *args: reversed(list(rglob(*args))))
    pd.testing.assert_frame_equal(Cinc2017(str(folder)).table(), found)


def test_short_records_are_set_aside_or_filled_up(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    manifest = ingest_local(Cinc2017(str(folder)), str(out / "a"), max_bad=0.5)
    assert (manifest.records, manifest.quarantined) == (5, {"length": 1})
    manifest = ingest_local(Cinc2017(str(folder), pad=True), str(out / "b"))
    assert (manifest.records, manifest.samples) == (6, 3000)


def test_a_record_that_is_not_there_is_unreadable(folder):
    dataset = Cinc2017(str(folder))
    (folder / "training2017" / "A00003.hea").unlink()
    table = dataset.table().set_index("record")
    assert len(table) == 6
    with pytest.raises(UnreadableError, match="missing file"):
        dataset.signal(table.loc["A00003"].to_dict())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A00001,N\nA00002,X\nA00003,Z\n", r"2 of 3 lines have a label that is none of N, A, O, ~"),
        ("A00001,N\nA00002\n", r"1 of 2 lines are not of the form record,label"),
        ("A00001,N\nA00001,A\n", r"1 records are labelled twice"),
        ("", r"has no records"),
    ],
)
def test_a_wrong_table_is_told(folder, text, message):
    (folder / "REFERENCE-v3.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        Cinc2017(str(folder)).table()


def test_a_folder_without_a_table_and_wrong_options_are_told(folder):
    for path in folder.rglob("REFERENCE*.csv"):
        path.unlink()
    with pytest.raises(DataError, match=r"no REFERENCE-v3\.csv or REFERENCE\.csv"):
        Cinc2017(str(folder)).table()
    with pytest.raises(ConfigError, match=r"cinc2017\.seconds is 0"):
        Cinc2017(str(folder), seconds=0)


@pytest.mark.realdata
def test_real_records(realdata, tmp_path):
    dataset = Cinc2017(str(realdata / "cinc2017_subset"))
    table = dataset.table()
    assert Counter(labels[0] for labels in table["label_rhythm"]) == {"N": 40, "A": 40, "O": 30, "~": 10}
    for row in table.to_dict("records"):
        expected = wfdb.rdrecord(str(dataset.root / row["file"])).p_signal.T
        np.testing.assert_allclose(dataset.signal(row).millivolts(), expected, atol=1e-6)
    manifest = ingest_local(dataset, str(tmp_path / "shards"))
    assert manifest.records >= 114, "at least 95 %"
