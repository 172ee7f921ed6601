import base64
import csv
import hashlib
import re
import struct
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from ablation_outcomes import LINEAGE, VALUES, complete, outcomes, toy_plan
from rich.console import Console

from clef_ray.ablation import Arm, Outcome
from clef_ray.report import compare, print_comparison, write_report
from clef_ray.report._style import Drawing, canvas, png, svg
from clef_ray.report.figures import controls, curve
from clef_ray.report.training import training_curves
from clef_ray.store import Store

TABLES = ("report.html", "table.csv", "table.md", "table.tex", "plan.json")


@pytest.fixture(scope="module")
def made():
    return toy_plan()


@pytest.fixture(scope="module")
def found(made):
    results = outcomes(made, VALUES)
    results[0] = Outcome(results[0].trial, "FAILED", reason="loss is <script>alert(1)</script> & NaN")
    return results


@pytest.fixture(scope="module")
def written(made, found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    return write_report(Store(str(folder)), made, found, compare(made, found), LINEAGE)


@pytest.fixture(scope="module")
def html(written):
    return Path(written["report.html"]).read_text(encoding="utf-8")


class _Page(HTMLParser):
    """Elements, and whether they close in the order they open."""

    VOID = frozenset({"meta", "img", "br", "link", "path", "use", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _size(png: bytes) -> tuple[int, int]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", png[16:24])


def test_files_are_written_where_their_paths_say(written, made):
    assert set(written) == {
        *TABLES,
        *(
            f"{name}.{kind}"
            for name in ("curve-probe-auroc", "curve-zeroshot-rsa", "training")
            for kind in ("png", "svg")
        ),
    }
    assert all(f"/toy-{made.fingerprint()[:8]}/" in path for path in written.values())
    assert all(Path(path).is_file() for path in written.values())


def test_the_page_needs_nothing_from_elsewhere(html):
    page = _Page(html)
    assert page.open == []
    assert not {"iframe", "object", "img", "embed", "base"} & {tag for tag, _ in page.elements}
    loaded = [
        attrs[key]
        for _, attrs in page.elements
        for key in ("src", "href", "srcset", "poster", "xlink:href", "action")
        if attrs.get(key) and not attrs[key].startswith("#")
    ]
    assert loaded == ["data:,"], "the icon, so that no browser asks for one"
    assert set(re.findall(r"url\(([^)]*)\)", html)) <= {f"#{name}" for name in page.ids}
    assert "@import" not in html


def test_the_policy_allows_this_script_and_no_other(html):
    page = _Page(html)
    (policy,) = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_the_page_is_accessible(html):
    page = _Page(html)
    drawings = [attrs for tag, attrs in page.elements if tag == "svg"]
    assert len(drawings) == 3
    assert all(attrs["role"] == "img" and len(attrs["aria-label"]) > 60 for attrs in drawings)
    assert "CLEF: 0.830 at 1, 0.827 at 31" in drawings[0]["aria-label"]
    assert all(attrs.get("scope") for tag, attrs in page.elements if tag == "th")
    assert len(page.ids) == len(set(page.ids)), "no two elements have one id"
    links = {attrs["href"][1:] for tag, attrs in page.elements if tag == "a"}
    assert links <= set(page.ids)
    assert ("html", {"lang": "en"}) in page.elements
    assert any(tag == "meta" and attrs.get("name") == "viewport" for tag, attrs in page.elements)


def test_a_drawings_colours_are_the_pages(html):
    (style,) = re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    drawings = "".join(re.findall(r"<svg .*?</svg>", html, flags=re.DOTALL))
    used = set(re.findall(r"var\(--([\w-]+)\)", drawings))
    assert {"ink", "page", "grid", "series-0", "series-1"} <= used
    assert all(f"--{name}:" in style for name in used)
    assert not re.findall(r"#[0-9a-f]{6}\b", drawings)


def test_the_page_escapes_what_it_is_given(html):
    assert html.count("<script>") == 1, "our own"
    assert "loss is &lt;script&gt;alert(1)&lt;/script&gt; &amp; NaN" in html
    assert "Do more negatives help? &lt;b&gt;&amp;" in html


def test_names_break_out_of_nothing(tmp_path):
    """Into the tables, the figures' texts and their descriptions."""
    name = "\"><script>alert(1)</script> & 'x"
    arms = tuple(Arm(f"{k}{name}", {"loss.alpha": k / 10}, family=f"F{name}") for k in range(2))
    made = toy_plan(arms=arms, base=arms[0].name)
    results = outcomes(made, {arm.name: (0.8, 0.81, 0.83) for arm in arms})
    paths = write_report(Store(str(tmp_path)), made, results, compare(made, results), LINEAGE)
    text = Path(paths["report.html"]).read_text(encoding="utf-8")
    page = _Page(text)
    assert page.open == []
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    descriptions = [attrs["aria-label"] for tag, attrs in page.elements if tag == "svg"]
    assert any(arms[1].name in description for description in descriptions)


def test_a_drawing_has_short_coordinates_and_whole_texts():
    figure, axes = canvas()
    axes.plot([0.123456, 0.2], [1 / 3, 2 / 3])
    axes.set_title("1.23456789")
    drawn = svg(Drawing("a title", "in words", figure))
    assert ">1.23456789<" in drawn
    paths = " ".join(re.findall(r' d="([^"]*)"', drawn))
    assert {len(decimals) for decimals in re.findall(r"\.(\d+)", paths)} == {1, 2}


def test_the_page_holds_what_a_reader_needs(html, made, found):
    comparison = compare(made, found)
    wanted = [
        *VALUES,
        *LINEAGE.values(),
        made.data,
        "They do.",
        comparison.answer,
        *comparison.caveats,
        "AFL left out",
        "loss.negatives",
    ]
    wanted += ["python experiments/toy.py --seeds 10", "probe/auroc per class (1)", "2.0 s", "−0.217", "▼"]
    shown = unescape(html)
    for text in wanted:
        assert text in shown, text


def test_costs_are_means_over_the_trials_that_measured_them(html, made, found, tmp_path):
    """Seed 0 has no wall time: the others' mean, not a mean with 0; where no seed has one, a dash."""
    row = '<th scope="row">random</th><td class="count" data-v="3">3</td><td class="count" data-v="2.0">2.0 s</td><td class="count" data-v="0.5">0.5 s</td>{}'
    assert row.format('<td class="count" data-v="2.75">2.8 s</td>') in html
    stored = [o for o in found if o.trial.seed == 0]
    paths = write_report(Store(str(tmp_path)), made, stored, compare(made, stored), LINEAGE)
    assert row.replace("3", "1").format('<td class="count quiet">–</td>') in Path(
        paths["report.html"]
    ).read_text(encoding="utf-8")


def test_the_table_holds_every_value(written, found):
    lines = list(csv.DictReader(Path(written["table.csv"]).read_text(encoding="utf-8").splitlines()))
    complete = [o for o in found if o.state == "COMPLETE"]
    assert len(lines) == sum(len(o.metrics) for o in complete)
    values = {(x["arm"], x["seed"], x["metric"]): x for x in lines}
    line = values["simclr-1", "2", "probe/auroc"]
    assert (float(line["value"]), float(line["low"]), float(line["high"])) == pytest.approx(
        (0.703, 0.6555, 0.7505)
    )
    assert values["simclr-1", "2", "probe/n_test"]["low"] == ""


def test_figures_are_pngs_of_a_readable_size(made, found):
    comparison = compare(made, found)
    for drawing in (curve(comparison, "probe/auroc"), training_curves(found)):
        width, height = _size(png(drawing))
        assert 900 <= width <= 2000
        assert 500 <= height <= 3000


def test_the_headlines_figures_say_their_seeds_intervals_and_patients(made, found):
    told = curve(compare(made, found), "probe/auroc").caption
    assert "Means over 2 to 3 seeds" in told
    assert "bands: 95 % t intervals over seeds (not over patients)" in told
    assert "Judged on n = 40 (probe/auroc)." in told
    alone = [o for o in outcomes(made, VALUES) if o.trial.seed == 0]
    assert curve(compare(made, alone), "probe/auroc").caption.startswith(
        "One seed, so no interval over seeds."
    )
    runs = sum(o.state == "COMPLETE" for o in found)
    lines = training_curves(found).caption
    assert lines == f"Thick: mean over 2 to 3 seeds; thin: each run; no intervals. n = {runs} runs."
    assert training_curves(alone).caption == "One seed: each line is a run; no intervals. n = 5 runs."


def test_figures_draw_the_numbers(made, found):
    """Other values, another picture; the same values, the same picture."""
    moved = outcomes(made, {**VALUES, "clef-1": (0.5, 0.5, 0.5)})
    once, again, other = (
        curve(compare(made, o), "zeroshot/rsa")
        for o in (outcomes(made, VALUES), outcomes(made, VALUES), moved)
    )
    for draw in (svg, png):
        assert draw(once) == draw(again) != draw(other)


def test_two_arms_of_a_family_may_share_a_place_on_the_axis():
    arms = (
        Arm("a", {"loss.negatives": 7}, family="CLEF", x=7),
        Arm("b", {"loss.negatives": 7, "loss.alpha": 0.5}, family="CLEF", x=7),
    )
    twins = toy_plan(arms=arms, base="a")
    results = outcomes(twins, {"a": (0.8, 0.81, 0.82), "b": (0.7, 0.71, 0.73)})
    assert curve(compare(twins, results), "probe/auroc") is not None


@pytest.mark.parametrize("metric", ["zeroshot/rsa", "zeroshot/readout", "zeroshot/axis"])
def test_age_alone_is_a_level_of_every_curve_that_has_it(made, metric):
    results = [complete(o.trial, 0.8, **{metric: 0.4, f"{metric}_age": 0.3}) for o in outcomes(made, VALUES)]
    assert controls(compare(made, results), metric)["age only"] == pytest.approx(0.3)


def test_nothing_to_draw_is_no_figure(made, found, tmp_path):
    results = [replace(o, history=()) for o in outcomes(made, {"random": VALUES["random"]})]
    written = write_report(Store(str(tmp_path)), made, results, compare(made, results), {})
    assert set(written) == set(TABLES)
    assert curve(compare(made, found), "no/such") is None


def test_a_report_of_nothing_finished_still_says_so(made, tmp_path):
    paths = write_report(Store(str(tmp_path)), made, [], compare(made, []), {})
    assert "No answer yet" in Path(paths["report.html"]).read_text(encoding="utf-8")


@pytest.mark.parametrize("metrics", [2, 5])
def test_the_terminal_table_fits_100_columns(made, found, metrics):
    wide = toy_plan(
        headline=("probe/auroc", "zeroshot/rsa", "zeroshot/readout", "zeroshot/axis", "probe/f1")[:metrics]
    )
    console = Console(width=100, record=True, file=StringIO())
    print_comparison(compare(wide, found), console)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 100
    for wanted in (*VALUES, "clef-31 (base)", "▼", "2/3", "Answer.", "python experiments/toy.py --seeds 10"):
        assert wanted in text
