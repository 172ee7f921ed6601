"""Counts, F1 and its relatives, thresholds, Fmax: against scikit-learn on the repeated records, loops, and numbers by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from clef_ray.evaluate.metrics import classification as m
from clef_ray.evaluate.statistics import weighted_rankings


def answers_of(seed, records=60, classes=4, weightings=3):
    """(scores, truth, weights): ties among the scores, a class that some weightings hold nobody of."""
    rng = np.random.default_rng(seed)
    true = rng.random((records, classes)) < [0.5, 0.3, 0.1, 0.05]
    score = np.round(rng.normal(size=true.shape) + true, 1)
    weights = np.concatenate([np.ones((1, records)), rng.integers(0, 3, (weightings - 1, records))])
    return score, true, weights.astype(float)


def repeated(weights, *arrays):
    """The arrays with each record as often as it weighs, one tuple per weighting."""
    for w in weights:
        again = np.repeat(np.arange(len(w)), w.astype(int))
        yield tuple(a[again] for a in arrays)


@pytest.mark.parametrize("seed", range(3))
def test_counts_and_averages_are_those_of_scikit_learn_on_the_repeated_records(seed):
    score, true, weights = answers_of(seed)
    given_NK = score > 0.6
    count = m.counts(given_NK, true, weights)
    f1 = m.f_beta(count.right, count.given, count.true)
    f2 = m.f_beta_2(count.right, count.given, count.true)
    for b, (g, t) in enumerate(repeated(weights, given_NK, true)):
        present = t.any(axis=0)
        kept = {"average": None, "zero_division": 0}
        np.testing.assert_allclose(f1[b, present], sk.f1_score(t, g, **kept)[present])
        np.testing.assert_allclose(f2[b, present], sk.fbeta_score(t, g, beta=2, **kept)[present])
        assert np.isnan(f1[b, ~present]).all()
        assert m.macro(f1)[b] == pytest.approx(sk.f1_score(t, g, **kept)[present].mean())
        assert m.f_micro(count)[b] == pytest.approx(sk.f1_score(t, g, average="micro"))
        for k in np.flatnonzero(present):
            tn, fp, fn, tp = sk.confusion_matrix(t[:, k], g[:, k]).ravel()
            assert m.sensitivity(count)[b, k] == pytest.approx(tp / (tp + fn))
            assert m.specificity(count)[b, k] == pytest.approx(tn / (tn + fp))
            assert m.g_beta_2(count.right, count.given, count.true)[b, k] == pytest.approx(
                tp / (tp + fp + 2 * fn)
            )


@pytest.mark.parametrize("seed", range(3))
def test_ranks_are_those_of_scikit_learn_with_ties(seed):
    score, true, weights = answers_of(seed)
    ranking = weighted_rankings(score, true, weights)
    share = m.counts(true, true, weights).true
    weighted = m.average(ranking.auroc, share)
    for b, (s, t) in enumerate(repeated(weights, score, true)):
        present = t.any(axis=0)
        np.testing.assert_allclose(
            ranking.auroc[b, present], sk.roc_auc_score(t[:, present], s[:, present], average=None)
        )
        np.testing.assert_allclose(
            ranking.average_precision[b, present],
            sk.average_precision_score(t[:, present], s[:, present], average=None),
        )
        assert np.isnan(ranking.auroc[b, ~present]).all()
        assert np.isnan(ranking.average_precision[b, ~present]).all()
        want = sk.roc_auc_score(t[:, present], s[:, present], average="weighted")
        assert weighted[b] == pytest.approx(want)


def test_ranks_do_not_depend_on_whether_weights_are_whole_numbers():
    score, true, weights = answers_of(7, records=200)
    whole, thirds = weighted_rankings(score, true, weights), weighted_rankings(score, true, weights / 3)
    for a, b in zip(whole, thirds, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12, rtol=0)
    # Too large for single precision: the same through doubles.
    for a, b in zip(whole, weighted_rankings(score, true, weights * 2**24), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12, rtol=0)


def test_ranks_of_many_records_lose_nothing_to_single_precision():
    """More pairs than single precision counts."""
    rng = np.random.default_rng(8)
    true = rng.random((20_000, 1)) < 0.5
    score = np.round(rng.normal(size=true.shape) + true, 3)
    ranking = weighted_rankings(score, true, np.ones((1, 20_000)))
    assert ranking.auroc[0, 0] == pytest.approx(sk.roc_auc_score(true, score), abs=1e-13)
    assert ranking.average_precision[0, 0] == pytest.approx(
        sk.average_precision_score(true, score), abs=1e-13
    )


def test_ranks_of_a_class_that_all_or_none_have():
    score, weights = np.arange(5.0)[:, None], np.ones((2, 5))
    for positive, precision in ((True, 1.0), (False, np.nan)):
        ranking = weighted_rankings(score, np.full((5, 1), positive), weights)
        assert np.isnan(ranking.auroc).all()
        np.testing.assert_array_equal(ranking.average_precision, np.full((2, 1), precision))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=15))
@settings(deadline=None, max_examples=30)
def test_the_threshold_is_the_lowest_of_the_best(pairs):
    score, true = (np.array(column) for column in zip(*pairs, strict=True))
    true = true.astype(bool)
    true[0] = True
    for merit, value in (
        (m.f_beta, lambda tp, fp, fn: 2 * tp / (2 * tp + fp + fn)),
        (m.g_beta_2, lambda tp, fp, fn: tp / (tp + fp + 2 * fn)),
    ):
        worth = {}
        for t in np.unique(score):
            g = score >= t
            worth[t] = value((g & true).sum(), (g & ~true).sum(), (~g & true).sum())
        best = max(worth.values())
        assert m.best_threshold(score.astype(float), true, merit) == min(
            t for t, v in worth.items() if v == pytest.approx(best, abs=1e-12)
        )


def loop_fmax(probability, true):
    """One record and one threshold after the other."""
    best = []
    for t in np.arange(101) / 100:
        precision, recall = [], []
        for p, y in zip(probability, true, strict=True):
            g = p >= t
            if g.any():
                precision.append((g & y).sum() / g.sum())
            if y.any():
                recall.append((g & y).sum() / y.sum())
        if precision and recall:
            a, b = np.mean(precision), np.mean(recall)
            best.append(2 * a * b / (a + b) if a + b else 0.0)
    return max(best) if best else np.nan


def test_fmax_is_that_of_a_loop_over_the_repeated_records():
    _, true, weights = answers_of(4, records=25)
    # Away from the thresholds, which 0.29 and its like are not exactly.
    probability = np.random.default_rng(1).integers(0, 100, true.shape) / 100 + 0.005
    want = [loop_fmax(p, t) for p, t in repeated(weights, probability, true)]
    np.testing.assert_allclose(m.fmax(probability, true, weights), want, atol=1e-12)


def test_fmax_by_hand():
    """Two records. At 0.5: precision (1/1 + 1/2) / 2, recall (1/2 + 1/1) / 2, F 3/4. At 0.2: 2/3, 1, F 4/5. At 0.75: 1, 3/4, F 6/7."""
    true = np.array([[1, 1, 0], [1, 0, 0]], bool)
    probability = np.array([[0.9, 0.3, 0.1], [0.8, 0.7, 0.4]])
    assert m.fmax(probability, true, np.ones((1, 2)))[0] == pytest.approx(6 / 7)
    # Above 0.3 the second record is given nothing: precision 1 of the first alone, recall 1/2.
    silent = np.array([[0.9, 0.1, 0.3], [0.05, 0.3, 0.3]])
    one = np.array([[1, 0, 0], [1, 0, 0]], bool)
    assert m.fmax(silent, one, np.ones((1, 2)))[0] == pytest.approx(2 / 3)
    assert np.isnan(m.fmax(probability, np.zeros((2, 3), bool), np.ones((1, 2)))).all()
    assert m.fmax(np.array([[0.0, 1.0]]), np.array([[True, False]]), np.ones((1, 1)))[0] == pytest.approx(
        2 / 3
    )


def test_a_record_of_two_classes_counts_half_in_each():
    """Class 0: records 0 (two classes, found: 1/2), 1 (missed: 1), 3 (none, false: 1). F2 = 5 x .5 / (5 x .5 + 1 + 4 x 1) = 1/3; G2 = .5 / (.5 + 1 + 2) = 1/7."""
    true = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], bool)
    given_NK = np.array([[1, 1], [0, 0], [0, 1], [1, 0]], bool)
    count = m.shared_counts(given_NK, true, np.ones((1, 4)))
    assert m.f_beta_2(count.right, count.given, count.true)[0] == pytest.approx([1 / 3, 1])
    assert m.g_beta_2(count.right, count.given, count.true)[0] == pytest.approx([1 / 7, 1])


def test_means_leave_out_what_is_undefined():
    statistic = np.array([[0.5, np.nan, 1.0], [np.nan] * 3])
    np.testing.assert_array_equal(m.macro(statistic), [0.75, np.nan])
    np.testing.assert_array_equal(m.average(statistic, np.array([[3.0, 9, 1]] * 2)), [0.625, np.nan])
