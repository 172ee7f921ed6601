"""PTB-XL: labels, covariates and signals against hand-made tables and wfdb; every way a folder or a record can be wrong."""

import json

import numpy as np
import pandas as pd
import pytest
import wfdb
from ptbxl_folder import lr, samples, write_ptbxl

from clef_ray.datasets import COVARIATES, LEADS, UnreadableError
from clef_ray.datasets.ptbxl import Ptbxl
from clef_ray.errors import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_ptbxl(tmp_path_factory.mktemp("ptbxl"), n=8, rates=(100, 500))


def test_labels_are_the_statements_classes_whatever_their_likelihood(folder):
    table = Ptbxl(str(folder)).table().set_index("record")
    labels = table.filter(like="label_")
    # Records 1..4 have CODES[1], [2], [3], [0].
    assert labels.loc["00001"].to_dict() == {
        "label_superclass": ["MI", "CD"],
        "label_subclass": ["IMI", "AMI", "_AVB"],
        "label_rhythm": None,
        "label_form": None,
        "label_diagnostic": ["IMI", "ASMI", "1AVB"],
    }
    assert labels.loc["00002"].to_dict() == {
        "label_superclass": None,
        "label_subclass": None,
        "label_rhythm": ["AFIB"],
        "label_form": ["PVC"],
        "label_diagnostic": None,
    }
    assert labels.loc["00003"].to_dict() == {
        "label_superclass": ["STTC", "HYP"],
        "label_subclass": ["STTC", "LVH"],
        "label_rhythm": None,
        "label_form": ["NDT"],
        "label_diagnostic": ["NDT", "LVH"],
    }
    assert labels.loc["00004", "label_superclass"] == ["NORM"]


def test_label_sets_are_ordered_as_in_the_statements_table(folder):
    sets = Ptbxl(str(folder)).label_sets
    assert sets["superclass"] == ("NORM", "MI", "STTC", "CD", "HYP")
    assert sets["subclass"] == ("STTC", "NORM", "IMI", "AMI", "LVH", "_AVB")
    assert sets["rhythm"] == ("SR", "AFIB")
    assert sets["form"] == ("NDT", "PVC")


def test_covariates_have_the_units_of_the_protocol_and_nan_for_unknown(folder):
    table = Ptbxl(str(folder)).table().set_index("record")
    assert table.loc["00003", "age"] == 90.0, "hidden ages are 90 or older, never 300"
    assert np.isnan(table.loc["00004", "age"])
    assert table.loc["00001", "age"] == 41.0
    assert table["sex"].tolist() == [1, 0] * 4
    assert table.loc["00001", "bmi"] == pytest.approx(61 / 1.7**2)
    assert table.loc[["00005", "00006"], "bmi"].isna().all(), "an implausible height, no weight"
    rest = [name for name in COVARIATES if name not in ("age", "sex", "bmi")]
    assert table[rest].isna().all(axis=None)
    assert table["patient"].tolist()[:3] == ["5002", "5002", "5003"]


@pytest.mark.parametrize("fs", [100, 500])
def test_a_signal_is_what_wfdb_reads(folder, fs):
    dataset = Ptbxl(str(folder), fs=fs)
    row = dataset.table().iloc[2].to_dict()
    signal = dataset.signal(row)
    np.testing.assert_array_equal(signal.raw_CT, samples(3, fs).T)
    assert (signal.leads, signal.fs, signal.raw_CT.shape) == (LEADS, fs, (12, dataset.samples))
    expected = wfdb.rdrecord(str(folder / row["file"])).p_signal.T
    np.testing.assert_allclose(signal.millivolts(), expected, atol=1e-6)


def test_parameters_tell_contents_apart_and_hold_no_path(folder, tmp_path):
    same = write_ptbxl(tmp_path / "elsewhere", n=8)
    parameters = Ptbxl(str(folder)).parameters()
    assert parameters == Ptbxl(str(same)).parameters()
    assert parameters["age_90_or_older"] == 1
    assert str(folder) not in json.dumps(parameters)
    more = write_ptbxl(tmp_path / "more", n=9)
    assert parameters["tables"] != Ptbxl(str(more)).parameters()["tables"]


def _truncate(root):
    with (lr(root, 1).with_suffix(".dat")).open("r+b") as file:
        file.truncate(12_000)


def _lengthen(root):
    with (lr(root, 1).with_suffix(".dat")).open("ab") as file:
        file.write(bytes(2400))


def _flip(root):
    path = lr(root, 1).with_suffix(".dat")
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))


def _header(old, new):
    def edit(root):
        path = lr(root, 1).with_suffix(".hea")
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit


def _garbage(root):
    lr(root, 1).with_suffix(".hea").write_bytes(bytes(range(256)))


def _first_lines(root):
    path = lr(root, 1).with_suffix(".hea")
    path.write_text("\n".join(path.read_text().splitlines()[:8]) + "\n")


def _no_lead_names(root):
    """Only file, format and gain: neither checksum nor name."""
    path = lr(root, 1).with_suffix(".hea")
    first, *signals = path.read_text().splitlines()
    path.write_text("\n".join([first, *(" ".join(line.split()[:3]) for line in signals)]) + "\n")


BROKEN = {
    "truncated signal": (_truncate, "header and signal disagree"),
    "longer signal": (_lengthen, "header and signal disagree"),
    "one bit flipped": (_flip, "checksum"),
    "fewer samples in header": (_header(" 12 100 1000", " 12 100 900"), "header and signal disagree"),
    "no signal file": (lambda root: lr(root, 1).with_suffix(".dat").unlink(), "missing file"),
    "no header": (lambda root: lr(root, 1).with_suffix(".hea").unlink(), "missing file"),
    "empty header": (lambda root: lr(root, 1).with_suffix(".hea").write_text(""), "header"),
    "garbage header": (_garbage, "header"),
    "too few signal lines": (_first_lines, "header"),
    "too many signal lines": (_header(" 12 100 1000", " 11 100 1000"), "header"),
    "no signals": (_header(" 12 100 1000", " 0 100 1000"), "header"),
    "unknown format": (_header("_lr.dat 16 ", "_lr.dat 999 "), "header"),
    "gain is not a number": (_header("481.5(-30)/mV", "481.+(-30)/mV"), "header"),
    "no lead names": (_no_lead_names, "header"),
    "another unit": (_header("481.5(-30)/mV", "481.5(-30)/mmHg"), "header"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_record_is_told_with_its_reason(tmp_path, case):
    damage, reason = BROKEN[case]
    dataset = Ptbxl(str(write_ptbxl(tmp_path, n=1)))
    row = dataset.table().iloc[0].to_dict()
    damage(tmp_path)
    with pytest.raises(UnreadableError) as caught:
        dataset.signal(row)
    assert caught.value.reason == reason
    assert str(tmp_path) not in caught.value.detail


def test_random_damage_to_a_header_never_escapes_as_another_error(tmp_path):
    """Whatever is in a header, a record is read or told to be unreadable; nothing else reaches ingestion."""
    dataset = Ptbxl(str(write_ptbxl(tmp_path, n=1)))
    row = dataset.table().iloc[0].to_dict()
    path = lr(tmp_path, 1).with_suffix(".hea")
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    told = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), size=rng.integers(1, 6)):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            dataset.signal(row)
        except UnreadableError:
            told += 1
    assert told > 50


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no such folder.*nowhere"):
        Ptbxl(str(tmp_path / "nowhere"))


def test_an_empty_and_a_foreign_folder_say_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"empty folder.*ptbxl_database\.csv.*age_sex"):
        Ptbxl(str(tmp_path))
    (tmp_path / "other.csv").write_text("a,b\n")
    with pytest.raises(DataError, match=r"no PTB-XL tables.*ptbxl_database\.csv"):
        Ptbxl(str(tmp_path))


def test_a_table_without_needed_columns_names_them_and_the_file(tmp_path):
    folder = write_ptbxl(tmp_path, n=2)
    table = pd.read_csv(folder / "ptbxl_database.csv").drop(columns=["strat_fold", "scp_codes"])
    table.to_csv(folder / "ptbxl_database.csv", index=False)
    with pytest.raises(
        DataError, match=r"ptbxl_database\.csv lacks the columns strat_fold, scp_codes; it has ecg_id"
    ):
        Ptbxl(str(folder)).table()
    (folder / "scp_statements.csv").unlink()
    with pytest.raises(DataError, match=r"scp_statements\.csv"):
        Ptbxl(str(folder))


def test_an_empty_table_and_unreadable_statements_are_data_errors(tmp_path):
    folder = write_ptbxl(tmp_path, n=2)
    table = pd.read_csv(folder / "ptbxl_database.csv")
    table.assign(scp_codes="NORM: 100").to_csv(folder / "ptbxl_database.csv", index=False)
    with pytest.raises(DataError, match="scp_codes"):
        Ptbxl(str(folder)).table()
    (folder / "ptbxl_database.csv").write_text("")
    with pytest.raises(DataError, match="not a readable CSV"):
        Ptbxl(str(folder)).table()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("age", "forty", r"ptbxl_database\.csv: column age: no number in 2 of 8 rows"),
        ("height", "tall", r"ptbxl_database\.csv: column height: no number in 2 of 8 rows"),
        ("patient_id", np.nan, r"ptbxl_database\.csv: column patient_id: no whole number in 2 of 8 rows"),
        ("strat_fold", 2.5, r"ptbxl_database\.csv: column strat_fold: no whole number in 2 of 8 rows"),
        ("ecg_id", "x", r"ptbxl_database\.csv: column ecg_id: no whole number in 2 of 8 rows"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_file_column_and_rows(tmp_path, column, value, message):
    folder = write_ptbxl(tmp_path, n=8)
    table = pd.read_csv(folder / "ptbxl_database.csv").astype({column: object})
    table.loc[[2, 5], column] = value
    table.to_csv(folder / "ptbxl_database.csv", index=False)
    with pytest.raises(DataError, match=message):
        Ptbxl(str(folder)).table()


def test_an_unknown_class_is_told_in_both_layouts(tmp_path):
    folder = write_ptbxl(tmp_path, n=8)
    statements = folder / "scp_statements.csv"
    whole = statements.read_text()
    statements.write_text(whole.replace("HYP,LVH", "HYPER,LVH"))
    with pytest.raises(
        DataError, match=r"scp_codes \(by diagnostic_class of scp_statements\.csv\): 2 of 8 rows .*: HYPER;"
    ):
        Ptbxl(str(folder)).table()
    statements.write_text(whole)
    table = pd.read_csv(folder / "ptbxl_database.csv")
    table[["ecg_id", "age", "sex"]].to_csv(folder / "age_sex_8.csv", index=False)
    prepared = table.assign(super_class="NORM", sub_class="NORM", rhythm="SR", form="")
    prepared.loc[[0, 1, 2], "rhythm"] = "SR XYZ"
    prepared.drop(columns=["age", "sex"]).to_csv(folder / "ptbxl_labels_8.csv", index=False)
    with pytest.raises(
        DataError,
        match=r"ptbxl_labels_8\.csv: column rhythm: 3 of 8 rows have an unknown rhythm: XYZ; known are SR",
    ):
        Ptbxl(str(folder)).table()


@pytest.mark.realdata
def test_the_partial_layout_holds_what_its_provenance_says(realdata):
    dataset = Ptbxl(str(realdata / "ptbxl_subset"))
    table = dataset.table()
    counts = table["label_superclass"].explode().value_counts()
    assert (len(table), table["patient"].nunique()) == (1987, 1850)
    assert counts.to_dict() == {"NORM": 1051, "STTC": 467, "CD": 410, "MI": 370, "HYP": 215}
    assert table["label_superclass"].isna().sum() == 22
    assert {name: len(classes) for name, classes in dataset.label_sets.items()} == {
        "superclass": 5,
        "subclass": 23,
        "rhythm": 12,
        "form": 19,
    }
    assert not table[["patient", "fold"]].drop_duplicates()["patient"].duplicated().any()
    assert table["age"].max() == 90.0
    assert dataset.signal(table.iloc[-1].to_dict()).raw_CT.shape == (12, 1000)


@pytest.mark.realdata
def test_the_partial_layout_at_500_hz_is_what_exists(realdata):
    dataset = Ptbxl(str(realdata / "ptbxl_subset"), fs=500)
    assert len(dataset.table()) == 488
    assert dataset.parameters()["without_signal_file"] == 1987 - 488


@pytest.mark.realdata
def test_both_layouts_agree_where_both_tables_exist(realdata, tmp_path):
    """The first 500 rows of the published table give the labels that the prepared tables hold."""
    subset = realdata / "ptbxl_subset"
    for name in ("ptbxl_database.csv", "scp_statements.csv"):
        (tmp_path / name).symlink_to(subset / name)
    published = Ptbxl(str(tmp_path))
    assert len(published.label_sets["diagnostic"]) == 44
    left = published.table().set_index("record")
    right = Ptbxl(str(subset)).table().set_index("record")
    both = left.index.intersection(right.index)
    assert len(both) == 488
    for column in (
        "patient",
        "fold",
        "sex",
        "label_superclass",
        "label_subclass",
        "label_rhythm",
        "label_form",
    ):
        assert left.loc[both, column].tolist() == right.loc[both, column].tolist(), column
