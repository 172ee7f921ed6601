"""PTB Diagnostic ECG Database: what the comments say, in numbers; 15 leads of two files; the real first record."""

import numpy as np
import pytest
import wfdb
from layouts import ptbdb

from clef_ray.datasets import LEADS
from clef_ray.datasets.ptbdb import Ptbdb
from clef_ray.errors import DataError


@pytest.fixture
def dataset(tmp_path):
    return Ptbdb(**ptbdb.write(tmp_path))


def test_diagnoses_are_the_published_classes_of_the_reasons(dataset):
    labels = dataset.table().set_index("record")["label_diagnosis"].to_dict()
    assert labels == {
        "s0010_re": ["MI"],
        "s0014lre": ["MI"],
        "s0015lre": ["CMHF"],
        "s0017lre": None,  # n/a
        "s0020are": ["HC"],
        "s0021bre": None,  # no published class
    }
    assert dataset.parameters()["with_other_reasons"] == 1


def test_covariates_are_unknown_where_the_comments_say_so(dataset):
    table = dataset.table()
    np.testing.assert_array_equal(table["age"], [81, 81, 58, np.nan, 45, 45])
    np.testing.assert_array_equal(table["sex"], [1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(table["smoker"], [0, 0, 1, np.nan, np.nan, 0])
    np.testing.assert_array_equal(table["diabetes"], [1, 1, 0, np.nan, 0, 0])
    np.testing.assert_array_equal(table["hypertension"], [0, 0, 1, np.nan, 0, 0])


def test_pressures_that_cannot_be_are_unknown_and_counted(dataset):
    table = dataset.table()
    np.testing.assert_array_equal(table["sbp"], [140, np.nan, np.nan, np.nan, 120, np.nan])
    np.testing.assert_array_equal(table["target_dbp"], [80, np.nan, 80, np.nan, np.nan, np.nan])
    assert dataset.parameters()["implausible"] == {"age": 0, "sbp": 1, "dbp": 1}


def test_a_patient_is_a_folder_and_has_one_fold(dataset):
    table = dataset.table().set_index("record")
    assert table["patient"].tolist() == [
        "patient001",
        "patient001",
        "patient002",
        "patient003",
        "patient004",
        "patient005",
    ]
    assert table.loc["s0010_re", "fold"] == table.loc["s0014lre", "fold"]


def test_both_signal_files_are_read(dataset):
    row = dataset.table().iloc[1].to_dict()
    signal = dataset.signal(row)
    assert signal.leads == (*LEADS, "vx", "vy", "vz")
    np.testing.assert_array_equal(signal.raw_CT, ptbdb.samples("s0014lre").T)
    assert Ptbdb(str(dataset.root), frank=True).leads == signal.leads
    assert dataset.leads == LEADS


def test_records_without_their_patients_folders_are_patients_of_their_own(tmp_path):
    for (_, record), told in list(ptbdb.ROWS.items())[:2]:
        ptbdb.write_record(tmp_path / record, told)
    table = Ptbdb(str(tmp_path)).table()
    assert table["patient"].tolist() == table["record"].tolist() == ["s0010_re", "s0014lre"]


def test_no_record_or_one_in_two_folders_is_refused(dataset, tmp_path_factory):
    ptbdb.write_record(dataset.root / "patient009" / "s0010_re", ptbdb.ROWS["patient001", "s0010_re"])
    with pytest.raises(DataError, match="has 1 records in more than one folder"):
        Ptbdb(str(dataset.root)).table()
    other = tmp_path_factory.mktemp("other")
    (other / "s0010_re.dat").write_bytes(b"")
    with pytest.raises(DataError, match="has no records patientNNN"):
        Ptbdb(str(other)).table()


@pytest.mark.realdata
def test_the_real_first_record(realdata):
    dataset = Ptbdb(str(realdata / "ptbdb"))
    row = dataset.table().iloc[0].to_dict()
    assert (row["age"], row["sex"], row["smoker"], row["diabetes"], row["sbp"], row["target_dbp"]) == (
        81,
        1,
        0,
        1,
        140,
        80,
    )
    assert row["label_diagnosis"] == ["MI"]
    signal, expected = dataset.signal(row), wfdb.rdrecord(str(realdata / "ptbdb" / "s0010_re"))
    assert (signal.fs, signal.raw_CT.shape) == (1000.0, (15, 38400))
    np.testing.assert_allclose(signal.millivolts(), expected.p_signal.T, atol=1e-6)
