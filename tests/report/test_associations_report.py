"""The report on scores and labels, from figures that are known."""

import csv
import json
import re

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from clef_ray.evaluate.associations import Association, Found
from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.report import associations as report
from clef_ray.store import Store

SAID = {
    "name": "score_label_correlation",
    "question": "Does it <know>?",
    "data": "made up",
    "command": "python x.py",
}


def made(score, statistic, about, name, value, low, high, positive=0):
    estimate = Estimate(value, low, high, np.array([low, high]))
    return Association(score, statistic, about, name, estimate, 1200, 1000, positive)


@pytest.fixture
def found():
    nan = float("nan")
    rows = (
        made("score2", "auroc", "rhythm", "AF", 0.7, 0.6, 0.8, 50),
        made("score2", "auroc", "rhythm", "NORM", 0.2, 0.1, 0.3, 500),
        made("age", "auroc", "rhythm", "AF", 0.55, 0.45, 0.65, 50),
        made("score2 permuted", "auroc", "rhythm", "AF", nan, nan, nan, 50),
        made("score2", "rsa", "rhythm", "", -0.1, -0.2, 0.0),
        made("score2", "spearman", "sbp", "", 0.4, 0.3, 0.5),
    )
    return Found(("score2", "age", "score2 permuted"), rows, ("rhythm: a note",))


def test_the_answer_counts_marked_classes_and_names_the_one_that_is_known_best(found):
    told = report.answer(found)
    assert "score2 2 of 2, age 0 of 1, score2 permuted 0 of 1" in told
    assert "knows most about NORM (rhythm): AUROC 0.200 [0.100 to 0.300]°, 500 of 1000 patients" in told


@pytest.mark.parametrize(
    ("statistic", "low", "high", "marked"),
    [("auroc", 0.51, 0.6, True), ("auroc", 0.5, 0.6, False), ("auroc", 0.4, 0.49, True), ("rsa", 0.1, 0.2, True), ("spearman", -0.1, 0.1, False)],
)  # fmt: skip
def test_a_mark_stands_where_the_interval_excludes_the_null(statistic, low, high, marked):
    a = made("s", statistic, "x", "", (low + high) / 2, low, high)
    assert a.marked == marked
    assert report.estimate_text(a).endswith("°") == marked
    assert "*" not in report.estimate_text(a) + report.READING, "a star has survived a correction"


def test_a_filled_dot_is_a_marked_class_and_its_area_the_distance_from_chance(found):
    drawing = report.drawings(found)["auroc_rhythm"]
    (axes,) = drawing.figure.axes
    dots = {tuple(d.get_offsets()[0].tolist()): d for d in axes.collections if isinstance(d, PathCollection)}
    assert {*dots} == {(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)}, "what is undefined has no dot"
    assert {at for at, d in dots.items() if len(d.get_facecolors())} == {(0.0, 0.0), (0.0, 1.0)}
    areas = {at: d.get_sizes()[0] for at, d in dots.items()}
    assert areas[0.0, 1.0] == pytest.approx(areas[0.0, 0.0] * 0.3 / 0.2)
    assert "n = 1,200 records of 1,000 patients" in drawing.caption
    assert {t.get_text() for t in axes.get_yticklabels()} == {"AF (50)", "NORM (500)"}


def test_there_is_a_figure_for_each_label_set_and_for_each_other_statistic(found):
    assert {*report.drawings(found)} == {"auroc_rhythm", "rsa", "spearman"}
    for drawing in report.drawings(found).values():
        assert drawing.alt
        assert drawing.caption


def test_tables_have_a_dash_for_what_was_not_asked(found):
    tables = {heading: (columns, lines) for heading, columns, lines in report.tables(found)}
    columns, lines = tables["AUROC: rhythm"]
    assert columns == ["class", "score2", "age", "score2 permuted"]
    assert lines[0][3] == "undefined"
    assert lines[1][2:] == ["–", "–"]
    assert tables["RSA by label set"][1] == [["rhythm", "−0.100 [−0.200 to 0.000]", "–", "–"]]


def test_the_folder_holds_everything_and_the_page_needs_nothing_else(found, tmp_path):
    report.write(found, Store(str(tmp_path)), SAID)
    stems = ("auroc_rhythm", "rsa", "spearman")
    pictures = {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    assert {p.name for p in tmp_path.iterdir()} == {"report.html", "report.md", "table.csv", *pictures}
    page = (tmp_path / "report.html").read_text()
    assert "Does it &lt;know&gt;?" in page
    assert page.count("<svg ") == 3
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    lines = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert len(lines) == len(found.rows)
    assert lines[3]["value"] == ""
    text = (tmp_path / "report.md").read_text()
    for name in ("auroc_rhythm.png", "- rhythm: a note", "| sbp | 0.400 [0.300 to 0.500]° | – | – |"):
        assert name in text


def test_records_are_json_whatever_is_undefined(found):
    assert json.loads(json.dumps(report.records(found), allow_nan=False))[3]["value"] is None


def test_without_a_class_the_answer_says_so(found):
    only = Found(found.scores, tuple(a for a in found.rows if a.statistic != "auroc"), ())
    assert report.answer(only).startswith("No class has enough patients")
