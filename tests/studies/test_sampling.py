"""Samplers by name, and what importance makes of their configurations."""

import math
from collections import Counter

import pytest
from fakes import (
    EPOCHS,
    FACTS,
    Shop,
    alpha,
    complete,
    history,
    nothing_known,
    read,
    search,
    silent,
    slices,
    work,
)

from clef_ray.errors import ConfigError
from clef_ray.search import SAMPLERS, Choice, Float, Int, Limit, Objective, Stopping
from clef_ray.studies.book import Book
from clef_ray.studies.importance import importance

NUMBERS = (
    Float("loss.alpha", 0.0, 1.0),
    Float("optimiser.lr", 1e-5, 1e-2, log=True),
    Int("loss.negatives", 1, 126),
)
START = {"loss.alpha": 0.2, "optimiser.lr": 1e-3, "loss.negatives": 63}


def cheap(name):
    """A parameter; of the sampler that computes for long only the shortest test is not slow."""
    return pytest.param(name, marks=pytest.mark.slow if name == "gp" else ())


def study(tmp_path, value=None, name="optuna", **changes):
    declared = search(**{"space": NUMBERS, "start": (START,), "seeds": (0,), **changes})
    book = Book.of_search(
        declared, "d1a7a", f"journal:///{tmp_path}/{name}.log", FACTS, nothing_known, silent
    )
    work(book, lambda t: complete(t, value(t) if value else None), lambda t: history(t, 0.5))
    return book


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_stays_inside_the_ranges_and_repeats_nothing(name, tmp_path):
    book = study(tmp_path, sampler=name, configurations=12)
    rows = book.rows()
    assert [row.state for row in rows] == ["COMPLETE"] * 12
    assert dict(rows[0].params) == START
    for row in rows:
        for dimension in NUMBERS:
            dimension.check(row.params[dimension.key], "here")
    assert len({tuple(row.params.values()) for row in rows}) == 12


@pytest.mark.parametrize(
    "name", [cheap(n) for n, s in SAMPLERS.items() if s.categories and s.several and s.limits]
)
def test_categories_limits_and_several_objectives(name, tmp_path):
    space = (*NUMBERS, Choice("score", ("score2", "age", "framingham")))
    goals = (Objective("zeroshot/rsa", "maximize"), Objective("cost/cpu_hours", "minimize"))
    limits = (Limit("probe/auroc", at_least=0.3),)
    start = ({**START, "score": "age"},)
    book = study(
        tmp_path, sampler=name, configurations=12, space=space, start=start, objectives=goals, limits=limits
    )
    assert {row.state for row in book.rows()} == {"COMPLETE"}
    assert (
        len({row.params["score"] for row in book.rows()}) >= 2
    )  # of three; a random sampler may miss one in twelve
    assert all(row.feasible for row in book.best())


@pytest.mark.parametrize("name", [cheap(n) for n, s in SAMPLERS.items() if s.several])
def test_several_objectives_with_early_stopping(name, tmp_path):
    """Optuna's TPE cannot read a stopped trial with intermediate values where there are several objectives."""
    goals = (Objective("zeroshot/rsa", "maximize"), Objective("probe/auroc", "maximize"))
    declared = search(
        space=NUMBERS,
        start=(START,),
        seeds=(0,),
        sampler=name,
        configurations=24,
        objectives=goals,
        stopping=Stopping(rule="asha", grace=1, reduction=2, collapse=0),
    )
    uri = f"journal:///{tmp_path}/optuna.log"
    shop = Shop(tmp_path / "runs")
    half = Book.of_search(declared, "d1a7a", uri, FACTS, shop.known, silent)
    work(half, shop=shop, limit=12)
    half.close()
    book = Book.of_search(declared, "d1a7a", uri, FACTS, shop.known, silent)
    work(book, shop=shop)
    counts = Counter(row.state for row in book.rows())
    assert set(counts) == {"COMPLETE", "PRUNED"}
    assert counts.total() == 24
    for outcome in book.outcomes:
        if outcome.state == "PRUNED":
            expected = history(outcome.trial)[: len(outcome.history)]
            assert [e["valid/rsa"] for e in outcome.history] == [e["valid/rsa"] for e in expected]


def test_a_stopping_metric_that_ranks_the_other_way_is_kept_beside_the_trial(tmp_path):
    goals = (Objective("zeroshot/rsa", "minimize"),)
    book = study(tmp_path, objectives=goals, stopping=Stopping(rule="none", collapse=0), configurations=2)
    (first, _) = read(book)
    assert not first.intermediate_values
    assert len(first.user_attrs["curve"]) == EPOCHS


@pytest.mark.parametrize("name", [cheap(n) for n in ("tpe", "gp", "cmaes")])
def test_a_guided_sampler_finds_more_than_chance(name, tmp_path):
    """The mean of the last ten of thirty configurations beats that of thirty random ones by a wide margin."""
    guided = study(tmp_path, sampler=name, configurations=30)
    chance = study(tmp_path, sampler="random", configurations=30, name="random")
    means = [
        sum(row.values["zeroshot/rsa"] for row in rows) / len(rows)
        for rows in (guided.rows()[-10:], chance.rows())
    ]
    assert means[0] > means[1] + 0.1


@pytest.mark.parametrize("name", [cheap(n) for n in SAMPLERS])
def test_a_sampler_that_begins_again_does_not_repeat_itself(name, tmp_path):
    study(tmp_path, sampler=name, configurations=7)
    book = study(tmp_path, sampler=name, configurations=12)
    assert len({tuple(row.params.values()) for row in book.rows()}) == 12


def test_the_same_study_samples_the_same(tmp_path):
    first, second = (study(tmp_path, sampler="tpe", configurations=12, name=n) for n in "ab")
    assert [row.params for row in first.rows()] == [row.params for row in second.rows()]


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("cmaes", {"space": (Choice("score", ("age", "score2")),), "start": ({"score": "age"},)}, "a Choice; these can: tpe, random, nsga2, gp"),
        ("gp", {"space": (Int("loss.queue", 0, 9), Float("loss.alpha", 0, 1, when={"loss.queue": 3})), "start": ({"loss.queue": 0},)}, "a `when`; these can: tpe, random"),
        ("cmaes", {"objectives": (Objective("a", "maximize"), Objective("b", "maximize"))}, "several objectives"),
        ("cmaes", {"limits": (Limit("a", at_least=0.0),)}, "limits"),
        ("tpee", {}, "Did you mean 'tpe'"),
    ],
)  # fmt: skip
def test_what_a_sampler_cannot_do_is_refused_in_the_declaration(name, changes, says):
    with pytest.raises(ConfigError, match=says):
        search(**{"space": NUMBERS, "start": (START,), "sampler": name, **changes})


@pytest.mark.parametrize("evaluator", ["fanova", "ped_anova"])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_importance_finds_the_setting_that_matters(evaluator, direction, tmp_path):
    """The objective follows the learning rate alone."""

    def value(trial):
        return -((math.log10(trial.run.optimiser.lr) + 3) ** 2) * (1 if direction == "maximize" else -1)

    book = study(tmp_path, value, configurations=30, objectives=(Objective("zeroshot/rsa", direction),))
    shares, reason = importance(book.uri, book.name, evaluator)
    assert reason == ""
    assert next(iter(shares)) == "optimiser.lr"
    assert shares["optimiser.lr"] > 0.6
    assert sum(shares.values()) == pytest.approx(1)


def test_ped_anova_looks_at_the_better_end(tmp_path):
    """What is best follows from the learning rate, what is worst from alpha: the same values, maximised or minimised."""

    def value(trial):
        return 5 * max(0.0, math.log10(trial.run.optimiser.lr) + 3) - 50 * max(0.0, alpha(trial) - 0.7)

    shares = {}
    for direction in ("maximize", "minimize"):
        goal = (Objective("zeroshot/rsa", direction),)
        book = study(tmp_path, value, name=direction, configurations=40, objectives=goal)
        shares[direction] = importance(book.uri, book.name, "ped_anova")[0]["optimiser.lr"]
    assert shares["maximize"] > shares["minimize"] + 0.2


def test_importance_of_several_objectives_is_the_first_ones(tmp_path):
    goals = (Objective("zeroshot/rsa", "maximize"), Objective("cost/cpu_hours", "minimize"))
    book = study(tmp_path, configurations=30, objectives=goals)
    shares, _ = importance(book.uri, book.name)
    assert next(iter(shares)) == "loss.alpha"


def test_too_few_configurations_have_no_importance(tmp_path):
    few = study(tmp_path, configurations=5)
    assert importance(few.uri, few.name) == (
        {},
        "5 complete configurations are too few to tell: 8 are needed",
    )
    same = study(tmp_path, lambda _: 0.5, name="same", configurations=9)
    assert importance(same.uri, same.name) == ({}, "every complete configuration has the same value")


def test_slices_hold_no_type_of_optuna(tmp_path):
    book = study(tmp_path, configurations=3)
    rows = slices(book.uri, book.name)
    assert rows == book.rows()
    types = Counter(type(v).__module__ for row in rows for v in (*row.params.values(), row.state))
    assert set(types) == {"builtins"}
