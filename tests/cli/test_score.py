"""`clef-ray score` on tables as people have them: CSV and Parquet, their units, their words, their mistakes."""

import csv
import re
import subprocess
import sys
from typing import get_args

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clef_ray.cli import build_parser, main
from clef_ray.cli.score import stem
from clef_ray.registry import SCORES
from clef_ray.scores import FIELDS, Imputation

#: SCORE2 Supplementary Table 4: 50 years, smokes, 140 mmHg, total cholesterol 6.3, HDL 1.4 mmol/L; percent in the low-risk region.
PUBLISHED = {"male": 6.3, "female": 4.3}
HEADER = ["id", "sex", "age", "smoker", "sbp", "total_cholesterol", "hdl", "note"]
ROWS = [
    ["007", "male", "50", "yes", "140", "6.3", "1.4", 'says "fine", today'],
    ["008", "F", "50.0", "TRUE", "140", "6.3", "1.4", ""],
]


def write_csv(path, header=HEADER, rows=ROWS, encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return header, rows


def changed(column, *values):
    """ROWS with other values in a column."""
    at = HEADER.index(column)
    return [[*row[:at], value, *row[at + 1 :]] for row, value in zip(ROWS, values, strict=True)]


def score(folder, *arguments, name="score2", source="in.csv", target="out.csv"):
    return main(["score", "--score", name, "--input", str(folder / source), "--output", str(folder / target), *arguments])  # fmt: skip


def told(capsys):
    return capsys.readouterr().err


@pytest.fixture
def folder(tmp_path):
    write_csv(tmp_path / "in.csv")
    return tmp_path


def test_the_published_example_as_a_command(folder):
    """In a process of its own, in mmol/L."""
    command = [sys.executable, "-m", "clef_ray", "score", "--score", "score2", "--region", "low"]
    done = subprocess.run(
        [*command, "--input", "in.csv", "--output", "out.csv"],
        capture_output=True, text=True, timeout=120, cwd=folder, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout
        == "out.csv: 2 rows, 2 scored (0 of them not valid: outside the score's range or contradictory), 0 unknown\n"
    )
    header, rows = read_csv(folder / "out.csv")
    assert header == [*HEADER, "score2", "score2_observed", "score2_valid"]
    assert [row[:8] for row in rows] == ROWS, "every cell as it was"
    assert [round(float(row[8]), 1) for row in rows] == [PUBLISHED["male"], PUBLISHED["female"]]
    assert [row[9:] for row in rows] == [["6", "True"], ["6", "True"]]


def test_mg_per_dl_gives_the_same_numbers(folder):
    assert score(folder, "--region", "low") == 0
    in_mg = [[*row[:5], str(float(row[5]) / 0.02586), str(float(row[6]) / 0.02586), row[7]] for row in ROWS]
    write_csv(folder / "mg.csv", rows=in_mg)
    assert score(folder, "--region", "low", "--units", "mg/dL", source="mg.csv", target="mg-out.csv") == 0
    here, there = (
        [float(row[8]) for row in read_csv(folder / name)[1]] for name in ("out.csv", "mg-out.csv")
    )
    assert there == pytest.approx(here, rel=1e-12)


def test_hba1c_in_percent_gives_the_same_numbers(folder):
    """50 mmol/mol is 6.725 %, by the NGSP's master equation."""
    header = ["age", "sex", "smoker", "sbp", "total_cholesterol", "hdl", "diabetes", "diabetes_age", "hba1c", "egfr"]  # fmt: skip
    for name, hba1c in (("mmol.csv", "50"), ("percent.csv", str(50 / 10.929 + 2.15))):
        write_csv(folder / name, header, [["60", "m", "no", "140", "5.5", "1.3", "yes", "60", hba1c, "90"]])
    assert score(folder, "--region", "low", name="score2_diabetes", source="mmol.csv") == 0
    assert (
        score(
            folder,
            *("--region", "low", "--hba1c-unit", "%"),
            name="score2_diabetes",
            source="percent.csv",
            target="p.csv",
        )
        == 0
    )
    here, there = (float(read_csv(folder / name)[1][0][10]) for name in ("out.csv", "p.csv"))
    assert round(here, 1) == 8.4, "the published example"
    assert there == pytest.approx(here, rel=1e-9)


def test_parquet_in_and_out_keeps_types_and_order(folder):
    given = pa.table(
        {
            "visit": pa.array([3, None], pa.int16()),
            "sex": pa.array([0, 1], pa.int8()),
            "age": pa.array([50, 50], pa.int32()),
            "smoker": pa.array([True, True]),
            "sbp": pa.array([140.0, None]),
            "hdl": pa.array(["1.4", None]).dictionary_encode(),
            "total_cholesterol": pa.array([6.3, 6.3], pa.float32()),
            "note": pa.array([["a", "b"], []]),
        }
    )
    pq.write_table(given, folder / "in.parquet")
    assert score(folder, "--region", "low", source="in.parquet", target="out.parquet") == 0
    found = pq.read_table(folder / "out.parquet")
    assert found.select(given.column_names).equals(given)
    assert found.column_names[8:] == ["score2", "score2_observed", "score2_valid"]
    assert found["score2"].null_count == 1, "unknown is null, as elsewhere in the file"
    assert round(found["score2"][0].as_py(), 1) == PUBLISHED["male"]
    assert found["score2_observed"].to_pylist() == [6, 4]
    assert found["score2_valid"].to_pylist() == [True, False]
    assert pd.read_parquet(folder / "out.parquet")["score2"].isna().tolist() == [False, True]


def test_csv_to_parquet_and_back_is_the_same_text(folder):
    assert score(folder, "--region", "low", target="out.parquet") == 0
    pq.write_table(pq.read_table(folder / "out.parquet").select(HEADER), folder / "again.parquet")
    assert score(folder, "--region", "low", source="again.parquet") == 0
    header, rows = read_csv(folder / "out.csv")
    assert header[:8] == HEADER
    assert [row[:8] for row in rows] == ROWS


def test_unknown_cells_are_unknown_and_filled_only_when_asked(folder, capsys):
    write_csv(folder / "in.csv", rows=changed("sbp", "", " NaN "))
    assert score(folder) == 0
    assert capsys.readouterr().out.endswith(
        "2 rows, 0 scored (0 of them not valid: outside the score's range or contradictory), 2 unknown\n"
    )
    assert [row[8:] for row in read_csv(folder / "out.csv")[1]] == [["", "5", "False"]] * 2
    assert score(folder, "--impute", "centre") == 0
    filled = [row[8:] for row in read_csv(folder / "out.csv")[1]]
    write_csv(folder / "in.csv", rows=changed("sbp", "120", "120"))
    assert score(folder) == 0
    known = [row[8:] for row in read_csv(folder / "out.csv")[1]]
    assert [row[0] for row in filled] == [row[0] for row in known]
    assert [row[1] for row in filled] == ["5", "5"], "what was observed, not what was filled"


@pytest.mark.parametrize("policy", ["median", "age_sex_median", "iterative"])
def test_policies_learn_from_the_file(folder, policy, capsys):
    write_csv(folder / "in.csv", rows=changed("sbp", "140", ""))
    assert score(folder, "--region", "low", "--impute", policy) == 0
    woman = read_csv(folder / "out.csv")[1][1]
    assert round(float(woman[8]), 1) == PUBLISHED["female"], "the only pressure known is 140"
    write_csv(folder / "in.csv", rows=changed("sbp", "", ""))
    assert score(folder, "--impute", policy) == 2
    assert "nothing to learn 'sbp' from" in told(capsys)


def test_outside_the_range_is_said_and_not_valid(folder, capsys):
    write_csv(folder / "in.csv", rows=changed("age", "30", "50"))
    assert score(folder) == 0
    assert "2 scored (1 of them not valid: outside" in capsys.readouterr().out
    assert [row[10] for row in read_csv(folder / "out.csv")[1]] == ["False", "True"]
    assert score(folder, "--set", "out_of_range=nan") == 0
    assert read_csv(folder / "out.csv")[1][0][8] == ""
    assert score(folder, "--set", "out_of_range=extrapolate") == 0
    assert re.fullmatch(r"warning: .*extrapolated for 1 of 2 records.*\n", told(capsys)), "once, in one line"


def test_implausible_values_are_refused_with_a_hint(folder, capsys):
    write_csv(folder / "in.csv", rows=changed("total_cholesterol", "243", "243"))
    assert score(folder) == 2
    error = told(capsys)
    assert "total_cholesterol: 2 of 2 values are implausible; plausible is 0.5 to 20 (mmol/L" in error
    assert "--units" in error
    assert "--implausible flag" in error
    assert not (folder / "out.csv").exists()


HBA1C = [
    "age",
    "sex",
    "smoker",
    "sbp",
    "total_cholesterol",
    "hdl",
    "diabetes",
    "diabetes_age",
    "hba1c",
    "egfr",
]


@pytest.mark.parametrize(
    ("arguments", "column", "value", "words"),
    [
        (
            ("--units", "mg/dL"),
            "hdl",
            "1.4",
            r"hdl: 1 of 1 .*plausible is 1\.933 to 309\.4 \(mg/dL\).*one is 1\.4\.",
        ),
        (
            ("--units", "mg/dL"),
            "total_cholesterol",
            "6.3",
            r"plausible is 19\.33 to 773\.4 \(mg/dL\).*one is 6\.3\.",
        ),
        (("--hba1c-unit", "%"), "hba1c", "48", r"plausible is 3\.065 to 25\.02 \(%\).*one is 48\."),
        ((), "hba1c", "7.1", r"plausible is 10 to 250 \(mmol/mol; .*one is 7\.1\."),
    ],
)
def test_an_implausible_value_is_told_as_the_file_has_it(folder, capsys, arguments, column, value, words):
    """And the plausible range in the file's unit: 0.05 to 8 mmol/L of HDL are 1.933 to 309.4 mg/dL."""
    lipid = ("213", "50") if "mg/dL" in arguments else ("5.5", "1.3")
    hba1c = "6.7" if "%" in arguments else "50"
    row = dict(zip(HBA1C, ["60", "m", "no", "140", *lipid, "yes", "55", hba1c, "90"], strict=True))
    write_csv(folder / "in.csv", HBA1C, [list((row | {column: value}).values())])
    assert score(folder, *arguments, name="score2_diabetes") == 2
    assert re.search(words, told(capsys))


def test_swapped_columns_are_told_by_their_number_and_not_valid(folder, capsys):
    rows = [
        *ROWS,
        ["009", "f", "50", "no", "140", "1.4", "6.3", ""],
        ["010", "f", "50", "no", "140", "1.4", "", ""],
    ]
    write_csv(folder / "in.csv", rows=rows)
    assert score(folder, "--impute", "centre") == 0
    out, error = capsys.readouterr()
    assert error == (
        "warning: hdl is not below total_cholesterol in 1 of 4 rows; their scores are not valid. Are columns swapped?\n"
    )
    assert "4 scored (1 of them not valid" in out
    rows = read_csv(folder / "out.csv")[1]
    assert [row[10] for row in rows] == ["True", "True", "False", "True"]
    assert all(row[8] for row in rows), "the value stays"


def test_what_an_imputation_makes_is_not_said_of_the_file(folder, capsys):
    """HDL known as 1.4, total cholesterol filled from the others with 1: not valid, but no column is swapped."""
    rows = [
        [*row[:5], *cells, row[7]] for row, cells in zip(ROWS, (("1.0", "0.5"), ("", "1.4")), strict=True)
    ]
    write_csv(folder / "in.csv", rows=rows)
    assert score(folder, "--impute", "median") == 0
    assert told(capsys) == ""
    assert [row[10] for row in read_csv(folder / "out.csv")[1]] == ["True", "False"]


@pytest.mark.parametrize("policy", ["none", "centre"])
def test_flagged_values_are_unknown_and_their_rows_not_valid(folder, capsys, policy):
    write_csv(folder / "in.csv", rows=changed("sbp", "1407", "140"))
    assert score(folder, "--region", "low", "--implausible", "flag", "--impute", policy) == 0
    out, error = capsys.readouterr()
    assert "1 with implausible values" in out
    assert error == "warning: sbp: 1 of 2 values are implausible; plausible is 40 to 350 (mmHg); taken for unknown\n"  # fmt: skip
    man, woman = read_csv(folder / "out.csv")[1]
    assert man[4] == "1407", "the table keeps what it said"
    assert (man[8] == "") == (policy == "none")
    assert man[9:] == ["5", "False"]
    assert (round(float(woman[8]), 1), *woman[9:]) == (PUBLISHED["female"], "6", "True")


def test_the_point_has_two_columns_and_a_covariates_name_is_kept(folder):
    assert score(folder, name="age_sex") == 0
    header, rows = read_csv(folder / "out.csv")
    assert header[8:] == ["age_sex_1", "age_sex_2", "age_sex_observed", "age_sex_valid"]
    assert [float(x) for x in rows[0][8:10]] == pytest.approx([-10 / 15, -1])
    assert score(folder, name="age") == 0
    header, rows = read_csv(folder / "out.csv")
    assert header == [*HEADER, "age_score", "age_score_observed", "age_score_valid"]
    assert [row[2] for row in rows] == ["50", "50.0"]
    assert [float(row[8]) for row in rows] == [50, 50]


def test_no_columns_are_needed_where_the_score_needs_none(folder):
    write_csv(folder / "in.csv", ["x"], [["1"], ["2"]])
    assert score(folder, name="constant") == 0
    assert read_csv(folder / "out.csv")[1] == [["1", "1.0", "0", "True"], ["2", "1.0", "0", "True"]]


def test_no_rows_are_no_rows(folder, capsys):
    write_csv(folder / "in.csv", rows=[])
    assert score(folder, "--impute", "centre") == 0
    assert "0 rows, 0 scored" in capsys.readouterr().out
    assert read_csv(folder / "out.csv") == ([*HEADER, "score2", "score2_observed", "score2_valid"], [])


def test_rows_of_a_patient_stay_together(folder):
    """The permuted control gives one value to all rows of a `patient`; a row without a name is a patient of its own."""
    rows = [[who, *ROWS[0][1:4], str(100 + 5 * i), *ROWS[0][5:]] for i, who in enumerate("aabbccdd")]
    for name, column in (("named.csv", "patient"), ("plain.csv", "id")):
        write_csv(folder / name, [column, *HEADER[1:]], rows)
        assert score(folder, name="permuted", source=name, target=f"out-{name}") == 0
    named, plain = ([row[8] for row in read_csv(folder / f"out-{n}")[1]] for n in ("named.csv", "plain.csv"))
    assert named[::2] == named[1::2]
    assert len(set(named)) == 4
    assert len(set(plain)) == 8
    write_csv(folder / "empty.csv", ["patient", *HEADER[1:]], [["", *row[1:]] for row in rows])
    assert score(folder, name="permuted", source="empty.csv") == 0
    assert [row[8] for row in read_csv(folder / "out.csv")[1]] == plain


def test_a_table_from_excel_is_read(folder):
    write_csv(folder / "in.csv", header=["sex", *HEADER[:1], *HEADER[2:]], rows=[[r[1], r[0], *r[2:]] for r in ROWS], encoding="utf-8-sig")  # fmt: skip
    assert score(folder, "--region", "low") == 0
    assert round(float(read_csv(folder / "out.csv")[1][0][8]), 1) == PUBLISHED["male"]


def test_empty_lines_are_no_patients(folder):
    with (folder / "in.csv").open("a") as file:
        file.write("\n\n")
    assert score(folder) == 0
    assert len(read_csv(folder / "out.csv")[1]) == 2


def test_a_policy_by_age_and_sex_needs_both_columns(folder, capsys):
    """CHA2DS2-VA does not ask for the sex; the medians by age and sex do."""
    header = ["age", "heart_failure", "hypertension", "diabetes", "stroke", "vascular_disease"]
    rows = [["70", "1", "", "0", "0", "0"], ["71", "1", "1", "0", "0", "0"]]
    write_csv(folder / "in.csv", header, rows)
    assert score(folder, "--impute", "median", name="cha2ds2_va") == 0
    assert score(folder, "--impute", "age_sex_median", name="cha2ds2_va") == 2
    assert "lacks the columns sex" in told(capsys)
    write_csv(folder / "in.csv", [*header, "sex"], [[*row, "f"] for row in rows])
    assert score(folder, "--impute", "age_sex_median", name="cha2ds2_va") == 0
    assert [row[7] for row in read_csv(folder / "out.csv")[1]] == ["3.0", "3.0"]


MISTAKES = [
    (["--region", "lo"], {}, "Did you mean 'low'"),
    (["--set", "region=low", "--region", "low"], {}, "the same option"),
    (["--set", "regoin=low"], {}, "Did you mean 'region'"),
    (["--set", "low"], {}, "KEY=VALUE"),
    ([], {"name": "score3"}, "unknown risk score 'score3'"),
    (["--region", "low"], {"name": "framingham"}, "score 'framingham' has no regions; those that have: score2, score2_diabetes, score2_op"),
    ([], {"target": "in.csv"}, "is the input"),
    ([], {"target": "out.xlsx"}, "must end in .csv or .parquet"),
    ([], {"source": "none.csv"}, "no such file"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "names", "words"), MISTAKES)
def test_a_mistake_on_the_command_line_is_told(folder, capsys, arguments, names, words):
    before = (folder / "in.csv").read_bytes()
    assert score(folder, *arguments, **names) == 2
    error = told(capsys)
    assert words in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["in.csv"]
    assert (folder / "in.csv").read_bytes() == before


def test_a_column_that_says_what_it_is_is_no_other(folder, capsys):
    """`patient` is like `statin`, and `diabetes` like `diabetes_age`; `HDL` is hdl, and `totalcholesterol` nearly what is needed."""
    header = [
        "patient",
        "age",
        "sex",
        "smoker",
        "sbp",
        "treated",
        "Diabetes",
        "egfr",
        "HDL",
        "totalcholesterol",
    ]
    write_csv(folder / "in.csv", header, [["a", *["1"] * 9]])
    assert score(folder, name="prevent") == 2
    hints = re.findall(r"Is '(\w+)' '(\w+)'\?", told(capsys))
    assert set(hints) == {("Diabetes", "diabetes"), ("totalcholesterol", "total_cholesterol"), ("HDL", "hdl")}
    write_csv(folder / "in.csv", [*header[:6], "diabetes", "hba1c", "egfr", "hdl"], [["a", *["1"] * 9]])
    assert score(folder, name="score2_diabetes") == 2
    error = told(capsys)
    assert "lacks the columns total_cholesterol, diabetes_age." in error
    assert "Is '" not in error


def test_the_base_of_the_permuted_control_takes_its_options(folder):
    """One patient is exchanged with itself, so that what is left is the base."""
    write_csv(folder / "in.csv", ["patient", *HEADER[1:]], [["a", *ROWS[0][1:]]])
    assert score(folder, "--set", "base=score2:region=low,op_from=none", name="permuted") == 0
    assert round(float(read_csv(folder / "out.csv")[1][0][8]), 1) == PUBLISHED["male"]


FILES = [
    ([c.replace("sbp", "SBP_") for c in HEADER], ROWS, r"lacks the columns sbp\. Score 'score2' needs age, sex, smoker, sbp.*Is 'SBP_' 'sbp'\? Then rename it"),
    ([*HEADER[:-1], "sbp"], ROWS, "twice: sbp"),
    ([*HEADER[:-1], "score2"], ROWS, "has score2 already"),
    (HEADER, [*ROWS, ["1", "2"]], "row 3 below the header has 2 cells, not 8"),
    (HEADER, changed("sbp", "140", "14O"), r"'sbp': 1 of 2 values cannot be read, the first in row 2.*with a decimal point"),
    (HEADER, changed("sex", "male", "woman"), "'sex': 1 of 2 values.*numbers, male, m, female, f"),
    (HEADER, changed("smoker", "yes", "often"), "'smoker': 1 of 2 values.*numbers, true, yes, false, no"),
    (HEADER, changed("smoker", "yes", "2"), "smoker: 1 of 2 values are implausible; plausible is 0 or 1"),
    ([";".join(HEADER)], [[";".join(row)] for row in ROWS], "separated by semicolons"),
]  # fmt: skip


@pytest.mark.parametrize(("header", "rows", "words"), FILES)
def test_a_mistake_in_the_file_is_told_with_its_place(folder, capsys, header, rows, words):
    write_csv(folder / "in.csv", header, rows)
    assert score(folder) == 2
    error = told(capsys)
    assert re.search(words, error)
    assert not (folder / "out.csv").exists()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("in.csv", b"", "has no header"),
        ("in.csv", b"age\n\xff\xfe\n", "not a readable CSV in UTF-8"),
        ("in.parquet", b"age\n1\n", "not a readable Parquet file"),
        ("in.parquet", b"PAR1" + bytes(40) + b"\x04\0\0\0PAR1", "cannot be read"),
    ],
)
def test_what_is_no_table_is_told(folder, capsys, name, data, words):
    (folder / name).write_bytes(data)
    assert score(folder, source=name) == 2
    assert words in told(capsys)


def test_a_column_that_cannot_be_numbers_is_told(folder, capsys):
    pq.write_table(pa.table({"age": pa.array([[50]])}), folder / "in.parquet")
    assert score(folder, name="age", source="in.parquet") == 2
    assert re.search(r"column 'age' holds list<.*>, not numbers", told(capsys))


def test_a_link_to_the_input_is_the_input(folder, capsys):
    (folder / "out.csv").symlink_to(folder / "in.csv")
    assert score(folder) == 2
    assert "is the input" in told(capsys)


def test_an_older_output_is_replaced_whole_or_not_at_all(folder):
    (folder / "out.csv").write_text("before")
    write_csv(folder / "bad.csv", rows=changed("sbp", "x", "x"))
    assert score(folder, source="bad.csv") == 2
    assert (folder / "out.csv").read_text() == "before"
    assert score(folder) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["bad.csv", "in.csv", "out.csv"], (
        "no half file left"
    )


def test_what_is_needed_beside_the_name(folder, capsys):
    assert main(["score", "--score", "score2"]) == 2
    assert "--input and --output" in told(capsys)
    for arguments in ([], ["--list", "--score", "score2"]):
        with pytest.raises(SystemExit) as stopped:
            main(["score", *arguments])
        assert stopped.value.code == 2


@pytest.mark.parametrize("width", [80, 120])
def test_the_list_names_every_score_with_all_there_is_to_know(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["score", "--list"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert "…" not in out, "nothing is cut off"
    flat = " ".join(re.sub(r"[│┃]", " ", out).split())
    for name in SCORES.names():
        made = SCORES.get(name)()
        assert name in flat
        for word in (*made.fields, *made.unit.split(), *made.source.split(), *SCORES.schema(name)):
            assert word in flat, (name, word)
        assert made.ages is None or "ages {:g}-{:g}".format(*made.ages) in flat
    for name, field in FIELDS.items():
        assert f"{name} {field.about} [{field.unit}]" in flat


def test_the_examples_of_the_help_parse():
    actions = next(a for a in build_parser()._actions if hasattr(a, "choices") and a.choices and "score" in a.choices)  # fmt: skip
    examples = re.findall(r"clef-ray (.+)", actions.choices["score"].epilog)
    assert len(examples) == 3
    for example in examples:
        arguments = build_parser().parse_args(example.split())
        assert arguments.list or SCORES.options(
            arguments.score, dict(pair.split("=") for pair in arguments.set)
        )
    policy = next(a for a in actions.choices["score"]._actions if a.dest == "impute")
    assert set(policy.choices) == set(get_args(Imputation))


def test_a_score_with_a_covariates_name_writes_beside_it():
    assert {name for name in SCORES.names() if stem(name) != name} == {"age", "sex"}
