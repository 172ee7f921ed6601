"""MC-MED: labels, covariates and windows against layouts/mc_med.py, worked out by hand; splits; what is wrong with a folder."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from layouts import mc_med as layout

from clef_ray.datasets import MISSING_FILE, UnreadableError
from clef_ray.datasets._mc_med_visits import group
from clef_ray.datasets.mc_med import McMed
from clef_ray.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return layout.write(tmp_path_factory.mktemp("mc_med"))["root"]


def visits(table):
    return table.assign(csn=table["record"].str[:8].astype(int)).set_index("csn")


def test_labels(root):
    table = visits(McMed(root, split="hashed").table())
    assert table["label_ed_dispo"].to_dict() == {
        98000012: ["Discharge"],
        98000345: ["ICU"],
        98000567: ["Discharge"],
        98000678: ["Inpatient"],
        98000901: None,  # "Transfer" is none of the four
    }
    assert table["label_dc_dispo"].to_dict() == {
        98000012: ["home"],
        98000345: ["hospice_or_death"],
        98000567: ["other"],
        98000678: ["care_facility"],
        98000901: None,
    }
    acuity = {98000012: ["3"], 98000345: ["2"], 98000567: ["5"], 98000678: ["1"], 98000901: None}
    assert table["label_acuity"].to_dict() == acuity
    assert McMed(root).parameters()["no_class"] == {"ED_dispo": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Home/Work (includes foster care)", "home"),
        ("Left Against Medical Advice", "home"),
        ("Home Health Services", "care_facility"),
        ("Skilled Nursing Facility- Planned Inpatient Readmit", "care_facility"),
        ("Acute Care Hospital", "transfer"),
        ("Stanford Children's Hospital", "transfer"),
        ("Expired. Organ Harvest Complete", "hospice_or_death"),
        ("Hospice/Home", "hospice_or_death"),
        ("Psychiatric Hospital- Planned inpatient readmission", "psychiatric_or_rehabilitation"),
        ("Inpatient Rehabilitation Facility", "psychiatric_or_rehabilitation"),
        ("Jail", "other"),
        ("No disposition", None),
        ("", None),
    ],
)
def test_final_dispositions_fall_into_six_groups(text, expected):
    assert group(text) == expected


def test_covariates_and_target(root):
    table = visits(McMed(root).table())
    np.testing.assert_array_equal(table["age"], [64, 65, 90, 33])
    np.testing.assert_array_equal(table["sex"], [0, 0, 1, np.nan])
    np.testing.assert_array_equal(table["black"], [0, 0, 1, np.nan])
    np.testing.assert_array_equal(table["sbp"], [128, np.nan, 150, np.nan])
    np.testing.assert_array_equal(table["target_dbp"], [78, 90, 95, np.nan])
    parameters = McMed(root).parameters()
    assert parameters["implausible"] == {"sbp": 1}
    assert not any(text in json.dumps(parameters) for text in ("9800", "9900", "1280.0", "128.0"))


def test_published_splits(root):
    chrono = visits(McMed(root).table())["fold"]
    assert chrono[[98000678, 98000901]].tolist() == [9, 10]
    assert chrono[98000012] == chrono[98000345] <= 8
    assert McMed(root).parameters()["in_no_part"] == 1
    random = visits(McMed(root, split="random").table())["fold"]
    assert random[[98000012, 98000345, 98000901]].tolist() == [10, 10, 9]
    assert len(McMed(root, split="hashed").table()) == 5


def test_the_folder_of_the_download_holds_the_data_one_below(root, tmp_path):
    (tmp_path / "download").mkdir()
    (tmp_path / "download" / "data").symlink_to(root)
    made = McMed(str(tmp_path / "download"))
    pd.testing.assert_frame_equal(made.table(), McMed(root).table())
    assert any(any((tmp_path / "download").glob(pattern)) for pattern in McMed.signature)
    assert made.signal(made.table().iloc[0]).fs == 500


def test_a_split_that_tears_a_patient_apart_is_refused(tmp_path):
    root = layout.write(tmp_path)["root"]
    (tmp_path / "split_chrono_train.csv").write_text("98000012\n")
    (tmp_path / "split_chrono_test.csv").write_text("98000901\n98000345\n")
    with pytest.raises(DataError, match="1 patients have records in more than one part"):
        McMed(root).table()
    assert visits(McMed(root, split="hashed").table()).groupby("patient")["fold"].nunique().eq(1).all()


def test_the_first_window_is_of_the_first_segment_that_is_long_enough(root):
    dataset = McMed(root)
    row = dataset.table().iloc[0].to_dict()
    assert row["record"] == "98000012-002-00000000"
    signal = dataset.signal(row)
    assert (signal.leads, signal.fs) == (("II",), 500.0)
    np.testing.assert_array_equal(signal.raw_CT, layout.samples(98000012, 2)[:5000].T)


def test_more_windows_of_a_visit(root):
    dataset = McMed(root, per_visit=3, every=10)
    table = dataset.table()
    assert table["record"].str[9:].tolist() == [
        "002-00000000", "002-00005000", "001-00000000", "001-00005000", "001-00000000", "001-00000000",
    ]  # fmt: skip
    np.testing.assert_array_equal(
        dataset.signal(table.iloc[1]).raw_CT, layout.samples(98000012, 2)[5000:10000].T
    )
    assert len(McMed(root, seconds=2, per_visit=3, every=2).table()) == 12
    assert McMed(root, seconds=2, per_visit=3, every=2).table()["record"].iloc[2] == "98000012-002-00000000"


def test_a_folder_without_any_lead_ii_is_refused(tmp_path):
    root = layout.write(tmp_path)["root"]
    summary = tmp_path / "waveform_summary.csv"
    summary.write_text(summary.read_text().replace(",II,", ",Resp,"))
    with pytest.raises(DataError, match=r"no visit of visits\.csv has a segment of lead II"):
        McMed(root).table()


def test_a_visit_without_its_files_keeps_its_row(tmp_path):
    root = layout.write(tmp_path)["root"]
    for path in Path(tmp_path / "waveforms" / "678").rglob("*.*"):
        path.unlink()
    dataset = McMed(root)
    row = visits(dataset.table()).loc[98000678].to_dict()
    with pytest.raises(UnreadableError) as caught:
        dataset.signal(row)
    assert caught.value.reason == MISSING_FILE


def test_a_missing_segment_is_passed_over(tmp_path):
    root = layout.write(tmp_path)["root"]
    (tmp_path / f"{layout.file_of(98000012, 1)}.hea").unlink()
    assert McMed(root, seconds=2).table()["record"].iloc[0] == "98000012-002-00000000"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("per_visit", 0, "mc_med.per_visit is 0"),
        ("every", 5, r"mc_med.every is 5; allowed are 10 \(seconds\)"),
        ("fs", 1, "mc_med.fs is 1"),
    ],
)
def test_options_outside_their_ranges_are_refused(root, option, value, message):
    with pytest.raises(ConfigError, match=message):
        McMed(root, **{option: value})


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("visits.csv", "Triage_SBP", "SBP", "lacks the columns Triage_SBP"),
        ("visits.csv", "128.0", "12x", "column Triage_SBP: no number in 1 of"),
        ("visits.csv", "98000345", "98000012", "1 of 6 rows repeat the CSN"),
        ("waveform_summary.csv", "Segments", "N", "lacks the columns Segments"),
        ("waveform_summary.csv", "98000345", "98000012", r"1 rows repeat the lead II of another's CSN"),
        (
            "split_chrono_val.csv",
            "98000678",
            "98000678\n98000012",
            r"1 visits are in more than one of split_chrono_train\.csv",
        ),
        ("split_chrono_val.csv", "98000678", "a\nb", "2 of 2 lines are no visit's number"),
        ("split_chrono_test.csv", None, None, "lacks split_chrono_test.csv"),
    ],
)
def test_broken_tables_are_named(tmp_path, name, old, new, message):
    root = layout.write(tmp_path)["root"]
    path = tmp_path / name
    if old is None:
        path.unlink()
    else:
        path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        McMed(root).table()
