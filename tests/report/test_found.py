"""What a sweep's report says of its limits, of what was won over the default, and of what its search may have missed."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from examples import TOLD
from rich.console import Console
from test_study import AIM, BOTH, small, winners

from clef_ray.report import Gain, compare, print_comparison, write_report
from clef_ray.report.study_figures import pareto, progress
from clef_ray.store import Store

WON = Gain("probe/auroc", 0.012, 0.002, 0.022, "▲", "toy_final-0123abcd")


def page(folder, made, found, study):
    files = write_report(Store(str(folder)), made, found, compare(made, found, study), TOLD, study)
    return Path(files["report.html"]).read_text(encoding="utf-8")


def breaking(study, *numbers):
    """The study with these configurations beyond a limit."""
    return replace(study, rows=tuple(replace(row, feasible=row.number not in numbers) for row in study.rows))


@pytest.mark.parametrize("objectives", [AIM, BOTH])
def test_where_none_keeps_the_limits_there_is_no_best(tmp_path, objectives):
    made, found, study = small(objectives=objectives, best=())
    study = breaking(study, 0, 1, 2)
    comparison = compare(made, found, study)
    assert (
        comparison.answer == "No answer: of 5 configurations 3 finished, and none of these keeps the limits."
    )
    assert comparison.caveats[0] == "3 of 3 finished configurations break a limit and could not be chosen."
    assert not any("luckiest" in c for c in comparison.caveats)
    told = page(tmp_path, made, found, study)
    assert "None of the 3 finished configurations keeps the limits." in told
    assert "There is no winner to judge." in told
    assert told.count("finished, breaks a limit") == 3
    assert "No configuration has finished" not in told


def test_a_record_without_limits_says_the_same_of_its_answer():
    made, found, study = small(best=())
    assert "none of these keeps the limits" in compare(made, found, study).answer


def test_figures_without_a_best_show_what_there_is():
    _, _, study = small(objectives=BOTH, best=())
    study = breaking(study, 0, 1, 2)
    for drawing in (pareto(study), progress(study)):
        (axes,) = drawing.figure.axes
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels == ["finished ± standard error", "breaks a limit"]
        assert "none keeps the limits" in drawing.alt.lower()
    assert not pareto(study).figure.axes[0].get_lines()


def test_the_best_so_far_keeps_the_limits():
    """c001 has the highest value and breaks a limit."""
    made, found, study = small(best=(0,))
    study = breaking(study, 1)
    axes = progress(study).figure.axes[0]
    (line,) = [line for line in axes.get_lines() if line.get_drawstyle() == "steps-post"]
    assert list(line.get_xdata()) == [0, 2]
    assert list(line.get_ydata()) == pytest.approx([0.805, 0.805])
    rings = [c for c in axes.collections if not hasattr(c, "get_segments") and not c.get_facecolors().size]
    assert [tuple(c.get_offsets()[0]) for c in rings] == [(1, pytest.approx(0.86))]
    assert [row.number for row in study.ranked()] == [0, 2, 1]
    comparison = compare(made, found, study)
    assert comparison.caveats[0].startswith("The best of 2 finished configurations is")
    assert comparison.caveats[1] == "1 of 3 finished configurations breaks a limit and could not be chosen."


def test_the_answer_ends_with_what_was_won_over_the_default(tmp_path):
    made, found, study = small(objectives=BOTH, best=(1, 0))
    study = replace(
        study, winner=winners(made), gain=(WON, replace(WON, metric="other", value=-0.5, mark=""))
    )
    answer = compare(made, found, study).answer
    assert answer.endswith("0.784 to 0.916), +0.012 ± 0.010 against the default ▲.")
    told = page(tmp_path, made, found, study)
    assert '<th scope="row">probe/auroc</th><td><b>+0.012</b> <span class="mark"' in told
    assert "<td>0.002 to 0.022</td>" in told
    assert "toy_final-0123abcd" in told


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (
            replace(WON, low=-0.01, mark=""),
            "+0.012 ± 0.016 against the default (undetermined: not both intervals exclude 0).",
        ),
        (replace(WON, low=None, high=None, mark=""), "+0.012 against the default (no interval over seeds)."),
        (
            replace(WON, value=-0.012, low=-0.022, high=-0.002, mark="▼"),
            "−0.012 ± 0.010 against the default ▼.",
        ),
        (replace(WON, metric="zeroshot/axis"), "0.784 to 0.916)."),
    ],
)
def test_a_gain_says_no_more_than_its_intervals(gain, said, tmp_path):
    made, found, study = small()
    study = replace(study, winner=winners(made), gain=(gain,))
    assert compare(made, found, study).answer.endswith(f" {said}")
    assert page(tmp_path, made, found, study)


def test_a_winner_that_leads_in_a_cost_is_told_by_its_result():
    made, found, study = small(objectives=BOTH[::-1], best=(1, 0))
    study = replace(study, winner=winners(made), gain=(WON,))
    answer = compare(made, found, study).answer
    assert "c001 on it, chosen by its mean rank over the objectives, reaches cost/cpu_hours 2 on" in answer
    assert "on the test patients it reaches probe/auroc 0.850 (" in answer
    assert answer.endswith("+0.012 ± 0.010 against the default ▲.")


def test_a_default_that_won_was_not_beaten(tmp_path):
    made, found, study = small(best=(0,), winner=())
    study = replace(study, winner=winners(made))
    answer = compare(made, found, study).answer
    assert (
        "on the validation patients; it is the default, which was not beaten in probe/auroc; retrained"
        in answer
    )
    assert "The winner is the default" in page(tmp_path, made, found, study)
    made, found, study = small()
    assert "default" not in compare(made, found, study).answer


def test_the_caveats_say_what_the_search_did_not_look_at():
    made, found, study = small(objectives=BOTH, stopping="asha on valid/rsa", importance={"loss.alpha": 1.0})
    caveats = compare(made, found, replace(study, judged=3)).caveats
    assert caveats[1].startswith("The test patients have been used 3 times: so many winners of this study")
    assert caveats[2] == (
        "1 of 5 configurations was stopped early (asha on valid/rsa) and never judged whole; a slow starter may be among them, and so may one "
        "that is good in probe/auroc or cost/cpu_hours: the rule did not look at that."
    )
    assert caveats[3] == "The importance of the settings is over the configurations that were not stopped."
    assert caveats[4] == "1 of 5 configurations failed; its reason is below."
    own = replace(study, objectives=AIM, stopping="asha on probe/auroc", judged=1)
    assert not any(
        "rule did not look" in c or "have been used" in c for c in compare(made, found, own).caveats
    )
    whole = replace(study, rows=study.rows[:3])
    assert not any("importance" in c for c in compare(made, found, whole).caveats)


def test_one_is_not_spoken_of_as_many(tmp_path):
    made, found, study = small()
    one = replace(study, rows=study.rows[1:2], winner=winners(made, (0.83,)))
    made = replace(made, trials=tuple(o.trial for o in found[2:4]))
    comparison = compare(made, found[2:4], one)
    assert comparison.answer.startswith("c001 is the best of 1 configuration: ")
    assert not any("luckiest" in c for c in comparison.caveats), "nothing was chosen"
    assert "Retrained with 1 fresh seed that" in page(tmp_path, made, found[2:4], one)
    assert "in 1 finished configuration" not in progress(one).alt
    assert "of 1 finished configuration in" in progress(one).alt


def test_one_configuration_more_is_in_the_report(monkeypatch):
    monkeypatch.setattr("clef_ray.report.comparison.LEADING", 2)
    made, found, study = small()
    console = Console(width=100, record=True, file=StringIO())
    print_comparison(compare(made, found[:6], replace(study, rows=study.rows[:3])), console)
    text = console.export_text()
    assert "3 other configurations are in the report." in text
    fewer = replace(made, trials=tuple(o.trial for o in found[:6]))
    print_comparison(compare(fewer, found[:6], replace(study, rows=study.rows[:3])), console)
    assert "1 other configuration is in the report." in console.export_text()
