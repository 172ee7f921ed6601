"""Comparisons whose arms are categories: no axis, but scores, losses or leads; alone, and beside families that lie on an axis."""

import csv
import io
import struct
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from ablation_outcomes import LINEAGE, complete, outcomes, toy_plan
from rich.console import Console

from clef_ray.ablation import Arm
from clef_ray.report import compare, print_comparison, write_report
from clef_ray.report._style import off_scale, png
from clef_ray.report.dotplot import _FRAME, _LINE, _groups, dots
from clef_ray.report.figures import _aside, _labels, curve
from clef_ray.store import Store

SCORES = (
    Arm("score2", {"score": "score2"}, family="scores"),
    Arm("age", {"score": "age"}, family="scores"),
    Arm("pce", {"score": "pce"}, family="scores"),
    Arm("permuted", {"score": "permuted"}),
    Arm("age-permuted", {"score": "permuted", "score.base": "age"}, against="age"),
    Arm("random", {"method": "random"}),
)
VALUES = {
    "score2": (0.80, 0.82, 0.84),
    "age": (0.70, 0.72, 0.73),
    "pce": (0.81, 0.80, 0.86),
    "permuted": (0.78, 0.84, 0.80),
    "age-permuted": (0.705, 0.715, 0.735),
    "random": (0.60, 0.62, 0.61),
}


def categories(**changes):
    return toy_plan(**{"arms": SCORES, "base": "score2", "axis": "", **changes})


@pytest.fixture(scope="module")
def made():
    return categories()


@pytest.fixture(scope="module")
def compared(made):
    return compare(made, outcomes(made, VALUES))


def test_the_answer_says_which_categories_differ(compared):
    assert (
        compared.answer == "probe/auroc differs between the arms of scores (against score2: age −0.103 ▼*)."
    )


def test_where_both_intervals_do_not_agree_nothing_is_claimed(made):
    """pce alone: three seeds whose differences are +0.01, -0.02 and +0.02."""
    found = compare(made, outcomes(made, {name: VALUES[name] for name in ("score2", "pce")}))
    assert found.answer == (
        "Undetermined at this budget whether probe/auroc differs between the arms of scores: no arm differs from score2 in both intervals "
        "(3 seeds; the largest difference is pce − score2 = +0.003)."
    )


def test_one_seed_gives_no_answer(made):
    found = compare(made, [o for o in outcomes(made, VALUES) if o.trial.seed == 0])
    assert "one seed gives no interval" in found.answer
    assert "differs from" not in found.answer


def test_a_control_that_keeps_up_with_its_arm_is_named_with_it(compared):
    """`permuted` is not below score2; age-permuted is far below score2, but not below age, whose control it is."""
    (caveat,) = [c for c in compared.caveats if c.startswith("Not shown to be below")]
    assert caveat.startswith(
        "Not shown to be below score2 in probe/auroc: permuted; nor below age: age-permuted. Where a control"
    )


def test_a_control_above_its_arm_is_not_below_it(made):
    found = compare(made, outcomes(made, VALUES | {"permuted": (0.9, 0.92, 0.941)}))
    assert next(r for r in found.rows if r.arm.name == "permuted").cells["probe/auroc"].difference.mark == "▲"
    assert any(c.startswith("Not shown to be below score2 in probe/auroc: permuted;") for c in found.caveats)


def test_a_control_whose_arm_did_not_run_is_compared_with_nothing():
    arms = [name for name in VALUES if name != "age"]
    found = categories()
    found = replace(found, trials=tuple(t for t in found.trials if t.arm.name in arms))
    caveats = compare(found, outcomes(found, VALUES)).caveats
    assert any("score2 in probe/auroc: permuted." in c for c in caveats)
    assert not any("age-permuted" in c for c in caveats)


def test_every_difference_that_decides_something_is_counted(compared):
    """5 arms against the base in 2 metrics, and age-permuted against age; the family's own are against the base."""
    assert compared.comparisons == 11


def test_a_family_without_the_base_is_held_against_its_first_category():
    arms = (
        *(Arm(f"clef-{lead}", {"views.lead": lead}, family="CLEF") for lead in ("I", "II")),
        *(
            Arm(f"simclr-{lead}", {"method": "simclr", "views.lead": lead}, family="SimCLR")
            for lead in ("I", "II")
        ),
    )
    made = categories(arms=arms, base="clef-II")
    values = {"clef-I": (0.699, 0.71, 0.721), "clef-II": (0.8, 0.81, 0.82)}
    values |= {"simclr-I": (0.6, 0.61, 0.62), "simclr-II": (0.5, 0.6, 0.7)}
    found = compare(made, outcomes(made, values))
    assert {t.family: t.reference for t in found.trends} == {"CLEF": "clef-II", "SimCLR": "simclr-I"}
    assert found.answer == (
        "probe/auroc differs between the arms of CLEF (against clef-II: clef-I −0.100 ▼*); undetermined at this budget whether it does "
        "between the arms of SimCLR: no arm differs from simclr-I in both intervals (3 seeds; the largest difference is "
        "simclr-II − simclr-I = −0.010)."
    )


def mixed(base="clef-7"):
    arms = (
        *(Arm(f"clef-{n}", {"loss.negatives": n}, family="CLEF", x=n) for n in (1, 7, 31)),
        *(
            Arm(f"simclr-{n}", {"method": "simclr", "loss.negatives": n}, family="SimCLR", x=n)
            for n in (7, 1, 31)
        ),
        Arm("clef-learned", {"loss.learn_temperature": True}, family="CLEF"),
        *(Arm(f"near-{k}", {"loss.negatives": k + 2}, family="choice") for k in (1, 2)),
        Arm("random", {"method": "random"}),
    )
    return toy_plan(arms=arms, base=base)


def test_a_family_is_held_against_the_bases_place_on_the_axis_or_else_its_last():
    made = mixed()
    values = {t.arm.name: (0.8, 0.81, 0.83) for t in made.trials}
    references = {t.family: t.reference for t in compare(made, outcomes(made, values)).trends}
    assert references == {"CLEF": "clef-7", "SimCLR": "simclr-7", "choice": "near-1"}
    elsewhere = mixed(base="random")
    references = {t.family: t.reference for t in compare(elsewhere, outcomes(elsewhere, values)).trends}
    assert references == {"CLEF": "clef-31", "SimCLR": "simclr-31", "choice": "near-1"}


def test_axis_and_categories_answer_in_one_sentence_each_in_its_words():
    made = mixed()
    values = {t.arm.name: (0.8, 0.81, 0.83) for t in made.trials} | {"clef-1": (0.699, 0.71, 0.731)}
    answer = compare(made, outcomes(made, values | {"near-2": (0.699, 0.71, 0.731)})).answer
    assert answer == (
        "probe/auroc changes with negatives per anchor within CLEF (against clef-7: clef-1 −0.100 ▼*); undetermined at this budget whether it "
        "does within SimCLR: no arm differs from simclr-7 in both intervals (3 seeds; the largest difference is simclr-1 − simclr-7 = +0.000); "
        "it differs between the arms of choice (against near-1: near-2 −0.100 ▼*)."
    )


def test_what_differs_on_the_axis_says_nothing_of_the_categories():
    made = mixed()
    values = {t.arm.name: (0.8, 0.81, 0.83) for t in made.trials} | {
        "clef-1": (0.699, 0.71, 0.731),
        "simclr-1": (0.699, 0.71, 0.731),
    }
    answer = compare(made, outcomes(made, values)).answer
    assert "within CLEF (against clef-7: clef-1 −0.100 ▼*) and within SimCLR (against" in answer
    assert (
        "; undetermined at this budget whether it differs between the arms of choice: no arm differs"
        in answer
    )


def test_each_kind_of_family_has_its_figure(tmp_path):
    made = mixed()
    found = outcomes(made, {t.arm.name: (0.8, 0.81, 0.83) for t in made.trials})
    comparison = compare(made, found)
    files = write_report(Store(str(tmp_path)), made, found, comparison, LINEAGE)
    assert {name for name in files if name.endswith(".png")} == {
        "curve-probe-auroc.png",
        "curve-zeroshot-rsa.png",
        "arms-probe-auroc.png",
        "arms-zeroshot-rsa.png",
        "training.png",
    }
    assert list(_groups(comparison, "probe/auroc")) == ["choice", ""], "the curve has the others"


def test_a_place_without_an_axis_is_a_level_in_the_familys_colour():
    made = mixed()
    values = {t.arm.name: (0.8, 0.81, 0.83) for t in made.trials} | {"clef-learned": (0.85, 0.86, 0.87)}
    drawn = curve(compare(made, outcomes(made, values)), "probe/auroc").figure
    lines = {line.get_label(): line for line in drawn.axes[0].get_lines()}
    assert lines["clef-learned"].get_ydata()[0] == pytest.approx(0.86)
    assert lines["clef-learned"].get_color() == lines["CLEF"].get_color() != lines["SimCLR"].get_color()
    assert lines["random"].get_color() not in {lines["CLEF"].get_color(), lines["SimCLR"].get_color()}


def test_the_dots_are_the_seeds_the_means_and_their_intervals(compared):
    """Arm by arm from the top: a heading, the family, a heading, the controls."""
    drawn = dots(compared, "probe/auroc").figure
    axes = drawn.axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [
        "scores",
        "score2 (base)",
        "age",
        "pce",
        "controls",
        "permuted",
        "age-permuted",
        "random",
    ]
    low, high = axes.get_ylim()
    assert low > high, "the first arm is at the top"
    means = {
        round(float(line.get_ydata()[0])): line for line in axes.get_lines() if line.get_marker() in "os"
    }
    for name, values in VALUES.items():
        line = labels.index(name if name != "score2" else "score2 (base)")
        assert means[line].get_xdata()[0] == pytest.approx(np.mean(values))
        open_marker = means[line].get_markerfacecolor() == "white"
        assert open_marker == (line > labels.index("controls"))
    seeds = np.concatenate([c.get_offsets() for c in axes.collections if len(c.get_offsets()) == 3])
    assert sorted(seeds[:, 0]) == pytest.approx(sorted(v for values in VALUES.values() for v in values))
    intervals = [c.get_segments()[0] for c in axes.collections if hasattr(c, "get_segments")]
    found = {round(segment[0][1]): tuple(segment[:, 0]) for segment in intervals}
    for row in compared.rows:
        line = labels.index(row.arm.name if row.arm.name != "score2" else "score2 (base)")
        cell = row.cells["probe/auroc"]
        assert found[line] == pytest.approx((cell.seeds.low, cell.seeds.high))


def test_controls_stand_below_the_families_wherever_they_were_declared():
    made = categories(arms=tuple(reversed(SCORES)))
    drawn = dots(compare(made, outcomes(made, VALUES)), "probe/auroc").figure
    labels = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert labels == [
        "scores",
        "pce",
        "age",
        "score2 (base)",
        "controls",
        "random",
        "age-permuted",
        "permuted",
    ]


def test_the_base_is_a_line_through_all_arms_also_where_it_is_not_among_them():
    made = mixed()
    values = {t.arm.name: (0.8, 0.81, 0.83) for t in made.trials} | {"clef-7": (0.82, 0.83, 0.84)}
    drawn = dots(compare(made, outcomes(made, values)), "probe/auroc").figure
    (base,) = [line for line in drawn.axes[0].get_lines() if line.get_label() == "clef-7 (base)"]
    assert base.get_xdata() == pytest.approx([0.83, 0.83])


@pytest.mark.parametrize(("age", "label"), [(0.75, "age only"), (9.0, "age only: 9.00 (off the scale)")])
def test_what_age_alone_reaches_is_a_line_or_words_where_it_is_far_off(made, age, label):
    found = [
        complete(o.trial, o.metrics["probe/auroc"], **{"probe/auroc_age": age})
        for o in outcomes(made, VALUES)
    ]
    drawn = dots(compare(made, found), "probe/auroc").figure
    labels = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert label in labels
    assert {"score2 (base)", "one seed", "95 % t interval over seeds"} <= set(labels)
    assert drawn.axes[0].get_xlim()[1] < 1


def test_one_seed_is_drawn_without_an_interval(made):
    drawn = dots(
        compare(made, [o for o in outcomes(made, VALUES) if o.trial.seed == 0]), "probe/auroc"
    ).figure
    axes = drawn.axes[0]
    assert not [c for c in axes.collections if hasattr(c, "get_segments")]
    assert len(axes.get_yticklabels()) == 8


def test_arms_without_the_metric_have_no_line(made, compared):
    few = {name: VALUES[name] for name in ("score2", "pce")}
    drawn = dots(compare(made, outcomes(made, few)), "probe/auroc").figure
    assert [t.get_text() for t in drawn.axes[0].get_yticklabels()] == ["scores", "score2 (base)", "pce"]
    assert dots(compared, "no/such") is None


def test_controls_alone_are_no_figure():
    made = toy_plan()
    assert dots(compare(made, outcomes(made, {"random": (0.6, 0.61, 0.62)})), "probe/auroc") is None


@pytest.mark.parametrize("count", [2, 60])
def test_the_figure_grows_with_the_arms_and_stays_as_wide(count):
    arms = tuple(Arm(f"lead-{k}", {"views.same_lead": k / 100}, family="leads") for k in range(count))
    made = categories(arms=arms, base="lead-0")
    drawing = dots(compare(made, outcomes(made, {a.name: (0.8, 0.82, 0.81) for a in arms})), "probe/auroc")
    assert "Means over 3 seeds, a small dot each; bars: 95 % t intervals over seeds" in drawing.caption
    assert "Judged on n = 40 (probe/auroc)." in drawing.caption
    width, height = struct.unpack(">II", png(drawing)[16:24])
    assert width == 1120
    assert height == pytest.approx(200 * (_FRAME + _LINE * (count + 1)), abs=2)


@pytest.mark.parametrize(
    ("level", "off"), [(-1.1, True), (-0.9, False), (2.0, False), (4.9, False), (5.1, True)]
)
def test_a_level_is_off_the_scale_where_it_would_more_than_halve_what_is_drawn(level, off):
    assert off_scale(1.0, 3.0, level) == off


def test_families_stand_side_by_side_in_equal_steps_on_either_scale():
    logs = np.log([_aside([8.0], [1.0, 64.0], k, True)[0] for k in (-1, 0, 1)])
    assert np.diff(logs) == pytest.approx(0.012 * np.log(64))
    assert np.diff([_aside([0.5], [0.0, 2.0], k, False)[0] for k in (-1, 0, 1)]) == pytest.approx(0.024)


def test_tick_labels_that_would_touch_are_left_out():
    assert _labels([0, 0.05, 0.1, 0.2, 1], logarithmic=False) == ["0", "", "0.1", "0.2", "1"]
    assert _labels([0.02, 0.05, 0.07, 0.5], logarithmic=True) == ["0.02", "0.05", "0.07", "0.5"]


def test_the_report_of_categories_is_whole(made, compared, tmp_path):
    found = outcomes(made, VALUES)
    files = write_report(Store(str(tmp_path)), made, found, compared, LINEAGE)
    assert {name for name in files if name.endswith(".png")} == {
        "arms-probe-auroc.png",
        "arms-zeroshot-rsa.png",
        "training.png",
    }
    page = Path(files["report.html"]).read_text(encoding="utf-8")
    for text in (
        compared.answer,
        'aria-label="probe/auroc by arm, mean over seeds. scores: score2 0.820, ',
        "score.base",
        *VALUES,
    ):
        assert text in page
    assert "over </" not in page, "no axis without a name"
    assert "over ." not in page
    lines = list(csv.DictReader(io.StringIO(compared.csv())))
    assert {line["x"] for line in lines} == {""}
    console = Console(width=100, record=True, file=StringIO())
    print_comparison(compared, console)
    assert "score2 (base)" in console.export_text()
