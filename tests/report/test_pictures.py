"""The pictures of the tasks: what is chosen, what they show, and that they show the numbers they were given."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from ablation_outcomes import VALUES, complete, outcomes, toy_plan
from examples import ablation_report, tasks_report

from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.evaluate.result import Curve
from clef_ray.evaluate.run import TaskResult
from clef_ray.report import by_corpus, compare, curves, few_labels, per_class
from clef_ray.report._dots import places
from clef_ray.report._scene import MOST_ARMS, Scene, looks
from clef_ray.report._style import svg, svg_file
from clef_ray.report.pictures import KINDS, pictures


@pytest.fixture(scope="module")
def scene():
    made, found = tasks_report(seeds=2)
    return Scene.of(made, found, compare(made, found))


@pytest.fixture(scope="module")
def drawn(scene):
    made, _ = tasks_report(seeds=2)
    return pictures(made, scene.outcomes, scene.comparison)


def _with(values, prefix="", curve=None, **changes):
    """The outcomes of one arm of the toy plan and seed 0, with these estimates too."""
    made = toy_plan(seeds=(0,), **changes)
    trial = next(t for t in made.trials if t.arm.name == "clef-31")
    estimates = {
        name: Estimate(v, v - 0.1, v + 0.2, np.array([v - 0.1, v, v + 0.2])) for name, v in values.items()
    }
    result = TaskResult(estimates, {"n_test": 40.0}, curves=curve or {}).prefixed(prefix)
    found = [replace(complete(trial, 0.8), results={"task": result})]
    return Scene.of(made, found, compare(made, found))


def _titled(drawn, title):
    (found,) = [drawing for drawing in drawn if drawing.title == title]
    return found


def _line(axes, label):
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line


def test_results_without_anything_to_draw_bring_no_picture():
    made = toy_plan()
    assert pictures(made, [], compare(made, [])) == []
    found = outcomes(made, VALUES)
    assert pictures(made, found, compare(made, found)) == []  # one class only, no control, no curve


def test_every_kind_is_drawn_once_before_any_is_drawn_again(drawn):
    assert [drawing.title for drawing in drawn[1:10]] == [
        "probe/auroc over the share of labels",
        "probe/auroc per class",
        "reliability of the probabilities: probe",
        "likeness by difference in risk: geometry",
        "agreement with the risk score: zeroshot",
        "distance from the corpus of pretraining: shift",
        "predicted and true values: sbp",
        "persons known again: identification",
        "cpsc2020_beats: beats by class",
    ]
    assert len(drawn) > len(KINDS)
    assert len({drawing.title for drawing in drawn}) == len(drawn), "titles name the files"
    assert all(drawing.alt for drawing in drawn)


def test_every_caption_says_on_how_many_and_what_its_intervals_are(drawn):
    for drawing in drawn[1:]:
        assert re.search(r"n = .*\d+", drawing.caption), drawing.caption
        assert "95 % intervals over resampled" in drawing.caption
    assert "412 records of 206 of the test patients" in drawn[1].caption
    assert "5000 windows of 10 recordings" in drawn[9].caption
    assert "Of 4 tasks, 2 seeds; bars: 95 % intervals over resampled seeds" in drawn[0].caption


def test_few_labels_puts_each_amount_at_its_place_and_all_patients_at_100():
    scene = _with(
        {"auroc": 0.9, "1pct/auroc": 0.6, "25pct/auroc": 0.8, "25pct/auroc/AF": 0.1, "2pct/ece": 0.3}, "probe"
    )
    (drawing,) = few_labels.few_labels(scene)
    axes = drawing.figure.axes[0]
    line = _line(axes, "clef-31")
    assert axes.get_xscale() == "log"
    np.testing.assert_allclose(line.get_xdata(), [1, 25, 100])
    np.testing.assert_allclose(line.get_ydata(), [0.6, 0.8, 0.9])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "25", "100"]
    assert "at the fewest labels clef-31 0.600; at the most clef-31 0.900" in drawing.alt
    (band,) = axes.collections
    ends = band.get_paths()[0].vertices[:, 1]
    replicates = np.array([0.5, 0.6, 0.8])
    assert ends.min() == pytest.approx(np.percentile(replicates, 2.5))


def test_shots_are_joined_and_all_patients_stand_apart():
    scene = _with({"auroc": 0.9, "1shot/auroc": 0.6, "10shot/auroc": 0.8}, "probe")
    (drawing,) = few_labels.few_labels(scene)
    axes = drawing.figure.axes[0]
    y = _line(axes, "clef-31").get_ydata()
    assert np.isnan(y[2])
    np.testing.assert_allclose(y[[0, 1, 3]], [0.6, 0.8, 0.9])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "10", "all"]


@pytest.mark.parametrize("headline", ["probe/lead_any/f1", "probe/lead_any/1pct/f1"])
def test_few_labels_draws_the_measure_that_the_headline_holds(headline):
    values = {f"{share}{measure}": 0.6 for share in ("", "1pct/", "25pct/") for measure in ("auroc", "f1")}
    (drawing,) = few_labels.few_labels(_with(values, "probe/lead_any", headline=("probe/auroc", headline)))
    assert drawing.title == "probe/lead_any/f1 over the share of labels"
    (other,) = few_labels.few_labels(_with(values, "probe/lead_any", headline=("elsewhere/f1",)))
    assert other.title == "probe/lead_any/auroc over the share of labels"


def test_one_amount_is_no_curve():
    assert few_labels.few_labels(_with({"10pct/auroc": 0.6}, "probe")) == []


def test_classes_are_shown_with_their_mean_and_the_patients_interval():
    scene = _with(
        {
            "auroc": 0.8,
            "auroc/B": 0.9,
            "auroc/A": 0.7,
            "10pct/auroc": 0.1,
            "10pct/auroc/A": 0.1,
            "10pct/auroc/B": 0.1,
        },
        "probe",
    )
    (drawing,) = per_class.per_class(scene)
    axes = drawing.figure.axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["macro mean", "A", "B"]
    dots = [
        (line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_label() == "clef-31"
    ]
    assert dots == [(0.8, 0), (0.7, 1), (0.9, 2)]
    low, high = np.percentile([0.7, 0.8, 1.0], [2.5, 97.5])
    np.testing.assert_allclose(axes.collections[0].get_segments()[0][:, 0], [low, high])


def test_of_many_classes_those_where_the_arms_differ_most_are_shown(monkeypatch):
    monkeypatch.setattr(per_class, "MOST_CLASSES", 1)
    made = toy_plan(seeds=(0,))
    found = [
        replace(
            complete(trial, 0.8),
            results={"task": TaskResult({}, {"p/auroc": 0.8, "p/auroc/A": 0.7, "p/auroc/B": b})},
        )
        for trial, b in zip(made.trials, (0.7, 0.8, 0.75, 0.71, 0.9), strict=True)
    ]
    (drawing,) = per_class.per_class(Scene.of(made, found, compare(made, found)))
    assert [tick.get_text() for tick in drawing.figure.axes[0].get_yticklabels()] == ["macro mean", "B"]
    assert "1 of 2 classes: where the arms differ most" in drawing.caption


def _curve(x, y, n):
    x, y = np.array(x), np.array(y)
    return Curve("predicted x [mmHg]", "true x [mmHg]", x, y, y - 1, y + 2, np.array(n))


def test_a_curve_is_drawn_as_it_is_with_its_unit_and_counts():
    curve = _curve([100.0, 120.0], [104.0, 118.0], [20.0, 30.0])
    scene = _with({"mae": 3.0}, "sbp", {"true_by_predicted": curve})
    (drawing,) = curves.values(scene)
    upper, lower = drawing.figure.axes
    np.testing.assert_allclose(upper.lines[0].get_xydata(), [[100, 104], [120, 118]])
    np.testing.assert_allclose(lower.lines[0].get_ydata(), [4, -2])
    band = lower.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (-3, 6)
    np.testing.assert_allclose(upper.lines[1].get_xydata(), [[100, 100], [120, 120]])
    assert upper.get_ylabel() == "true x [mmHg]"
    assert upper.texts[0].get_text() == "MAE 3\nn per bin 20–30"
    assert "n = 50 of 40 records of the test patients" in drawing.caption


def test_reliability_has_a_panel_per_arm_and_its_own_calibration_error(scene, drawn):
    shown = [
        axes
        for axes in _titled(drawn, "reliability of the probabilities: probe").figure.axes
        if axes.get_visible()
    ]
    assert [axes.get_title(loc="left") for axes in shown] == [look.arm for look in scene.looks]
    mean = scene.cell("clef", "probe/ece").mean
    assert shown[0].texts[0].get_text() == f"ECE {mean:.3f}\nn per bin 288"


def test_a_curve_is_of_the_first_seed_that_has_one(scene):
    named = scene.curves("probe/reliability")
    assert {seed for seed, _ in named.values()} == {0}
    late = [o for o in scene.outcomes if not (o.trial.arm.name == "clef" and o.trial.seed == 0)]
    assert replace(scene, outcomes=late).curves("probe/reliability")["clef"][0] == 1


def test_likeness_by_risk_is_logarithmic_only_over_a_wide_range():
    for most, scale in ((2.0, "linear"), (20.0, "log")):
        curve = replace(_curve([0.5, 1.0, most], [0.3, 0.2, 0.1], [5.0, 5.0, 5.0]), y_label="cosine")
        (drawing,) = curves.deciles(_with({}, "geometry", {"cosine_by_risk": curve}))
        assert drawing.figure.axes[0].get_xscale() == scale


def test_zero_shot_stands_beside_age_and_permuted_scores():
    values = {
        "rsa": 0.4,
        "rsa_age": 0.2,
        "rsa_permuted": 0.01,
        "axis": 0.5,
        "axis_age": 0.3,
        "axis_permuted": 0.02,
    }
    (drawing,) = by_corpus.agreement(_with(values, "zeroshot"))
    axes = drawing.figure.axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["rsa", "axis"]
    np.testing.assert_allclose(_line(axes, "age only").get_xydata(), [[0.2, 0], [0.3, 1]])
    np.testing.assert_allclose(
        _line(axes, "permuted score, mean of arms").get_xydata(), [[0.01, 0], [0.02, 1]]
    )
    assert by_corpus.agreement(_with({"rsa": 0.4, "axis": 0.5}, "zeroshot")) == []


def test_shift_puts_the_corpora_below_their_control(scene, drawn):
    drawing = _titled(drawn, "distance from the corpus of pretraining: shift")
    first, second = drawing.figure.axes[:2]
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["of pretraining", "far"]
    assert {tick.get_text() for tick in second.get_yticklabels()} == {""}
    dots = [line.get_xdata()[0] for line in first.lines if line.get_label() == "clef"]
    expected = [scene.cell("clef", f"{start}shift/domain_auc").mean for start in ("", "far/")]
    np.testing.assert_allclose(dots, expected)
    assert "198 (of pretraining), 198 (far)" in drawing.caption


def test_persons_are_compared_with_a_guess_at_either_rank(drawn):
    drawing = _titled(drawn, "persons known again: identification")
    guess = _line(drawing.figure.axes[0], "a guess")
    np.testing.assert_allclose(guess.get_xdata(), [1 / 150, 5 / 150])
    assert "n = 150 persons" in drawing.caption


def test_beats_show_f1_and_the_losses(drawn):
    upper, lower = _titled(drawn, "cpsc2020_beats: beats by class").figure.axes
    assert [tick.get_text() for tick in lower.get_yticklabels()] == ["official", "revised", "strict"]
    assert {tick.get_text() for tick in upper.get_yticklabels()} >= {"N, windows", "S, events"}


def test_who_is_judged_differs_between_the_corpus_of_pretraining_and_another(scene):
    assert scene.unlearnt("zeroshot/rsa") == "198 of the test patients"
    assert scene.unlearnt("far/zeroshot/rsa") == "198 patients who are not kept for choosing"


def test_of_many_arms_the_base_a_control_and_others_from_first_to_last_are_shown():
    made, found = ablation_report(seeds=2)
    compared = compare(made, found)
    shown = [look.arm for look in looks(compared)]
    assert len(shown) == MOST_ARMS
    assert compared.ablation.base in shown
    assert {"clef-1", "simclr-126"} <= set(shown)
    assert "clef-permuted" in shown
    assert [row.arm.name for row in compared.rows if row.arm.name in shown] == shown


def test_looks_are_told_apart_without_colour(scene):
    assert len({(look.marker, look.face == "white") for look in scene.looks}) == len(scene.looks)
    assert [look.arm for look in scene.looks if look.face == "white"] == ["random"]


def test_arms_of_a_group_stand_within_it_in_order():
    found = places(3, 4)
    assert found == sorted(found)
    assert math.isclose(sum(found) / 4, 3)
    assert max(found) < 3.5
    assert min(found) > 2.5
    assert places(3, 1) == [3]


def test_a_figure_of_its_own_keeps_the_colours_and_says_what_it_is(drawn):
    drawing = _titled(drawn, "persons known again: identification")
    alone = svg_file(drawing).decode()
    assert alone.startswith("<?xml")
    assert drawing.title in alone
    assert "#0072b2" in alone.lower()
    assert "#0072b2" not in svg(drawing).lower()


def test_pictures_begin_with_what_the_headline_asks_of_the_corpus_it_asks():
    made = toy_plan(headline=("far/geometry/drop", "probe/auroc")).on(
        "d1a7a0000000000a", targets={"far": "f"}
    )
    names = ("far/geometry/drop", "far/probe/auroc", "geometry/drop", "probe/auroc", "shift/mmd2")
    found = [
        replace(o, results={"t": TaskResult(dict.fromkeys(names, Estimate(0.5, 0.4, 0.6, np.full(9, 0.5))))})
        for o in outcomes(made, VALUES)
    ]
    assert Scene.of(made, found, compare(made, found)).metrics == [
        "probe/auroc",
        "far/geometry/drop",
        "geometry/drop",
        "shift/mmd2",
        "far/probe/auroc",
    ]


def test_persons_of_a_further_corpus_are_all_but_those_kept_for_choosing():
    made, found = tasks_report(seeds=1)
    scene = Scene.of(made, found, compare(made, found))
    assert scene.whom("identification/accuracy") == "the test patients"
    assert scene.whom("far/identification/accuracy") == "patients who are not kept for choosing"
    choosing = Scene.of(replace(made, split="selection"), found, compare(made, found))
    assert choosing.whom("far/identification/accuracy") == "the patients for choosing"
