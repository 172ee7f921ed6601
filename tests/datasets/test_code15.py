"""CODE-15 %: both layouts, labels by hand, exams without their zero padding, and what can be wrong."""

from collections import Counter

import h5py
import numpy as np
import pytest
import wfdb
from layouts import code15 as layout

from clef_ray.datasets import LEADS, UnreadableError
from clef_ray.datasets.code15 import Code15
from clef_ray.errors import ConfigError, DataError
from clef_ray.shards import ingest_local


@pytest.fixture
def folder(tmp_path):
    layout.write(tmp_path)
    return tmp_path


def test_labels_covariates_and_follow_up_are_those_of_the_table(folder):
    table = Code15(str(folder)).table().set_index("record")
    assert table["label_diagnosis"].to_dict() == {
        "1169160": ["NORM"],
        "2873686": ["RBBB", "SB"],
        "0168405": ["AF"],
        "0271011": ["OTHER"],
        "0384368": ["NORM"],
    }
    assert table["label_death"].to_dict() == {
        "1169160": ["survived"],
        "2873686": ["died"],
        "0168405": ["survived"],
        "0271011": None,
        "0384368": None,
    }
    assert table.loc[["2873686", "0168405"], "target_timey"].tolist() == [0.5, 5.3]
    assert table["target_timey"].isna().sum() == 2
    assert table.loc["0168405", ["age", "sex"]].tolist() == [67, 1]
    assert table.loc["2873686", ["age", "sex"]].tolist() == [73, 0]
    assert table.loc["0168405", "fold"] == table.loc["0384368", "fold"], "one patient"


def test_an_exam_is_what_was_put_in_without_the_zeros(folder):
    dataset = Code15(str(folder))
    for row in dataset.table().to_dict("records"):
        signal = dataset.signal(row)
        expected = layout.samples(int(row["record"])).T
        assert signal.raw_CT.shape == expected.shape
        np.testing.assert_allclose(signal.millivolts(), expected, atol=0.00051)
        assert (signal.leads, signal.fs) == (LEADS, 400.0)


def test_zeros_within_an_exam_and_in_some_leads_stay(folder):
    with h5py.File(folder / "exams_part1.hdf5", "r+") as file:
        file["tracings"][1, :, 3] = 0
        file["tracings"][1, 1000:1050] = 0
    dataset = Code15(str(folder))
    row = dataset.table().set_index("record", drop=False).loc["0271011"].to_dict()
    assert dataset.signal(row).raw_CT.shape == (12, 2800)


def test_the_default_window_keeps_the_shortest_exams(folder, tmp_path_factory):
    manifest = ingest_local(Code15(str(folder)), str(tmp_path_factory.mktemp("out") / "shards"))
    assert (manifest.records, manifest.samples, manifest.quarantined) == (5, 2800, {})


def test_parts_restrict_the_exams_to_the_first_files(folder):
    first = Code15(str(folder), parts=1)
    assert first.table()["record"].tolist() == ["1169160", "2873686"]
    assert first.parameters()["other_file"] == 3
    assert Code15(str(folder)).parameters()["other_file"] == 0
    with pytest.raises(ConfigError, match=r"code15\.parts is 0; allowed is 1 to 18"):
        Code15(str(folder), parts=0)


@pytest.mark.parametrize("option", [{"seconds": 5.0}, {"fs": 250.0}, {"pad": True}, {"parts": 1}])
def test_parameters_tell_options_apart(folder, option):
    assert option.items() <= Code15(str(folder), **option).parameters().items()


def test_an_impossible_age_is_unknown_and_counted(folder):
    path = folder / "exams.csv"
    path.write_text(path.read_text().replace("1169160,38,", "1169160,238,"))
    dataset = Code15(str(folder))
    assert np.isnan(dataset.table().set_index("record").loc["1169160", "age"])
    assert dataset.parameters()["implausible"] == {"age": 1}


def test_an_exam_with_an_unknown_mark_is_not_annotated(folder):
    path = folder / "exams.csv"
    frame = layout.TABLE.assign(trace_file=layout.TABLE["trace_file"].map("exams_part{}.hdf5".format))
    frame["LBBB"] = frame["LBBB"].astype(object)
    frame.loc[0, "LBBB"] = np.nan
    frame.to_csv(path, index=False)
    assert Code15(str(folder)).table().set_index("record").loc["1169160", "label_diagnosis"] is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("RBBB", "RBB", r"exams\.csv lacks the columns RBBB; it has exam_id"),
        (
            "False,True,False,True",
            "False,maybe,False,True",
            r"column RBBB: neither True nor False in 1 of 5 rows",
        ),
        ("523632", "52.5", r"column patient_id: no whole number in 1 of 5 rows"),
        ("exams_part", "traces", r"no exam lies in exams_part0\.hdf5 to exams_part17\.hdf5"),
    ],
)
def test_a_wrong_table_is_told(folder, old, new, message):
    path = folder / "exams.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message):
        Code15(str(folder)).table()


def _replace(name, content):
    def damage(folder):
        with h5py.File(folder / "exams_part0.hdf5", "r+") as file:
            del file[name]
            if content is not None:
                file[name] = content

    return damage


def _cut(folder):
    path = folder / "exams_part0.hdf5"
    path.write_bytes(path.read_bytes()[:5000])


DAMAGE = {
    "no file": (lambda folder: (folder / "exams_part0.hdf5").unlink(), "missing file"),
    "cut off": (_cut, "hdf5 file"),
    "no ids": (_replace("exam_id", None), "hdf5 file"),
    "no tracings": (_replace("tracings", None), "hdf5 file"),
    "another exam": (_replace("exam_id", np.array([1, 2, 0])), "unknown record"),
    "eight leads": (_replace("tracings", np.ones((3, 4096, 8), dtype=np.float32)), "hdf5 file"),
    "zeros only": (_replace("tracings", np.zeros((3, 4096, 12), dtype=np.float32)), "no signal"),
    "not in mV": (_replace("tracings", np.full((3, 4096, 12), 1e5, dtype=np.float32)), "amplitude"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_broken_file_is_told_with_its_reason(folder, case):
    damage, reason = DAMAGE[case]
    damage(folder)
    dataset = Code15(str(folder))
    row = dataset.table().set_index("record", drop=False).loc["1169160"].to_dict()
    with pytest.raises(UnreadableError) as caught:
        dataset.signal(row)
    assert caught.value.reason == reason
    assert str(folder) not in caught.value.detail


def write_converted(folder, exam, comments):
    wfdb.wrsamp(
        str(exam),
        fs=400,
        units=["mV"] * 12,
        sig_name=["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"],
        d_signal=np.random.default_rng(exam).integers(-900, 900, (2934, 12)),
        fmt=["16"] * 12,
        adc_gain=[1000] * 12,
        baseline=[0] * 12,
        comments=comments,
        write_dir=str(folder),
    )


def test_converted_records_are_read_by_their_headers(tmp_path):
    people = {
        14: ["Patient ID: 7", "Age: 66", "Sex: Female", "Chagas label: True"],
        500: ["Patient ID: 7", "Age: 999", "Sex: Male", "Chagas label: False", "Source: CODE-15%"],
        77: ["Patient ID: 9", "Age: nan", "Sex: Unknown"],
        88: ["Patient ID: 9", "Chagas label: True", "Source: SaMi-Trop"],
    }
    (tmp_path / "below").mkdir()
    for exam, comments in people.items():
        write_converted(
            tmp_path / "below" if exam == 500 else tmp_path, exam, [f"Exam ID: {exam}", *comments]
        )
    dataset = Code15(str(tmp_path))
    table = dataset.table().set_index("record")
    assert table["label_chagas"].to_dict() == {
        "0000014": ["positive"],
        "0000077": None,
        "0000500": ["negative"],
    }
    assert table["patient"].tolist() == ["7", "9", "7"]
    np.testing.assert_array_equal(table["sex"], [1.0, np.nan, 0.0])
    np.testing.assert_array_equal(table["age"], [66.0, np.nan, np.nan])
    parameters = dataset.parameters()
    assert (parameters["other_source"], parameters["implausible"]) == (1, {"age": 1})
    assert (dataset.headline, dict(dataset.targets)) == ("chagas", {})
    write_converted(tmp_path, 5, ["Exam ID: 5"])
    with pytest.raises(DataError, match=r"1 of 4 headers have no comment 'Patient ID"):
        Code15(str(tmp_path)).table()


def test_a_folder_of_neither_layout_is_told(tmp_path):
    (tmp_path / "README").write_text("nothing")
    with pytest.raises(DataError, match=r"neither exams\.csv \(published layout\) nor WFDB records"):
        Code15(str(tmp_path)).table()


@pytest.mark.realdata
def test_real_converted_records(realdata, tmp_path):
    dataset = Code15(str(realdata / "code15_subset"))
    table = dataset.table()
    assert Counter(labels[0] for labels in table["label_chagas"]) == {"positive": 13, "negative": 17}
    assert table["patient"].nunique() == 30
    assert table[["age", "sex"]].notna().all(axis=None)
    for row in table.to_dict("records"):
        expected = wfdb.rdrecord(str(dataset.root / row["file"])).p_signal.T
        np.testing.assert_allclose(dataset.signal(row).millivolts(), expected, atol=1e-6)
    manifest = ingest_local(dataset, str(tmp_path / "shards"), max_bad=0.2)
    assert "length" not in manifest.quarantined
