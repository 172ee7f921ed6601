"""The linear probe and its solver against scikit-learn's at a tight tolerance, and on problems whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import material
from scipy.special import expit, logit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from clef_ray.errors import DataError
from clef_ray.evaluate.inputs import Rows
from clef_ray.evaluate.modes import _components, _logistic, linear
from clef_ray.evaluate.modes._logistic import path
from clef_ray.evaluate.problem import Problem
from clef_ray.evaluate.run import run_task
from clef_ray.tasks.diagnosis import Diagnosis
from clef_ray.tasks.icentia_beat import IcentiaBeat


def drawn(records, features, classes, seed=0, exclusive=False):
    """Correlated standardised features, and classes from common to rare that follow them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(records, features)) @ (
        rng.normal(size=(features, features)) / np.arange(1, features + 1)[:, None]
    )
    x = StandardScaler().fit_transform(x).astype(np.float32)
    score = x @ rng.normal(size=(features, classes))
    score = 1.5 * score / score.std(axis=0) + rng.gumbel(size=score.shape)
    if exclusive:
        return x, np.eye(classes, dtype=bool)[(score - np.arange(classes) / 2).argmax(axis=1)]
    return x, score > np.quantile(score, 1 - np.geomspace(0.5, 0.05, classes), axis=0).diagonal()


def problem_of(kind, truth, rows):
    names = tuple(f"C{k}" for k in range(truth.shape[1]))
    return Problem(kind, names, truth.astype(float), rows, np.arange(len(truth)).astype(str))


def thirds(count):
    n = np.arange(count) % 3
    return Rows(n == 0, n == 1, n == 2)


def answered(features, truth, kind="multilabel", rows=None):
    table = pd.DataFrame(index=range(len(truth)))
    problem = problem_of(kind, truth, rows or thirds(len(truth)))
    return problem, linear.answer(problem, Diagnosis(), material(features, table))


@pytest.mark.parametrize(("records", "features"), [(200, 8), (20, 30), (5, 8)])
def test_each_class_as_scikit_learn_at_a_tight_tolerance(records, features):
    x, positive = drawn(records, features, 3, seed=records)
    positive[0], positive[1] = True, False
    unseen = np.random.default_rng(1).normal(size=(50, features)).astype(np.float32)
    for strength, fit in zip((1e-3, 0.1), path(x, positive, (1e-3, 0.1), exclusive=False), strict=True):
        assert fit.converged_K.all()
        for k, score in enumerate(fit.scores(unseen).T):
            exact = LogisticRegression(C=strength, tol=1e-8, max_iter=10_000).fit(
                x.astype(float), positive[:, k]
            )
            np.testing.assert_allclose(fit.weight_DK[:, k], exact.coef_[0], atol=1e-3)
            np.testing.assert_allclose(score, exact.decision_function(unseen), atol=1e-3)


@pytest.mark.parametrize(("records", "features"), [(200, 8), (25, 35)])
def test_exclusive_classes_as_scikit_learn_at_a_tight_tolerance(records, features):
    x, positive = drawn(records, features, 4, exclusive=True)
    assert positive.any(axis=0).all()
    for strength, fit in zip((1e-3, 0.1), path(x, positive, (1e-3, 0.1), exclusive=True), strict=True):
        exact = LogisticRegression(C=strength, tol=1e-8, max_iter=10_000).fit(
            x.astype(float), positive.argmax(axis=1)
        )
        np.testing.assert_allclose(fit.weight_DK, exact.coef_.T, atol=1e-3)
        centred = fit.intercept_K - fit.intercept_K.mean()
        np.testing.assert_allclose(centred, exact.intercept_ - exact.intercept_.mean(), atol=1e-3)
        np.testing.assert_allclose(softmax(fit.scores(x), axis=1), exact.predict_proba(x), atol=1e-3)


def test_two_exclusive_classes_are_one_class_with_twice_the_strength():
    """Softmax margin m = (u - (-u)) x: the penalty |u|^2 is |w|^2 / 4 of w = 2 u, half of the binomial's."""
    x, positive = drawn(200, 6, 2, exclusive=True)
    (both,) = path(x, positive, (0.05,), exclusive=True)
    (single,) = path(x, positive[:, 1:], (0.1,), exclusive=False)
    np.testing.assert_allclose(np.diff(both.scores(x), axis=1), single.scores(x), atol=1e-3)


@given(
    records=st.integers(4, 40),
    features=st.integers(1, 30),
    seed=st.integers(0, 1000),
    strength=st.sampled_from([1e-4, 1e-1, 1e2]),
    exclusive=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_the_gradient_vanishes(records, features, seed, strength, exclusive):
    """By the definition, in double precision, for separable classes too."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(records, features)).astype(np.float32)
    x -= x.mean(axis=0)
    positive = np.eye(2, dtype=bool)[np.append([0, 1], rng.integers(0, 2, records - 2))]
    (fit,) = path(x, positive, (strength,), exclusive=exclusive)
    assert fit.converged_K.all()
    score = x.astype(float) @ fit.weight_DK + fit.intercept_K
    residual = (softmax(score, axis=1) if exclusive else expit(score)) - positive
    gradient = fit.weight_DK + strength * x.T.astype(float) @ residual
    size = 1 + strength * np.linalg.norm(x) * np.sqrt(records)
    assert np.abs(gradient).max() < 1e-3 * size
    assert np.abs(strength * residual.sum(axis=0)).max() < 1e-3 * size


def test_separable_classes_stay_finite():
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    positive = x > 0.9
    (fit,) = path(x, positive, (1.0,), exclusive=False)
    exact = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(x, positive[:, 0])
    np.testing.assert_allclose(fit.scores(x)[:, 0], exact.decision_function(x), atol=1e-3)


def test_a_step_that_would_overshoot_is_shortened():
    """From far on the wrong side the second-order model is flat, and its minimum much too far away."""
    x = np.array([[-1.0], [1.0], [-1.0], [1.0]], dtype=np.float32)
    positive = np.array([[False], [True], [True], [True]])
    problem = _logistic._Problem(
        np.hstack([x, np.ones_like(x)]), np.array([4.0, 4.0]), positive, exclusive=False
    )
    start = np.array([[0.0], [12.0]])
    margin = problem.z_NP @ start.astype(np.float32)
    step = problem.newton_step(start, margin, 0.5)
    assert step.w_PK[1, 0] < -1000
    assert problem.length(start, margin, step, 0.5)[0] < 0.1
    found, converged = problem.minimise(start, 0.5)
    exact = LogisticRegression(C=2.0, tol=1e-10).fit(x, positive[:, 0])
    assert converged.all()
    np.testing.assert_allclose(found[:, 0], [exact.coef_[0, 0], exact.intercept_[0]], atol=1e-3)


def test_few_products_with_the_records_are_needed(monkeypatch):
    """What a principal component's own curvature and conjugate directions are for: 40 features, variances over four orders of magnitude."""
    x, positive = drawn(200, 40, 3)
    calls, curved = [], _logistic._Problem._curved
    monkeypatch.setattr(_logistic._Problem, "_curved", lambda *a: calls.append(1) or curved(*a))
    (fit,) = path(x, positive, (0.1,), exclusive=False)
    assert fit.converged_K.all()
    assert len(calls) < 25


def test_derivatives_of_a_softmax_cancel_exactly():
    """Else rounding moves all intercepts alike, and conjugate gradients have no solution to find."""
    x, positive = drawn(200, 8, 3, exclusive=True)
    problem = _logistic._Problem(x, np.ones(8), positive, exclusive=True)
    p = softmax(x[:, :3], axis=1)
    assert np.abs(problem._gather(p - positive).sum(axis=1)).max() < 1e-12
    assert np.abs(problem._curved(p, np.eye(8)[:, :3])[1].sum(axis=1)).max() < 1e-12


def test_summed_in_parts_as_in_one(monkeypatch):
    x, positive = drawn(100, 5, 3, exclusive=True)
    (whole,) = path(x, positive, (0.1,), exclusive=True)
    monkeypatch.setattr(_components, "PART", 7)
    monkeypatch.setattr(_logistic, "PART", 7)
    (parts,) = path(x, positive, (0.1,), exclusive=True)
    np.testing.assert_allclose(parts.scores(x), whole.scores(x), atol=1e-4)


@pytest.mark.parametrize("shape", [(50, 7), (7, 50), (1, 3)])
def test_components_hold_all_there_is(shape):
    x = np.random.default_rng(0).normal(size=shape)
    x -= x.mean(axis=0)
    basis, square = _components.components(x)
    np.testing.assert_allclose(basis.T @ basis, np.eye(len(square)), atol=1e-9)
    np.testing.assert_allclose(np.square(x @ basis).sum(axis=0), square, atol=1e-9)
    np.testing.assert_allclose(x @ basis @ basis.T, x, atol=1e-9)


@pytest.mark.parametrize("kind", ["multilabel", "exclusive"])
def test_the_strength_is_the_best_on_validation(kind):
    x, truth = drawn(150, 10, 3, seed=5, exclusive=kind == "exclusive")
    problem, answer = answered(x * 3 + 1, truth, kind)
    train, validation, _ = problem.rows
    scaled = StandardScaler().fit((x * 3.0 + 1)[train]).transform(x * 3.0 + 1)
    good, probabilities = {}, {}
    for c in linear.C_PATH:
        model = LogisticRegression(C=c, tol=1e-8, max_iter=5000)
        if kind == "exclusive":
            p = model.fit(scaled[train], truth[train].argmax(axis=1)).predict_proba(scaled)
        else:
            p = np.column_stack(
                [model.fit(scaled[train], y[train]).predict_proba(scaled)[:, 1] for y in truth.T]
            )
        probabilities[c] = p
        if kind == "exclusive":
            right, called = truth[validation].argmax(axis=1), p[validation].argmax(axis=1)
            likelihood = np.log(p[validation][truth[validation]]).mean()
            good[c] = (f1_score(right, called, average="macro"), likelihood)
        else:
            good[c] = np.mean([roc_auc_score(truth[validation, k], p[validation, k]) for k in range(3)])
    best = max(good, key=good.get)
    assert answer.extras == {"c": best}
    ours = softmax(answer.score_NK, axis=1) if kind == "exclusive" else expit(answer.score_NK)
    np.testing.assert_allclose(ours, probabilities[best], atol=1e-3)
    assert answer.notes == ()


def test_test_records_do_not_touch_the_fit():
    x, truth = drawn(150, 6, 2)
    problem, before = answered(x, truth)
    test = problem.rows.test
    changed, others = x.copy(), truth.copy()
    changed[test], others[test] = 100, ~truth[test]
    _, after = answered(changed, others)
    np.testing.assert_array_equal(after.score_NK[~test], before.score_NK[~test])
    assert after.extras == before.extras


@pytest.mark.parametrize("kind", ["multilabel", "exclusive"])
def test_a_class_without_training_positives_has_the_log_odds_of_its_share(kind):
    x, truth = drawn(90, 4, 3, exclusive=kind == "exclusive")
    rows = thirds(90)
    if kind == "exclusive":
        truth[rows.train & truth[:, 2]] = [True, False, False]
    else:
        truth[rows.train, 2] = False
    _, answer = answered(x, truth, kind, rows)
    probability = softmax(answer.score_NK, axis=1) if kind == "exclusive" else expit(answer.score_NK)
    share = 0.5 / 31
    if kind == "exclusive":
        share = share / (1 - share) / (1 + share / (1 - share))
    np.testing.assert_allclose(probability[:, 2], share)
    assert answer.notes == ("linear: positives or negatives only among the training records: C2",)
    _, without = answered(x, truth[:, :2], kind, rows)
    odds = answer.score_NK[:, 0] - answer.score_NK[:, 1]
    if kind == "exclusive" and answer.extras == without.extras:
        np.testing.assert_allclose(odds, without.score_NK[:, 0] - without.score_NK[:, 1], atol=1e-6)


def test_one_training_record_is_no_error():
    x, truth = drawn(60, 4, 3, exclusive=True)
    rows = thirds(60)
    one = np.zeros(60, dtype=bool)
    one[np.flatnonzero(rows.train & truth[:, 1])[0]] = True
    _, answer = answered(x, truth, "exclusive", rows._replace(train=one))
    np.testing.assert_allclose(answer.score_NK, np.tile(logit([0.25, 0.75, 0.25]), (60, 1)))
    assert answer.extras == {"c": linear.C_PATH[0]}
    assert answer.notes[0].endswith("C0, C1, C2")


def test_what_did_not_converge_is_said(monkeypatch):
    monkeypatch.setattr(_logistic, "MOST_STEPS", 1)
    x, truth = drawn(60, 4, 3)
    _, answer = answered(x, truth)
    assert answer.notes == ("linear: 3 classes did not converge",)


def test_constant_features_are_nothing():
    x, truth = drawn(90, 4, 2)
    _, plain = answered(x, truth)
    _, more = answered(np.column_stack([x, np.full(90, 7.3)]), truth)
    np.testing.assert_allclose(more.score_NK, plain.score_NK, atol=1e-4)


def test_features_that_are_not_finite_are_named():
    x, truth = drawn(60, 4, 2)
    x[[3, 7], 0] = np.nan
    with pytest.raises(DataError, match="2 of 60 feature rows"):
        answered(x, truth)


def test_an_exclusive_answer_is_chosen_by_whether_the_right_class_comes_first(corpus):
    """83 % N, and each class plain to see: by the ranking within classes every strength is perfect, also one that calls everything N."""
    table, rng = corpus(600), np.random.default_rng(0)
    truth = rng.choice(3, 600, p=[0.83, 0.1, 0.07])
    table["label_beat"] = [["NSV"[k]] for k in truth]
    features = np.eye(3)[truth] + 0.1 * rng.normal(size=(600, 3))
    given = material(
        features, table, label_sets={"beat": tuple("NSV")}, headline="beat", dataset="icentia11k"
    )
    result = run_task(IcentiaBeat(), given)
    assert result.estimates["icentia_beat/f1"].value == 1
