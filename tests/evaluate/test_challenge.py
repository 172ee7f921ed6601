"""The challenges' scores: confusion matrices summed by hand, the published rewards, and loops over records."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from clef_ray.datasets.cinc2021 import Cinc2021
from clef_ray.evaluate.metrics.challenge import cinc2017, cinc2021, rewards

RHYTHMS = ("N", "A", "O", "~")


def one_hot(index_N, count):
    return np.asarray(index_N)[:, None] == np.arange(count)


def records_of(confusion):
    """(given, true) of as many records as the confusion matrix counts; rows are true."""
    true, given_ = np.indices(np.shape(confusion))
    return np.repeat(given_.ravel(), np.ravel(confusion)), np.repeat(true.ravel(), np.ravel(confusion))


def test_cinc2017_by_hand():
    given_N, truth_N = records_of([[50, 2, 8, 0], [1, 9, 2, 0], [10, 3, 25, 2], [2, 0, 1, 5]])
    # N: 2 * 50 / (63 given + 60 true); A: 2 * 9 / (14 + 12); O: 2 * 25 / (36 + 40); ~: 2 * 5 / (7 + 8)
    n, a, o, noise = 100 / 123, 18 / 26, 50 / 76, 10 / 15
    found = cinc2017(one_hot(given_N, 4), one_hot(truth_N, 4), RHYTHMS, np.ones((1, len(given_N))))
    assert found["cinc2017"] == pytest.approx([(n + a + o) / 3])
    assert found["cinc2017_noise"] == pytest.approx([noise])


def test_cinc2017_looks_at_names_and_not_at_positions():
    given_N, truth_N = records_of([[50, 2, 8, 0], [1, 9, 2, 0], [10, 3, 25, 2], [2, 0, 1, 5]])
    order, once = [3, 1, 0, 2], np.ones((1, len(given_N)))
    straight = cinc2017(one_hot(given_N, 4), one_hot(truth_N, 4), RHYTHMS, once)
    mixed = cinc2017(
        one_hot(given_N, 4)[:, order], one_hot(truth_N, 4)[:, order], tuple(RHYTHMS[k] for k in order), once
    )
    assert straight == mixed


def test_cinc2017_weights_are_repetitions():
    rng = np.random.default_rng(0)
    given_N, truth_N, times_N = rng.integers(4, size=60), rng.integers(4, size=60), rng.integers(4, size=60)
    found = cinc2017(one_hot(given_N, 4), one_hot(truth_N, 4), RHYTHMS, np.array([np.ones(60), times_N]))
    for row, times in enumerate((np.ones(60, int), times_N)):
        each = f1_score(np.repeat(truth_N, times), np.repeat(given_N, times), average=None)
        assert found["cinc2017"][row] == pytest.approx(each[:3].mean())
        assert found["cinc2017_noise"][row] == pytest.approx(each[3])


def test_cinc2017_is_unknown_without_one_of_its_classes_and_0_for_a_false_alarm():
    given_N, truth_N = np.array([0, 0, 2, 1]), np.array([0, 0, 2, 0])
    weights = np.array([[1.0, 1, 1, 1], [1, 1, 1, 0]])
    found = cinc2017(one_hot(given_N, 4), one_hot(truth_N, 4), RHYTHMS, weights)
    # With the last record A is given and nobody has it: N 2*2/(2+3), A 0, O 1. Without it A is neither.
    assert found["cinc2017"][0] == pytest.approx((4 / 5 + 0 + 1) / 3)
    assert np.isnan(found["cinc2017"][1])
    assert np.isnan(found["cinc2017_noise"]).all()
    left_out = cinc2017(one_hot(given_N, 2), one_hot(truth_N, 2), ("N", "A"), weights)
    assert np.isnan(left_out["cinc2017"]).all()


# Rows of the challenge's table of rewards, as published.
HEAD = "AF AFL BBB Brady LBBB RBBB IAVB IRBBB LAD LAnFB LPR LQRSV LQT NSIVCB NSR PAC PR PRWP PVC QAb RAD SA SB STach TAb TInv"
COLUMNS = tuple(HEAD.split())
PUBLISHED = {
    "AF": "1 .5 .475 .3 .475 .4 .3 .3 .35 .35 .3 .425 .45 .35 .25 .3375 .375 .425 .375 .4 .35 .3 .3 .375 .5 .5",
    "BBB": ".475 .475 1 .325 .475 .425 .325 .325 .375 .375 .325 .45 .475 .375 .275 .3625 .4 .45 .4 .375 .375 .325 .325 .4 .475 .475",
    "NSR": ".25 .25 .275 .45 .275 .35 .45 .45 .4 .4 .45 .325 .3 .4 1 .4125 .375 .325 .375 .15 .4 .45 .45 .375 .25 .25",
    "PAC": ".3375 .3375 .3625 .4625 .3625 .4375 .4625 .4625 .4875 .4875 .4625 .4125 .3875 .4875 .4125 1 .4625 .4125 .4625 .2375 .4875 .4625 .4625 .4625 .3375 .3375",
    "PRWP": ".425 .425 .45 .375 .45 .475 .375 .375 .425 .425 .375 .475 .475 .425 .325 .4125 .45 1 .45 .325 .425 .375 .375 .45 .425 .425",
    "QAb": ".4 .4 .375 .2 .375 .3 .2 .2 .25 .25 .2 .325 .35 .25 .15 .2375 .275 .325 .275 1 .25 .2 .2 .275 .4 .4",
    "RBBB": ".4 .4 .425 .4 .425 1 .4 .4 .45 .45 .4 .475 .45 .45 .35 .4375 .475 .475 .475 .3 .45 .4 .4 .475 .4 .4",
    "STach": ".375 .375 .4 .425 .4 .475 .425 .425 .475 .475 .425 .45 .425 .475 .375 .4625 .5 .45 .5 .275 .475 .425 .425 1 .375 .375",
}


def test_the_rewards_are_the_published_ones():
    reward_KK = rewards(COLUMNS)
    for name, row in PUBLISHED.items():
        np.testing.assert_allclose(
            reward_KK[COLUMNS.index(name)], [float(x) for x in row.split()], atol=1e-12
        )
    np.testing.assert_array_equal(reward_KK, reward_KK.T)
    np.testing.assert_array_equal(np.diag(reward_KK), 1)


def test_every_class_the_dataset_scores_has_a_place():
    assert sorted(Cinc2021.label_sets["scored"]) == sorted(COLUMNS)


def test_cinc2021_by_hand():
    names = ("NSR", "AF", "PVC")
    truth = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]], bool)
    given_ = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]], bool)
    # Given: 1; AF for PVC .375 of two classes; AF and PVC for AF: (1 + .375) / 2; nothing scored: 0.
    observed = 1 + 0.375 / 2 + (1 + 0.375) / 2
    # Truth: 1; 1; all four pairs of AF and PVC of two classes: (1 + 1 + 2 * .375) / 2.
    right = 1 + 1 + (2 + 0.75) / 2
    # Sinus rhythm always: 1; .25 of two; (.25 + .375) of three.
    normal = 1 + 0.25 / 2 + 0.625 / 3
    found = cinc2021(given_, truth, names, np.ones((1, 4)))["cinc2021"]
    assert found == pytest.approx([(observed - normal) / (right - normal)])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_cinc2021_is_what_a_loop_over_records_and_pairs_gives(seed):
    rng = np.random.default_rng(seed)
    names = ("STach", "AF", "NSR", "BBB", "LBBB")
    truth, given_ = rng.random((2, 12, 5)) < 0.4
    weights = rng.integers(0, 3, (3, 12)).astype(float)
    reward_KK = rewards(names)

    def total(answer, weight_N):
        score = 0.0
        for n in range(12):
            shared = max(sum(truth[n, k] or answer[n, k] for k in range(5)), 1)
            for j in range(5):
                for k in range(5):
                    if truth[n, j] and answer[n, k]:
                        score += weight_N[n] * reward_KK[j, k] / shared
        return score

    normal = np.tile(np.arange(5) == 2, (12, 1))
    found = cinc2021(given_, truth, names, weights)["cinc2021"]
    for row, weight_N in enumerate(weights):
        top, bottom = total(truth, weight_N), total(normal, weight_N)
        if top != pytest.approx(bottom):
            assert found[row] == pytest.approx((total(given_, weight_N) - bottom) / (top - bottom))


def test_cinc2021_of_truth_is_1_of_sinus_rhythm_0_and_unknown_where_that_is_the_truth():
    names, once = ("NSR", "AF"), np.array([[1.0, 1, 1], [1, 0, 0]])
    truth = np.array([[1, 0], [0, 1], [1, 0]], bool)
    for answer, value in ((truth, 1), (np.tile([True, False], (3, 1)), 0)):
        np.testing.assert_allclose(cinc2021(answer, truth, names, once)["cinc2021"], [value, np.nan])
    assert np.isnan(cinc2021(truth[:, :1], truth[:, 1:], ("AF",), once)["cinc2021"]).all()


def test_cinc2021_does_not_look_at_classes_that_are_not_scored():
    truth = np.array([[1, 0], [0, 1], [1, 0]], bool)
    more = np.column_stack([truth, [True, True, False]])
    once = np.ones((1, 3))
    assert cinc2021(more, more[:, [0, 1, 2]], ("NSR", "AF", "WPW"), once) == {"cinc2021": [1.0]}
