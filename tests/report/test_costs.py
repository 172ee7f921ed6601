from dataclasses import replace
from pathlib import Path

import pytest
from ablation_outcomes import LINEAGE, VALUES, outcomes, toy_plan
from hypothesis import given
from hypothesis import strategies as st

from clef_ray.ablation import Outcome
from clef_ray.report import compare, write_report
from clef_ray.report.costs import costs
from clef_ray.store import Store


def found():
    """clef-1 seed 0: shared; clef-31 seed 0: stopped after 1 s; all others 2 s of pretraining and 0.5 s of evaluation."""
    made = toy_plan()
    results = outcomes(made, VALUES)
    results[0] = replace(results[0], shared_with="clef-31 seed 0")
    results[3] = Outcome(results[3].trial, "PRUNED", seconds={"pretrain": 1.0}, reason="ASHA")
    return made, results


def test_hours_are_the_seconds_of_training_and_evaluation_times_the_resources():
    made, results = found()
    cost = costs(made, results, {"CPU": 4, "GPU": 0.5})
    busy = 13 * 2.5 + 1.0
    assert cost.all.hours == pytest.approx({"CPU": 4 * busy / 3600, "GPU": 0.5 * busy / 3600})
    assert cost.arms["clef-31"].hours["CPU"] == pytest.approx(4 * (1.0 + 2 * 2.5) / 3600)
    assert cost.arms["clef-31"].mean == pytest.approx({"pretrain": 5 / 3, "evaluate": 0.5, "wall": 2.75})
    assert cost.all.total == pytest.approx({"pretrain": 27.0, "evaluate": 6.5, "wall": 27.5})


def test_a_shared_run_costs_once():
    made, results = found()
    cost = costs(made, results, {})
    assert (cost.all.runs, cost.arms["clef-1"].runs) == (14, 2)
    assert cost.all.hours == {}, "no resources are known, so no hours are claimed"


def test_stopped_runs_have_a_share_of_the_pretraining():
    made, results = found()
    cost = costs(made, results, {})
    assert (cost.stopped, cost.stopped_share) == (1, pytest.approx(1 / 27))
    assert costs(made, [], {}).stopped_share == 0.0


@given(st.lists(st.floats(0, 1e5), min_size=15, max_size=15))
def test_the_arms_add_up_to_the_whole(seconds):
    made = toy_plan()
    results = [
        replace(o, seconds={"pretrain": s}) for o, s in zip(outcomes(made, VALUES), seconds, strict=True)
    ]
    cost = costs(made, results, {"CPU": 1.0})
    assert sum(c.hours["CPU"] for c in cost.arms.values()) == pytest.approx(cost.all.hours["CPU"])
    assert sum(c.runs for c in cost.arms.values()) == cost.all.runs == 15


def test_a_run_that_broke_off_costs_what_it_took_and_one_without_a_time_is_told():
    """A failed run of 6 s in all, one that left no time, and a finished one that was evaluated in an earlier process."""
    made, results = found()
    random = [k for k, o in enumerate(results) if o.trial.arm.name == "random"]
    first, second, third = random
    results[first] = Outcome(results[first].trial, "FAILED", seconds={"wall": 6.0}, reason="nan")
    results[second] = Outcome(results[second].trial, "FAILED", reason="a node was lost")
    results[third] = replace(results[third], seconds={"pretrain": 2.0})
    cost = costs(made, results, {"CPU": 2.0}).arms["random"]
    assert cost.total == {"pretrain": 8.0, "wall": 6.0}
    assert cost.hours == {"CPU": pytest.approx(2 * 8 / 3600)}
    assert cost.unknown == {"pretrain": 1, "evaluate": 1, "wall": 2}
    assert cost.partial
    whole = costs(made, outcomes(made, VALUES), {}).all
    assert (whole.unknown, whole.partial) == ({"wall": 5}, False), "wall time makes no hours"
    nothing = costs(made, [results[second]], {"CPU": 2.0})
    assert nothing.all.hours == {}, "unknown is not 0"
    assert costs(made, [], {"CPU": 2.0}).all.hours == {"CPU": 0.0}


def test_a_stopped_run_without_a_time_of_pretraining_took_its_wall_time():
    made, results = found()
    results[3] = replace(results[3], seconds={"wall": 1.0})
    cost = costs(made, results, {})
    assert cost.stopped_share == pytest.approx(1 / 27)


def test_the_page_says_of_how_many_runs_no_time_is_known(tmp_path):
    made, results = found()
    results[4] = Outcome(results[4].trial, "FAILED", reason="a node was lost")
    compared = compare(made, results)
    files = write_report(Store(str(tmp_path)), made, results, compared, LINEAGE, resources={"CPU": 1.0})
    page = Path(files["report.html"]).read_text(encoding="utf-8")
    assert "pretraining 25.0 s (not known of 1 run), evaluation 6.0 s, wall time " in page
    assert page.count("at least 0.01") == 2
    assert "1 of them (7 %) was stopped early, after 4 % of all pretraining." in page
    assert ">≥ 0.001</td>" in page
