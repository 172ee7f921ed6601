"""The declaration of a sweep: what it refuses, what its identity depends on, what its configurations are as trials."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clef_ray.errors import ConfigError
from clef_ray.search import Choice, Float, Int, Limit, Objective, Search, Stopping

DATA = "d1a7a0000000000a"


def toy(**changes: object) -> Search:
    fields = {
        "name": "toy",
        "question": "Which?",
        "expect": "One.",
        "space": (
            Choice("method", ("clef", "simclr")),
            Float("loss.alpha", 0.0, 1.0, when={"method": "clef"}),
            Float("optimiser.lr", 1e-4, 1e-2, log=True),
        ),
        "objectives": (Objective("zeroshot/rsa", "maximize"),),
        "configurations": 5,
        "start": ({"method": "clef", "loss.alpha": 0.2, "optimiser.lr": 1e-3},),
    }
    return Search(**{**fields, **changes})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Float("a", 1.0, 1.0), "a: the range needs low < high"),
        (lambda: Float("a", 0.0, float("inf")), "both finite"),
        (lambda: Float("a", 0.0, 1.0, log=True), "starts above 0; low is 0"),
        (lambda: Float("a", 0.1, 1.0, log=True, step=0.1), "exclude each other"),
        (lambda: Float("a", 0.0, 1.0, step=0.3), "no whole number of steps of 0.3"),
        (lambda: Int("a", 1, 8, log=True, step=2), "exclude each other"),
        (lambda: Int("a", 1, 8.5), "8.5 is no whole number; use Float"),
        (lambda: Choice("a", ("x",)), "at least two different options"),
        (lambda: Choice("a", ("x", "x")), "at least two different options"),
        (lambda: Choice("a", ((1, 2), (3, 4))), r"option \(1, 2\) is no text"),
        (lambda: Objective("m", "maximise"), "Did you mean 'maximize'"),
        (lambda: Objective("cost/gpu_hour", "minimize"), "Did you mean 'cost/gpu_hours'"),
        (lambda: Limit("m"), "give one of at_least and at_most"),
        (lambda: Limit("m", 0.0, 1.0), "give one of"),
        (lambda: Stopping(rule="ascha"), "Did you mean 'asha'"),
        (lambda: Stopping(grace=0), "stopping.grace: 0 given, at least 1"),
        (lambda: Stopping(reduction=1), "stopping.reduction"),
    ],
)
def test_parts_that_are_refused(make, says):
    with pytest.raises(ConfigError, match=says):
        make()


LR = Float("optimiser.lr", 1e-4, 1e-2)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"space": ()}, "toy: the space is empty"),
        ({"space": (LR, LR)}, "optimiser.lr is listed twice"),
        ({"space": (Int("seed", 0, 9),)}, "seed is no setting to search"),
        ({"space": (Float("loss.alpha", 0, 1, when={"method": "clef"}), LR)}, "`when` of loss.alpha: one declared before it"),
        ({"space": (Choice("method", ("clef", "simclr")), Float("loss.alpha", 0, 1, when={"method": "cleff"}))}, "Did you mean 'clef'"),
        ({"space": (Int("loss.queue", 0, 9), Float("loss.alpha", 0, 1, when={"loss.queue": 10}))}, "loss.queue=10 is outside of 0 to 9"),
        ({"objectives": ()}, "needs an objective"),
        ({"objectives": (Objective("m", "maximize"),) * 2}, "objective 'm' is listed twice"),
        ({"seeds": (0, 100)}, "seed 100 is listed twice"),
        ({"seeds": ()}, "seeds must be at least 1"),
        ({"winner": "balance"}, "toy.*Did you mean 'balanced'"),
        ({"configurations": 0}, "configurations must be at least 1; 0 given"),
        ({"start": ()}, "start must be at least 1"),
        ({"start": ({"method": "clef", "optimiser.lr": 1e-3},)}, r"start\[0\]: loss.alpha is missing"),
        ({"start": ({"method": "simclr", "optimiser.lr": 1e-3, "loss.alpha": 0.2},)}, "unknown setting 'loss.alpha'"),
        ({"start": ({"method": "clef", "loss.alpha": 1.2, "optimiser.lr": 1e-3},)}, "loss.alpha=1.2 is outside of 0 to 1"),
        ({"start": ({"method": "clef", "loss.alpha": True, "optimiser.lr": 1e-3},)}, "loss.alpha=True is outside"),
    ],
)  # fmt: skip
def test_declarations_that_are_refused(changes, says):
    with pytest.raises(ConfigError, match=says):
        toy(**changes)


@pytest.mark.parametrize(
    ("changes", "settings", "says"),
    [
        ({"space": (Float("loss.alpa", 0, 1),), "start": ({"loss.alpa": 0.5},)}, {}, "Did you mean 'alpha'"),
        ({"space": (Float("loss.alpha", 0, 2),), "start": ({"loss.alpha": 0.5},)}, {}, "alpha"),
        ({"space": (Choice("score", ("score2", "agee")),), "start": ({"score": "score2"},)}, {}, "Did you mean 'age'"),
        ({"space": (Int("loss.negatives", 1, 900),), "start": ({"loss.negatives": 900},)}, {}, "at most 254"),
        ({}, {"optimiser.lr": "0.1"}, "--set optimiser.lr: toy searches this itself"),
        ({}, {"seed": "1"}, "every trial has its own"),
        ({}, {"optimiser.epoch": "1"}, "Did you mean 'optimiser.epochs'"),
        ({}, {"loss.power": "3"}, "power"),
        ({}, {"loss.powr": "1"}, "no configuration of toy has it"),
        ({}, {"optimiser.batch": "0"}, "batch"),
    ],
)  # fmt: skip
def test_what_means_nothing_to_a_run_is_refused_by_the_check(changes, settings, says):
    declared = toy(**changes)
    with pytest.raises(ConfigError, match=says):
        declared.check(DATA, settings)


def test_a_condition_that_contradicts_another_is_told():
    space = (
        Choice("method", ("clef", "simclr")),
        Choice("score", ("age", "score2"), when={"method": "clef"}),
        Float("loss.alpha", 0, 1, when={"method": "simclr", "score": "age"}),
    )
    declared = toy(space=space, start=({"method": "simclr"},))
    with pytest.raises(ConfigError, match=r"loss\.alpha is never on"):
        declared.check(DATA)


def test_a_chain_of_conditions_is_checked_where_it_is_on():
    space = (
        Choice("method", ("simclr", "clef")),
        Choice("score", ("age", "score2"), when={"method": ("simclr", "clef")}),
        Float("loss.alpha", 0, 3, when={"method": "clef", "score": "score2"}),
    )
    declared = toy(space=space, start=({"method": "simclr", "score": "age"},))
    with pytest.raises(ConfigError, match="alpha: 3 given; allowed is 0 to 1"):
        declared.check(DATA)


def test_a_trial_has_the_settings_in_their_order_of_precedence():
    declared = toy(
        smoke={"optimiser.epochs": 3},
        settings={"method": "simclr", "optimiser.epochs": 9, "optimiser.lr": 1.0},
    )
    params = declared.start[0]
    trial = declared.trial(7, params, 4, DATA)
    assert (trial.arm.name, trial.arm.family, trial.seed, trial.run.seed) == ("c007", "search", 4, 4)
    assert (trial.run.method.name, trial.run.optimiser.lr, trial.run.optimiser.epochs) == ("clef", 1e-3, 9)
    assert declared.trial(7, params, 4, DATA, smoke=True).run.optimiser.epochs == 3
    assert declared.trial(7, params, 4, DATA, {"optimiser.epochs": "2"}, smoke=True).run.optimiser.epochs == 2


def test_a_switched_off_setting_is_absent():
    run = toy().trial(1, {"method": "simclr", "optimiser.lr": 1e-3}, 0, DATA).run
    assert "alpha" not in dict(run.canonical().loss.options)


def test_a_configuration_whose_parts_do_not_fit_is_refused():
    with pytest.raises(
        ConfigError, match="'c003': 127 negatives per anchor, but a batch of 32 holds at most 62"
    ):
        toy().trial(3, {"loss.negatives": 127, "optimiser.batch": 32}, 0, DATA)


def test_a_growing_plan_keeps_its_identity():
    declared = toy()
    first = declared.trial(0, declared.start[0], 0, DATA)
    more = declared.trial(1, {"method": "simclr", "optimiser.lr": 1e-3}, 0, DATA)
    plans = [declared.plan(trials, DATA) for trials in ((), (first,), (first, more))]
    assert {p.fingerprint() for p in plans} == {declared.identity(DATA)}
    assert [[a.name for a in p.ablation.arms] for p in plans] == [["c000"], ["c000"], ["c000", "c001"]]
    assert {p.ablation.base for p in plans} == {"c000"}
    assert {p.split for p in plans} == {"selection"}
    assert plans[2].differing_settings()


def test_the_final_plan_judges_on_the_test_patients_with_fresh_seeds():
    declared = toy()
    final = declared.final({4: {"method": "simclr", "optimiser.lr": 5e-3}}, DATA)
    assert [(t.arm.name, t.seed) for t in final.trials] == [
        (c, s) for c in ("c000", "c004") for s in (100, 101, 102)
    ]
    assert final.split == "official"
    assert final.fingerprint() != declared.identity(DATA)
    only = declared.final({0: declared.start[0]}, DATA)
    assert {t.arm.name for t in only.trials} == {"c000"}


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": (0, 1, 2)},
        {"tasks": ("diagnosis",)},
        {"settings": {"optimiser.epochs": 3}},
        {"objectives": (Objective("zeroshot/rsa", "minimize"),)},
        {"limits": (Limit("probe/auroc", at_least=0.5),)},
        {"stopping": Stopping(grace=3)},
        {"sampler": "random"},
        {"name": "other"},
    ],
)
def test_the_identity_changes_with_what_results_depend_on(changes):
    assert toy(**changes).identity(DATA) != toy().identity(DATA)


def test_the_identity_changes_with_data_settings_and_smoke_and_with_nothing_else():
    declared = toy()
    same = declared.identity(DATA)
    assert (
        len(
            {
                same,
                declared.identity("other"),
                declared.identity(DATA, {"optimiser.epochs": "3"}),
                declared.identity(DATA, smoke=True),
            }
        )
        == 4
    )
    for changes in (
        {"configurations": 99},
        {"question": "Other?"},
        {"fresh_seeds": (7,)},
        {"larger": "--x"},
        {"winner": "first"},
    ):
        assert replace(declared, **changes).identity(DATA) == same
    usual = {"optimiser.epochs": "8"}
    spelled = {"optimiser.epochs": 8.0}
    assert declared.identity(DATA, usual) == declared.identity(DATA, spelled)


@given(st.floats(0, 1), st.sampled_from(["clef", "simclr", "random"]))
def test_a_dimension_is_on_exactly_where_its_condition_holds(alpha, method):
    dimension = Float("loss.alpha", 0, 1, when={"method": ("clef", "simclr"), "loss.power": (1, 2)})
    assert dimension.on({"method": method, "loss.power": 2}) == (method != "random")
    assert not dimension.on({"method": method})
    dimension.check(alpha, "here")


def test_a_declaration_loads_neither_torch_nor_optuna():
    code = (
        "import sys; sys.path.insert(0, 'experiments'); import sweep_clef; "
        "assert not {'torch', 'optuna', 'ray', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=Path(__file__).parent.parent)


def test_a_dimension_is_told_in_one_line():
    assert str(Float("loss.alpha", 0.0, 1.0)) == "loss.alpha: 0 to 1"
    assert str(Int("loss.negatives", 1, 254, log=True)) == "loss.negatives: 1 to 254, logarithmic"
    given = Choice("loss.mask", ("neutral", "none"), when={"method": "clef"})
    assert str(given) == "loss.mask: neutral, none, where method=clef"
