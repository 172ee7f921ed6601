"""MIMIC-IV-ECG: every join against values worked out by hand from layouts/mimic_iv_ecg.py; what is left out; what an error may not say."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb
from layouts import mimic_iv_ecg as layout

from clef_ray.datasets import COVARIATES, LEADS
from clef_ray.datasets.mimic_iv_ecg import MimicIvEcg
from clef_ray.errors import ConfigError, DataError

CONDITIONS = ("diabetes", "hypertension", "heart_failure", "stroke", "vascular_disease")
MEASURED = ("sbp", "bmi", "total_cholesterol", "hdl", "hba1c", "egfr")


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    return layout.write(tmp_path_factory.mktemp("mimic"))


@pytest.fixture(scope="module")
def table(options):
    return MimicIvEcg(**options).table().set_index("record")


def with_options(options, **changed):
    return MimicIvEcg(**{**options, **changed}).table().set_index("record")


def assert_known(row, **expected):
    """Each field's value and distance in days."""
    for name, (value, days) in expected.items():
        found = [row["target_dbp" if name == "dbp" else name], row[f"{name}_days"]]
        np.testing.assert_allclose(found, [value, days], rtol=2e-3, atol=1e-9, err_msg=name)


def assert_unknown(row, *names):
    for name in names:
        assert np.isnan(row["target_dbp" if name == "dbp" else name]), name
        assert np.isnan(row[f"{name}_days"]), name
        assert pd.isna(row[f"{name}_source"]), name


def test_measured_values_are_the_nearest_in_their_units(table):
    row = table.loc["40000007"]
    # The first of two pressures of that day; nearer ones were taken standing, or are none.
    assert_known(row, sbp=(120, -2), dbp=(80, -2), bmi=(26.5, -28))
    # 9000 mg/dL, an hour before the ECG, is nobody's cholesterol; 7.0 % of HbA1c are 53 mmol/mol.
    assert_known(row, total_cholesterol=(5.172, -1), hdl=(1.293, 2), hba1c=(53, -9))
    # By hand: 142 (1.2/0.7)^-1.2 0.9938^54 1.012
    assert_known(row, egfr=(53.79, -1))
    sources = row[[f"{name}_source" for name in ("sbp", "bmi", "hdl", "egfr")]].tolist()
    assert sources == ["omr: Blood Pressure", "omr: BMI", "labevents: 50904", "labevents: 50912"]


def test_bmi_is_made_of_height_and_weight_where_nobody_wrote_it(table):
    assert_known(table.loc["40000001"], bmi=(154 * 0.45359237 / (70 * 0.0254) ** 2, -30))
    assert table.loc["40000001", "bmi_source"] == "omr: Height, Weight"


def test_an_emergency_gives_a_pressure_where_the_clinic_gives_none(table, options):
    assert_known(table.loc["40000003"], sbp=(130, -97), dbp=(85, -97))
    near = with_options(options, days_before=30).loc["40000003"]
    assert_known(near, sbp=(170, -25 / 24), dbp=(95, -25 / 24))
    assert near["sbp_source"] == "ed: triage, vitalsign"
    # Ten minutes after the ECG is nearer than half an hour before it; its diastolic pressure was not written down.
    assert_known(table.loc["40000006"], sbp=(151, 10 / 1440))
    assert_unknown(table.loc["40000006"], "dbp")


def test_nothing_is_taken_from_outside_the_window(table, options):
    assert_unknown(table.loc["40000005"], *MEASURED)
    before_only = with_options(options, days_after=0).loc["40000007"]
    assert_known(before_only, sbp=(120, -2))
    assert_unknown(before_only, "hdl")  # two days after
    same_day = with_options(options, days_after=0, days_before=0).loc["40000001"]
    assert_known(same_day, egfr=(142 * (0.8 / 0.9) ** -0.302 * 0.9938**90, 0))


def test_age_and_sex(table):
    assert table["sex"].dropna().to_dict() == {
        "40000001": 0,
        "40000002": 0,
        "40000003": 1,
        "40000005": 1,
        "40000006": 0,
        "40000007": 1,
    }
    assert table["age"].to_dict() == pytest.approx(
        {
            "40000001": 90,  # hidden in 2119, the ECG a year later
            "40000002": 90,  # 88 ten years before
            "40000003": 54,
            "40000004": np.nan,  # not in the table of patients
            "40000005": 56,
            "40000006": np.nan,  # hidden in 2119, the ECG a year earlier: 89 or more
            "40000007": 54,
        },
        nan_ok=True,
    )


def test_conditions_are_those_of_admissions_that_had_ended(table, options):
    row = table.loc["40000007"]
    known = {"diabetes": 0, "hypertension": 1, "heart_failure": 1, "stroke": 0, "vascular_disease": 0}
    assert row[list(CONDITIONS)].to_dict() == known
    since = -(pd.Timestamp("2150-03-01 12:00") - pd.Timestamp("2149-01-09 10:00")) / pd.Timedelta(days=1)
    assert_known(row, hypertension=(1, since), diabetes=(0, since))
    assert row[["hypertension_source", "diabetes_source"]].tolist() == [
        "diagnoses_icd",
        "admissions: no code of it",
    ]
    # In the stay that ended later diabetes and stroke were coded, and smoking.
    assert table.loc["40000003", ["diabetes", "stroke", "smoker"]].tolist() == [0, 0, 0]
    assert table.loc["40000005", ["diabetes", "stroke", "smoker"]].tolist() == [1, 1, 1]
    current = with_options(options, admissions="current")
    assert current.loc["40000003", ["diabetes", "stroke", "smoker"]].tolist() == [1, 1, 1]
    assert current.loc["40000007", ["diabetes", "stroke", "smoker"]].tolist() == [0, 0, 0]


def test_who_was_never_admitted_before_is_unknown_and_not_healthy(table):
    assert_unknown(table.loc["40000006"], *CONDITIONS, "smoker", "treated", "statin")
    assert (
        table.loc["40000001", list(CONDITIONS)].tolist() == [0] * 5
    )  # a stay with pneumonia; infarction only later
    assert_unknown(table.loc["40000001"], "smoker")


def test_drugs_are_taken_by_mouth_and_begun_before(table, options):
    row = table.loc["40000007"]
    assert_known(row, treated=(1, -364 - 4 / 24), statin=(1, -89 - 4 / 24))
    assert with_options(options, drug_days=100).loc["40000007", ["treated", "statin"]].tolist() == [0, 1]
    # Lisinopril came an hour after that ECG; nystatin is no statin.
    assert table.loc["40000003", ["treated", "statin"]].tolist() == [0, 1]
    assert table.loc["40000001", ["treated", "statin"]].tolist() == [0, 0]


def test_race_is_that_of_the_last_admission_which_names_one(table):
    # The second stay of the first patient names none; the second patient is White in the first stay and Black in the second.
    assert table.loc[["40000007", "40000001"], "black"].tolist() == [1, 1]
    assert np.isnan(table.loc["40000002", "black"])


def test_machine_statements_and_measurements(table):
    assert table["label_report"].to_dict() == {
        "40000001": None,
        "40000002": ["normal"],
        "40000003": ["normal"],
        "40000004": None,
        "40000005": ["abnormal"],
        "40000006": ["borderline"],
        "40000007": ["normal"],
    }
    assert table["label_rhythm"].to_dict() == {
        "40000001": ["paced"],
        "40000002": None,
        "40000003": ["sinus_tachycardia"],
        "40000004": ["atrial_flutter"],
        "40000005": ["atrial_fibrillation"],
        "40000006": ["sinus_bradycardia"],
        "40000007": ["sinus_rhythm"],
    }
    names = ["rr_interval", "pr_interval", "qrs_duration", "qt_interval", "p_axis", "qrs_axis", "t_axis"]
    targets = table[[f"target_{name}" for name in names]].to_numpy()
    np.testing.assert_array_equal(targets[6], [800, 160, 100, 400, 50, 60, 40])
    np.testing.assert_array_equal(targets[4], [450, np.nan, 90, 360, np.nan, -30, np.nan])
    assert np.isnan(targets[1]).all()
    assert np.isnan(targets[3, 3]), "the T wave cannot end before the QRS complex begins"


def test_ejection_fractions(table, options):
    assert table["target_lvef"].dropna().to_dict() == {"40000001": 60, "40000003": 40.5, "40000007": 35}
    labels = table["label_lvef_class"].dropna().to_dict()
    assert labels == {"40000001": ["preserved"], "40000003": ["mildly_reduced"], "40000007": ["reduced"]}
    assert MimicIvEcg(**options).parameters()["implausible"] == {"lvef": 3, "qt_interval": 1}


def test_without_tables_only_what_the_ecg_says_is_known(options):
    dataset = MimicIvEcg(options["root"])
    table = dataset.table()
    assert table[list(COVARIATES)].isna().all(axis=None)
    assert "dbp" not in dataset.targets
    assert "lvef" not in dataset.targets
    assert list(dataset.label_sets) == ["report", "rhythm"]


def test_tables_without_a_row_leave_everything_unknown(options, tmp_path):
    empty = {name: lines[:1] for name, lines in layout.HOSP.items()}
    layout.write_tables(tmp_path / "hosp", empty)
    layout.write_tables(tmp_path / "ed", {name: lines[:1] for name, lines in layout.ED.items()})
    dataset = MimicIvEcg(options["root"], hosp=str(tmp_path / "hosp"), ed=str(tmp_path / "ed"))
    assert dataset.table()[list(COVARIATES)].isna().all(axis=None)
    assert dataset.parameters()["joined"]["sbp"] == {
        "records": 0,
        "sources": {},
        "median_days": None,
        "left_out": 0,
    }


def test_a_scored_table_stands_in_place_of_the_tables(options, tmp_path):
    file = tmp_path / "mimiciv_metadata_with_score2.csv"
    file.write_text(
        "path,gender,anchor_age,age_at_ecg,BMI (kg/m2),Blood Pressure,Height (Inches),Weight (Lbs),score2_risk\n"
        f"{layout.path_of(40000007)},F,50,54,26.5,120/80,,,3.5\n"
        f"{layout.path_of(40000001)},M,91,91,,,,,\n"
        f"{layout.path_of(40000002)},,,130,900,80/120,,,\n"
    )
    dataset = MimicIvEcg(options["root"], scored=str(file))
    table = dataset.table().set_index("record")
    assert table.loc["40000007", ["sex", "age", "bmi", "sbp", "target_dbp"]].tolist() == [
        1,
        54,
        26.5,
        120,
        80,
    ]
    assert table.loc["40000001", ["sex", "age"]].tolist() == [0, 90]
    assert table.loc["40000002", ["sex", "bmi", "sbp", "target_dbp"]].isna().all()
    assert table.loc["40000002", "age"] == 90, "above 89 ages are hidden"
    assert dataset.parameters()["joined"]["bmi"] == {
        "records": 1, "sources": {"scored": 1}, "median_days": None, "left_out": 1,
    }  # fmt: skip
    with pytest.raises(ConfigError, match="scored stands in place of hosp and ed"):
        MimicIvEcg(options["root"], hosp=options["hosp"], scored=str(file))


def test_one_record_per_patient_by_time_or_by_hash(options):
    first = with_options(options, per_patient="first")
    assert first.index.tolist() == ["40000002", "40000004", "40000006", "40000007"]
    one = with_options(options, per_patient="one")
    assert one["patient"].is_unique
    assert len(one) == layout.PATIENTS
    pd.testing.assert_frame_equal(one, with_options(options, per_patient="one"))
    everything = with_options(options)
    pd.testing.assert_frame_equal(one[list(COVARIATES)], everything.loc[one.index, list(COVARIATES)])


def test_leads_come_by_their_names_whatever_the_files_order(options):
    dataset = MimicIvEcg(**options)
    row = dataset.table().iloc[0]
    signal = dataset.signal(row)
    assert signal.leads == tuple(layout.LEADS)
    assert signal.leads != LEADS
    record = wfdb.rdrecord(str(Path(options["root"]) / row["file"]))
    np.testing.assert_allclose(signal.millivolts(), record.p_signal.T, atol=1e-6)


def test_the_manifest_tells_counts_and_no_patients_value(options):
    parameters = MimicIvEcg(**options).parameters()
    assert parameters["joined"]["sbp"] == {
        "records": 3,
        "sources": {"omr: Blood Pressure": 2, "ed: triage, vitalsign": 1},
        "median_days": 2.0,
        "left_out": 1,
    }
    assert parameters["joined"]["total_cholesterol"]["left_out"] == 1
    assert set(parameters["tables"]) >= {"record_list.csv", "hosp/labevents", "ed/triage", "lvef"}
    text = json.dumps(parameters)
    for value in ("10000001", "40000007", "2150-", str(Path(options["root"]).parent)):
        assert value not in text


@pytest.mark.parametrize(
    ("option", "value"),
    [("days_before", -1), ("days_after", 1e6), ("drug_days", float("nan")), ("fs", 10), ("seconds", 0)],
)
def test_options_outside_their_ranges_are_refused(options, option, value):
    with pytest.raises(ConfigError, match=f"mimic_iv_ecg.{option} is .* allowed are"):
        MimicIvEcg(**{**options, option: value})


def broken(tmp_path, change):
    options = layout.write(tmp_path)
    change(tmp_path)
    return MimicIvEcg(**options)


def rewrite(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda at: (at / "mimic-iv-ecg/record_list.csv").unlink(), "lacks record_list.csv"),
        (lambda at: (at / "mimic-iv-ecg/machine_measurements.csv").unlink(), "lacks machine_measurements.csv"),
        (lambda at: rewrite(at / "hosp/patients.csv", "anchor_age", "age"), "lacks the column anchor_age"),
        (lambda at: (at / "hosp/labevents.csv.gz").unlink(), "has neither labevents.csv nor labevents.csv.gz"),
        (lambda at: rewrite(at / "hosp/patients.csv", "52", "5x2"), "a value that is not int32"),
        (lambda at: rewrite(at / "hosp/patients.csv", "F,52", "F,52,52,52"), "another number of fields"),
        (lambda at: rewrite(at / "mimic-iv-ecg/record_list.csv", ",40000003,40000003", ",40000001,40000001"), "repeat the study_id"),
        (lambda at: rewrite(at / "mimic-iv-ecg/record_list.csv", "2150-06-10 08:00:00", ""), "1 of 7 rows lack one of"),
        (lambda at: (at / "mimic-iv-ecg/record_list.csv").write_text("subject_id,study_id,file_name,ecg_time,path\n"), "has no rows"),
        (lambda at: (at / "LVEF.csv").write_text("subject_id,LVEF\n1,50\n"), "lacks a column waveform_path or path"),
        (lambda at: (at / "hosp/omr.csv.gz").write_bytes((at / "hosp/omr.csv.gz").read_bytes()[:-30]), "cannot be read to its end"),
        (lambda at: (at / "hosp/admissions.csv").write_text(""), "not a CSV with a line of column names"),
    ],
)  # fmt: skip
def test_broken_tables_are_named_without_a_patients_value(tmp_path, change, message):
    dataset = broken(tmp_path, change)
    with pytest.raises(DataError, match=message) as caught:
        dataset.table()
    assert str(tmp_path) in str(caught.value), "which file"
    shown = f"{caught.value} {caught.value.__cause__}"
    for value in ("5x2", "10000001", "2150-", "F,52"):
        assert value not in shown
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.realdata
def test_real_measurements_become_targets(realdata, tmp_path):
    real = pd.read_csv(realdata / "mimic_iv_ecg_table" / "machine_measurements_sample1000.csv")
    said = real.pop("afib_from_report").map({1: "Atrial fibrillation", 0: "Sinus rhythm"})
    for place in range(18):
        real[f"report_{place}"] = said if place == 0 else ""
    real.to_csv(tmp_path / "machine_measurements.csv", index=False)
    path = "files/" + real["study_id"].astype(str)
    records = real[["subject_id", "study_id", "ecg_time"]].assign(file_name=real["study_id"], path=path)
    records.to_csv(tmp_path / "record_list.csv", index=False)
    dataset = MimicIvEcg(str(tmp_path))
    table = dataset.table()
    assert len(table) == 1000
    assert table["patient"].nunique() == 214
    assert table["label_rhythm"].map(tuple).value_counts().to_dict() == {
        ("atrial_fibrillation",): 500,
        ("sinus_rhythm",): 500,
    }
    real = real.sort_values("study_id", ignore_index=True)
    rr = real["rr_interval"].where(real["rr_interval"] < 29999)
    np.testing.assert_array_equal(table["target_rr_interval"], rr)
    values = table[[f"target_{name}" for name in dataset.targets]]
    assert values.max(axis=None) < 3000, "29999 and 32767 are no measurements"
    # Atrial fibrillation has no P wave: the machine measures a PR interval in almost nobody who has it.
    fibrillates = table["label_rhythm"].str[0] == "atrial_fibrillation"
    known = values["target_pr_interval"].notna()
    assert known[~fibrillates].mean() > 0.8
    assert known[fibrillates].mean() < 0.2
    assert values["target_qrs_duration"].between(60, 240).mean() > 0.95
    assert len(MimicIvEcg(str(tmp_path), per_patient="first").table()) == 214
