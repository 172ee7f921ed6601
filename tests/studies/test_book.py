"""The book of a study, read back by Optuna itself."""

import math
import pickle

import pytest
from fakes import (
    EPOCHS,
    FACTS,
    SETTINGS,
    ablation_plan,
    alpha,
    complete,
    failed,
    history,
    of_plan,
    of_search,
    read,
    search,
    states,
    truth,
    work,
)

from clef_ray.ablation import Arm
from clef_ray.errors import ConfigError
from clef_ray.search import Choice, Float, Int, Limit, Objective, Stopping


def test_each_configuration_is_told_as_the_mean_of_its_seeds(uri):
    book = of_search(search(seeds=(0, 1, 2)), uri)
    started = work(book)
    assert len(started) == 18
    trials = read(book)
    assert [t.state.name for t in trials] == ["COMPLETE"] * 6
    for trial in trials:
        runs = [t for t in started if t.arm.name == f"c{trial.number:03d}"]
        values = [truth(t) for t in runs]
        assert trial.value == pytest.approx(sum(values) / 3)
        # the standard deviation of 0, 0.01, 0.02 over the root of 3
        assert trial.user_attrs["standard_error"] == {"zeroshot/rsa": pytest.approx(0.01 / math.sqrt(3))}
        assert trial.user_attrs["fingerprints"] == {str(t.seed): t.run.fingerprint() for t in runs}
        assert trial.user_attrs["values"]["zeroshot/rsa"] == {str(t.seed): truth(t) for t in runs}
        assert trial.user_attrs["seeds"] == [0, 1, 2]
        assert {k: trial.user_attrs[k] for k in FACTS} == FACTS
        assert trial.intermediate_values == {e: pytest.approx(values[0] * e / EPOCHS) for e in range(1, 5)}
        assert trial.params["loss.alpha"] == alpha(runs[0])
    assert trials[0].params == {"loss.alpha": 0.2, "score": "score2"}
    best = max(trials, key=lambda t: t.value)
    (row,) = book.best()
    assert (row.number, row.values["zeroshot/rsa"]) == (best.number, best.value)
    assert row.params == best.params
    assert [o.trial for o in book.outcomes] == book.trials()
    assert len(book.trials()) == book.planned == 18


def test_only_the_first_seed_starts_until_it_is_whole(uri):
    book = of_search(search(seeds=(0, 1)), uri)
    first = book.next()
    second = book.next()
    assert (first.arm.name, first.seed) == ("c000", 0)
    assert (second.arm.name, second.seed) == ("c001", 0)
    book.end(complete(first))
    third = book.next()
    assert (third.arm.name, third.seed) == ("c000", 1)


def test_a_stopped_configuration_is_pruned_with_its_epochs_and_has_no_other_seeds(uri):
    """By the median: four whole ones, after which a bad one is stopped when it has had its grace of two epochs."""
    rule = Stopping(rule="median", grace=2, collapse=0)
    book = of_search(search(configurations=6, stopping=rule), uri)

    def curve(trial):
        return history(trial, 0.1 if trial.arm.name == "c005" else 0.9)

    started = work(book, lambda t: complete(t, 0.9), curve)
    assert [(t.arm.name, t.seed) for t in started[-1:]] == [("c005", 0)]
    bad = read(book)[5]
    assert bad.state.name == "PRUNED"
    assert sorted(bad.intermediate_values) == [1, 2]
    assert bad.user_attrs["reason"] == "median: valid/rsa 0.050 in epoch 2"
    assert states(book) == {"COMPLETE": 5, "PRUNED": 1}
    assert (len(started), book.planned) == (11, 11)
    assert book.rows()[5].values == {}
    assert book.outcomes[-1].state == "PRUNED"


def test_the_first_configuration_is_never_stopped(uri):
    rule = Stopping(rule="asha", grace=1, reduction=2, collapse=50.0)
    book = of_search(search(configurations=1, stopping=rule), uri)
    flat = [{**row, "embedding/effective_rank": 1.0} for row in history(book.next(), 0.0)]
    assert all(book.epoch(book.trials()[0], row) is None for row in flat)


def test_a_collapse_stops_after_two_epochs_behind_the_grace(uri):
    rule = Stopping(rule="none", grace=2, collapse=2.0)
    longer = {**SETTINGS, "optimiser.epochs": 5}
    book = of_search(search(configurations=2, stopping=rule, settings=longer), uri)
    book.end(complete(book.next()))
    book.end(complete(book.next()))
    trial = book.next()
    ranks = [1.5, 9.0, 1.5, 1.4]
    reasons = [book.epoch(trial, {"epoch": e, "embedding/effective_rank": r}) for e, r in enumerate(ranks, 1)]
    assert reasons[:3] == [None] * 3
    assert reasons[3].startswith("collapsed: effective rank of the embedding 1.40, below 2 in epoch 4")


def test_a_run_that_looks_collapsed_in_its_last_epoch_is_whole(uri):
    """Of a sweep over epochs, where each run has its own last one."""
    space = (Choice("optimiser.epochs", (2, 3, 4)),)
    declared = search(
        space=space,
        start=tuple({"optimiser.epochs": e} for e in (3, 2, 4)),
        configurations=3,
        seeds=(0,),
        stopping=Stopping(rule="none", grace=1, collapse=2.0),
    )
    book = of_search(declared, uri)

    def curve(trial):
        ranks = {2: [1.0, 1.0], 4: [9.0, 1.0, 1.0, 1.0]}.get(trial.run.epochs, [9.0] * 3)
        return [{"epoch": e, "embedding/effective_rank": r} for e, r in enumerate(ranks, 1)]

    work(book, lambda t: complete(t, 0.5), curve)
    assert [row.state for row in book.rows()] == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert "in epoch 3" in book.rows()[2].reason


def test_a_failed_first_seed_fails_the_configuration(uri):
    book = of_search(search(), uri)
    started = work(book, lambda t: failed(t) if t.arm.name == "c002" else complete(t))
    assert states(book) == {"COMPLETE": 5, "FAIL": 1}
    assert [t.seed for t in started if t.arm.name == "c002"] == [0]
    bad = read(book)[2]
    assert bad.user_attrs["reason"] == "the loss is not finite"
    assert bad.user_attrs["failed_seeds"] == {"0": "the loss is not finite"}


def test_a_failed_later_seed_leaves_the_others(uri):
    book = of_search(search(configurations=1, seeds=(0, 1, 2)), uri)
    work(book, lambda t: failed(t, "lost") if t.seed == 1 else complete(t))
    (trial,) = read(book)
    assert trial.state.name == "COMPLETE"
    assert trial.user_attrs["failed_seeds"] == {"1": "lost"}
    assert trial.value == pytest.approx(1 - 0.5 + 0.01)


@pytest.mark.parametrize(
    ("value", "metric", "reason"),
    [
        (math.nan, "zeroshot/rsa", "zeroshot/rsa is nan"),
        (0.5, "probe/typo", "the results have no probe/typo"),
    ],
)
def test_an_objective_that_is_no_number_fails_with_its_reason(uri, value, metric, reason):
    book = of_search(search(configurations=2, objectives=(Objective(metric, "maximize"),)), uri)
    work(book, lambda t: complete(t, value))
    assert states(book) == {"FAIL": 2}
    assert {t.user_attrs["reason"] for t in read(book)} == {reason}
    assert book.best() == ()


def test_a_configuration_that_cannot_run_fails_and_the_sweep_goes_on(uri):
    space = (Int("loss.negatives", 1, 126), Choice("optimiser.batch", (16, 64)))
    start = ({"loss.negatives": 1, "optimiser.batch": 64},)
    book = of_search(search(space=space, start=start, configurations=16), uri)
    work(book, lambda t: complete(t, 0.5))
    refused = [t for t in read(book) if t.state.name == "FAIL"]
    assert refused, "the seed draws no such configuration; choose others"
    for trial in refused:
        assert trial.params["loss.negatives"] > 2 * 16 - 2
        assert "negatives per anchor" in trial.user_attrs["reason"]
    assert len(read(book)) == 16
    assert states(book).keys() == {"COMPLETE", "FAIL"}
    again = of_search(search(space=space, start=start, configurations=16), uri, lambda t: complete(t, 0.5))
    assert again.finished


def test_several_objectives_make_a_front_and_costs_count(uri):
    goals = (Objective("zeroshot/rsa", "maximize"), Objective("cost/cpu_hours", "minimize"))
    rule = Stopping(rule="median", grace=1, collapse=0)
    book = of_search(search(objectives=goals, configurations=8, stopping=rule), uri)
    hours = {n: (n % 3 + 1) * 1.5 for n in range(8)}

    def outcome(trial):
        made = complete(trial)
        return type(made)(**{**vars(made), "seconds": {"pretrain": hours[int(trial.arm.name[1:])] * 3600}})

    work(book, outcome, lambda t: history(t, 0.0 if t.arm.name == "c007" else 0.5))
    trials = read(book)
    assert trials[7].state.name == "PRUNED"
    assert trials[7].values is None
    assert trials[7].user_attrs["curve"] == {"1": 0.0}
    whole = {t.number: t.values for t in trials[:7]}
    assert {n: v[1] for n, v in whole.items()} == {n: pytest.approx(2 * hours[n]) for n in range(7)}
    front = {
        n
        for n, (rsa, cost) in whole.items()
        if not any(r >= rsa and c <= cost and (r, c) != (rsa, cost) for r, c in whole.values())
    }
    assert {row.number for row in book.best()} == front


def test_gpu_hours_need_a_gpu(uri):
    with pytest.raises(ConfigError, match="--gpus-per-worker"):
        of_search(search(objectives=(Objective("cost/gpu_hours", "minimize"),)), uri)


def test_the_best_keeps_the_limits(uri):
    """probe/auroc is 1 - rsa here, so the limit excludes what would be the best."""
    book = of_search(search(limits=(Limit("probe/auroc", at_least=0.3),), configurations=12, seeds=(0,)), uri)
    work(book)
    rows = book.rows()
    assert {row.feasible for row in rows} == {True, False}
    for row in rows:
        assert row.feasible == (1 - row.values["zeroshot/rsa"] >= 0.3)
    stricter = search(limits=(Limit("probe/auroc", at_least=2.0),), configurations=3, seeds=(0,))
    none = of_search(stricter, uri)
    work(none)
    assert states(none) == {"COMPLETE": 3}
    assert none.best() == ()
    (best,) = book.best()
    assert best.values["zeroshot/rsa"] == max(r.values["zeroshot/rsa"] for r in rows if r.feasible)


def test_what_has_not_ended_whole_is_not_feasible(uri):
    """It has no value that could keep a limit, and of these two the failed one lacks the limit's metric."""
    goals = (Objective("zeroshot/rsa", "maximize"),)
    declared = search(
        limits=(Limit("probe/typo", at_most=1.0),), configurations=3, objectives=goals, seeds=(0,)
    )
    book = of_search(declared, uri)
    work(book, lambda t: complete(t, 0.5, **({} if t.arm.name == "c001" else {"probe/typo": 0.5})), limit=2)
    book.next()
    assert [(row.state, row.feasible) for row in book.rows()] == [
        ("COMPLETE", True),
        ("FAIL", False),
        ("RUNNING", False),
    ]


@pytest.mark.parametrize(("rule", "order"), [("balanced", [1, 0, 3]), ("first", [0, 1, 3])])
def test_the_winner_is_by_the_declared_rule(uri, rule, order):
    """By hand: how many are better is 0+3, 1+1, 3+2 and 2+0, so 1 and 3 share the best mean rank and 1 is better by the first objective, by
    which 0 leads. 1 beats 2 in both, so that is not in the front."""
    pairs = [(0.9, 0.1), (0.8, 0.5), (0.2, 0.4), (0.7, 0.6)]
    goals = (Objective("zeroshot/rsa", "maximize"), Objective("extra", "maximize"))
    book = of_search(search(objectives=goals, configurations=4, winner=rule, seeds=(0,)), uri)

    def outcome(trial):
        first, second = pairs[int(trial.arm.name[1:])]
        return complete(trial, first, extra=second)

    work(book, outcome)
    assert [row.number for row in book.best()] == order


def test_conditional_settings_are_absent_where_they_are_off(uri):
    space = (
        Choice("method", ("clef", "simclr")),
        Float("loss.alpha", 0.1, 0.9, when={"method": "clef"}),
    )
    declared = search(
        space=space, start=({"method": "simclr"},), configurations=12, sampler="tpe", seeds=(0,)
    )
    book = of_search(declared, uri)
    work(book, lambda t: complete(t, 0.5), lambda t: history(t, 0.5))
    assert {t.params["method"] for t in read(book)} == {"clef", "simclr"}
    for trial in read(book):
        assert ("loss.alpha" in trial.params) == (trial.params["method"] == "clef")


def test_a_plan_is_a_list_of_arms(uri):
    made = ablation_plan()
    book = of_plan(made, uri)
    assert book.planned == 6
    out = [book.next() for _ in range(7)]
    assert [(t.arm.name, t.seed) for t in out[:6]] == [(t.arm.name, t.seed) for t in made.trials]
    assert out[6] is None
    assert not book.finished or all(out)
    for trial in out[:6]:
        assert book.epoch(trial, {"epoch": 1, "valid/rsa": 0.1 + trial.seed}) is None
        book.end(complete(trial))
    assert book.finished
    trials = read(book)
    assert [(t.params["arm"], t.state.name) for t in trials] == [(f"alpha-{n}", "COMPLETE") for n in range(3)]
    assert [t.intermediate_values[1] for t in trials] == [0.1] * 3
    assert [t.user_attrs["settings"] for t in trials] == [{"loss.alpha": n / 10} for n in range(3)]


def test_two_arms_that_are_one_run_train_it_once(uri):
    twins = (Arm("a", {"loss.alpha": 0.2}), Arm("b", {"loss.alpha": 0.2}), Arm("c", {"loss.alpha": 0.4}))
    book = of_plan(ablation_plan(arms=twins, base="a"), uri)
    first, second, third = book.next(), book.next(), book.next()
    assert [t.arm.name for t in (first, second, third)] == ["a", "a", "c"]
    book.end(complete(first))
    book.end(complete(second))
    shared = [o for o in book.outcomes if o.trial.arm.name == "b"]
    assert [o.shared_with for o in shared] == ["a seed 0", "a seed 1"]
    by_arm = {t.params["arm"]: t.state.name for t in read(book)}
    assert by_arm["b"] == "COMPLETE"


def test_a_book_is_not_pickled(uri):
    with pytest.raises(TypeError, match="uri and name"):
        pickle.dumps(of_plan(ablation_plan(), uri))
