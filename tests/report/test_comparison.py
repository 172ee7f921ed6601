import csv
import io
import itertools
import math
import shlex
from dataclasses import replace

import numpy as np
import pytest
from ablation_outcomes import LINEAGE, LUCK, VALUES, complete, estimate, outcomes, toy, toy_plan
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from clef_ray.ablation import Arm, Outcome, plan
from clef_ray.cli import Parser
from clef_ray.cli.options import add_options
from clef_ray.evaluate.run import TaskResult
from clef_ray.report.comparison import Comparison, compare
from clef_ray.report.html import page
from clef_ray.report.paper import latex, markdown
from clef_ray.report.record import Report
from clef_ray.report.rows import Difference, Interval
from clef_ray.report.terminal import print_comparison

T_2 = 4.302652729749464  # 97.5 % point of Student's t with 2 degrees of freedom, from a printed table


def _cell(comparison: Comparison, arm: str, metric: str = "probe/auroc"):
    return next(r for r in comparison.rows if r.arm.name == arm).cells[metric]


@pytest.fixture(scope="module")
def made():
    return toy_plan()


@pytest.fixture(scope="module")
def compared(made):
    return compare(made, outcomes(made, VALUES))


def test_mean_and_t_interval_over_seeds(compared):
    """0.80, 0.82, 0.84: mean 0.82, sd 0.02, half-width t(2) * 0.02 / sqrt(3)."""
    cell = _cell(compared, "clef-1")
    assert (cell.mean, cell.sd) == pytest.approx((0.82, 0.02))
    assert (cell.seeds.low, cell.seeds.high) == pytest.approx(
        (0.82 - T_2 * 0.02 / 3**0.5, 0.82 + T_2 * 0.02 / 3**0.5)
    )


def test_the_paired_difference_is_the_t_interval_of_the_differences(compared):
    found = _cell(compared, "clef-1").difference
    oracle = stats.ttest_rel(VALUES["clef-1"], VALUES["clef-31"]).confidence_interval()
    assert found.value == pytest.approx(-0.02 / 3)
    assert found.n == 3
    assert (found.seeds.low, found.seeds.high) == pytest.approx((oracle.low, oracle.high))


def test_the_patients_interval_is_of_the_mean_over_seeds(compared):
    found = _cell(compared, "clef-1").patients
    assert (found.low, found.high) == pytest.approx(tuple(0.82 + np.percentile(LUCK, [2.5, 97.5])))


def test_the_patients_common_luck_cancels_in_the_difference(compared):
    found = _cell(compared, "clef-1").difference.patients
    assert (found.low, found.high) == pytest.approx((-0.02 / 3, -0.02 / 3))


def test_marks_and_base(compared):
    assert _cell(compared, "clef-31").difference is None
    assert _cell(compared, "clef-1").difference.mark == ""
    assert _cell(compared, "random").difference.mark == "▼"
    better = compare(toy_plan(base="random"), outcomes(toy_plan(base="random"), VALUES))
    assert _cell(better, "clef-31").difference.mark == "▲"


def test_p_values_and_the_effect_of_a_difference(compared):
    """clef-1 minus clef-31: -0.01, -0.02, 0.01. Of the eight patterns of signs six have a sum as far from 0 as -0.02."""
    d = _cell(compared, "clef-1").difference
    values = np.subtract(VALUES["clef-1"], VALUES["clef-31"])
    assert d.p_seeds == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert d.p_signs == 0.75
    assert d.p == d.p_seeds
    assert d.effect == pytest.approx(0.5642 * values.mean() / values.std(ddof=1), rel=1e-3)


def test_the_larger_p_counts_and_one_alone_is_none():
    assert Difference(0.1, 3, None, None, p_seeds=0.2, p_patients=0.01).p == 0.2
    assert Difference(0.1, 3, None, None, p_seeds=0.01, p_patients=0.3).p == 0.3
    assert Difference(0.1, 1, None, None, p_patients=0.3).p is None


def test_holm_is_over_every_difference_of_the_first_metric(compared):
    """Four arms against the base and simclr-1 against simclr-31; the smallest p is taken five times, the next four times."""
    own = {(r.arm.name, "clef-31"): _cell(compared, r.arm.name).difference for r in compared.rows[::-1]}
    del own["clef-31", "clef-31"]
    own["simclr-1", "simclr-31"] = compared.trends[1].differences["simclr-1"]
    assert compared.family == 5
    ordered = sorted(own.values(), key=lambda d: d.p)
    expected, least = [], 0.0
    for times, d in zip((5, 4, 3, 2, 1), ordered, strict=True):
        least = max(least, min(1.0, times * d.p))
        expected.append(least)
    assert [d.p_holm for d in ordered] == pytest.approx(expected)
    assert _cell(compared, "random", "zeroshot/rsa").difference.p_holm is None, "another metric is no member"
    assert compared.trends[0].differences["clef-1"].p_holm == own["clef-1", "clef-31"].p_holm


def test_a_mark_without_a_star_did_not_survive_the_correction():
    both = Difference(0.1, 3, Interval(0.01, 0.2), Interval(0.01, 0.2), p_holm=0.06)
    assert (both.mark, both.shown) == ("▲", "▲")
    assert replace(both, p_holm=0.04).shown == "▲*"
    assert replace(both, p_holm=0.04, patients=Interval(-0.1, 0.2)).shown == ""
    assert replace(both, p_holm=None).shown == "▲"


def test_more_arms_take_the_star_away(made):
    """random minus the base is -0.21, -0.18, -0.21: p = 0.0025, which holds among 5 and not among 25."""
    values = VALUES | {"random": (0.60, 0.66, 0.62)}
    found = compare(made, outcomes(made, values))
    assert _cell(found, "random").difference.shown == "▼*"
    crowd = tuple(Arm(f"c{k}", {"loss.alpha": k / 100}) for k in range(20))
    many = plan(toy(arms=(*made.ablation.arms, *crowd)), "d1a7a0000000000a")
    found = compare(many, outcomes(many, values | {arm.name: VALUES["clef-1"] for arm in crowd}))
    assert found.family == 25
    assert _cell(found, "random").difference.shown == "▼"


def test_how_many_patients_is_said(made, compared):
    assert compared.judged == "Judged on n = 40 (probe/auroc)."
    counts = {"probe/n_patients": 31.0, "zeroshot/n_test": 20.0}
    found = [complete(o.trial, 0.8, **counts) for o in outcomes(made, VALUES)]
    found[0] = complete(found[0].trial, 0.8, **counts | {"zeroshot/n_test": 19.0})
    assert compare(made, found).judged == (
        "Judged on n = 31 patients (probe/auroc); 19 to 20 (zeroshot/rsa)."
    )


def test_the_power_note_is_of_the_largest_difference_and_only_where_nothing_is_marked(made, compared):
    """clef-1 minus clef-31 has d_z -0.25 after correction: a table of the paired t test's power gives 131 seeds."""
    assert compared.power == ""
    small = {name: np.add(VALUES["clef-31"], 0.0) for name in VALUES} | {"clef-1": VALUES["clef-1"]}
    found = compare(made, outcomes(made, small))
    d = _cell(found, "clef-1").difference
    seeds = next(
        n
        for n in range(2, 500)
        if stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, abs(d.effect) * n**0.5) >= 0.8
    )
    assert found.power.startswith(
        f"Nothing is marked. The largest difference in probe/auroc, clef-1 − clef-31 = −0.007 (d_z −{abs(d.effect):.2f} over 3 seeds), "
        f"would need about {seeds} seeds to be seen (paired t test, power 0.8, α 0.05)"
    )
    few = compare(made, [o for o in outcomes(made, small) if o.trial.seed < 2])
    assert few.power == "", "two seeds say too little of their spread"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.9, 0.91, 0.925), "is clear over these seeds; more patients, not more seeds, would settle it."),
        ((0.8101, 0.92, 0.75), "would need more than 1000 seeds to be seen"),
    ],
)
def test_the_power_note_where_seeds_are_not_the_question_or_not_the_answer(made, values, said):
    found = outcomes(made, {"clef-31": VALUES["clef-31"], "random": values})
    for index, outcome in enumerate(found):
        noisy = estimate(
            outcome.metrics["probe/auroc"], np.random.default_rng(index).normal(0, 5.0, len(LUCK))
        )
        found[index] = replace(outcome, results={"probe": TaskResult({"probe/auroc": noisy})})
    assert said in compare(made, found).power


bound = st.floats(-1, 1)


@given(st.tuples(bound, bound).map(sorted), st.tuples(bound, bound).map(sorted))
def test_a_mark_needs_both_intervals_on_one_side(seeds, patients):
    found = Difference(0.0, 3, Interval(*seeds), Interval(*patients)).mark
    assert (found == "▲") == (seeds[0] > 0 and patients[0] > 0)
    assert (found == "▼") == (seeds[1] < 0 and patients[1] < 0)


def test_patients_alone_or_seeds_alone_do_not_mark(made):
    """A clear difference over seeds, on patients whose resamples leave its sign open: no mark."""
    found = outcomes(made, VALUES)
    for index, outcome in enumerate(found):
        if outcome.trial.arm.name == "random":
            rng = np.random.default_rng(index)
            noisy = estimate(outcome.metrics["probe/auroc"], rng.normal(0, 5.0, len(LUCK)))
            found[index] = replace(outcome, results={"probe": TaskResult({"probe/auroc": noisy})})
    d = _cell(compare(made, found), "random").difference
    assert d.seeds.side == -1
    assert d.patients.side == 0
    assert d.mark == ""


def test_one_seed_has_no_interval_over_seeds_and_no_mark(made):
    comparison = compare(made, [o for o in outcomes(made, VALUES) if o.trial.seed == 0])
    cell = _cell(comparison, "random")
    assert cell.seeds is None
    assert math.isnan(cell.sd)
    assert cell.patients is not None
    assert cell.difference.seeds is None
    assert cell.difference.mark == ""
    assert "one seed gives no interval" in comparison.answer
    assert any("One seed has no spread" in c for c in comparison.caveats)


def test_failed_and_missing_trials_are_counted_and_never_values(made):
    found = outcomes(made, VALUES)
    arm = [i for i, o in enumerate(found) if o.trial.arm.name == "clef-1"]
    found[arm[0]] = Outcome(found[arm[0]].trial, "FAILED", reason="out of memory")
    del found[arm[1]]
    comparison = compare(made, found)
    row = next(r for r in comparison.rows if r.arm.name == "clef-1")
    assert (row.planned, row.complete, row.failed, row.missing) == (3, 1, 1, 1)
    assert dict(row.cells["probe/auroc"].values) == {2: 0.84}
    assert row.cells["probe/auroc"].difference.n == 1
    assert any("1 failed and 1 missing of 15" in c for c in comparison.caveats)


def test_a_stopped_trial_is_neither_complete_nor_failed_nor_missing(made):
    found = outcomes(made, VALUES)
    arm = [i for i, o in enumerate(found) if o.trial.arm.name == "clef-1"]
    found[arm[0]] = Outcome(found[arm[0]].trial, "PRUNED", history=[{"epoch": 0, "loss": 3.0}], reason="ASHA")
    comparison = compare(made, found)
    row = next(r for r in comparison.rows if r.arm.name == "clef-1")
    assert (row.complete, row.failed, row.pruned, row.missing) == (2, 0, 1, 0)
    assert comparison.caveats[0] == "1 of 15 trials was stopped early and has no results."
    line = next(x for x in csv.DictReader(io.StringIO(comparison.csv())) if x["arm"] == "clef-1")
    assert (line["seeds"], line["failed"], line["pruned"], line["missing"]) == ("2", "0", "1", "0")


def test_nan_is_no_value(made):
    """A metric that is undefined for one seed leaves the others, and pairs only common seeds."""
    found = [
        complete(o.trial, math.nan) if (o.trial.arm.name, o.trial.seed) == ("random", 1) else o
        for o in outcomes(made, VALUES)
    ]
    cell = _cell(compare(made, found), "random")
    assert set(cell.values) == {0, 2}
    assert cell.mean == pytest.approx(0.605)
    assert cell.difference.value == pytest.approx(((0.60 - 0.81) + (0.61 - 0.83)) / 2)


def test_a_bare_number_has_no_patients_interval(compared):
    cell = _cell(compared, "clef-1", "probe/n_test")
    assert (cell.mean, cell.patients) == (40.0, None)


def test_replicates_that_do_not_pair_give_no_patients_interval(made):
    found = outcomes(made, VALUES)
    other = TaskResult({"probe/auroc": estimate(0.6, LUCK[:50])})
    found = [replace(o, results={"probe": other}) if o.trial.arm.name == "random" else o for o in found]
    d = _cell(compare(made, found), "random").difference
    assert d.patients is None
    assert d.mark == ""


def test_the_answer_compares_within_each_family(compared):
    """SimCLR's arms are held against SimCLR's last, not against the base arm of the other family."""
    assert {t.family: t.reference for t in compared.trends} == {"CLEF": "clef-31", "SimCLR": "simclr-31"}
    assert compared.trends[1].differences["simclr-1"].value == pytest.approx(-0.098)
    assert compared.answer == (
        "probe/auroc changes with negatives per anchor within SimCLR (against simclr-31: simclr-1 −0.098 ▼*); undetermined at this budget "
        "whether it does within CLEF: no arm differs from clef-31 in both intervals (3 seeds; the largest difference is clef-1 − clef-31 = −0.007)."
    )


def test_the_answer_may_be_undetermined_or_absent(made):
    flat = compare(made, outcomes(made, dict.fromkeys(VALUES, (0.80, 0.81, 0.82))))
    assert flat.answer.startswith(
        "Undetermined at this budget whether probe/auroc changes with negatives per anchor within CLEF and SimCLR"
    )
    assert any("Not shown to be below clef-31 in probe/auroc: random." in c for c in flat.caveats)
    assert compare(made, []).answer.startswith("No answer yet")


def test_one_arm_has_nothing_to_be_compared_with(made):
    """The final of a sweep whose winner is the default."""
    alone = replace(made, trials=tuple(t for t in made.trials if t.arm.name == "clef-31"))
    comparison = compare(alone, outcomes(alone, VALUES))
    low, high = stats.t.interval(0.95, 2, np.mean(VALUES["clef-31"]), stats.sem(VALUES["clef-31"]))
    assert comparison.answer == (
        f"Nothing to compare with: clef-31 is the only arm; its probe/auroc is 0.827 (95 % t interval over 3 seeds {low:.3f} to {high:.3f})."
    )
    assert not any("looked at" in c for c in comparison.caveats)
    assert compare(alone, []).answer.endswith("clef-31 is the only arm; it has no probe/auroc.")


def test_one_difference_is_no_differences(made):
    chosen = ("clef-1", "clef-31")
    pair = replace(
        made,
        ablation=replace(made.ablation, headline=("probe/auroc",)),
        trials=tuple(t for t in made.trials if t.arm.name in chosen),
    )
    caveats = compare(pair, outcomes(pair, VALUES)).caveats
    assert any(c.startswith("1 difference was looked at") for c in caveats)


def test_the_number_of_comparisons(compared):
    """4 arms against the base in 2 metrics, and simclr-1 against simclr-31; clef-1 against the base is in the table already."""
    assert compared.comparisons == 9
    assert any(c.startswith("9 differences") for c in compared.caveats)


def test_without_the_base_arm_nothing_is_compared_with_it(made):
    values = {name: v for name, v in VALUES.items() if name != "clef-31"}
    comparison = compare(made, outcomes(made, values))
    assert _cell(comparison, "random").difference is None


def test_csv_has_one_line_per_arm_and_headline_metric(compared):
    lines = list(csv.DictReader(io.StringIO(compared.csv())))
    assert len(lines) == 10
    line = next(x for x in lines if x["arm"] == "random" and x["metric"] == "probe/auroc")
    assert float(line["mean"]) == pytest.approx(0.61)
    assert float(line["difference"]) == pytest.approx(0.61 - 0.8266667)
    assert line["mark"] == "▼"
    t = stats.ttest_rel(VALUES["random"], VALUES["clef-31"]).pvalue
    assert float(line["p_seeds"]) == pytest.approx(t)
    assert (float(line["p_patients"]), float(line["p_signs"])) == (0.0, 0.25)
    assert next(x for x in lines if x["arm"] == "clef-31")["p_seeds"] == ""
    assert all(len(x) == 25 and None not in x for x in lines)


def test_seeds_that_are_the_same_run_count_once(made):
    """An arm whose seed changes nothing: three equal values would make an interval of no width, and a mark."""
    one = {t.arm.name: t.run for t in reversed(made.trials)}
    trials = tuple(replace(t, run=one[t.arm.name]) if t.arm.name == "random" else t for t in made.trials)
    same = replace(made, trials=trials)
    comparison = compare(same, outcomes(same, {**VALUES, "random": (0.6, 0.6, 0.6)}))
    row = next(r for r in comparison.rows if r.arm.name == "random")
    cell = row.cells["probe/auroc"]
    assert (row.complete, row.missing) == (3, 0)
    assert dict(cell.values) == {0: 0.6}
    assert cell.seeds is None
    assert (cell.difference.n, cell.difference.seeds, cell.difference.mark) == (1, None, "")
    every = replace(made, trials=tuple(replace(t, run=one[t.arm.name]) for t in made.trials))
    assert any("no spread" in c for c in compare(every, outcomes(every, VALUES)).caveats)


def test_a_smoke_run_says_first_that_its_numbers_mean_nothing(made, compared):
    smoke = compare(replace(made, smoke=True), outcomes(made, VALUES))
    assert smoke.caveats[0] == (
        "This was a --smoke run: its numbers show that everything works and mean nothing."
    )
    assert smoke.caveats[1:] == compared.caveats


@pytest.mark.parametrize(
    ("larger", "data", "arguments"),
    [
        ("--data synthetic:patients=9 --seeds 5", "synthetic", "--data synthetic:patients=9 --seeds 5"),
        (
            "--data synthetic:patients=9 --seeds 5",
            "synthetic:patients=3",
            "--data synthetic:patients=9 --seeds 5",
        ),
        ("--seeds 5 --data=synthetic", "/my data/shards", "--data '/my data/shards' --seeds 5"),
        ("--data synthetic:patients=9", "ptbxl", "--data ptbxl"),
        ("--seeds 5", "ptbxl", "--data ptbxl --seeds 5"),
    ],
)
def test_the_larger_budget_is_on_the_users_own_data(larger, data, arguments):
    made = replace(toy_plan(larger=larger), data_name=data)
    assert compare(made, []).larger == f"python experiments/toy.py {arguments}"


@pytest.mark.parametrize(
    ("data", "options", "command"),
    [
        (
            "synthetic",
            "--seeds 2 --set optimiser.epochs=3 --set loss.alpha=0.1 --gpus-per-worker 1.0 --smoke",
            "--data synthetic:patients=9 --seeds 5 --set optimiser.epochs=50 --set loss.alpha=0.1 --gpus-per-worker 1.0",
        ),
        (
            "synthetic:effect=0,seed=1,patients=4",
            "--data synthetic:effect=0,seed=1,patients=4 --seeds 7 --storage '/my disk/s'",
            "--data synthetic:patients=9,effect=0,seed=1 --seeds 7 --set optimiser.epochs=50 --storage '/my disk/s'",
        ),
        (
            "synthetic:patients=70",
            "--set optimiser.epochs=200 --arms clef-1",
            "--data synthetic:patients=70 --seeds 5 --set optimiser.epochs=200",
        ),
        (
            "/data/x",
            "--data /data/x --set views.lead=II",
            "--data /data/x --seeds 5 --set optimiser.epochs=50 --set views.lead=II",
        ),
    ],
)
def test_the_larger_budget_keeps_what_the_user_asked_for_and_is_never_smaller(data, options, command):
    proposed = "--data synthetic:patients=9 --seeds 5 --set optimiser.epochs=50"
    made = replace(toy_plan(larger=proposed), data_name=data)
    assert compare(made, [], options=options).larger == f"python experiments/toy.py {command}"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "holter=synthetic_holter:seconds=10,per_record=300"),
        (
            "--target shifted=/data/cinc2017 --target holter=cpsc2020:root=/x,seconds=5",
            "holter=cpsc2020:root=/x,seconds=5 shifted=/data/cinc2017",
        ),
        (
            "--target=holter=synthetic_holter:noise=2,seconds=5,per_record=400",
            "holter=synthetic_holter:seconds=10,per_record=400,noise=2",
        ),
        ("--target holter=synthetic:patients=9", "holter=synthetic:patients=9"),
        ("--target holter=", "holter="),
    ],
)
def test_the_larger_budget_keeps_every_further_corpus_that_the_user_gave(given, expected):
    """Made-up ones of one kind grow; whatever else the user gave stands."""
    proposed = "--target holter=synthetic_holter:seconds=10,per_record=300 --seeds 5"
    made = toy_plan(larger=proposed)
    words = shlex.split(compare(made, [], options=given).larger)
    targets = [word for before, word in itertools.pairwise(words) if before == "--target"]
    assert targets == expected.split()
    assert words[words.index("--seeds") + 1] == "5"


def test_without_a_larger_budget_there_is_no_command():
    assert compare(replace(toy_plan(larger=""), data_name="ptbxl"), []).larger == ""
    assert compare(plan(toy(larger=""), "d", arms=["random"]), []).larger == ""


ASKED_FOR = (Arm("it's far", {"loss.negatives": 7}), Arm("clef-7", {"loss.negatives": 7}))


@pytest.mark.parametrize(
    ("arms", "chosen"),
    [
        ([], []),
        (["random", "simclr-*", "clef-31", "clef-1"], []),
        (["random"], ["--arms", "random"]),
        (["clef-*"], ["--arms", "clef-1", "clef-31", "clef-7"]),
        (["clef-1", "*far"], ["--arms", "clef-1", "it's far"]),
        (["all"], ["--arms", "all"]),
    ],
)
def test_the_larger_budget_is_for_the_arms_that_were_chosen(arms, chosen):
    """The shell reads back the names; the default arms in another order are the default."""
    made = replace(plan(toy(more=ASKED_FOR), "d", arms=arms), data_name="/my data")
    command = ["python", "experiments/toy.py", "--data", "/my data", "--seeds", "10"]
    larger = compare(made, []).larger
    assert shlex.split(larger) == [*command, *chosen]
    parser = Parser()
    add_options(parser)
    read = parser.parse_args(shlex.split(larger)[2:])
    assert {t.arm.name for t in plan(toy(more=ASKED_FOR), "d", arms=read.arms).trials} == {
        t.arm.name for t in made.trials
    }


def test_seeds_that_tie_bring_no_mark_and_the_report_says_so(made):
    """Two and more seeds with one and the same difference: their spread is not known, so there is neither p nor star."""
    tied = {**VALUES, "clef-1": [value + 0.025 for value in VALUES["clef-31"]]}
    compared = compare(made, outcomes(made, tied))
    found = _cell(compared, "clef-1").difference
    assert (found.n, found.seeds, found.p_seeds, found.p, found.mark) == (3, None, None, None, "")
    assert any("In 2 differences all seeds give one and the same value" in c for c in compared.caveats)
    assert not any("one and the same" in c for c in compare(made, outcomes(made, VALUES)).caveats)


GAPS = {"gap/a": ("probe/auroc", "far/probe/auroc"), "gap/b": ("far/probe/auroc", "probe/auroc")}

#: Of one mean, clearly above 0 over the patients; the second is not clear over the seeds.
GAPPED = {"clef-31": (0.08, 0.09, 0.1), "clef-1": (-0.06, 0.09, 0.24)}


def gapped(headline, values=GAPPED):
    """Arms whose `gap/a` is given, seed by seed; all have the values of `probe/auroc`."""
    made = toy_plan(headline=headline, targets={"far": "synthetic"}, gaps=GAPS)
    found = []
    for o in outcomes(made, VALUES):
        more = {}
        if o.trial.arm.name in values:
            more["gap/a"] = estimate(values[o.trial.arm.name][o.trial.seed])
        found.append(replace(o, results={**o.results, "gaps": TaskResult(more)}))
    return made, found


def test_a_gap_is_asked_against_zero_with_both_intervals():
    compared = compare(*gapped(("gap/a", "probe/auroc")))
    low, high = stats.t.interval(0.95, 2, 0.09, 0.01 / 3**0.5)
    assert compared.answer.startswith("gap/a: clef-1 +0.090 (seeds −0.")
    told = f"clef-31 +0.090 (seeds {low:.3f} to {high:.3f}, patients 0.043 to 0.138)"
    assert told in compared.answer
    assert compared.answer.endswith("; both 95 % intervals exclude 0 of clef-31 ▲.")
    assert compared.answer.count("gap/") == 1


def test_more_of_a_gap_is_not_better_so_no_control_needs_to_be_below():
    """random is not below clef-31 in the gap."""
    every = GAPPED | {"random": (0.08, 0.1, 0.09)}
    assert not any(c.startswith("Not shown") for c in compare(*gapped(("gap/a",), every)).caveats)
    made = toy_plan()
    level = dict.fromkeys(VALUES, (0.8, 0.82, 0.81))
    assert any(c.startswith("Not shown") for c in compare(made, outcomes(made, level)).caveats)


def test_a_gap_behind_the_first_metric_is_answered_too():
    answer = compare(*gapped(("probe/auroc", "gap/a", "gap/b"))).answer
    assert answer.startswith("probe/auroc changes with")
    assert "gap/a: clef-1 +0.090" in answer
    assert answer.endswith(" No answer yet: no arm has gap/b.")


def test_every_table_has_both_intervals_of_a_gap():
    made, found = gapped(("gap/a", "probe/auroc"))
    compared = compare(made, found)
    console = Console(width=100, record=True, file=io.StringIO())
    print_comparison(compared, console)
    told = LINEAGE | {"finished": "2026-01-02 03:04 UTC"}
    terminal = console.export_text()
    for text in (
        terminal,
        markdown(compared),
        latex(compared),
        page(Report(made, found, told), compared, []),
    ):
        tables = " ".join(text.replace(compared.answer, "").split())
        assert "0.043 to 0.138" in tables
        assert "resampled by itself" in tables
    assert max(len(line) for line in terminal.splitlines()) <= 100
    assert "resampled by itself" not in markdown(compare(toy_plan(), outcomes(toy_plan(), VALUES)))
