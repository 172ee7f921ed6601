"""Brier score, calibration error and reliability curves: against loops, scikit-learn, and numbers by hand."""

import numpy as np
import pytest
from scipy.special import logit, softmax
from sklearn.metrics import brier_score_loss

from clef_ray.evaluate.bootstrap import sample_and_resamples
from clef_ray.evaluate.metrics import calibration as m

rng = np.random.default_rng


def test_probabilities_and_log_odds_of_both_kinds():
    score = rng(0).normal(size=(9, 3))
    np.testing.assert_allclose(m.probabilities(score, False), 1 / (1 + np.exp(-score)))
    shares = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(m.probabilities(score, True), shares)
    assert m.log_odds(score, False) is score
    np.testing.assert_allclose(m.log_odds(score, True), logit(shares))
    # Where the softmax itself is 1 for both, the odds still tell them apart.
    sure = m.log_odds(np.array([[100.0, 0], [200.0, 0]]), True)
    np.testing.assert_allclose(sure, [[100, -100], [200, -200]])


def test_brier_of_classes_one_by_one_and_of_exclusive_ones():
    p, true = rng(1).random((40, 3)), rng(2).random((40, 3)) < 0.3
    weights = np.stack([np.ones(40), rng(3).integers(0, 3, 40)]).astype(float)
    again = np.repeat(np.arange(40), weights[1].astype(int))
    got = m.brier(p, true, weights, exclusive=False)
    for b, rows in enumerate((np.arange(40), again)):
        want = np.mean([brier_score_loss(true[rows, k], p[rows, k]) for k in range(3)])
        assert got[b] == pytest.approx(want)
    # Brier's own range: 0 for certainty of the right class, 2 for certainty of a wrong one.
    one = np.array([[True, False, False]])
    for given, want in (([1, 0, 0], 0), ([0, 1, 0], 2), ([1 / 3] * 3, 2 / 3)):
        assert m.brier(np.array([given]), one, np.ones((1, 1)), exclusive=True)[0] == pytest.approx(want)


def test_bins_hold_equal_shares_and_equal_values_stay_together():
    values = rng(4).permutation(np.arange(100.0))
    np.testing.assert_array_equal(np.bincount(m.equal_mass(values, 4)), [25] * 4)
    assert (np.diff(m.equal_mass(values, 4)[np.argsort(values)]) >= 0).all()
    tied = np.array([0.1] * 50 + [0.2] * 5 + [0.9] * 5)
    bins = m.equal_mass(tied, 5)
    assert all(len(set(bins[tied == v])) == 1 for v in (0.1, 0.2, 0.9))
    assert len(set(bins)) == 2
    assert (m.equal_mass(values, 1) == 0).all()
    assert [m.bin_count(np.arange(n).astype(str)) for n in (3, 19, 20, 149, 5000)] == [1, 1, 2, 14, 15]


def test_calibration_error_by_hand():
    """Two bins of two: |0.2 - 1/2| and |0.8 - 1| for half of the records each."""
    p = np.array([[0.1], [0.3], [0.7], [0.9]])
    true = np.array([[0], [1], [1], [1]], bool)
    weights = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 0, 0, 0]], float)
    got = m.calibration_error(p, true, weights, exclusive=False, bins=2)
    # Second: the first record twice, |0.1 - 0| for half of the records; the bins stay.
    np.testing.assert_allclose(got, [(0.3 + 0.2) / 2, (0.1 + 0.2) / 2, np.nan])


def test_calibration_error_of_exclusive_classes_is_about_the_most_probable_one():
    p = softmax(rng(5).normal(size=(200, 4)) * 2, axis=1)
    true = np.eye(4, dtype=bool)[rng(6).integers(0, 4, 200)]
    order = np.argsort(p.max(axis=1))
    right = true[np.arange(200), p.argmax(axis=1)]
    want = np.mean([abs(p.max(axis=1)[q].mean() - right[q].mean()) for q in np.split(order, 5)])
    got = m.calibration_error(p, true, np.ones((1, 200)), exclusive=True, bins=5)
    assert got[0] == pytest.approx(want)


def test_right_probabilities_have_a_small_error_and_a_curve_on_the_diagonal():
    p = rng(7).random((4000, 1)) ** 2
    true = rng(8).random((4000, 1)) < p
    patient = np.arange(4000).astype(str)
    weights = sample_and_resamples(patient, 20, 0)
    right = m.calibration_error(p, true, weights, exclusive=False, bins=15)
    wrong = m.calibration_error(p**3, true, weights, exclusive=False, bins=15)
    assert right[0] < 0.03
    assert wrong[0] > 0.1
    curve = m.reliability(p, true, patient, weights, exclusive=False)
    assert len(curve.x) == 15
    assert curve.n.sum() == 4000
    assert (np.diff(curve.x) > 0).all()
    assert np.abs(curve.x - curve.y).max() < 0.1
    assert ((curve.low <= curve.y) & (curve.y <= curve.high)).all()


def test_an_error_lies_within_its_own_interval():
    np.testing.assert_allclose(m.recentred(np.array([0.2, 0.3, np.nan, 0.5])), [0.2, 0.1, np.nan, 0.3])
    np.testing.assert_allclose(m.recentred(np.array([0.1, 0.0, 0.6])), [0.1, 0, 0.4])
    np.testing.assert_array_equal(m.recentred(np.array([0.1, np.nan])), [0.1, np.nan])
    p = rng(13).random((300, 5)) ** 2
    true = rng(14).random((300, 5)) < p
    weights = sample_and_resamples(np.arange(300).astype(str), 40, 0)
    error = m.calibration_error(p, true, weights, exclusive=False, bins=15)
    # Without it, the interval would not hold the value.
    assert np.quantile(error[1:], 0.025) > error[0]
    low, high = np.quantile(m.recentred(error)[1:], [0.025, 0.975])
    assert low < error[0] < high


def test_a_curve_is_the_bins_means_and_tells_of_no_patient_alone():
    patient = np.repeat([f"p{k}" for k in range(40)], 2)
    x = np.repeat([0.1, 0.4, 0.6, 0.9], 20)[:, None] + rng(9).random((80, 1)) / 1000
    y = rng(10).normal(size=(80, 1))
    weights = sample_and_resamples(patient, 20, 0)
    curve = m.binned_curve(x, y, patient, weights, "x [mmHg]", "y")
    assert (curve.x_label, curve.y_label) == ("x [mmHg]", "y")
    np.testing.assert_allclose(curve.x, x.reshape(4, 20).mean(axis=1))
    np.testing.assert_allclose(curve.y, y.reshape(4, 20).mean(axis=1))
    np.testing.assert_array_equal(curve.n, [20] * 4)
    # 36 patients in the first three bins and four in the last: it is not shown, one of five is.
    for last, shown in (("abcd", 3), ("abcde", 4)):
        few = np.array(
            [f"p{k % (40 - len(last))}" for k in range(60)] + [last[k % len(last)] for k in range(20)]
        )
        assert m.bin_count(few) == 4
        assert len(m.binned_curve(x, y, few, weights, "x", "y").x) == shown


def test_an_exclusive_sets_curve_is_of_the_most_probable_class():
    p = softmax(rng(11).normal(size=(300, 3)), axis=1)
    true = np.eye(3, dtype=bool)[rng(12).integers(0, 3, 300)]
    patient = np.arange(300).astype(str)
    curve = m.reliability(p, true, patient, sample_and_resamples(patient, 10, 0), exclusive=True)
    assert curve.n.sum() == 300
    assert curve.x.min() > 1 / 3
    right = true[np.arange(300), p.argmax(axis=1)]
    assert (curve.y * curve.n).sum() == pytest.approx(right.sum())
