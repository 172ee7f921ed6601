from dataclasses import replace

import pytest
from ablation_outcomes import VALUES, outcomes, toy_plan
from hypothesis import given
from hypothesis import strategies as st

from clef_ray.ablation import Outcome
from clef_ray.report.costs import costs


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
