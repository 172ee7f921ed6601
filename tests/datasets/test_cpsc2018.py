"""CPSC 2018: its two layouts hold the same records and must give the same table and the same mV."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
from layouts import cpsc2018
from layouts._challenge import samples, told, write_challenge

from clef_ray.datasets import LEADS, MISSING_FILE, UnreadableError
from clef_ray.datasets.cpsc2018 import Cpsc2018
from clef_ray.errors import DataError

LABELS = [["CRBBB"], ["NORM"], ["VPC", "STE_"], ["AFIB", "CLBBB", "STD_"]]


@pytest.fixture
def challenge(tmp_path):
    return Cpsc2018(**cpsc2018.write(tmp_path / "challenge"))


@pytest.fixture
def original(tmp_path):
    (tmp_path / "original").mkdir()
    return Cpsc2018(**cpsc2018.write_original(tmp_path / "original"))


def test_classes_are_the_same_by_code_and_by_number(challenge, original):
    assert Cpsc2018.label_sets["rhythm"] == (
        "NORM",
        "AFIB",
        "1AVB",
        "CLBBB",
        "CRBBB",
        "PAC",
        "VPC",
        "STD_",
        "STE_",
    )
    assert challenge.table()["label_rhythm"].tolist() == LABELS
    assert original.table()["label_rhythm"].tolist() == LABELS


def test_every_class_has_the_challenges_code(tmp_path):
    codes = "426783006 164889003 270492004 164909002 59118001 284470004 164884008 429622005 164931005"
    for i, code in enumerate(codes.split()):
        write_challenge(tmp_path / f"A{i:04d}", told(1, "Male", code), length=10)
    found = Cpsc2018(str(tmp_path)).table()["label_rhythm"]
    assert [name for [name] in found] == list(Cpsc2018.label_sets["rhythm"])


def test_both_layouts_give_the_same_table(challenge, original):
    pd.testing.assert_frame_equal(
        challenge.table().drop(columns="file"), original.table().drop(columns="file")
    )
    np.testing.assert_array_equal(original.table()["age"], [74, 49, np.nan, 61])
    np.testing.assert_array_equal(original.table()["sex"], [0, 1, 0, 1])
    assert (challenge.parameters()["layout"], original.parameters()["layout"]) == ("challenge", "original")


def test_both_layouts_give_the_same_millivolts(challenge, original):
    for mine, theirs in zip(
        challenge.table().to_dict("records"), original.table().to_dict("records"), strict=True
    ):
        a, b = challenge.signal(mine), original.signal(theirs)
        expected = samples(mine["record"], cpsc2018.ROWS[mine["record"]][0]) / 1000
        np.testing.assert_allclose(a.millivolts(), expected, atol=1e-6)
        np.testing.assert_allclose(b.millivolts(), expected, atol=1e-6)
        assert (a.leads, a.fs) == (b.leads, b.fs) == (LEADS, 500.0)


@pytest.mark.parametrize("layout", ["challenge", "original"])
def test_a_signal_is_read_without_a_search_of_the_folder(request, layout, monkeypatch):
    """Every part of an ingestion makes the dataset anew."""
    made = request.getfixturevalue(layout)
    row = made.table().iloc[0].to_dict()
    monkeypatch.setattr(Path, "rglob", None)
    assert Cpsc2018(str(made.root)).signal(row).fs == 500


def test_a_class_that_does_not_exist_is_refused(original):
    path = original.root / "REFERENCE.csv"
    path.write_text(path.read_text().replace("A0003,7,9,", "A0003,7,10,"))
    with pytest.raises(DataError, match=r"REFERENCE\.csv: 1 rows have a class that is not one of 1 to 9"):
        original.table()


def test_a_signal_file_without_a_row_is_counted(original):
    path = original.root / "REFERENCE.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("A0003,")))
    assert Cpsc2018(str(original.root)).parameters()["without_row"] == 1


def test_two_tables_of_classes_or_none_are_refused(original):
    second = original.root / "TrainingSet1" / "REFERENCE.csv"
    second.write_text("")
    with pytest.raises(DataError, match=r"has 2 files REFERENCE\.csv"):
        original.table()
    second.unlink()
    (original.root / "REFERENCE.csv").unlink()
    with pytest.raises(DataError, match=r"has 0 files REFERENCE\.csv"):
        Cpsc2018(str(original.root)).table()


def test_a_record_in_two_folders_is_refused(challenge):
    (challenge.root / "g9").mkdir()
    (challenge.root / "g9" / "A0001.hea").write_bytes((challenge.root / "g1" / "A0001.hea").read_bytes())
    with pytest.raises(DataError, match="has 1 records in more than one folder"):
        challenge.table()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, MISSING_FILE),
        (b"no MATLAB file", "not readable"),
        (b"MATLAB 5.0 MAT-file" + bytes(60), "not readable"),
        ({"val": np.zeros(3)}, "not readable"),
        ({"ECG": {"sex": "Male", "age": 3}}, "not readable"),
        ({"ECG": {"sex": "Male", "age": 3, "data": np.zeros((8, 100))}}, "not readable"),
        ({"ECG": {"sex": "Male", "age": 3, "data": np.full((12, 100), 40.0)}}, "amplitude"),
    ],
)
def test_a_broken_file_is_a_row_that_cannot_be_read(original, content, reason):
    path = original.root / "TrainingSet2" / "A0002.mat"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        scipy.io.savemat(path, content)
    row = original.table().iloc[1].to_dict()
    assert row["label_rhythm"] == ["NORM"], "REFERENCE.csv knows it nevertheless"
    with pytest.raises(UnreadableError) as error:
        original.signal(row)
    assert error.value.reason == reason
    assert original.parameters()["without_signal_file"] == (content is None)


@pytest.mark.realdata
def test_real_records_have_their_classes(realdata):
    dataset = Cpsc2018(str(realdata / "challenge2021_multisource"))
    table = dataset.table().set_index("record")
    assert table["label_rhythm"].to_dict() == {
        "A0001": ["CRBBB"],
        "A0002": ["NORM"],
        "A0003": ["AFIB"],
        "A0004": ["AFIB"],
        "A0005": ["VPC"],
        "A0006": ["CRBBB"],
    }
    assert table["age"].tolist() == [74, 49, 81, 45, 53, 29]
    assert dataset.parameters()["with_other_codes"] == 0
    lengths = [dataset.signal(row).raw_CT.shape[1] for row in dataset.table().to_dict("records")]
    assert lengths == [7500, 5000, 5000, 5974, 12500, 7000]
