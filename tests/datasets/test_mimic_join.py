"""What MIMIC-IV's tables are joined with: nearest in time against a search by hand, units against published values, codes one by one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labevents_memory import measured, write_labevents

from clef_ray.datasets import _mimic_codes as codes
from clef_ray.datasets import _mimic_tables
from clef_ray.datasets._mimic_join import FOREVER, Ecgs, Field, Window, joined, moments, nearest
from clef_ray.datasets._mimic_measured import blood_pressure, egfr_ckd_epi_2021, hba1c_ifcc
from clef_ray.datasets._mimic_tables import ID, NUMBER, TEXT, WORD, scan, translate
from clef_ray.errors import DataError

DAY = 86400
#: Subjects next to each other and at both ends of MIMIC's range; times from 2100 to 2210 that often coincide.
subjects = st.sampled_from([10000000, 10000001, 19999999])
times = st.one_of(
    st.integers(4_102_444_800, 7_573_392_000),
    st.integers(0, 40).map(lambda half: 5_000_000_000 + half * DAY // 2),
)
people = st.lists(st.tuples(subjects, times), max_size=12)


def as_moments(rows):
    subject_N, time_N = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    return moments(subject_N, time_N.astype("datetime64[s]"))


@given(
    people,
    people,
    st.sampled_from([0.0, 0.5, 1.0, 3.0, 365.0, FOREVER]),
    st.sampled_from([0.0, 0.5, 2.0, 365.0]),
)
def test_the_nearest_is_what_a_search_one_by_one_finds(known, ecgs, before, after):
    known = sorted(known)
    found_N = nearest(as_moments(known), as_moments(ecgs), Window(before, after))
    for (subject, time), found in zip(ecgs, found_N, strict=True):
        candidates = [
            (abs(then - time), then > time, place)
            for place, (who, then) in enumerate(known)
            if who == subject and -before * DAY <= then - time <= after * DAY
        ]
        assert found == (min(candidates)[2] if candidates else -1)


def test_of_equally_near_ones_the_earlier_and_of_simultaneous_ones_the_first():
    at = 5_000_000_000
    known = as_moments([(10000000, at + hours * 3600) for hours in (-24, -24, 24, 24, 30)])
    ecgs = as_moments([(10000000, at), (10000000, at + 3600)])
    assert nearest(known, ecgs, Window(365.0, 365.0)).tolist() == [0, 2]
    assert nearest(known, ecgs, Window(0.5, 365.0)).tolist() == [2, 2]


def test_joining_agrees_with_pandas():
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "subject": rng.integers(10_000_000, 10_000_050, 3000),
            "time": rng.permutation(np.arange(3000) * 7919).astype("datetime64[s]")
            + np.timedelta64(5 * 10**9, "s"),
            "value": rng.normal(size=3000),
        }
    )
    ecgs = Ecgs(
        rng.integers(10_000_000, 10_000_060, 500),
        (5 * 10**9 + rng.integers(0, 3000 * 7919, 500)).astype("datetime64[s]"),
    )
    field = joined(ecgs, table, ["value"], "somewhere", Window(20.0, 20.0))["value"]
    left = pd.DataFrame({"subject": ecgs.subject_N, "at": ecgs.time_N}).reset_index().sort_values("at")
    expected = pd.merge_asof(
        left, table.assign(then=table["time"]).sort_values("time"), left_on="at", right_on="time", by="subject",
        direction="nearest", tolerance=pd.Timedelta(days=20),
    ).sort_values("index")  # fmt: skip
    np.testing.assert_array_equal(field.value_N, expected["value"])
    days = (expected["then"] - expected["at"]) / pd.Timedelta(days=1)
    np.testing.assert_allclose(field.days_N, days, atol=1e-9)
    assert 0 < np.isnan(field.value_N).sum() < 500
    assert field.summary()["records"] == expected["value"].notna().sum()


def test_a_field_falls_back_on_another_with_its_source_and_distance():
    first = Field.of(np.array([1.0, np.nan, np.nan]), "a", np.array([-1.0, 7.0, 7.0]))
    both = first.or_else(Field.of(np.array([9.0, 2.0, np.nan]), "b", np.array([5.0, 3.0, 3.0])))
    np.testing.assert_array_equal(both.value_N, [1, 2, np.nan])
    np.testing.assert_array_equal(both.days_N, [-1, 3, np.nan])
    assert list(both.source) == ["a", "b", np.nan]
    assert both.summary() == {"records": 2, "sources": {"a": 1, "b": 1}, "median_days": 2.0, "left_out": 0}
    limited = Field.of(np.array([120.0, 1200.0]), "a", np.zeros(2)).within("sbp")
    assert limited.summary() == {"records": 1, "sources": {"a": 1}, "median_days": 0.0, "left_out": 1}


@pytest.mark.parametrize(
    ("creatinine", "age", "female", "expected"),
    [
        (1.2, 55, 0, 71),  # the National Kidney Foundation's example, kidney.org
        (0.7, 40, 1, 112),  # at the knot the powers are 1: 142 x 0.9938^40 x 1.012
        (0.9, 40, 0, 111),
        (2.0, 70, 1, 26),
        (0.5, 30, 0, 141),
    ],
)
def test_egfr_is_ckd_epi_2021(creatinine, age, female, expected):
    found = egfr_ckd_epi_2021(np.array([creatinine]), np.array([float(age)]), np.array([float(female)]))
    assert round(found[0]) == expected


def test_egfr_is_unknown_where_anything_it_needs_is():
    known = np.array([1.0, 50.0, 1.0])
    for place in range(3):
        values = known.copy()
        values[place] = np.nan
        assert np.isnan(egfr_ckd_epi_2021(*(values[i : i + 1] for i in range(3)))).all()


def test_hba1c_in_the_units_of_the_ifcc():
    # The conversion table of NGSP and IFCC: 5, 6, 6.5, 7, 8, 10 % are 31, 42, 48, 53, 64, 86 mmol/mol.
    found = hba1c_ifcc(np.array([5.0, 6.0, 6.5, 7.0, 8.0, 10.0]))
    assert np.rint(found).tolist() == [31, 42, 48, 53, 64, 86]


def test_blood_pressures_are_read_of_text():
    found = pd.DataFrame(
        blood_pressure(pd.Series(["120/80", " 95 / 60 ", "1300/80", "120", "x/80", "120/80/3", None]))
    )
    assert found.iloc[:2].to_numpy().tolist() == [[120, 80], [95, 60]]
    assert found.iloc[2:].isna().all(axis=None)


@pytest.mark.parametrize(
    ("version", "code", "expected"),
    [
        (9, "25000", {"diabetes"}),
        (10, "E119", {"diabetes"}),
        (10, "E11.9 ", {"diabetes"}),
        (9, "E119", set()),  # an external cause
        (10, "E089", set()),  # diabetes of another disease
        (9, "4019", {"hypertension"}),
        (10, "I10", {"hypertension"}),
        (10, "I110", {"hypertension", "heart_failure"}),
        (10, "I119", {"hypertension"}),
        (9, "40201", {"hypertension", "heart_failure"}),
        (9, "40200", {"hypertension"}),
        (9, "4280", {"heart_failure"}),
        (10, "I5023", {"heart_failure"}),
        (10, "I420", {"heart_failure"}),
        (10, "I421", set()),
        (10, "I639", {"stroke"}),
        (10, "I619", set()),  # haemorrhage
        (10, "G459", {"stroke"}),
        (10, "G454", set()),  # transient global amnesia
        (10, "Z8673", {"stroke"}),
        (9, "43411", {"stroke"}),
        (9, "43310", set()),  # narrowed without infarction
        (9, "V1254", {"stroke"}),
        (9, "41071", {"vascular_disease"}),
        (9, "412", {"vascular_disease"}),
        (9, "41401", set()),  # coronary disease without infarction
        (10, "I2510", set()),
        (10, "I252", {"vascular_disease"}),
        (10, "I739", {"vascular_disease"}),
        (10, "I700", {"vascular_disease"}),
        (10, "I701", set()),  # renal artery
        (10, "F17210", {"smoker"}),
        (10, "F17211", {"ex_smoker"}),  # in remission
        (10, "Z87891", {"ex_smoker"}),
        (10, "Z720", {"smoker"}),
        (9, "3051", {"smoker"}),
        (9, "V1582", {"ex_smoker"}),
    ],
)
def test_diagnosis_codes(version, code, expected):
    assert codes.conditions(code, version) == expected


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ({"treated"}, "Lisinopril,Losartan Potassium,Metoprolol Succinate XL,Carvedilol,Labetalol,amLODIPine,NIFEdipine CR"),
        ({"treated"}, "Hydrochlorothiazide,Chlorthalidone,HydrALAZINE,CloniDINE Patch 0.1 mg/24 hr,Sacubitril-Valsartan"),
        ({"treated"}, "Diltiazem Extended-Release,Spironolactone,Bisoprolol Fumarate,Verapamil SR,Doxazosin"),
        ({"statin"}, "Atorvastatin,Simvastatin,Rosuvastatin Calcium,pravastatin"),
        ({"treated", "statin"}, "amlodipine-atorvastatin"),
        (set(), "Nystatin,Sotalol,Nimodipine,Furosemide,Aspirin,Albuterol Inhaler,Haloperidol,Tamsulosin,Aprepitant"),
    ],
)  # fmt: skip
def test_drug_names(kind, names):
    assert {name: set(codes.drug_classes(name)) for name in names.split(",")} == dict.fromkeys(
        names.split(","), kind
    )


def test_rhythm_statements_are_certain_ones_only():
    names = {
        "Sinus rhythm with PVC(s)": "sinus_rhythm",
        "sinus rhythm": "sinus_rhythm",
        "Sinus or ectopic atrial rhythm": None,
        "Sinus rhythm or ectopic atrial rhythm": None,
        "Atrial fibrillation.": "atrial_fibrillation",
        "Atrial fibrillation/flutter": None,
        "Atrial fibrillation or flutter": None,
        "Probable atrial fibrillation": None,
        "Atrial flutter with 2:1 block": "atrial_flutter",
        "Ventricular pacing": "paced",
        "Ventricular-paced complexes": "paced",
        "Atrial-paced rhythm": "paced",
        "Ventricular premature complexes": None,
    }
    found = {text: codes.rhythm(text) for text in names}
    assert {text: None if place < 0 else codes.RHYTHMS[place] for text, place in found.items()} == names


def write(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    return path


def test_a_pass_gives_only_the_columns_asked_for_with_their_types(tmp_path):
    path = write(tmp_path, 'z,a,word,b\n1,2,"x, y",\n,3,"two\nlines",0.5\n')
    table = pa.Table.from_batches(scan(path, {"b": NUMBER, "a": ID, "word": TEXT}))
    assert table.to_pydict() == {"b": [None, 0.5], "a": [2, 3], "word": ["x, y", "two\nlines"]}


def test_a_line_break_in_a_value_may_stand_at_the_end_of_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr(_mimic_tables, "BLOCK", 512)
    path = write(tmp_path, "word,n\n" + "".join(f'"two\nlines\nor more",{n}\n' for n in range(1000)))
    blocks = list(scan(path, {"n": ID}))
    assert len(blocks) > 5
    assert pa.Table.from_batches(blocks)["n"].to_pylist() == list(range(1000))


def test_words_are_translated_with_unknown_ones_apart(tmp_path):
    path = write(tmp_path, "w,n\na,1\n,2\nbb,3\na,4\n")
    batch = next(scan(path, {"w": WORD}))
    assert translate(batch["w"], len).tolist() == [1, -1, 2, 1]


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match=r"lacks nothing\.csv"):
        list(scan(tmp_path / "nothing.csv", {"a": ID}))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process's own peak memory")
def test_memory_does_not_grow_with_the_rows_that_are_not_wanted(tmp_path):
    peaks = {}
    for rows in (20_000, 600_000):
        file = tmp_path / f"{rows}.csv.gz"
        write_labevents(file, rows, patients=1000)
        peaks[rows] = measured(file, ecgs=10_000, patients=1000)
    grown = peaks[600_000]["peak_mb"] - peaks[20_000]["peak_mb"]
    # The larger one is 60 MB of text, of which 24,000 rows of 32 bytes are kept; the blocks in flight are a few of 8 MB.
    assert grown < 150, peaks
    assert peaks[600_000]["known"]["creatinine"] > 500
