"""The report of a sweep: what it says was found, the tables and the figures of its configurations."""

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from ablation_outcomes import complete, toy_plan
from examples import TOLD, sweep_report
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from clef_ray.ablation import Arm, Outcome
from clef_ray.report import StudyView, compare, print_comparison, write_report
from clef_ray.report.findings import front
from clef_ray.report.study_figures import importance, pareto, progress, slices, study_figures
from clef_ray.search import Configuration
from clef_ray.store import Store

AIM = (("probe/auroc", "maximize"),)
BOTH = (*AIM, ("cost/cpu_hours", "minimize"))
VALUES = {0: (0.80, 0.81), 1: (0.85, 0.87), 2: (0.70, 0.72)}


def small(**changes):
    """Three finished configurations of two seeds, one stopped, one failed."""
    arms = tuple(Arm(f"c{n:03d}", {"loss.alpha": n / 10}, "search") for n in range(5))
    made = replace(
        toy_plan(arms=arms, base="c000", axis="", seeds=(0, 1)), identity="ab" * 8, split="selection"
    )
    trials = {(t.arm.name, t.seed): t for t in made.trials}
    found = [complete(trials[f"c{n:03d}", seed], VALUES[n][seed]) for n in VALUES for seed in (0, 1)]
    found.append(
        Outcome(
            trials["c003", 0], "PRUNED", history=[{"epoch": 0, "loss": 2.0}], reason="median rule at epoch 3"
        )
    )
    found += [Outcome(trials["c004", seed], "FAILED", reason="loss is not finite") for seed in (0, 1)]
    rows = [
        Configuration(
            n,
            "COMPLETE",
            {"loss.alpha": n / 10},
            {"probe/auroc": sum(v) / 2, "cost/cpu_hours": n + 1.0},
            {"probe/auroc": 0.01},
        )
        for n, v in VALUES.items()
    ]
    rows.append(Configuration(3, "PRUNED", {"loss.alpha": 0.3}, reason="median rule at epoch 3"))
    rows.append(Configuration(4, "FAIL", {"loss.alpha": 0.4}, reason="loss is not finite"))
    study = StudyView(
        **{"name": "toy-abababab", "objectives": AIM, "rows": tuple(rows), "best": (1,), **changes}
    )
    return replace(made, trials=tuple(o.trial for o in found)), found, study


def winners(made, values=(0.83, 0.84, 0.88)):
    trial = next(t for t in made.trials if t.arm.name == "c001")
    return tuple(
        complete(replace(trial, seed=100 + k, run=replace(trial.run, seed=100 + k)), v)
        for k, v in enumerate(values)
    )


def test_the_answer_is_the_best_configuration_with_its_interval():
    made, found, study = small()
    low, high = stats.t.interval(0.95, 1, 0.86, stats.sem(VALUES[1]))
    assert compare(made, found, study).answer == (
        f"c001 is the best of 5 configurations: probe/auroc 0.860 (95 % t interval over 2 seeds {low:.3f} to {high:.3f}) on the validation patients."
    )


def test_the_winner_on_the_test_patients_ends_the_answer():
    made, found, study = small()
    study = replace(study, winner=winners(made))
    values = (0.83, 0.84, 0.88)
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    answer = compare(made, found, study).answer
    assert answer.endswith(
        f"on the validation patients; retrained with fresh seeds and judged on the test patients it reaches 0.850 (95 % t interval over 3 seeds "
        f"{low:.3f} to {high:.3f})."
    )


def test_two_objectives_have_a_front():
    made, found, study = small(objectives=BOTH, best=(1, 0))
    answer = compare(made, found, study).answer
    assert answer.startswith(
        "2 configurations are on the Pareto front of probe/auroc and cost/cpu_hours, of 5 that were tried; c001 on it, chosen by its mean rank over the objectives, reaches probe/auroc 0.860 ("
    )
    assert [row.arm for row in front(study)] == ["c000", "c001"]


def test_nothing_finished_is_no_answer():
    made, found, study = small(best=())
    study = replace(study, rows=study.rows[3:])
    assert compare(made, found[6:], study).answer == "No answer yet: none of 2 configurations has finished."


def test_the_caveats_are_those_of_a_sweep():
    made, found, study = small()
    caveats = compare(made, found, study).caveats
    assert caveats[0].startswith("The best of 3 finished configurations is partly the luckiest")
    assert "Judge it with fresh seeds" in caveats[0]
    assert (
        "The fresh seeds on the test patients are the result."
        in compare(made, found, replace(study, winner=winners(made))).caveats[0]
    )
    assert caveats[1].startswith("1 of 5 configurations was stopped early by a rule")
    assert caveats[2].startswith("1 of 5 configurations failed")
    assert not any("trials" in c for c in caveats[:3])


def test_the_table_leads_with_the_base_and_then_the_best():
    made, found, study = small()
    comparison = compare(made, found, study)
    assert [row.arm.name for row in comparison.leading] == ["c000", "c001", "c002"]
    minimised = compare(made, found, replace(study, objectives=(("probe/auroc", "minimize"),), best=(2,)))
    assert [row.arm.name for row in minimised.leading] == ["c000", "c002", "c001"]
    assert [row.arm.name for row in comparison.rows] == [f"c{n:03d}" for n in range(5)]
    assert compare(made, found).leading == compare(made, found).rows


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.sampled_from(["COMPLETE", "PRUNED", "FAIL"])), max_size=40),
    st.sampled_from(["maximize", "minimize"]),
)
def test_the_ranking_holds_every_finished_configuration_in_order(given_rows, direction):
    rows = tuple(
        Configuration(n, state, {}, {"m": v} if state == "COMPLETE" else {})
        for n, (v, state) in enumerate(given_rows)
    )
    ranked = StudyView("s", (("m", direction),), rows).ranked()
    values = [row.values["m"] for row in ranked]
    assert values == sorted(values, reverse=direction == "maximize")
    assert {row.number for row in ranked} == {row.number for row in rows if row.state == "COMPLETE"}


def test_a_long_sweep_prints_a_short_table():
    made, found, study = sweep_report(40)
    console = Console(width=100, record=True, file=StringIO())
    print_comparison(compare(made, found, study), console)
    text = console.export_text()
    assert "25 other configurations are in the report." in text
    assert len(re.findall(r"^ +c\d{3}", text, flags=re.MULTILINE)) == 15, "the best 15, the base among them"


def _offsets(axes):
    found = [
        c.get_offsets() for c in axes.collections if c.get_offsets().size and not hasattr(c, "get_segments")
    ]
    return np.array(sorted(map(tuple, np.concatenate(found))))


def test_progress_shows_every_value_and_the_best_so_far():
    _, _, study = small()
    axes = progress(study).figure.axes[0]
    assert _offsets(axes) == pytest.approx(np.array([(0, 0.805), (1, 0.86), (2, 0.71)]))
    (best,) = [line for line in axes.get_lines() if line.get_drawstyle() == "steps-post"]
    assert list(best.get_ydata()) == pytest.approx([0.805, 0.86, 0.86])
    minimised = progress(replace(study, objectives=(("probe/auroc", "minimize"),)))
    assert "the best so far goes from 0.805 to 0.710" in minimised.alt


def test_the_front_is_drawn_through_its_configurations():
    _, _, study = small(objectives=BOTH, best=(1, 0))
    drawing = pareto(study)
    (line,) = drawing.figure.axes[0].get_lines()
    assert np.column_stack([line.get_xdata(), line.get_ydata()]) == pytest.approx(
        np.array([[1, 0.805], [2, 0.86]])
    )
    assert "c000 0.805 at 1.000, c001 0.860 at 2" in drawing.alt
    assert pareto(replace(study, objectives=AIM)) is None


def test_importance_is_a_bar_per_setting():
    _, _, study = small(importance={"loss.alpha": 0.75, "score": 0.25})
    axes = importance(study).figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.75, 0.25]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["loss.alpha", "score"]
    assert importance(replace(study, importance={})) is None


def test_slices_tell_the_states_apart_and_know_numbers_from_names():
    _, _, study = small(logarithmic=("optimiser.lr",))
    more = {0: {"score": "pce"}, 1: {"score": "age", "optimiser.lr": 1e-3}, 2: {"optimiser.lr": 1e-4}}
    rows = tuple(replace(row, params={**row.params, **more.get(row.number, {})}) for row in study.rows)
    axes = slices(replace(study, rows=rows)).figure.axes
    by_name = {a.get_xlabel(): a for a in axes if a.get_visible()}
    assert list(by_name) == ["loss.alpha", "score", "optimiser.lr"]
    alpha = by_name["loss.alpha"]
    assert _offsets(alpha) == pytest.approx(np.array([(0.0, 0.805), (0.1, 0.86), (0.2, 0.71)]))
    marks = {line.get_marker(): list(line.get_xdata()) for line in alpha.get_lines()}
    assert marks == {"v": pytest.approx([0.3]), "x": pytest.approx([0.4])}
    assert [t.get_text() for t in by_name["score"].get_xticklabels()] == ["age", "pce"]
    assert _offsets(by_name["score"]) == pytest.approx(np.array([(0, 0.86), (1, 0.805)]))
    assert [a.get_xscale() for a in by_name.values()] == ["linear", "linear", "log"]
    (bars,) = [c for c in alpha.collections if hasattr(c, "get_segments") and len(c.get_segments()) == 1]
    assert bars.get_segments()[0][:, 1] == pytest.approx([0.85, 0.87]), "the best one's standard error"


def test_a_study_in_which_nothing_finished_has_a_page(tmp_path):
    made, found, study = small(
        best=(), objectives=BOTH, importance_reason="fewer than 4 finished configurations"
    )
    study = replace(study, rows=study.rows[3:])
    drawn = [drawing.title for drawing in study_figures(study)]
    assert drawn == ["each setting by itself"]
    found = found[6:]
    made = replace(made, trials=tuple(o.trial for o in found))
    files = write_report(Store(str(tmp_path)), made, found, compare(made, found, study), TOLD, study)
    page = Path(files["report.html"]).read_text(encoding="utf-8")
    for text in (
        "No configuration has finished.",
        "not computed (fewer than 4 finished configurations)",
        "There is no winner to judge.",
    ):
        assert text in page


def test_the_page_of_a_sweep_is_whole(tmp_path):
    made, found, study = small(objectives=BOTH, best=(1, 0), importance={"loss.alpha": 1.0})
    study = replace(study, winner=winners(made))
    files = write_report(
        Store(str(tmp_path)), made, found, compare(made, found, study), TOLD, study, {"CPU": 2}
    )
    assert {name for name in files if name.endswith(".png")} == {
        "progress-of-the-sweep.png",
        "Pareto-front.png",
        "importance-of-the-settings.png",
        "each-setting-by-itself.png",
        "arms-probe-auroc.png",
        "arms-zeroshot-rsa.png",
        "training.png",
    }
    page = Path(files["report.html"]).read_text(encoding="utf-8")
    assert page.count("median rule at epoch 3") == 1
    for text in (
        "All configurations (5)",
        "Stopped early (1)",
        '<th scope="row">c001</th><td data-v="0.86"><b>0.860</b> <small>± 0.010</small></td>',
        '<th scope="row">probe/auroc</th><td><b>0.850</b> <small>n 3</small></td>',
        "Retrained with 3 fresh seeds",
        '<td class="count" data-v="1">1/1',
    ):
        assert text in page or text.endswith("1/1"), text


def test_many_arms_are_a_crowd_of_thin_lines_without_a_legend_of_names(tmp_path):
    from clef_ray.report.training import training_curves

    _, found, _ = sweep_report(40)
    axes = training_curves(found).figure.axes[0]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["whole", "stopped early"]
    counts = [len(c.get_segments()) for c in axes.collections]
    assert counts == [sum(o.state == "COMPLETE" for o in found), sum(o.state == "PRUNED" for o in found)]
