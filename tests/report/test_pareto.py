"""Accuracy against cost: which arms are on the front, and when there is a picture at all."""

from dataclasses import replace
from itertools import product

import pytest
from ablation_outcomes import LINEAGE, VALUES, outcomes, toy_plan

from clef_ray.report import compare, write_report
from clef_ray.report.costs import costs
from clef_ray.report.pareto import accuracy_against_cost, front
from clef_ray.report.wording import prefixed
from clef_ray.store import Store

FLOPS = {"clef-1": 2e12, "clef-31": 4e12, "simclr-1": 1e12, "simclr-31": 3e12, "random": 0.0}


def found(flops=FLOPS):
    made = toy_plan()
    known = [
        replace(o, cost={"records": 10.0, "flops": flops[o.trial.arm.name], "memory_bytes": 2e8})
        for o in outcomes(made, VALUES)
    ]
    return made, known


def test_the_front_is_what_no_other_point_beats():
    points = [
        (f"{x}{y}", float(x), float(y)) for x, y in product(range(4), range(4)) if (x * 7 + y * 3) % 4 < 2
    ]
    wanted = [
        p
        for p in points
        if not any(q[1] <= p[1] and q[2] >= p[2] and (q[1], q[2]) != (p[1], p[2]) for q in points)
    ]
    assert front(points) == sorted(wanted, key=lambda p: p[1])
    assert front([("a", 1.0, 1.0), ("b", 1.0, 1.0)]) == [("a", 1.0, 1.0), ("b", 1.0, 1.0)], "equals stay"


def test_the_picture_tells_its_front_and_has_controls_as_levels():
    made, known = found()
    drawing = accuracy_against_cost(compare(made, known), known)
    assert drawing.alt.endswith(
        "simclr-1 0.702 at 1 TFLOP; clef-1 0.820 at 2 TFLOP; clef-31 0.827 at 4 TFLOP."
    )
    (axes,) = drawing.figure.axes
    named = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert {"clef-1", "clef-31", "simclr-1", "simclr-31", "random"} <= named.keys()
    assert named["clef-1"] == pytest.approx([0.82])
    assert named["random"] == pytest.approx([0.61, 0.61])


@pytest.mark.parametrize(
    "flops", [dict.fromkeys(FLOPS, 2e12), {**dict.fromkeys(FLOPS, 2e12), "clef-1": 2.05e12}]
)
def test_arms_of_one_cost_have_no_picture(flops):
    made, known = found(flops)
    assert accuracy_against_cost(compare(made, known), known) is None


def test_runs_that_do_not_know_their_flops_have_none():
    made = toy_plan()
    known = outcomes(made, VALUES)
    assert accuracy_against_cost(compare(made, known), known) is None
    some = [replace(o, cost=found()[1][k].cost) if k < 3 else o for k, o in enumerate(known)]
    assert accuracy_against_cost(compare(made, some), some) is None, "one arm has nothing beside it"


def test_the_page_shows_flops_and_memory_beside_the_seconds(tmp_path):
    made, known = found()
    files = write_report(Store(str(tmp_path)), made, known, compare(made, known), LINEAGE)
    assert "accuracy-against-cost.png" in files
    page = (tmp_path / files["report.html"]).read_text(encoding="utf-8")
    for text in ("peak memory", "200 MB", "FLOPs per record", ">4 T</td>"):
        assert (text in page) == (text != "FLOPs per record"), text
    old = outcomes(made, VALUES)
    files = write_report(Store(str(tmp_path / "old")), made, old, compare(made, old), LINEAGE)
    assert "peak memory" not in (tmp_path / files["report.html"]).read_text(encoding="utf-8")


def test_costs_are_means_over_the_finished_runs_that_know_them():
    made, known = found()
    known[0] = replace(known[0], cost={})
    known[1] = replace(known[1], cost={**known[1].cost, "memory_bytes": 4e8})
    assert costs(made, known, {}).arms["clef-1"].measured == {
        "records": 10,
        "flops": 2e12,
        "memory_bytes": 3e8,
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1 k"), (1.234e9, "1.23 G"), (5e12, "5 T"), (2e15, "2 P")],
)
def test_si_prefixes(value, text):
    assert prefixed(value) == text
