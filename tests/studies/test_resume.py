"""A study that is opened again: what is finished is not run, what was begun goes on, in any order of events."""

import math
import random
from collections import Counter

import optuna
import pytest
from fakes import (
    Shop,
    ablation_plan,
    attrs,
    complete,
    failed,
    history,
    lost,
    of_plan,
    of_search,
    read,
    search,
    slices,
    states,
    work,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from clef_ray.ablation import Outcome
from clef_ray.search import Choice, Stopping
from clef_ray.studies.storage import open_storage


def test_the_store_answers_instead_of_a_run(uri, tmp_path):
    shop = Shop(tmp_path / "runs")
    declared = search(configurations=4)
    everything = work(of_search(declared, uri), shop=shop)
    fresh = of_search(declared, f"{uri}-other", shop.known)
    assert fresh.next() is None
    assert fresh.finished
    assert [o.trial.run for o in fresh.outcomes] == [
        t.run for t in sorted(everything, key=lambda t: (t.arm.name, t.seed))
    ]
    assert read(fresh)[0].intermediate_values.keys() == {1, 2, 3, 4}


def test_a_study_that_another_process_keeps_by_now_is_left_as_it_is(uri):
    """Who closes it makes its runs wait; whoever has taken over would then find its own runs waiting."""
    book = of_plan(ablation_plan(), uri)
    book.next()
    book.leave()
    book.close(interrupted=True)
    assert states(book) == {"RUNNING": 1, "WAITING": 2}
    owned = of_plan(ablation_plan(), uri)
    owned.close()
    assert states(owned) == {"WAITING": 3}


def test_more_configurations_go_on_with_the_same_study(uri, tmp_path):
    shop = Shop(tmp_path / "runs")
    work(of_search(search(configurations=4), uri, shop.known), shop=shop)
    book = of_search(search(configurations=7), uri, shop.known)
    assert book.planned == 14
    started = work(book, shop=shop)
    assert sorted({t.arm.name for t in started}) == ["c004", "c005", "c006"]
    assert states(book) == {"COMPLETE": 7}
    assert len({t.params["loss.alpha"] for t in read(book)}) == 7, "a restarted sampler draws the same again"
    assert len(book.outcomes) == 14


def test_a_search_does_not_try_failures_again_and_knows_what_was_stopped(uri, tmp_path):
    shop, rule = Shop(tmp_path / "runs"), Stopping(rule="none", grace=1, collapse=2.0)
    declared = search(configurations=4, stopping=rule)

    def curve(trial):
        rank = 1.0 if trial.arm.name == "c001" else 9.0
        return [{**row, "embedding/effective_rank": rank} for row in history(trial)]

    work(
        of_search(declared, uri, shop.known),
        lambda t: failed(t) if t.arm.name == "c002" else complete(t),
        curve,
        shop=shop,
    )
    again = of_search(declared, uri, shop.known)
    assert again.finished
    assert again.next() is None
    ended = {(o.trial.arm.name, o.trial.seed): (o.state, o.reason) for o in again.outcomes}
    assert ended[("c001", 0)][0] == "PRUNED"
    assert "collapsed" in ended[("c001", 0)][1]
    assert ended[("c002", 0)] == ("FAILED", "the loss is not finite")
    assert ("c001", 1) not in ended
    (unlucky,) = [o.trial for o in again.outcomes if o.state == "FAILED"]
    shop.put(unlucky)  # another sweep had more luck: what this study was told stays as it is
    third = of_search(declared, uri, shop.known)
    assert third.finished
    assert third.next() is None


def test_a_plans_failed_arm_is_tried_again_as_another_trial(uri, tmp_path):
    shop, made = Shop(tmp_path / "runs"), ablation_plan()
    work(
        of_plan(made, uri, shop.known),
        lambda t: failed(t) if t.arm.name == "alpha-1" else complete(t),
        shop=shop,
    )
    book = of_plan(made, uri, shop.known)
    started = work(book, shop=shop)
    assert [(t.arm.name, t.seed) for t in started] == [("alpha-1", 0), ("alpha-1", 1)]
    assert [(t.params["arm"], t.state.name) for t in read(book)] == [
        ("alpha-0", "COMPLETE"),
        ("alpha-1", "FAIL"),
        ("alpha-2", "COMPLETE"),
        ("alpha-1", "COMPLETE"),
    ]
    assert read(book)[3].user_attrs["retry_of"] == 1
    assert len(book.outcomes) == 6
    third = of_plan(made, uri, shop.known)
    assert third.finished
    assert len(read(third)) == 4


@pytest.mark.parametrize("seed", [0, 1])
def test_a_search_gives_a_lost_run_to_the_next_process(uri, tmp_path, seed):
    """The configuration is not used up: nothing else is drawn in its place, and it is the same one that goes on, from what the store has."""
    shop, declared = Shop(tmp_path / "runs"), search(configurations=4, seeds=(0, 1, 2))

    def outcome(trial):
        return lost(trial) if (trial.arm.name, trial.seed) == ("c001", seed) else complete(trial)

    book = of_search(declared, uri, shop.known)
    started = work(book, outcome, shop=shop)
    assert book.finished
    assert book.next() is None
    assert [t.seed for t in started if t.arm.name == "c001"] == ([0] if seed == 0 else [0, 1, 2])
    assert len(book.trials()) == len(started) == book.planned
    (unlucky,) = [o for o in book.outcomes if o.state != "COMPLETE"]
    assert (unlucky.trial.arm.name, unlucky.trial.seed, unlucky.state) == ("c001", seed, "FAILED")
    assert states(book) == {"COMPLETE": 3, "RUNNING": 1}
    params = [t.params for t in read(book)]
    book.close()
    assert [t.state.name for t in read(book)] == ["COMPLETE", "WAITING", "COMPLETE", "COMPLETE"]

    again = of_search(declared, uri, shop.known)
    assert not again.finished
    started = work(again, shop=shop)
    assert [(t.arm.name, t.seed) for t in started] == [
        ("c001", s) for s in ((0, 1, 2) if seed == 0 else (1,))
    ]
    assert states(again) == {"COMPLETE": 4}
    assert [t.params for t in read(again)] == params
    trial = read(again)[1]
    assert sorted(trial.user_attrs["values"]["zeroshot/rsa"]) == ["0", "1", "2"]
    assert "failed_seeds" not in trial.user_attrs


def test_a_search_shares_a_lost_run_and_goes_on_with_both(uri, tmp_path):
    shop, space = Shop(tmp_path / "runs"), (Choice("loss.alpha", (0.2, 0.4)),)
    start = ({"loss.alpha": 0.2}, {"loss.alpha": 0.4})
    declared = search(space=space, start=start, configurations=8, seeds=(0,))
    book = of_search(declared, uri, shop.known)
    started = work(book, lambda t: lost(t) if t.arm.name == "c000" else complete(t), shop=shop)
    twins = [row.number for row in book.rows() if row.params == {"loss.alpha": 0.2}]
    assert len(started) == 2
    assert len(twins) > 1, "the seed draws no twin; choose another"
    book.close()
    assert [row.number for row in book.rows() if row.state == "WAITING"] == twins
    assert {row.state for row in book.rows()} == {"WAITING", "COMPLETE"}
    again = of_search(declared, uri, shop.known)
    assert len(work(again, shop=shop)) == 1
    assert states(again) == {"COMPLETE": 8}


def test_a_plans_lost_arm_fails_and_is_tried_again(uri, tmp_path):
    shop, made = Shop(tmp_path / "runs"), ablation_plan()
    work(
        of_plan(made, uri, shop.known),
        lambda t: lost(t) if t.arm.name == "alpha-1" else complete(t),
        shop=shop,
    )
    book = of_plan(made, uri, shop.known)
    work(book, shop=shop)
    assert [t.state.name for t in read(book)] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert read(book)[3].user_attrs["retry_of"] == 1


@pytest.mark.parametrize("stored", [False, True])
def test_a_plans_arm_with_a_failed_seed_is_asked_again(uri, tmp_path, stored):
    """So that the study has the mean over all seeds: of a run that is tried again, or that the store has got from elsewhere."""
    shop, made = Shop(tmp_path / "runs"), ablation_plan(seeds=(0, 1, 2))
    bad = next(t for t in made.trials if (t.arm.name, t.seed) == ("alpha-1", 1))
    work(of_plan(made, uri, shop.known), lambda t: failed(t) if t == bad else complete(t), shop=shop)
    if stored:
        shop.put(bad)
    book = of_plan(made, uri, shop.known)
    assert book.planned == 9
    assert work(book, shop=shop) == ([] if stored else [bad])
    assert len(book.outcomes) == 9
    trials = read(book)
    assert [(t.params["arm"], t.state.name) for t in trials[3:]] == [("alpha-1", "COMPLETE")]
    assert trials[1].user_attrs["failed_seeds"].keys() == {"1"}
    assert trials[3].user_attrs["retry_of"] == 1
    assert "failed_seeds" not in trials[3].user_attrs
    assert trials[1].value == pytest.approx(0.4 + 0.02 / 2)
    assert trials[3].value == pytest.approx(0.4 + 0.03 / 3)
    third = of_plan(made, uri, shop.known)
    assert third.finished
    assert third.next() is None
    assert len(read(third)) == 4


def test_the_best_arm_is_not_a_trial_that_was_tried_again(uri, tmp_path):
    """Without its bad seed the arm looked better than it is."""
    shop, made = Shop(tmp_path / "runs"), ablation_plan()
    bad = next(t for t in made.trials if (t.arm.name, t.seed) == ("alpha-2", 0))
    work(of_plan(made, uri, shop.known), lambda t: failed(t) if t == bad else complete(t), shop=shop)
    book = of_plan(made, uri, shop.known)
    work(book, shop=shop)
    assert read(book)[2].value > read(book)[3].value
    assert [row.number for row in book.best()] == [3]


def test_an_interrupted_study_waits_and_the_next_process_goes_on(uri, tmp_path):
    shop, declared = Shop(tmp_path / "runs"), search(configurations=5)
    book = of_search(declared, uri, shop.known)
    work(book, limit=3, shop=shop)
    half = book.next()
    book.epoch(half, history(half)[0])
    params = [t.params for t in read(book)]
    book.close(interrupted=True)
    assert "RUNNING" not in states(book)
    again = of_search(declared, uri, shop.known)
    assert [t.params for t in read(again)] == params
    started = work(again, shop=shop)
    assert states(again) == {"COMPLETE": 5}
    assert started[0].run == half.run
    assert [t.params for t in read(again)][: len(params)] == params


def test_what_was_begun_is_finished_though_fewer_are_asked_for(uri):
    killed = of_search(search(configurations=3), uri)
    assert [killed.next().arm.name for _ in range(3)] == ["c000", "c001", "c002"]
    book = of_search(search(configurations=1), uri)
    assert book.planned == 6
    work(book)
    assert states(book) == {"COMPLETE": 3}


def test_a_start_configuration_killed_between_its_settings_is_not_enqueued_again(uri):
    book = of_search(search(configurations=1), uri)
    optuna.load_study(study_name=book.name, storage=open_storage(uri)).ask().suggest_float(
        "loss.alpha", 0.0, 1.0
    )
    again = of_search(search(configurations=1), uri)
    work(again)
    assert [(t.state.name, t.params) for t in read(again)] == [
        ("COMPLETE", {"loss.alpha": 0.2, "score": "score2"})
    ]


def test_an_arm_without_its_headline_metric_is_not_tried_for_ever(uri):
    """The runs are whole and stored; only the metric is not there: another trial would say the same."""
    made = ablation_plan()

    def outcome(trial):  # one arm has it of one seed
        return complete(trial, 0.5 if (trial.arm.name, trial.seed) == ("alpha-1", 0) else math.nan)

    first = of_plan(made, uri)
    work(first, outcome)
    assert states(first) == {"FAIL": 2, "COMPLETE": 1}
    again = of_plan(made, uri, outcome)
    assert again.finished
    assert states(again) == {"FAIL": 2, "COMPLETE": 1}
    assert len(again.outcomes) == 6


def test_a_configuration_that_is_drawn_again_shares_what_the_first_one_met(uri):
    space = (Choice("loss.alpha", (0.2, 0.4)),)
    declared = search(space=space, start=({"loss.alpha": 0.2},), configurations=6)
    book = of_search(declared, uri)
    started = work(book, failed)
    assert len(started) == len({t.run.fingerprint() for t in started}) == 2
    assert states(book) == {"FAIL": 6}
    shared = [o for o in book.outcomes if o.shared_with]
    assert len(shared) == 4
    by_alpha = {dict(t.run.loss.options)["alpha"]: f"{t.arm.name} seed 0" for t in started}
    for outcome in shared:
        assert outcome.shared_with == by_alpha[dict(outcome.trial.run.loss.options)["alpha"]]


class Driver:
    """Makes random moves: start a run, tell an epoch, end a run one way or another, be killed and come back."""

    def __init__(self, draw, open_book, shop):
        self.draw, self.open_book, self.shop = draw, open_book, shop
        self.restart()

    def restart(self):
        self.book, self.out, self.given_out = self.open_book(), {}, Counter()

    def start(self):
        trial = self.book.next()
        if trial is None:
            assert self.out or self.book.finished, "it would hang"
            return
        mark = trial.run.fingerprint()
        self.given_out[mark] += 1
        assert self.given_out[mark] == 1, "handed out twice"
        assert self.shop.known(trial) is None, "handed out though the store has it"
        self.out[mark] = (trial, iter(history(trial)))

    def go_on(self):
        mark = self.draw.choice(sorted(self.out))
        trial, epochs = self.out[mark]
        row = next(epochs, None)
        if row is not None:
            reason = self.book.epoch(trial, row)
            if reason is None:
                return
            outcome = Outcome(trial, "PRUNED", history=history(trial)[: int(row["epoch"])], reason=reason)
        elif self.draw.random() < 0.2:
            outcome = failed(trial) if self.draw.random() < 0.5 else lost(trial)
        else:
            self.shop.put(trial)
            outcome = complete(trial)
        self.book.end(outcome)
        del self.out[mark]

    def run(self):
        while not self.book.finished or self.out:
            move = self.draw.random()
            if move < 0.02:
                if self.draw.random() < 0.5:  # Ctrl-C and not kill -9
                    self.book.close(interrupted=True)
                self.restart()
            elif move < 0.5 and len(self.out) < 3:
                self.start()
            elif self.out:
                self.go_on()


def close(book):
    book.close()
    return book.rows()


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from(["plan", "search"]))
def test_any_interleaving_hands_out_each_run_once(tmp_path_factory, seed, replicates, form):
    folder = tmp_path_factory.mktemp("book")
    uri, shop = f"journal:///{folder}/optuna.log", Shop(folder / "runs")
    declared = search(
        configurations=4,
        seeds=tuple(range(replicates)),
        space=(Choice("loss.alpha", (0.2, 0.4, 0.6)),),  # so few that some configurations are the same
        start=({"loss.alpha": 0.2},),
        stopping=Stopping(rule="asha", grace=1, reduction=2, collapse=0),
    )
    made = ablation_plan(seeds=tuple(range(replicates)))
    opened = {
        "search": lambda: of_search(declared, uri, shop.known),
        "plan": lambda: of_plan(made, uri, shop.known),
    }
    driver = Driver(random.Random(seed), opened[form], shop)
    driver.run()
    while "WAITING" in {row.state for row in close(driver.book)}:  # lost runs
        driver.restart()
        driver.run()
    rows = slices(uri, driver.book.name)
    assert {row.state for row in rows} <= {"COMPLETE", "PRUNED", "FAIL"}
    whole = [row for row in rows if row.state == "COMPLETE"]
    kept = attrs(uri, driver.book.name)
    for row in whole:
        own = kept[row.number]
        counted = {*own["values"]["zeroshot/rsa"], *own.get("failed_seeds", {})}
        assert counted == {str(seed) for seed in range(replicates)}
    if form == "search":
        assert len(rows) == 4
        return
    for row in whole:
        later = [r for r in rows if r.params["arm"] == row.params["arm"] and r.number > row.number]
        assert not later or kept[row.number]["failed_seeds"], "a whole arm is tried again"
