"""Arms over many tasks and corpora: what is averaged, and that it stands in every table."""

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from ablation_outcomes import LINEAGE, VALUES, complete, estimate, outcomes, toy_plan
from rich.console import Console
from scipy import stats

from clef_ray.evaluate.run import TaskResult
from clef_ray.report import compare, print_comparison
from clef_ray.report.html import page
from clef_ray.report.paper import latex, markdown
from clef_ray.report.record import Report

#: Task -> how much easier it is than the first.
TASKS = {"probe/auroc": 0.0, "far/probe/auroc": -0.1, "far/superclass/auroc": 0.05}


def told(outcome, tasks=TASKS, **extras):
    """The outcome with an AUROC of each task, one accuracy, and classes that are no tasks."""
    value = outcome.metrics["probe/auroc"]
    found = {name: estimate(value + more) for name, more in tasks.items()}
    found |= {"probe/auroc/AF": estimate(0.5), "far/probe/accuracy": estimate(0.9)}
    result = TaskResult(found, {"far/n/auroc": 3.0, **extras})
    return replace(outcome, results={"probe": result})


def html(made, results, compared, **lineage):
    """The page without its figures."""
    told = LINEAGE | {"finished": "2026-01-02 03:04 UTC"} | lineage
    return page(Report(made, results, told), compared, [])


@pytest.fixture(scope="module")
def made():
    return toy_plan(headline=("probe/auroc", "far/probe/auroc"))


@pytest.fixture(scope="module")
def compared(made):
    return compare(made, [told(o) for o in outcomes(made, VALUES)])


def test_all_tasks_of_the_headlines_measure_are_averaged_whatever_their_corpus(compared):
    (found,) = compared.overall
    assert (found.measure, found.metrics) == ("auroc", tuple(sorted(TASKS)))
    assert [(s.arm, s.n) for s in found.standings] == [(arm, 3) for arm in VALUES]


def test_the_average_and_the_chance_are_those_of_the_values(compared):
    (found,) = compared.overall
    by_arm = {s.arm: s for s in found.standings}
    scores = {arm: np.add.outer(values, list(TASKS.values())) for arm, values in VALUES.items()}
    for arm, standing in by_arm.items():
        assert standing.mean.value == pytest.approx(stats.trim_mean(scores[arm].ravel(), 0.25))
        assert standing.mean.seeds.low <= standing.mean.value <= standing.mean.seeds.high
    assert by_arm["clef-31"].above is None
    assert by_arm["random"].above.value == 0.0
    wins = [(a > b) + (a == b) / 2 for a in VALUES["clef-1"] for b in VALUES["clef-31"]]
    assert by_arm["clef-1"].above.value == pytest.approx(np.mean(wins))


def test_what_else_an_embedding_holds_is_no_task():
    more = TASKS | {"probe_sex/auroc": 0.1, "far/probe_sex/auroc": 0.1, "probe_age/auroc": 0.1}
    made = toy_plan(headline=("probe/auroc",))
    (found,) = compare(made, [told(o, more) for o in outcomes(made, VALUES)]).overall
    assert found.metrics == tuple(sorted(TASKS))


def test_a_corpus_that_leaks_is_not_averaged():
    """`copy` stands on the leaky side of a gap only; `far` on both; a gap itself is no task."""
    gaps = {
        "gap/a": ("copy/probe/auroc", "far/probe/auroc"),
        "gap/auroc": ("far/probe/auroc", "probe/auroc"),
    }
    targets = {"far": "synthetic", "copy": "synthetic:seed=9"}
    made = toy_plan(headline=("probe/auroc",), targets=targets, gaps=gaps)
    more = TASKS | {"copy/probe/auroc": 0.1, "copy/superclass/auroc": 0.1, "gap/auroc": 0.1}
    (found,) = compare(made, [told(o, more) for o in outcomes(made, VALUES)]).overall
    assert found.metrics == tuple(sorted(TASKS))


def test_two_tasks_are_read_one_by_one(made):
    two = {name: TASKS[name] for name in list(TASKS)[:2]}
    assert compare(made, [told(o, two) for o in outcomes(made, VALUES)]).overall == ()


def test_only_tasks_and_seeds_that_all_have_are_averaged(made):
    """random lacks a fourth task in every seed; clef-1 lacks the first task in one seed."""
    four = TASKS | {"late/probe/auroc": 0.01}
    found = []
    for o in outcomes(made, VALUES):
        own = TASKS if o.trial.arm.name == "random" else four
        if (o.trial.arm.name, o.trial.seed) == ("clef-1", 0):
            own = {name: own[name] for name in own if name != "probe/auroc"}
        found.append(told(o, own))
    (average,) = compare(made, found).overall
    assert average.metrics == tuple(sorted(TASKS))
    assert {s.arm: s.n for s in average.standings} == {**dict.fromkeys(VALUES, 3), "clef-1": 2}


def test_one_seed_has_no_interval(made):
    found = compare(made, [told(o) for o in outcomes(made, VALUES) if o.trial.seed == 0])
    assert all(s.mean.seeds is None for s in found.overall[0].standings)
    assert all(s.above is None or s.above.seeds is None for s in found.overall[0].standings)


def test_it_stands_in_every_table(made, compared):
    (found,) = compared.overall
    shown = f"{found.standings[0].mean.value:.3f}"
    console = Console(width=100, record=True, file=StringIO())
    print_comparison(compared, console)
    results = [told(o) for o in outcomes(made, VALUES)]
    whole_page = html(made, results, compared)
    for text in (console.export_text(), markdown(compared), latex(compared), whole_page):
        assert "auroc over 3 tasks" in text
        assert shown in text
        assert "far/superclass/auroc" in text.replace(r"\_", "_")
        assert "few seeds make these intervals too" in " ".join(text.split())


def test_a_table_has_its_numbers_of_patients_and_seeds_and_both_intervals(made):
    results = [told(o, **{"probe/n_patients": 31.0}) for o in outcomes(made, VALUES)]
    compared = compare(made, results)
    console = Console(width=100, record=True, file=StringIO())
    print_comparison(compared, console)
    whole_page = html(made, results, compared)
    low, high = stats.ttest_rel(VALUES["random"], VALUES["clef-31"]).confidence_interval()
    over_seeds = f"{low:.3f} to {high:.3f}".replace("-", "−")
    for text in (console.export_text(), markdown(compared), latex(compared), whole_page):
        whole = " ".join(text.split()).replace("$-$", "−")
        assert "n = 31 patients (probe/auroc)" in whole
        assert over_seeds in whole
        assert "−0.217 to −0.217" in whole, "over patients"
    assert "0.870 <small>(3)</small>" in whole_page, "classes and other metrics tell the seeds too"
    assert "p (signs)" in whole_page


def test_leakage_comes_first_and_loud(made):
    results = [told(o) for o in outcomes(made, VALUES)]
    for leakage, found in (("none found: pretraining saw 8 patients", False), ("FOUND: 3 of 9", True)):
        compared = compare(made, results, leakage=leakage)
        console = Console(width=100, record=True, file=StringIO(), force_terminal=True)
        print_comparison(compared, console)
        text = console.export_text(styles=True)
        assert text.splitlines()[0].startswith("\x1b[1mLeakage: ")
        assert ("\x1b[1;31m" in text.splitlines()[0]) is found
        whole_page = html(made, results, compared, leakage=leakage)
        assert f"<b>Leakage:</b> {leakage}." in whole_page
        assert whole_page.index("<b>Leakage:") < whole_page.index('class="answer"')
        assert ('class="leakage found"' in whole_page) is found
        assert whole_page.count(leakage) == 1
    assert not any("eakage" in c for c in compare(made, results).caveats)


def test_the_power_note_stands_where_nothing_is_marked(made):
    small = dict.fromkeys(VALUES, VALUES["clef-31"]) | {"clef-1": VALUES["clef-1"]}
    results = [told(complete(o.trial, o.metrics["probe/auroc"])) for o in outcomes(made, small)]
    compared = compare(made, results)
    console = Console(width=100, record=True, file=StringIO())
    print_comparison(compared, console)
    for text in (console.export_text(), markdown(compared), html(made, results, compared)):
        assert "Nothing is marked. The largest difference in probe/auroc" in " ".join(text.split())


def test_a_gap_is_told_with_its_own_number_of_patients():
    made = toy_plan(headline=("gap/auroc", "probe/auroc"))
    extras = {"gap/n_patients/auroc": 20.0, "gap/n_patients/rsa": 90.0, "probe/n_patients": 31.0}
    results = [told(o, TASKS | {"gap/auroc": 0.0}, **extras) for o in outcomes(made, VALUES)]
    assert (
        compare(made, results).judged == "Judged on n = 20 patients (gap/auroc); 31 patients (probe/auroc)."
    )
