"""The generic dataset: what the map says is what comes out, and every mistake is told with its line."""

import json

import edfio
import numpy as np
import pandas as pd
import pytest
import scipy.io
import wfdb
from hypothesis import given
from hypothesis import strategies as st
from layouts import generic as layout

from clef_ray.datasets import UnreadableError
from clef_ray.datasets._files import Layout, read_file
from clef_ray.datasets.generic import Generic
from clef_ray.errors import ClefRayError, ConfigError, DataError

pytestmark = pytest.mark.filterwarnings("ignore:.*names no `patient` column")


@pytest.fixture
def folder(tmp_path):
    layout.write(tmp_path)
    return tmp_path


def dataset(folder, **changes):
    """The layout's dataset with lines of its map or cells of its table replaced: old text -> new text."""
    for file in (folder / "map.yaml", folder / "data" / "records.csv"):
        text = file.read_text()
        for old, new in changes.get(file.suffix[1:], {}).items():
            assert old in text, old
            text = text.replace(old, new)
        file.write_text(text)
    return Generic(str(folder / "map.yaml"))


def column(table, name):
    return dict(zip(table["record"], table[name], strict=True))


def test_covariates_are_in_their_units(folder):
    table = dataset(folder).table()
    age = column(table, "age")
    assert age["0007"] == pytest.approx(18262.5 / 365.25)
    assert np.isnan(age["0001"])
    assert column(table, "sex") == pytest.approx(
        {"0001": 1, "0002": 1, "0003": 0, "0004": np.nan, "0005": np.nan, "0007": 0}, nan_ok=True
    )
    assert column(table, "total_cholesterol")["0007"] == pytest.approx(200 * 0.02586)
    assert column(table, "hdl")["0007"] == 1.2  # was mmol/L before
    assert column(table, "hba1c")["0007"] == pytest.approx((6.5 - 2.15) * 10.929)
    assert table["egfr"].notna().sum() == 5


def test_values_that_no_person_can_have_are_unknown_and_counted(folder):
    made = dataset(folder)
    assert np.isnan(column(made.table(), "sbp")["0002"])  # 999
    assert made.parameters()["implausible"] == {"sbp": 1}


def test_labels_targets_folds_and_files(folder):
    made = dataset(folder)
    table = made.table()
    assert made.label_sets == {"rhythm": ("SR", "AF"), "finding": ("LBBB", "RBBB")}
    assert made.headline == "rhythm"
    assert column(table, "label_rhythm") == {
        "0001": None, "0002": ["AF"], "0003": ["SR", "AF"], "0004": ["SR"], "0005": ["SR"], "0007": ["SR"],
    }  # fmt: skip
    assert column(table, "label_finding") == {
        "0001": None, "0002": None, "0003": ["RBBB"], "0004": ["LBBB", "RBBB"], "0005": ["LBBB", "RBBB"], "0007": ["LBBB"],
    }  # fmt: skip
    assert column(table, "target_lvef")["0001"] == 60
    assert np.isnan(column(table, "target_lvef")["0003"])
    assert made.targets == {"lvef": "%"}
    folds = column(table, "fold")
    assert (folds["0001"], folds["0002"]) == (9, 10)
    assert folds["0003"] == folds["0007"] <= 8
    assert column(table, "file")["0007"] == "ecg/0007.npy"


def test_signals_are_as_stored_whichever_way_the_file_lies(folder):
    made = dataset(folder)
    for name in ("0007", "0003"):
        signal = made.signal({"file": f"ecg/{name}.npy"})
        np.testing.assert_array_equal(signal.raw_CT, layout.raw(int(name)))
        np.testing.assert_allclose(signal.millivolts(), (layout.raw(int(name)) - 10.0) / 200, rtol=1e-6)
        assert signal.leads == ("I", "II", "V1")
        assert signal.fs == 250


def test_a_parquet_table_gives_the_same(folder):
    expected = dataset(folder).table()
    table = pd.read_csv(
        folder / "data" / "records.csv", dtype={"ecg_id": str}
    )  # numbers as numbers, unknown as NaN
    table.to_parquet(folder / "data" / "records.parquet")
    found = dataset(folder, yaml={"records.csv": "records.parquet"}).table()
    pd.testing.assert_frame_equal(found, expected)


def test_root_is_relative_to_the_map_and_may_be_given(folder, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    assert len(Generic(str(folder / "map.yaml")).table()) == layout.RECORDS
    (folder / "data").rename(folder / "elsewhere")
    with pytest.raises(DataError, match="no such folder"):
        Generic(str(folder / "map.yaml"))
    moved = Generic(str(folder / "map.yaml"), root=str(folder / "elsewhere"))
    assert len(moved.table()) == layout.RECORDS


def test_without_patients_each_record_is_one_and_that_is_told(folder):
    made = dataset(
        folder,
        yaml={
            "patient: pid\n": "",
            "folds:\n  column: split\n": "folds: hashed\n",
            "  parts: {training: train, val: validation, test: test}\n": "",
        },
    )
    with pytest.warns(UserWarning, match="patient of its own"):
        table = made.table()
    assert (table["patient"] == table["record"]).all()


def test_a_pattern_of_files_needs_no_table(folder):
    (folder / "map.yaml").write_text(
        "root: data\nrecord: '**/*.npy'\nformat: npy\nleads: [I, II, V1]\nrate: 250\nunits: uV\nfs: 100\n"
    )
    made = Generic(str(folder / "map.yaml"))
    table = made.table()
    assert table["record"].tolist() == [
        f"ecg/{name}" for name in ("0001", "0002", "0003", "0004", "0005", "0007")
    ]
    assert table["age"].isna().all()
    assert made.covariates == ()
    assert (made.fs, made.samples) == (100, 1000)
    before = made.parameters()
    (folder / "data" / "ecg" / "0007.npy").unlink()
    assert Generic(str(folder / "map.yaml")).parameters() != before


def test_parameters_change_with_the_map_and_the_table_and_name_no_place(folder):
    first = dataset(folder).parameters()
    assert str(folder) not in json.dumps(first)
    assert dataset(folder, yaml={"seconds: 4": "seconds: 3"}).parameters() != first
    assert dataset(folder, yaml={"seconds: 3": "seconds: 4"}).parameters() == first
    assert dataset(folder, csv={",120,": ",121,"}).parameters() != first


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("record: ecg_id", "recrod: ecg_id", r"map.yaml:4: recrod.*Did you mean 'record'"),
        ("record: ecg_id", "record: ecgid", r"unknown column 'ecgid' \(in map.yaml:4: record\).*Did you mean 'ecg_id'"),
        ("format: npy", "format: numpy", r"map.yaml:7: format.*Did you mean 'npy'"),
        ("  sbp: systolic", "  spb: systolic", r"map.yaml:15: covariates.spb.*Did you mean 'sbp'"),
        ("sbp: systolic", "sbp: systol", r"map.yaml:15: covariates.sbp.*Did you mean 'systolic'"),
        ("unit: days", "unit: day", r"unit of age.*map.yaml:13: covariates.age.unit.*Did you mean 'days'"),
        ("{column: gender, map", "{colum: gender, map", r"map.yaml:14: covariates.sex.colum.*Did you mean 'column'"),
        ("{M: 0, F: 1}", "{M: zero, F: 1}", r"map.yaml:14: covariates.sex.map.M: 'zero' is no number"),
        ("{M: 0, F: 1}", "{M: 0}", r"map.yaml:14: .*column gender: 2 of 6 rows are not in `map`"),
        ("age_days", "gender", r"map.yaml:13: .*column gender: 4 of 6 rows are no number"),
        ("sbp: systolic", "sbp: bmi", r"map.yaml:15: .*another unit, or another column"),
        ("unit: days", "unit: years", r"map.yaml:13: .*column age_days: 5 of 6 rows are outside 0 to 120 \(years\)"),
        ("rate: 250", "rate: fast", r"map.yaml:9: rate: 'fast' is no number"),
        ("rate: 250", "rate: -1", r"map.yaml:9: rate: is to be above 0"),
        ("rate: 250", "rate: {column: hz}", r"fs"),
        ("seconds: 4", "seconds: [4]", r"map.yaml:11: seconds: is to be one text or number, not a list"),
        ("leads: [I, II, v1]", "leads: [I, II, i]", r"map.yaml:8: leads: give each lead once"),
        ("leads: [I, II, v1]", "leads: I", r"map.yaml:8: leads: is to be a list"),
        ("leads: [I, II, v1]", "leads: {x: I}", r"map.yaml:8: leads: npy names no leads"),
        ("units: {gain: 200, baseline: 10}", "units: kV", r"map.yaml:10: units.*Available: V, mV, uV"),
        ("format: npy", "format: wfdb", r"map.yaml:10: units: a WFDB header says its gain"),
        ("{LBBB: lbbb, RBBB: rbbb}", "{LBBB: lbbb, RBBB: bmi}", r"labels.finding: column bmi: 5 of 6 rows are not in `map`"),
        ('separator: ";"', 'separator: ";", classes: [SR]', r"unknown class 'AF' \(in map.yaml:24: labels.rhythm.map"),
        ("column: rhythm, ", "", r"map.yaml:24: labels.rhythm: give either column or columns"),
        ("fib: AF", "fibb: AF", r"column rhythm: 2 of 6 rows have one of 1 texts that are no class"),
        ("  lvef:", "  sbp:", r"map.yaml:28: targets.sbp: is a covariate"),
        ('{column: ef, unit: "%"}', "ef", r"map.yaml:28: targets.lvef: give column and unit"),
        ("val: validation", "val: valid", r"map.yaml:31: folds.parts.val.*Did you mean 'validation'"),
        ("val: validation, ", "", r"map.yaml:30: folds.column: column split: 1 of 6 rows are not in `parts`"),
        ("  parts: {training: train, val: validation, test: test}\n", "", r"column split: 6 of 6 rows are no fold 1..10"),
        ("{ecg_id}.npy", "{ecg}.npy", r"map.yaml:6: path.*Did you mean 'ecg_id'"),
        ("{ecg_id}.npy", "{ecg_id.npy", r"map.yaml:6: path: .*is no template"),
        ("{ecg_id}.npy", "all.npy", r"map.yaml:6: path: .*names no column"),
        ("table: records.csv", "table: record.csv", r"lacks record.csv"),
        ("table: records.csv\n", "", r"map.yaml:4: patient: needs a table"),
        ("record: ecg_id\n", "record: ecg_id\nrecord: pid\n", r"map.yaml:5: key: record is given twice"),
        ("record: ecg_id\n", "", r"map.yaml:1: give record"),
        ("seconds: 4", "seconds: 4\nheadline: rythm", r"map.yaml:12: headline.*Did you mean 'rhythm'"),
        ("record: ecg_id", "record: pid", r"column pid: 2 of 6 records are named twice"),
        ("root: data", "root: dat", r"no such folder"),
        ("ecg/{ecg_id}.npy", "/home/me/{ecg_id}.npy", r"map.yaml:6: path: is to be below root"),
        ("rate: 250", "rate: [", r"map.yaml: no YAML: "),
    ],
)  # fmt: skip
def test_every_mistake_is_told_with_its_line(folder, old, new, words):
    with pytest.raises(ClefRayError, match=words) as error:
        dataset(folder, yaml={old: new}).table()
    for secret in ("18262.5", "p1", "systolic pressure", "sinus"):
        assert secret not in str(error.value)


def test_a_table_elsewhere_is_read_and_its_folder_not_told(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("elsewhere") / "records.csv"
    table, parameters = dataset(folder).table(), dataset(folder).parameters()
    (folder / "data" / "records.csv").rename(place)
    (folder / "data" / "records.csv").write_text("")
    moved = dataset(folder, yaml={"table: records.csv": f"table: {place}"})
    pd.testing.assert_frame_equal(moved.table(), table)
    assert moved.parameters() == parameters


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("0001,p2,", "0001,,", r"map.yaml:5: patient: column pid: empty in 1 of 6 rows"),
        ("0001,p2,", ",p2,", r"map.yaml:4: record: column ecg_id: empty in 1 of 6 rows"),
        ("0007,", "0003,", r"named twice"),
        (
            "36,training",
            "36,test",
            r"map.yaml:30: folds.column: 1 patients have records in more than one part",
        ),
    ],
)
def test_a_broken_row_is_told_by_its_column(folder, old, new, words):
    with pytest.raises(DataError, match=words):
        dataset(folder, csv={old: new}).table()


def test_a_column_of_names_is_no_label(folder):
    rows = "\n".join(f"{i:04},p{i},someone {i}" for i in range(150))
    (folder / "data" / "records.csv").write_text(f"ecg_id,pid,name\n{rows}\n")
    (folder / "map.yaml").write_text(
        "root: data\ntable: records.csv\nrecord: ecg_id\npath: '{ecg_id}.npy'\nformat: npy\nleads: [I]\nrate: 100\n"
        "labels:\n  who: {column: name}\n"
    )
    with pytest.raises(DataError, match=r"labels.who: column name has 150 classes") as error:
        Generic(str(folder / "map.yaml")).table()
    assert "someone" not in str(error.value)


def test_a_map_that_is_not_there_or_no_mapping(tmp_path):
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read"):
        Generic(str(tmp_path / "none.yaml"))
    (tmp_path / "list.yaml").write_text("- a\n- b\n")
    with pytest.raises(ConfigError, match="is to hold `key: value` lines, not a list"):
        Generic(str(tmp_path / "list.yaml"))
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(ConfigError, match="not nothing"):
        Generic(str(tmp_path / "empty.yaml"))


def test_the_example_of_the_documentation_is_a_map(tmp_path):
    from clef_ray.datasets import generic
    from clef_ray.datasets._generic_spec import _TOP, read_spec

    lines = generic.__doc__.splitlines()
    block = lines[next(i for i, line in enumerate(lines) if line.startswith("    name:")) :]
    example = block[: block.index("")]
    text = "\n".join(line[4:] for line in example)
    (tmp_path / "map.yaml").write_text(text.replace("key: val", "#").replace("root: ../data", "root: ."))
    spec = read_spec(str(tmp_path / "map.yaml"))
    assert set(spec.covariates) == {"age", "sex", "total_cholesterol", "sbp"}
    assert set(spec.labels) == {"rhythm", "finding"}
    for key in _TOP:  # every key is shown
        assert any(line.startswith(f"{key}:") for line in text.splitlines()), key


# Files


@given(data=st.data())
def test_npy_of_floats_is_read_to_the_microvolt(tmp_path_factory, data):
    leads, samples = data.draw(st.integers(1, 4)), data.draw(st.integers(5, 40))
    unit, per_mv = data.draw(st.sampled_from([("V", 0.001), ("mV", 1.0), ("uV", 1000.0)]))
    mv = data.draw(
        st.integers(0, 2**32 - 1).map(lambda s: np.random.default_rng(s).uniform(-30, 30, (leads, samples)))
    )
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    np.save(path, mv * per_mv if data.draw(st.booleans()) else (mv * per_mv).T)
    names = [f"V{i}" for i in range(1, leads + 1)]
    signal = read_file(path, Layout("npy", dict(zip(names, names, strict=True)), gain=per_mv), 500.0)
    assert unit
    np.testing.assert_allclose(signal.millivolts(), mv, atol=0.00051)


def test_fractions_have_a_zero_too(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[10.5, 30.5, 10.0]]))
    signal = read_file(tmp_path / "a.npy", Layout("npy", {"I": "I"}, gain=20.0, baseline=10.0), 500.0)
    np.testing.assert_allclose(signal.millivolts(), [[0.025, 1.025, 0.0]], atol=1e-6)


def npy_problem(tmp_path, array, leads=("I", "II")):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UnreadableError) as error:
        read_file(tmp_path / "a.npy", Layout("npy", dict(zip(leads, leads, strict=True)), gain=1.0), 500.0)
    return str(error.value)


def test_npy_files_that_cannot_be_understood(tmp_path):
    assert "both ways" in npy_problem(tmp_path, np.zeros((2, 2)))
    assert "no side of 2 leads" in npy_problem(tmp_path, np.zeros((3, 9)))
    assert "no side of 2 leads" in npy_problem(tmp_path, np.zeros((1, 2, 9)))
    assert "no side of 2 leads" in npy_problem(tmp_path, np.zeros((2, 0)))
    assert "no numbers" in npy_problem(tmp_path, np.array([["a", "b"], ["c", "d"]]))
    assert "amplitude" in npy_problem(tmp_path, np.full((2, 9), 33.0))
    (tmp_path / "b.npy").write_bytes(b"not one")
    with pytest.raises(UnreadableError, match="not readable"):
        read_file(tmp_path / "b.npy", Layout("npy", {"I": "I"}, gain=1.0), 500.0)
    with pytest.raises(UnreadableError, match="missing file"):
        read_file(tmp_path / "c.npy", Layout("npy", {"I": "I"}, gain=1.0), 500.0)


@pytest.mark.parametrize("kept", [0, 60, 130, 200, -1])
def test_a_matlab_file_that_is_cut_off_anywhere(tmp_path, kept):
    scipy.io.savemat(tmp_path / "whole.mat", {"x": np.arange(900.0).reshape(1, 900)}, do_compression=True)
    whole = (tmp_path / "whole.mat").read_bytes()
    layout = Layout("mat", {"I": "I"}, gain=1000.0, key="x")
    np.testing.assert_allclose(
        read_file(tmp_path / "whole.mat", layout, 500.0).millivolts(), [np.arange(900) / 1000], atol=1e-6
    )
    (tmp_path / "cut.mat").write_bytes(whole[:kept])
    with pytest.raises(UnreadableError, match=r"not readable: cut.mat"):
        read_file(tmp_path / "cut.mat", layout, 500.0)


def test_a_vector_is_one_lead(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(9, dtype=np.int64))
    signal = read_file(tmp_path / "a.npy", Layout("npy", {"I": "I"}, gain=4.0), 500.0)
    np.testing.assert_allclose(signal.millivolts(), [np.arange(9) / 4])


MV = np.array([[0.1, -0.2, np.nan, 0.4], [1.0, 2.0, 3.0, 4.0]])


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("header", [None, ["lead one", "lead two"]])
def test_csv_with_any_separator_with_and_without_header(tmp_path, separator, header):
    if separator == " " and header:
        header = ["one", "two"]
    frame = pd.DataFrame(MV.T, columns=header)
    frame.to_csv(tmp_path / "a.csv", sep=separator, index=False, header=header is not None, na_rep="nan")
    signal = read_file(tmp_path / "a.csv", Layout("csv", {"I": "I", "II": "II"}, gain=1.0), 250.0)
    np.testing.assert_allclose(signal.millivolts(), MV, atol=1e-6)


def test_csv_columns_by_name(tmp_path):
    pd.DataFrame({"time": range(4), " ecg_ii ": MV[1], "ecg_i": MV[0]}).to_csv(
        tmp_path / "a.csv", index=False
    )
    wanted = Layout("csv", {"ecg_i": "I", "ecg_ii": "II"}, gain=1.0, named=True)
    signal = read_file(tmp_path / "a.csv", wanted, 250.0)
    np.testing.assert_allclose(signal.millivolts(), MV, atol=1e-6)
    assert signal.leads == ("I", "II")
    with pytest.raises(UnreadableError, match=r"leads.*no column ecg_iii"):
        read_file(tmp_path / "a.csv", Layout("csv", {"ecg_iii": "III"}, gain=1.0, named=True), 250.0)
    with pytest.raises(UnreadableError, match="3 columns, not 2"):
        read_file(tmp_path / "a.csv", Layout("csv", {"I": "I", "II": "II"}, gain=1.0), 250.0)


@pytest.mark.parametrize("text", ["", "1,2\n3,x\n", "a,b\n", "1,2\n3,4,5\n"])
def test_csv_files_that_are_none(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UnreadableError, match=r"not readable|leads"):
        read_file(tmp_path / "a.csv", Layout("csv", {"I": "I", "II": "II"}, gain=1.0), 250.0)


def test_matlab_files(tmp_path):
    raw = np.arange(-6, 6, dtype=np.int16).reshape(2, 6)
    scipy.io.savemat(tmp_path / "a.mat", {"val": raw, "other": 1})
    signal = read_file(tmp_path / "a.mat", Layout("mat", {"I": "I", "II": "II"}, gain=2.0, key="val"), 500.0)
    np.testing.assert_array_equal(signal.raw_CT, raw)
    with pytest.raises(UnreadableError, match="no variable ecg"):
        read_file(tmp_path / "a.mat", Layout("mat", {"I": "I", "II": "II"}, gain=2.0, key="ecg"), 500.0)
    (tmp_path / "b.mat").write_bytes(
        b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" * 9
    )
    with pytest.raises(UnreadableError, match=r"7.3"):
        read_file(tmp_path / "b.mat", Layout("mat", {"I": "I"}, gain=2.0, key="val"), 500.0)


def write_edf(path, dimension="uV", rates=(250, 250), labels=("ECG I", "ECG II")):
    rng = np.random.default_rng(3)
    signals = [
        edfio.EdfSignal(
            np.cumsum(rng.normal(0, 9, size=rate * 4)),
            rate,
            label=label,
            physical_dimension=dimension,
            physical_range=(-3000, 2000 + 500 * i),
            digital_range=(-2048, 2047),
        )
        for i, (rate, label) in enumerate(zip(rates, labels, strict=True))
    ]
    edfio.Edf(signals).write(path)
    return edfio.read_edf(path)


@pytest.mark.parametrize(
    ("dimension", "per_mv"), [("uV", 1000.0), ("mV", 1.0), ("V", 0.001), ("\u00b5V", 1000.0)]
)
def test_edf_keeps_its_digital_values_and_gives_its_own_millivolts(tmp_path, dimension, per_mv):
    reference = write_edf(tmp_path / "a.edf", "uV" if dimension == "\u00b5V" else dimension)
    if dimension == "\u00b5V":  # not ASCII, and so not of the standard, and written by many
        data = bytearray((tmp_path / "a.edf").read_bytes())
        data[256 + 2 * 96 : 256 + 2 * 96 + 16] = b"\xb5V      " * 2
        (tmp_path / "a.edf").write_bytes(bytes(data))
    signal = read_file(tmp_path / "a.edf", Layout("edf", {"ECG II": "II", "ECG I": "I"}))
    assert signal.leads == ("II", "I")
    assert signal.fs == 250
    np.testing.assert_array_equal(signal.raw_CT[1], reference.signals[0].digital)
    for row, original in ((0, reference.signals[1]), (1, reference.signals[0])):
        # gain and baseline are 32-bit: a few parts in 10^7 of the range of 5000
        np.testing.assert_allclose(
            signal.millivolts()[row], original.data / per_mv, rtol=1e-5, atol=2e-3 / per_mv
        )


def test_edf_files_that_cannot_be_used(tmp_path):
    both = Layout("edf", {"ECG I": "I", "ECG II": "II"})
    write_edf(tmp_path / "rates.edf", rates=(250, 500))
    write_edf(tmp_path / "unit.edf", dimension="degC")
    write_edf(tmp_path / "blank.edf", dimension="")
    write_edf(tmp_path / "good.edf")
    (tmp_path / "bad.edf").write_bytes(b"not one")
    for name, words in (
        ("rates", "mixed rates"),
        ("unit", "unit.*degC"),
        ("blank", "unit"),
        ("bad", "not readable"),
    ):
        with pytest.raises(UnreadableError, match=words):
            read_file(tmp_path / f"{name}.edf", both)
    with pytest.raises(UnreadableError, match=r"leads.*no ECG III"):
        read_file(tmp_path / "good.edf", Layout("edf", {"ECG III": "III"}))
    whole = (tmp_path / "good.edf").read_bytes()
    (tmp_path / "short.edf").write_bytes(whole[: len(whole) - 300])
    with pytest.raises(UnreadableError, match="header and signal disagree"):
        read_file(tmp_path / "short.edf", both)


def test_the_map_gives_the_unit_of_an_edf_file_that_has_none(tmp_path):
    write_edf(tmp_path / "blank.edf", dimension="")
    reference = write_edf(tmp_path / "uv.edf")
    signal = read_file(tmp_path / "blank.edf", Layout("edf", {"ECG I": "I"}, gain=1000.0))
    np.testing.assert_allclose(signal.millivolts()[0], reference.signals[0].data / 1000, atol=1e-5)


@pytest.mark.realdata
def test_real_wfdb_files_of_one_lead(realdata, tmp_path):
    """All 120 real AliveCor records, against wfdb's own reading."""
    (tmp_path / "map.yaml").write_text(
        "table: REFERENCE.csv\nrecord: A00001\npath: '{A00001}'\nformat: wfdb\nleads: {ECG: I}\nfs: 300\nseconds: 9\n"
        "labels:\n  rhythm: {column: label, classes: [N, A, O, '~']}\n"
    )
    root = tmp_path / "data"
    root.symlink_to(realdata / "cinc2017_subset")
    lines = (root / "REFERENCE.csv").read_text().splitlines()
    (tmp_path / "named.csv").write_text("\n".join(["A00001,label", *lines]))
    text = (tmp_path / "map.yaml").read_text().replace("table: REFERENCE.csv", f"table: {tmp_path}/named.csv")
    (tmp_path / "map.yaml").write_text(text)
    made = Generic(str(tmp_path / "map.yaml"), root=str(root))
    table = made.table()
    assert len(table) == 120
    assert table["label_rhythm"].explode().value_counts().sum() == 120
    for row in table.to_dict("records"):
        theirs = wfdb.rdrecord(str(root / row["record"]))
        signal = made.signal(row)
        assert signal.leads == ("I",)
        np.testing.assert_allclose(signal.millivolts()[0], theirs.p_signal[:, 0], atol=1e-6)


@pytest.mark.realdata
def test_a_real_record_is_the_same_in_every_format(realdata, tmp_path):
    """One 12-lead record written as CSV, NPY, MAT and EDF, read back."""
    path = next((realdata / "code15_subset").glob("*.hea")).with_suffix("")
    theirs = wfdb.rdrecord(str(path))
    mv_CT, names = theirs.p_signal.T, theirs.sig_name
    leads = dict(zip(names, names, strict=True))
    pd.DataFrame(mv_CT.T, columns=names).to_csv(tmp_path / "a.csv", index=False)
    np.save(tmp_path / "a.npy", mv_CT * 1000)
    scipy.io.savemat(tmp_path / "a.mat", {"ecg": mv_CT.T / 1000})
    whole = mv_CT.shape[1] // 400 * 400
    edfio.Edf(
        [
            edfio.EdfSignal(row[:whole], 400, label=n, physical_dimension="mV")
            for n, row in zip(names, mv_CT, strict=True)
        ]
    ).write(tmp_path / "a.edf")
    same = read_file(path, Layout("wfdb", leads))
    readings = {
        "csv": read_file(tmp_path / "a.csv", Layout("csv", leads, gain=1.0, named=True), 400.0),
        "npy": read_file(tmp_path / "a.npy", Layout("npy", leads, gain=1000.0), 400.0),
        "mat": read_file(tmp_path / "a.mat", Layout("mat", leads, gain=0.001, key="ecg"), 400.0),
        "edf": read_file(tmp_path / "a.edf", Layout("edf", leads)),
    }
    for form, signal in readings.items():
        samples = signal.raw_CT.shape[1]
        assert signal.leads == same.leads
        assert signal.fs == same.fs == 400
        np.testing.assert_allclose(
            signal.millivolts(), same.millivolts()[:, :samples], atol=6e-4, err_msg=form
        )


def test_an_error_quotes_nothing_of_a_damaged_edf_header(tmp_path):
    """An EDF header holds the patient's name, which may be anywhere in one that lost some bytes."""
    (tmp_path / "a.edf").write_bytes(b"0       " + b"Jane Doe" * 64)
    with pytest.raises(UnreadableError, match=r"not readable: a\.edf: no EDF file") as error:
        read_file(tmp_path / "a.edf", Layout("edf", {"ECG": "I"}))
    assert "Jane" not in str(error.value)


def test_files_that_say_their_own_rate_need_one_for_the_shards(tmp_path):
    (tmp_path / "map.yaml").write_text("record: '*.hea'\nformat: wfdb\nleads: [I]\n")
    with pytest.raises(ConfigError, match="give fs, the rate of the shards in Hz"):
        Generic(str(tmp_path / "map.yaml"))
