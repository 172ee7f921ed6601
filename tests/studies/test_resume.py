"""A study that is opened again: what is finished is not run, what was begun goes on, in any order of events."""

import math
import random
from collections import Counter

import optuna
from fakes import (
    Shop,
    ablation_plan,
    complete,
    failed,
    history,
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
    (lost,) = [o.trial for o in again.outcomes if o.state == "FAILED"]
    shop.put(lost)  # another sweep had more luck: what this study was told stays as it is
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
    optuna.load_study(study_name=book.name, storage=uri).ask().suggest_float("loss.alpha", 0.0, 1.0)
    again = of_search(search(configurations=1), uri)
    work(again)
    assert [(t.state.name, t.params) for t in read(again)] == [
        ("COMPLETE", {"loss.alpha": 0.2, "score": "score2"})
    ]


def test_an_arm_without_its_headline_metric_is_not_tried_for_ever(uri):
    """The runs are whole and stored; only the metric is not there: another trial would say the same."""
    made = ablation_plan()
    first = of_plan(made, uri)
    work(first, lambda t: complete(t, math.nan))
    assert states(first) == {"FAIL": 3}
    again = of_plan(made, uri, lambda t: complete(t, math.nan))
    assert again.finished
    assert states(again) == {"FAIL": 3}
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
    assert {o.shared_with for o in shared} == {f"{t.arm.name} seed 0" for t in started}


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
        elif self.draw.random() < 0.1:
            outcome = failed(trial)
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
    rows = slices(uri, driver.book.name)
    assert {row.state for row in rows} <= {"COMPLETE", "PRUNED", "FAIL"}
    whole = [row for row in rows if row.state == "COMPLETE"]
    for row in whole:
        counted = {*row.attrs["values"]["zeroshot/rsa"], *row.attrs.get("failed_seeds", {})}
        assert counted == {str(seed) for seed in range(replicates)}
    if form == "search":
        assert len(rows) == 4
    else:
        assert len({row.params["arm"] for row in whole}) == len(whole), "an arm counts twice"
