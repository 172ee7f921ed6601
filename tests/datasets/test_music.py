"""MUSIC: the table's odd cells, the outcome's codes, the search for a valid window, both splits."""

import numpy as np
import pandas as pd
import pytest
import wfdb
from layouts import music

from clef_ray.datasets import MISSING_FILE, UnreadableError
from clef_ray.datasets.music import Music
from clef_ray.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("music")
    music.write(root)
    return root


@pytest.fixture
def rows(folder):
    """patient -> row of the Holter table."""
    return Music(str(folder)).table().set_index("patient", drop=False)


def test_outcomes_are_those_of_the_codes(rows, folder):
    assert rows["label_outcome"].to_dict() == {
        "P0001": ["survivor"],
        "P0002": ["scd"],
        "P0003": ["pump_failure"],
        "P0005": ["non_cardiac_death"],
        "P0006": ["pump_failure"],
    }
    assert Music(str(folder)).parameters()["without_recording"] == 1


def test_covariates_come_from_cells_with_commas_and_hidden_ages(rows):
    np.testing.assert_array_equal(rows["age"], [62, 90, 71, 77, 68])
    np.testing.assert_array_equal(rows["sex"], [0, 1, 0, 1, 0])
    np.testing.assert_allclose(rows["bmi"], [80.5 / 1.7**2, 60 / 1.58**2, np.nan, 70 / 1.65**2, 75 / 1.72**2])
    np.testing.assert_array_equal(rows["total_cholesterol"], [5.2, 4, np.nan, 6.1, 3.9])
    np.testing.assert_array_equal(rows["hdl"], [1.1, np.nan, 1.3, 1.6, 0.9])
    np.testing.assert_array_equal(rows["heart_failure"], 1)
    np.testing.assert_array_equal(rows["target_lvef"], [35, 25, 60, 40, 20])
    np.testing.assert_array_equal(rows["target_dbp"], [80, 70, 75, np.nan, 60])


def test_a_smoker_smokes_and_has_not_stopped(rows):
    """P0001 none a day; P0002 20 a day and smoke-free for 0 years; P0003 has stopped; P0005 none; of P0006 nothing is known."""
    np.testing.assert_array_equal(rows["smoker"], [0, 1, 0, 0, np.nan])


def test_vascular_disease_is_known_where_the_other_cannot_change_it(rows):
    """P0003: no infarction told apart from none, peripheral disease unknown."""
    np.testing.assert_array_equal(rows["vascular_disease"], [0, 1, np.nan, 0, 1])


def test_values_that_cannot_be_are_unknown_and_counted(folder):
    """P0003's cholesterol is in mg/dL, P0005's diastolic pressure 8, P0004's diabetes 2 and LVEF 150."""
    found = Music(str(folder)).parameters()["implausible"]
    assert found == {"total_cholesterol": 1, "diabetes": 1, "target_lvef": 1, "target_dbp": 1}


def test_the_first_window_without_a_constant_or_invalid_lead_is_given(folder, rows):
    dataset = Music(str(folder))
    for patient, seconds in (("P0001", 10), ("P0002", 20), ("P0005", 0)):
        row = rows.loc[patient].to_dict()
        expected = wfdb.rdrecord(
            str(folder / row["file"]), sampfrom=200 * seconds, sampto=200 * (seconds + 10)
        )
        signal = dataset.signal(row)
        np.testing.assert_allclose(signal.millivolts(), expected.p_signal.T, atol=1e-6)
        assert (signal.leads, signal.fs, dataset.samples) == (("X", "Y", "Z"), 200.0, 2000)


def test_only_the_leads_asked_for_must_be_there_and_valid(folder, rows):
    row = rows.loc["P0003"].to_dict()
    with pytest.raises(UnreadableError, match="leads: P0003: no Z"):
        Music(str(folder)).signal(row)
    assert Music(str(folder), leads="XY").signal(row).leads == ("X", "Y")
    first = Music(str(folder), leads="X").signal(rows.loc["P0001"].to_dict())
    np.testing.assert_array_equal(first.raw_CT[0], music.samples("P0001", 200, 3)[:2000, 0])


def test_a_recording_without_a_valid_window_is_set_aside(tmp_path):
    music.write(tmp_path)
    path = tmp_path / "Holter_ECG" / "P0006"
    raw = np.zeros((9000, 3), dtype="<i2")
    path.with_suffix(".dat").write_bytes(raw.tobytes())
    header = [f"P0006.dat 16 1000/mV 16 0 0 0 0 {lead}" for lead in "XYZ"]
    path.with_suffix(".hea").write_text("\n".join(["P0006 3 200 9000", *header, ""]))
    dataset = Music(str(tmp_path))
    with pytest.raises(UnreadableError) as error:
        dataset.signal(dataset.table().set_index("patient", drop=False).loc["P0006"].to_dict())
    assert error.value.reason == "no valid window"
    path.with_suffix(".hea").unlink()
    with pytest.raises(UnreadableError) as error:
        dataset.signal(dataset.table().set_index("patient", drop=False).loc["P0006"].to_dict())
    assert error.value.reason == MISSING_FILE


def test_regular_windows_are_spread_over_the_recording(folder):
    dataset = Music(str(folder), windows="regular", per_patient=2)
    table = dataset.table()
    assert table["record"].tolist()[:4] == [
        "P0001-00000000",
        "P0001-00006000",
        "P0002-00000000",
        "P0002-00006000",
    ]
    assert table["patient"].nunique() == 5
    assert table.groupby("patient")["fold"].nunique().eq(1).all()
    signal = dataset.signal(table.iloc[1].to_dict())
    np.testing.assert_array_equal(signal.raw_CT, music.samples("P0001", 200, 3)[6000:8000].T)
    assert len(Music(str(folder), windows="regular").table()) == 5 * 4, "45 s hold four windows"


def test_high_resolution_recordings_have_their_own_names_and_rate(folder):
    dataset = Music(str(folder), recording="high_resolution")
    table = dataset.table()
    assert table["record"].tolist() == ["P0001_H", "P0003_H", "P0004_H", "P0006_H"]
    assert table["patient"].tolist() == ["P0001", "P0003", "P0004", "P0006"]
    signal = dataset.signal(table.iloc[3].to_dict())
    assert (signal.fs, signal.raw_CT.shape, dataset.samples) == (1000.0, (3, 10_000), 10_000)


def test_patients_keep_their_folds_whatever_is_recorded(folder):
    holter, high = (
        Music(str(folder), recording=kind).table().set_index("patient")["fold"]
        for kind in ("holter", "high_resolution")
    )
    both = holter.index.intersection(high.index)
    pd.testing.assert_series_equal(holter[both], high[both])


def test_row_order_cuts_the_rows_with_a_recording_at_70_and_80_percent(tmp_path):
    names = [f"P{n:04d}" for n in np.random.default_rng(0).permutation(20)]
    head, tail = music.ROWS[0].split(";", 1)
    music.write_table(tmp_path, [f"{name};{tail}" for name in names])
    table = Music(str(tmp_path), split="row_order").table().set_index("patient")
    assert table.loc[names[:14], "fold"].between(1, 8).all()
    assert table.loc[names[14:16], "fold"].tolist() == [9, 9]
    assert table.loc[names[16:], "fold"].tolist() == [10] * 4
    assert head == "P0001"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            ";3;3;>89",
            ";3;5;>89",
            r"column Cause of death: 1 of 6 rows have a code that is none of 0, 1, 3, 6, 7",
        ),
        ("80,5", "1,080,5", r"column Weight \(kg\): no number in 1 of 6 rows"),
        ("P0002;", "P0001;", r"column Patient ID: 1 of 6 rows have none, or another row's"),
        ("LVEF (%)", "LVEF", r"lacks the columns LVEF \(%\)"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused_without_a_patients_value(tmp_path, old, new, message):
    music.write(tmp_path)
    path = tmp_path / "subject-info.csv"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message) as error:
        Music(str(tmp_path)).table()
    assert "1,080,5" not in str(error.value)


def test_options_outside_their_range_are_refused(folder):
    with pytest.raises(ConfigError, match=r"music\.per_patient is 0; allowed is 1 or more"):
        Music(str(folder), per_patient=0)


def test_a_recording_longer_than_its_header_says_is_read(tmp_path):
    """39 Holter recordings of version 1.0.1 are: a window is where it is."""
    music.write_table(tmp_path)
    music.write_recording(tmp_path / "Holter_ECG" / "P0005", 200, trailing=248)
    row = Music(str(tmp_path)).table().set_index("patient", drop=False).loc["P0005"].to_dict()
    longer = Music(str(tmp_path)).signal(row)
    music.write_recording(tmp_path / "Holter_ECG" / "P0005", 200)
    np.testing.assert_array_equal(longer.raw_CT, Music(str(tmp_path)).signal(row).raw_CT)


def test_a_recording_longer_by_a_lead_is_set_aside(tmp_path):
    """Its header may have left one out: every frame would then be read askew."""
    music.write_table(tmp_path)
    music.write_recording(tmp_path / "Holter_ECG" / "P0005", 200)
    dataset = Music(str(tmp_path))
    row = dataset.table().set_index("patient", drop=False).loc["P0005"].to_dict()
    file = tmp_path / "Holter_ECG" / "P0005.dat"
    content = file.read_bytes()
    leads = len(dataset.signal(row).leads)
    file.write_bytes(content + bytes(len(content) // leads))
    with pytest.raises(UnreadableError) as error:
        dataset.signal(row)
    assert error.value.reason == "header and signal disagree"
