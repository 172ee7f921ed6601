"""The tables for a paper: their form, and that their numbers are those of the comparison."""

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from ablation_outcomes import VALUES, outcomes, toy_plan
from hypothesis import given
from hypothesis import strategies as st

from clef_ray.ablation import Arm, Outcome
from clef_ray.report import compare
from clef_ray.report.paper import _escaped, latex, markdown

METRICS = ("probe/auroc", "zeroshot/rsa")


@pytest.fixture(scope="module")
def compared():
    made = toy_plan(question="Is 5 % of a_b & c enough? {#1} ~ \\x")
    found = outcomes(made, VALUES)
    found[0] = Outcome(found[0].trial, "FAILED", reason="out of memory")
    return compare(
        made, [o for o in found if (o.trial.arm.name, o.trial.seed) not in {("simclr-1", 0), ("simclr-1", 1)}]
    )


def _half(line, low, high):
    return f" ± {(float(line[high]) - float(line[low])) / 2:.3f}" if line[low] else ""


def _expected(compared):
    """(arm, metric) -> mean and difference as text, from comparison.csv."""
    found = {}
    for line in csv.DictReader(io.StringIO(compared.csv())):
        mean = f"{float(line['mean']):.3f}{_half(line, 'seeds_low', 'seeds_high')}".replace("-", "−")
        d = line["difference"]
        spread = _half(line, "difference_seeds_low", "difference_seeds_high")
        star = "*" if line["mark"] and line["p_holm"] and float(line["p_holm"]) < 0.05 else ""
        difference = f"{float(d):+.3f}{spread} {line['mark']}{star}".rstrip().replace("-", "−") if d else ""
        found[line["arm"], line["metric"]] = (mean, difference)
    return found


def test_markdown_agrees_with_the_comparison(compared):
    table, _, note = markdown(compared).partition("\n\n")
    head, rule, *rows = [[c.strip() for c in line.strip("|").split(" | ")] for line in table.splitlines()]
    assert head == ["arm", "n", *METRICS]
    assert rule[0] == "---"
    assert {len(row) for row in (head, *rows)} == {4}
    expected = _expected(compared)
    assert [row[:2] for row in rows] == [
        ["clef-1", "2"],
        ["clef-31", "3"],
        ["simclr-1", "1"],
        ["simclr-31", "3"],
        ["random", "3"],
    ]
    for row in rows:
        for metric, text in zip(METRICS, row[2:], strict=True):
            mean, difference = expected[row[0], metric]
            assert text == (f"{mean} ({difference})" if difference else mean)
    assert "▼" in table
    assert "▼*" in table
    assert "95 % t interval over seeds" in note


def _plain(text):
    """LaTeX cell -> the text it shows."""
    text = re.sub(r"\{\\footnotesize (.*)\}$", r"\1", text.strip())
    for source, shown in (
        (r"$\uparrow$", " ▲"),
        (r"$\downarrow$", " ▼"),
        (r"$\pm$", "±"),
        ("$-$", "−"),
        ("--", "–"),
    ):
        text = text.replace(source, shown)
    return text


def test_latex_agrees_with_the_comparison(compared):
    text = latex(compared)
    body = text.partition("\\midrule\n")[2].partition("\n\\bottomrule")[0]
    rows = [[_plain(c) for c in line.removesuffix(r" \\").split(" & ")] for line in body.splitlines()]
    columns = re.search(r"begin\{tabular\}\{(\w+)\}", text)[1]
    assert {len(row) for row in rows} == {len(columns)} == {4}
    expected = _expected(compared)
    shown = {}
    for row in rows:
        if row[0]:
            arm = row[0]
            shown |= {(arm, m): [value, ""] for m, value in zip(METRICS, row[2:], strict=True)}
        else:
            for m, value in zip(METRICS, row[2:], strict=True):
                shown[arm, m][1] = value
    assert {key: tuple(value) for key, value in shown.items()} == expected


def _tests(compared):
    """The rows of the second table, from comparison.csv: n, difference, both intervals, p after Holm, d_z."""
    found = {}
    for line in csv.DictReader(io.StringIO(compared.csv())):
        if line["metric"] == METRICS[0] and line["difference"]:
            ends = [
                f"{float(line[low]):.3f} to {float(line[high]):.3f}" if line[low] else "–"
                for low, high in (
                    ("difference_seeds_low", "difference_seeds_high"),
                    ("difference_patients_low", "difference_patients_high"),
                )
            ]
            p = float(line["p_holm"]) if line["p_holm"] else None
            holds = "*" if line["mark"] and p < 0.05 else ""
            value = f"{float(line['difference']):+.3f} {line['mark']}{holds}".rstrip()
            told = "–" if p is None else f"{p:.3f}" if p >= 0.001 else "<0.001"
            effect = f"{float(line['effect']):+.2f}" if line["effect"] else "–"
            cells = [value, *ends, told, effect]
            found[line["arm"]] = [cell.replace("-", "−") for cell in cells]
    return found


def test_each_arm_stands_against_the_base_with_both_intervals_p_and_effect(compared):
    _, _, rest = markdown(compared).partition("Each arm against clef-31 in probe/auroc, over n seeds.\n\n")
    table, _, note = rest.partition("\n\n")
    head, _, *rows = [[c.strip() for c in line.strip("|").split(" | ")] for line in table.splitlines()]
    assert head == ["arm", "n", "minus clef-31", "seeds", "patients", "p (Holm)", "d_z"]
    assert {row[0]: row[2:] for row in rows} == _tests(compared)
    assert [row[1] for row in rows] == ["2", "1", "3", "3"]
    assert "paired bootstrap over patients" in note
    lines = latex(compared).rpartition("\\midrule\n")[2].partition("\n\\bottomrule")[0].splitlines()
    cells = [[_plain(c).strip() for c in line.removesuffix(r" \\").split(" & ")] for line in lines]
    shown = {row[0]: [c.replace(r"\textless{}", "<").replace("  ▼", " ▼") for c in row[2:]] for row in cells}
    assert shown == _tests(compared)


def test_the_first_line_says_what_leaked(compared):
    leaked = replace(compared, leakage="FOUND: 3 of 9 & more")
    assert markdown(leaked).startswith("**Leakage:** FOUND: 3 of 9 & more.\n\n| arm |")
    assert latex(leaked).splitlines()[1] == "% leakage: FOUND: 3 of 9 & more"
    assert "eakage" not in markdown(compared) + latex(compared)


def _balanced(text):
    depth = 0
    for sign in re.sub(r"\\.", "", text):
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
    return depth == 0


def test_latex_is_well_formed(compared):
    text = latex(compared)
    assert _balanced(text)
    assert re.findall(r"\\begin\{(\w+)\}", text) == ["table", "tabular"] * 2
    assert re.findall(r"\\end\{(\w+)\}", text) == ["tabular", "table"] * 2
    assert len(set(re.findall(r"\\label\{(.*)\}", text))) == 2
    assert [
        text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption", r"\label")
    ] == [2] * 5
    assert r"5 \% of a\_b \& c enough? \{\#1\} \textasciitilde{} \textbackslash{}x" in text


@given(st.text(alphabet="ab%&$#_{}~^\\<>−±–ατλ"))
def test_no_text_breaks_out_of_latex(text):
    escaped = _escaped(text)
    assert _balanced(escaped)
    bare = re.sub(r"\\[%&$#_{}]|\\[a-z]+(\{\})?|\$[^$]*\$", "", escaped)
    assert not set(bare) & set("%&$#_{}~^\\<>")


def test_a_bar_in_a_name_makes_no_column():
    made = toy_plan(arms=(Arm("a|b", {}, "CLEF"), Arm("c", {"loss.alpha": 0.5}, "CLEF")), base="a|b")
    table = markdown(compare(made, outcomes(made, {"a|b": (0.8, 0.82, 0.81), "c": (0.7, 0.73, 0.71)})))
    assert "| a\\|b | 3 |" in table


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_latex_compiles(compared, tmp_path):
    document = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}{latex(compared)}\\end{{document}}"
    (tmp_path / "table.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
