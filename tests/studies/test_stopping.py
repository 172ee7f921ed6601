"""Early stopping against loops over the numbers themselves."""

import random
import statistics

import pytest

from clef_ray.search import Stopping
from clef_ray.studies.stopping import Stopper


def rsa(value):
    return {"valid/rsa": value}


def test_asha_keeps_the_best_third_of_each_rung():
    """One after the other: at rungs 1, 3, 9 a configuration goes on while it is in the top third of those that were there, itself among them."""
    values = [0.5, 0.4, 0.6, 0.55, 0.7, 0.1, 0.65, 0.71, 0.3]
    stopper = Stopper(Stopping(rule="asha", grace=1, reduction=3, collapse=0), epochs=10)
    rungs: dict[int, list[float]] = {1: [], 3: [], 9: []}
    for number, value in enumerate(values):
        expected = None
        for epoch in range(1, 11):
            if epoch in rungs:
                rungs[epoch].append(value)
                keep = max(1, len(rungs[epoch]) // 3)
                if value < sorted(rungs[epoch], reverse=True)[keep - 1]:
                    expected = epoch
            said = stopper.judge(number, epoch, rsa(value), 10)
            assert (said is not None) == (expected == epoch), (number, epoch)
            if said:
                assert said == f"asha: valid/rsa {value:.3f} in epoch {epoch}"
                break
        stopper.end(number, whole=expected is None)


def test_the_median_needs_four_whole_ones_and_honours_the_grace():
    stopper = Stopper(Stopping(rule="median", grace=3, collapse=0), epochs=6)
    whole = [0.5, 0.6, 0.7, 0.8]
    for number, value in enumerate(whole):
        for epoch in range(1, 7):
            assert stopper.judge(number, epoch, rsa(value), 6) is None
        stopper.end(number, whole=True)
    below, above = statistics.median(whole) - 0.01, statistics.median(whole) + 0.01
    assert [stopper.judge(8, e, rsa(above), 6) for e in range(1, 7)] == [None] * 6
    said = [stopper.judge(9, e, rsa(below), 6) for e in range(1, 4)]
    assert said[:2] == [None, None]
    assert said[2] is not None


@pytest.mark.parametrize("rule", ["asha", "hyperband", "median"])
def test_what_is_minimised_is_stopped_where_it_is_high(rule):
    stopper = Stopper(
        Stopping(rule=rule, metric="m", direction="minimize", grace=1, reduction=2, collapse=0), 8
    )
    ended = {}
    for number in range(24):
        value = number % 6
        said = next((e for e in range(1, 9) if stopper.judge(number, e, {"m": value}, 8)), None)
        stopper.end(number, whole=said is None)
        ended[number] = said
    assert all(ended[n] is None for n in range(24) if n % 6 == 0)
    assert any(ended[n] is not None for n in range(24) if n % 6 == 5)


def test_hyperband_is_the_same_in_another_process():
    """A second stopper that recalls the first one's epochs says of the next configurations what the first one says."""
    rule = Stopping(rule="hyperband", grace=1, reduction=2, collapse=0)
    first, second = Stopper(rule, 8), Stopper(rule, 8)
    for number in range(10):
        history = [{"epoch": e, "valid/rsa": number % 3 / 10} for e in range(1, 9)]
        upto = next(
            (n for n, row in enumerate(history, 1) if first.judge(number, int(row["epoch"]), row, 8)), 8
        )
        first.end(number, whole=upto == 8)
        second.recall(number, history[:upto])
        second.end(number, whole=upto == 8)
    for number in range(10, 20):
        value = number % 4 / 10
        said = [
            [bool(stopper.judge(number, e, rsa(value), 8)) for e in range(1, 9)]
            for stopper in (first, second)
        ]
        assert said[0] == said[1]


def test_hyperbands_bracket_is_the_configurations_in_any_order_of_arrival():
    """Grace 1, reduction 2, of 8 epochs: four brackets, whose first rungs are epochs 1, 2, 4 and 8. A configuration that is worse than all
    others is stopped at the first rung of its bracket, which tells the bracket."""
    rule = Stopping(rule="hyperband", grace=1, reduction=2, collapse=0)

    def brackets(order):
        stopper = Stopper(rule, 8)
        for number in range(40, 160):  # good ones, more of them than bad ones in every bracket
            for epoch in range(1, 9):
                stopper.judge(number, epoch, rsa(0.9), 8)
        return {
            number: next((e for e in range(1, 9) if stopper.judge(number, e, rsa(0.1 + e / 100), 8)), None)
            for number in order
        }

    numbers = list(range(24))
    in_order = brackets(numbers)
    assert set(in_order.values()) == {1, 2, 4, None}
    assert brackets(random.Random(0).sample(numbers, 24)) == in_order
    assert brackets(numbers[12:]) == {n: in_order[n] for n in numbers[12:]}


@pytest.mark.parametrize("rule", ["asha", "hyperband", "median"])
def test_a_whole_run_is_not_stopped_in_its_last_epoch_and_the_others_are_compared_with_it(rule):
    """Grace 4 of 4 epochs: the only rung is the last epoch, but for two more numbers whose runs have 8."""
    stopper = Stopper(Stopping(rule=rule, grace=4, reduction=2, collapse=2.0), 8)
    for number in range(30):
        for epoch in range(1, 5):
            assert stopper.judge(number, epoch, rsa(1 - number / 100), 4) is None
        stopper.end(number, whole=True)
    flat = {"valid/rsa": 0.1, "embedding/effective_rank": 1.0}
    assert [stopper.judge(30, e, flat, 4) for e in range(1, 5)] == [None] * 4
    longer = [[bool(stopper.judge(n, e, rsa(0.2), 8)) for e in range(1, 5)] for n in range(31, 41)]
    assert [False, False, False, True] in longer


def test_an_epoch_is_judged_once_and_one_without_a_value_not_at_all():
    stopper = Stopper(Stopping(rule="asha", grace=1, reduction=2, collapse=2.0), 4)
    assert stopper.judge(0, 1, rsa(0.5), 4) is None
    assert stopper.judge(1, 1, rsa(0.1), 4) is not None
    assert stopper.judge(1, 1, rsa(0.1), 4) is None
    assert stopper.judge(2, 1, {}, 4) is None
    assert stopper.judge(3, 1, rsa(float("nan")), 4) is None
    low = {"embedding/effective_rank": 1.0}
    assert stopper.judge(4, 1, {"embedding/effective_rank": 9.0}, 4) is None
    assert [stopper.judge(4, 2, low, 4) for _ in range(3)] == [None] * 3
    assert stopper.judge(4, 3, low, 4) is not None
