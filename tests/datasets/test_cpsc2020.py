"""CPSC 2020: windows of each class by hand, one reading of each file, folds that hold both classes, and what can be wrong."""

import shutil

import numpy as np
import pytest
import scipy.io
from layouts import cpsc2020 as layout

from clef_ray.datasets import UnreadableError, cpsc2020
from clef_ray.datasets.cpsc2020 import FOLDS, Cpsc2020
from clef_ray.errors import ConfigError, DataError

#: Marked beats of each recording: supraventricular, ventricular (method.md; the package torch_ecg lists them).
MARKED = {
    "A01": (24, 0),
    "A02": (0, 4554),
    "A03": (0, 382),
    "A04": (3466, 19024),
    "A05": (25, 1),
    "A06": (6, 0),
    "A07": (3481, 15150),
    "A08": (0, 2793),
    "A09": (1462, 2),
    "A10": (9071, 169),
}


@pytest.fixture
def folder(tmp_path):
    layout.write(tmp_path)
    cpsc2020._recording.cache_clear()
    return tmp_path


def test_marked_beats_are_in_the_middle_and_n_windows_hold_none(folder):
    table = Cpsc2020(str(folder)).table().set_index("record")
    beats = {name: row["label_beat"] for name, row in table.iterrows() if row["label_beat"] != ["N"]}
    assert beats == {
        "A04-00007000": ["V"],
        "A04-00018000": ["S"],
        "A04-00028100": ["V"],
        "A10-00010000": ["S"],
        "A10-00010300": ["S"],
    }
    for row in table.reset_index().to_dict("records"):
        marks = np.concatenate([layout.MARKS[row["patient"]][i] for i in (0, 1)])
        inside = ((marks >= row["start"]) & (marks < row["start"] + 4000)).any()
        assert inside == (row["label_beat"] != ["N"])
    counts = table[table["label_beat"].map(lambda labels: labels == ["N"])].groupby("patient").size()
    assert counts.to_dict() == layout.N


def test_the_time_is_the_beats_and_unknown_for_n(folder):
    table = Cpsc2020(str(folder)).table().set_index("record")
    assert table.loc["A04-00007000", "target_beat_time"] == 9000 / 400
    assert table.loc["A10-00010300", "target_beat_time"] == 12_300 / 400
    normal = table["label_beat"].map(lambda labels: labels == ["N"])
    assert table.loc[normal, "target_beat_time"].isna().all()
    assert table.loc[~normal, "target_beat_time"].notna().all()


def test_what_was_left_out_is_counted(folder):
    parameters = Cpsc2020(str(folder)).parameters()
    assert parameters["at_an_end"] == 1
    assert parameters["marked_twice"] == 1


def test_per_record_limits_each_class_by_seed(folder):
    def drawn(**options):
        return Cpsc2020(str(folder), per_record=2, **options).table()

    counts = drawn().groupby(["patient", drawn()["label_beat"].map(tuple)]).size().to_dict()
    assert counts == {
        ("A01", ("N",)): 2,
        ("A04", ("N",)): 2,
        ("A04", ("S",)): 1,
        ("A04", ("V",)): 2,
        ("A10", ("N",)): 2,
        ("A10", ("S",)): 2,
    }
    assert drawn()["record"].tolist() == drawn()["record"].tolist()
    assert len({tuple(drawn(seed=seed)["record"]) for seed in range(5)}) > 1
    assert len(Cpsc2020(str(folder), per_record=0).table()) == layout.RECORDS


@pytest.mark.parametrize("option", [{"seconds": 5.0}, {"fs": 250.0}, {"per_record": 5}, {"seed": 1}])
def test_parameters_tell_options_apart(folder, option):
    assert option.items() <= Cpsc2020(str(folder), **option).parameters().items()


def test_a_window_is_cut_from_the_published_samples(folder):
    dataset = Cpsc2020(str(folder), seconds=3)
    for row in dataset.table().iloc[::5].to_dict("records"):
        expected = layout.samples(row["patient"])[row["start"] : row["start"] + 1200]
        signal = dataset.signal(row)
        np.testing.assert_allclose(signal.millivolts()[0], expected, atol=0.00051)
        assert (signal.fs, signal.leads) == (400.0, ("ECG",))


def test_each_file_is_read_once_in_a_process(folder, monkeypatch):
    read = []
    real = scipy.io.loadmat
    monkeypatch.setattr(
        scipy.io, "loadmat", lambda path, **options: read.append(path.name) or real(path, **options)
    )
    dataset = Cpsc2020(str(folder))
    rows = dataset.table().to_dict("records")
    assert sorted(read) == ["R01.mat", "R04.mat", "R10.mat"], "the table needs the marks, not the samples"
    read.clear()
    for row in rows:
        dataset.signal(row)
    assert read == ["A01.mat", "A04.mat", "A10.mat"]


def test_a_file_that_changed_is_read_again(folder):
    dataset = Cpsc2020(str(folder))
    row = dataset.table().iloc[0].to_dict()
    before = dataset.signal(row).raw_CT
    path = folder / row["file"]
    scipy.io.savemat(path, {"ecg": layout.samples("A01")[:, None] + 1})
    assert (dataset.signal(row).raw_CT - before > 990).all()


def test_folds_are_by_recording_and_hold_both_classes():
    def marked(folds):
        return [sum(MARKED[name][k] for name, fold in FOLDS.items() if fold in folds) for k in (0, 1)]

    assert set(FOLDS) == set(MARKED)
    for folds in (range(1, 8), range(1, 9), [8], [9], [10]):
        assert min(marked(folds)) > 100, folds


def test_the_layout_without_the_outer_folder_gives_the_same(folder):
    table = Cpsc2020(str(folder)).table().drop(columns="file")
    for kind in ("data", "ref"):
        shutil.move(folder / "TrainingSet" / kind, folder / kind)
    (folder / "TrainingSet").rmdir()
    assert Cpsc2020(str(folder)).table().drop(columns="file").equals(table)


def test_a_broken_or_missing_recording_is_unreadable(folder):
    dataset = Cpsc2020(str(folder))
    row = dataset.table().iloc[-1].to_dict()
    path = folder / row["file"]
    whole = path.read_bytes()
    for content, reason in ((whole[:1000], "mat file"), (b"nonsense", "mat file"), (None, "missing file")):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UnreadableError) as caught:
            dataset.signal(row)
        assert caught.value.reason == reason
        assert str(folder) not in caught.value.detail
    scipy.io.savemat(path, {"ecg": np.zeros((100, 1))})
    with pytest.raises(UnreadableError, match="length"):
        dataset.signal(row)


def test_what_can_be_wrong_with_the_marks_is_told(folder):
    path = folder / "TrainingSet/ref/R04.mat"
    for content, message in (
        (
            {"ref": {"S_ref": np.array([1.5]), "V_ref": np.array([2.0])}},
            r"R04\.mat: 1 marks are no whole numbers",
        ),
        ({"other": np.zeros(3)}, r"R04\.mat is not a MATLAB file with the structure ref"),
        ({"ref": {"S_ref": np.array([1.0])}}, r"R04\.mat is not a MATLAB file with the structure ref"),
    ):
        scipy.io.savemat(path, content)
        with pytest.raises(DataError, match=message):
            Cpsc2020(str(folder)).table()
    path.unlink()
    with pytest.raises(DataError, match=r"lacks R04\.mat"):
        Cpsc2020(str(folder)).table()
    scipy.io.savemat(folder / "TrainingSet/data/A01.mat", {"signal": np.zeros(3)})
    with pytest.raises(DataError, match=r"A01\.mat has no variable ecg; it has signal"):
        Cpsc2020(str(folder)).table()


def test_wrong_options_and_folders_are_told(tmp_path):
    with pytest.raises(ConfigError, match=r"cpsc2020\.per_record is -1"):
        Cpsc2020(str(tmp_path), per_record=-1)
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match=r"has no recordings \(data/A01\.mat"):
        Cpsc2020(str(tmp_path)).table()
