"""Aurora-BP: pressures, histories and split by hand from the tiny layout (layouts/aurora_bp.py), and the signal's offset."""

import numpy as np
import pytest
from layouts import aurora_bp as layout

from clef_ray.datasets import UnreadableError
from clef_ray.datasets.aurora_bp import AuroraBp
from clef_ray.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("aurora")
    layout.write(root)
    return root


@pytest.fixture
def copy(tmp_path):
    layout.write(tmp_path)
    return tmp_path


def rows(root, **options):
    return AuroraBp(str(root), **options).table().set_index("record")


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_baseline_is_the_first_calibration_of_each_participant_with_the_baseline_pressures(folder):
    table = rows(folder)
    assert table.index.tolist() == [f"{pid}.initial.Calibration_start_1" for pid in ("a000", "a001", "a002")]
    assert table["sbp"].tolist() == pytest.approx(
        [111.5, np.nan, 117.0], nan_ok=True
    )  # not the measurement's 110
    assert table["target_dbp"].tolist() == pytest.approx([73.5, np.nan, 69.0], nan_ok=True)


def test_all_gives_every_measurement_its_own_pressures(folder):
    table = rows(folder, measurements="all")
    assert len(table) == 8  # a000 has one without signals
    assert table["patient"].nunique() == 4
    assert table.loc["a000.initial.Calibration_start_2", "sbp"] == 113.0
    assert np.isnan(table.loc["o000.ambulatory.measurement_23", "sbp"])
    assert table.loc["o000.initial.Sitting_arm_down", "target_dbp"] == 80.0
    parameters = AuroraBp(str(folder), measurements="all").parameters()
    assert parameters["without_signals"] == 1
    # a diastolic 0, and a002's age of 433
    assert parameters["implausible"] == {"age": 1, "target_dbp": 1}
    assert np.isnan(table.loc["a001.return.Temporal_challenge_start_1", "target_dbp"])
    assert np.isnan(table.loc["a002.initial.Calibration_start_1", "age"])


def test_histories_are_known_where_they_were_stated(folder):
    table = rows(folder).set_index("patient")
    assert table["sex"].to_dict() == {"a000": 1, "a001": 1, "a002": 0}
    assert table.loc["a000", "bmi"] == pytest.approx(108 * 0.45359237 / (63 * 0.0254) ** 2)
    assert table["hypertension"].to_dict() == {"a000": 0, "a001": 1, "a002": 1}
    assert table["stroke"].to_dict() == {"a000": 0, "a001": 1, "a002": 0}
    assert table["heart_failure"].to_dict() == {"a000": 0, "a001": 0, "a002": 1}
    assert table["diabetes"].to_dict() == {"a000": 0, "a001": 0, "a002": 1}
    # medicine for heart or circulation: a000 none, a001 with managed pressure, a002 with unmanaged pressure, so for something else
    assert table["treated"].to_dict() == pytest.approx({"a000": 0, "a001": 1, "a002": np.nan}, nan_ok=True)
    # a001 has coronary disease without an infarction, which may or may not be vascular disease
    assert table["vascular_disease"].to_dict() == pytest.approx(
        {"a000": 0, "a001": np.nan, "a002": 1}, nan_ok=True
    )


def test_an_empty_statement_stays_unknown(copy):
    text = (copy / "participants.tsv").read_text()
    edited = "\n".join(
        line.rsplit("\t", 1)[0] + "\t" if line.startswith("a000") else line for line in text.split("\n")
    )
    (copy / "participants.tsv").write_text(edited)
    assert np.isnan(rows(copy)["treated"].iloc[0])


def test_the_signal_is_lead_one_without_the_electrodes_offset(folder):
    made = AuroraBp(str(folder))
    for seed, record in ((0, "a000"), (3, "a001")):
        row = made.table().set_index("patient").loc[record]
        signal = made.signal(row)
        expected = layout.millivolts(seed, 10.0 + 100 * seed)
        assert (signal.fs, signal.leads) == (500.0, ("I",))
        assert signal.raw_CT.shape == (1, 6000)
        # the file has five digits: 1 uV at 10 mV, 10 uV at 310 mV, which the offset would not let 16 bits hold
        np.testing.assert_allclose(
            signal.millivolts()[0], expected - np.median(expected), atol=0.002 if seed == 0 else 0.02
        )


def test_missing_samples_stay_missing(copy):
    made = AuroraBp(str(copy))
    row = made.table().iloc[0]
    lines = (copy / row["file"]).read_text().split("\n")
    lines[5] = "0.008\t\t" + lines[5].split("\t", 2)[2]
    (copy / row["file"]).write_text("\n".join(lines))
    assert np.isnan(made.signal(row).millivolts()[0, 4])
    assert np.isfinite(made.signal(row).millivolts()[0, 5:]).all()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "missing file"),
        ("", "not readable"),
        ("t\tekg\n0\tx\n", "not readable"),
        ("t\toptical\n0\t1\n", "not readable"),
        ("t\tekg\n0\t\n", "not readable"),
    ],
)
def test_a_file_that_cannot_be_used(copy, text, reason):
    made = AuroraBp(str(copy))
    row = made.table().iloc[0]
    (copy / row["file"]).unlink()
    if text is not None:
        (copy / row["file"]).write_text(text)
    with pytest.raises(UnreadableError) as error:
        made.signal(row)
    assert error.value.reason == reason


def test_an_error_shows_no_sample(copy):
    made = AuroraBp(str(copy))
    row = made.table().iloc[0]
    (copy / row["file"]).write_text("t\tekg\n0\tone.two\n")
    with pytest.raises(UnreadableError, match="not readable") as error:
        made.signal(row)
    assert "one.two" not in str(error.value)


def test_participants_are_dealt_70_15_15(tmp_path):
    layout.write(tmp_path)
    head, *_ = (tmp_path / "participants.tsv").read_text().splitlines()
    people = [f"a{i:04}" for i in range(2000)]
    rest = "\t14\t\tS\t2\tL\t1\t56.0\t63.0\t108.0\tF\tnorm" + "\t0" * 11
    (tmp_path / "participants.tsv").write_text("\n".join([head, *(pid + rest for pid in people)]) + "\n")
    head, *_ = (tmp_path / "measurements_auscultatory.tsv").read_text().splitlines()
    lines = [f"{pid}\tinitial\tCalibration start 1\t-\t120\t80\t18\t1\t1\tx/{pid}.tsv\t1" for pid in people]
    (tmp_path / "measurements_auscultatory.tsv").write_text("\n".join([head, *lines]) + "\n")
    folds = rows(tmp_path)["fold"]
    assert (folds <= 8).mean() == pytest.approx(0.70, abs=0.03)
    assert (folds == 9).mean() == pytest.approx(0.15, abs=0.03)
    assert (folds == 10).mean() == pytest.approx(0.15, abs=0.03)
    assert set(folds) == set(range(1, 11))


@pytest.mark.parametrize("name", ["participants.tsv", "features.tsv", "measurements_auscultatory.tsv"])
def test_a_missing_table_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(DataError, match=f"lacks {name}"):
        rows(copy)


def test_the_oscillometric_table_is_needed_for_all_only(copy):
    (copy / "measurements_oscillometric.tsv").unlink()
    assert len(rows(copy)) == 3
    with pytest.raises(DataError, match=r"lacks measurements_oscillometric.tsv"):
        rows(copy, measurements="all")


def test_tables_that_contradict_themselves(copy):
    edit(copy / "features.tsv", "a002", "a000")
    with pytest.raises(DataError, match="1 participants have more than one baseline pressure"):
        rows(copy)
    layout.write(copy)
    edit(copy / "participants.tsv", "a002", "a001")
    with pytest.raises(DataError, match="1 participants have more than one row"):
        rows(copy)
    layout.write(copy)
    edit(copy / "participants.tsv", "a002", "a003")
    with pytest.raises(DataError, match="lacks the participants of 1 of 3 measurements"):
        rows(copy)
    layout.write(copy)
    edit(copy / "participants.tsv", "433.0", "old")
    with pytest.raises(DataError, match="column age: no number in 1 of 4 rows"):
        rows(copy)


@pytest.mark.parametrize(
    ("option", "value"), [("fs", 0.001), ("fs", 5000.0), ("seconds", 0.0), ("seconds", 601.0)]
)
def test_options_outside_their_range(folder, option, value):
    with pytest.raises(ConfigError, match=rf"aurora_bp.{option} is {value:g}; allowed are"):
        AuroraBp(str(folder), **{option: value})
