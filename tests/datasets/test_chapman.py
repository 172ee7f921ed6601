"""Chapman-Shaoxing-Ningbo: conditions by hand, MERL's split, and the ways a folder can be wrong."""

import numpy as np
import pytest
import wfdb
from layouts import chapman
from layouts._challenge import told, write_challenge

from clef_ray.datasets import LEADS, MISSING_FILE, UnreadableError
from clef_ray.datasets.chapman import Chapman
from clef_ray.errors import ConfigError, DataError

#: The class columns of MERL's files, in which its networks answer.
MERL = (
    "AQW UW SR WPW 2AVB AT VB ARS STTC SA STE VPB TWO STTU ALS APB 2AVB1 PRIE CCR CR AF AVB QTIE LBBB VEB SVT RBBB 1AVB STDD MI AFIB "
    "TWC PWC ERV RVH LVH ST JEB"
)

#: Acronym and code of the conditions in the published ConditionNames_SNOMED-CT.csv that either label set has.
_TABLE = (
    "1AVB:270492004 2AVB:195042002 2AVB1:54016002 ALS:39732003 APB:284470004 AQW:164917005 ARS:47665007 AVB:233917008 CCR:251199005 "
    "CR:251198002 ERV:428417006 JEB:426995002 LBBB:164909002 LVH:164873001 MI:164865005 PRIE:164947007 PWC:164912004 QTIE:111975006 "
    "RBBB:59118001 RVH:89792004 STDD:429622005 STE:164930006 STTC:428750005 STTU:164931005 TWC:164934002 TWO:59931005 UW:164937009 "
    "VB:11157007 VEB:75532003 VPB:17338001 WPW:74390002 SB:426177001 SR:426783006 AFIB:164889003 ST:427084000 AF:164890007 "
    "SA:427393009 SVT:426761007 AT:713422000 AVNRT:233896004 AVRT:233897008 SAAWR:195101003"
)
PUBLISHED = dict(pair.split(":") for pair in _TABLE.split())


@pytest.fixture
def folder(tmp_path):
    chapman.write(tmp_path)
    return tmp_path


def write_split(folder, **parts):
    folder.mkdir(exist_ok=True)
    for part in ("train", "val", "test"):
        lines = [f"/chapman/WFDBRecords/01/010/{record}.mat,12,AF" for record in parts.get(part, ())]
        (folder / f"chapman_{part}.csv").write_text("\n".join(["ecg_path,age,diagnose", *lines, ""]))
    return str(folder)


def test_conditions_and_rhythms_are_those_of_the_codes(folder):
    table = Chapman(str(folder)).table().set_index("record")
    assert table["label_condition"].tolist() == [
        ["RBBB", "AFIB", "TWC"],
        ["TWC"],  # sinus bradycardia is none of the 38
        ["SR"],
        ["ALS", "1AVB"],
        None,  # low voltage neither
    ]
    assert table["label_rhythm"].tolist() == [["AFIB"], ["SB"], ["SR"], None, None]
    assert Chapman.label_sets["condition"] == tuple(MERL.split())
    assert len(Chapman.label_sets["rhythm"]) == 11


@pytest.mark.parametrize("label_set", ["condition", "rhythm"])
def test_every_class_has_its_published_code(tmp_path, label_set):
    classes = Chapman.label_sets[label_set]
    for i, name in enumerate(classes):
        write_challenge(
            tmp_path / "WFDBRecords" / "01" / "010" / f"JS{i:05d}",
            told(1, "Male", PUBLISHED[name]),
            length=10,
        )
    assert Chapman(str(tmp_path)).table()[f"label_{label_set}"].tolist() == [[name] for name in classes]


def test_what_was_left_out_is_counted(folder):
    parameters = Chapman(str(folder)).parameters()
    assert parameters["implausible"] == {"age": 1}
    assert parameters["with_other_codes"] == 1
    assert parameters["unreadable_headers"] == 0


def test_a_signal_is_what_wfdb_reads(folder):
    dataset = Chapman(str(folder))
    row = dataset.table().iloc[1].to_dict()
    signal = dataset.signal(row)
    expected = wfdb.rdrecord(str(folder / row["file"]))
    np.testing.assert_allclose(signal.millivolts(), expected.p_signal.T, atol=1e-6)
    assert (signal.leads, signal.fs) == (LEADS, 500.0)


def test_merls_split_gives_its_records_their_folds(folder, tmp_path):
    split = write_split(
        tmp_path / "split", train=["JS00001", "JS00002", "JS09999"], val=["JS00003"], test=["JS00005"]
    )
    dataset = Chapman(str(folder), split=split)
    table = dataset.table().set_index("record")
    assert list(table.index) == ["JS00001", "JS00002", "JS00003", "JS00005"]
    assert table.loc[["JS00003", "JS00005"], "fold"].tolist() == [9, 10]
    assert table.loc[["JS00001", "JS00002"], "fold"].between(1, 8).all()
    assert set(dataset.parameters()["split"]) == {"chapman_train.csv", "chapman_val.csv", "chapman_test.csv"}


def test_a_record_in_two_parts_is_refused(folder, tmp_path):
    split = write_split(tmp_path / "split", train=["JS00001", "JS00002"], test=["JS00002"])
    with pytest.raises(DataError, match=r"chapman_test\.csv: 1 rows name a record"):
        Chapman(str(folder), split=split).table()


def test_a_split_of_other_records_or_without_a_file_is_refused(folder, tmp_path):
    split = write_split(tmp_path / "split", train=["JS77777"])
    with pytest.raises(DataError, match=r"chapman\.split: none of its records is among the 5"):
        Chapman(str(folder), split=split).table()
    (tmp_path / "split" / "chapman_val.csv").unlink()
    with pytest.raises(DataError, match=r"lacks chapman_val\.csv"):
        Chapman(str(folder), split=split).table()
    with pytest.raises(DataError, match=r"chapman\.split: no such folder: .*nowhere"):
        Chapman(str(folder), split=str(tmp_path / "nowhere"))


def test_what_a_split_leaves_out_is_counted(folder, tmp_path):
    split = write_split(tmp_path / "split", train=["JS00001", "JS09999"], test=["JS00005"])
    parameters = Chapman(str(folder), split=split).parameters()
    assert (parameters["in_no_part"], parameters["split_without_record"]) == (3, 1)
    assert "in_no_part" not in Chapman(str(folder)).parameters()


def test_a_record_in_two_folders_is_refused(folder):
    there = next(folder.glob("WFDBRecords/*/*/JS00001.hea"))
    copy = folder / "WFDBRecords" / "99" / "990" / "JS00001.hea"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(there.read_bytes())
    with pytest.raises(DataError, match=r"chapman\.root: .* has 1 records in more than one folder"):
        Chapman(str(folder)).table()


def test_a_folder_without_its_records_is_refused(tmp_path):
    write_challenge(tmp_path / "JS00001", told(1, "Male", "1"))
    with pytest.raises(DataError, match="has no records WFDBRecords/NN/NNN"):
        Chapman(str(tmp_path)).table()


def test_options_outside_their_range_are_refused(folder):
    with pytest.raises(ConfigError, match=r"chapman\.fs is 5; allowed are 50 to 2000 Hz"):
        Chapman(str(folder), fs=5)


def test_a_broken_header_is_a_row_that_cannot_be_read(folder):
    place = folder / "WFDBRecords" / "01" / "010"
    (place / "JS00006.hea").write_bytes(b"")
    (place / "JS00001.mat").unlink()
    dataset = Chapman(str(folder))
    rows = dataset.table().set_index("record", drop=False).to_dict("index")
    assert np.isnan(rows["JS00006"]["age"])
    with pytest.raises(UnreadableError) as broken:
        dataset.signal(rows["JS00006"])
    assert broken.value.reason == "header"
    with pytest.raises(UnreadableError) as gone:
        dataset.signal(rows["JS00001"])
    assert gone.value.reason == MISSING_FILE
    assert dataset.parameters()["unreadable_headers"] == 1
