"""Nearest neighbours against loops over all pairs, scikit-learn's search, and by hand."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from made import material
from scipy.special import expit, softmax
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsRegressor

from clef_ray.evaluate.inputs import Rows
from clef_ray.evaluate.modes import knn
from clef_ray.evaluate.problem import Problem
from clef_ray.tasks import Values
from clef_ray.tasks.diagnosis import Diagnosis


@dataclass(frozen=True, kw_only=True)
class HowMuch(Values):
    target: ClassVar[str] = "y"
    unit: ClassVar[str] = "mV"


def answered(features, truth, kind, rows):
    names = tuple(f"C{k}" for k in range(truth.shape[1]))
    problem = Problem(kind, names, truth.astype(float), rows, np.arange(len(truth)).astype(str))
    task = HowMuch(mode="knn") if kind == "values" else Diagnosis(mode="knn")
    return knn.answer(problem, task, material(features, pd.DataFrame(index=range(len(truth)))))


def thirds(count):
    n = np.arange(count) % 3
    return Rows(n == 0, n == 1, n == 2)


def drawn(kind, records=90, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(records, 6))
    score = x[:, :3] + 0.5 * rng.normal(size=(records, 3))
    truth = {
        "multilabel": score > 0.5,
        "exclusive": np.eye(3)[score.argmax(axis=1)],
        "values": 100 * score[:, :1],
    }
    return x, truth[kind].astype(float)


def one_by_one(x, truth, kind, rows, k):
    """The definition, a record at a time: probabilities, or values."""
    out = np.full(truth.shape, np.nan)
    train = np.flatnonzero(rows.train)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    prior = (truth[train].sum(axis=0) + 0.5) / (len(train) + 1)
    for n in np.flatnonzero(~rows.train):
        cosine = [unit[n] @ unit[m] for m in train]
        near = sorted(range(len(train)), key=lambda m: -cosine[m])[:k]
        weight = [np.exp((cosine[m] - cosine[near[0]]) / 0.07) for m in near]
        votes = sum(w * truth[train[m]] for w, m in zip(weight, near, strict=True))
        if kind == "values":
            out[n] = votes / sum(weight)
        else:
            share = (votes + prior) / (sum(weight) + 1)
            out[n] = share / share.sum() if kind == "exclusive" else share
    return out


@pytest.mark.parametrize("kind", ["multilabel", "exclusive", "values"])
def test_as_the_definition_says_with_the_number_that_is_best_on_validation(kind):
    x, truth = drawn(kind)
    rows = thirds(90)
    good, each = {}, {}
    for k in (1, 5, 20, 30):
        each[k] = one_by_one(x, truth, kind, rows, k)
        t, s = truth[rows.validation], each[k][rows.validation]
        if kind == "values":
            good[k] = -np.abs(t - s).mean()
        else:
            good[k] = np.mean([roc_auc_score(t[:, c], s[:, c]) for c in range(3)])
    best = max(good, key=good.get)
    answer = answered(x, truth, kind, rows)
    assert answer.extras == {"k": best}
    assert best > 1
    turn = {"multilabel": expit, "exclusive": lambda s: softmax(s, axis=1), "values": lambda s: s}[kind]
    np.testing.assert_allclose(turn(answer.score_NK[~rows.train]), each[best][~rows.train], rtol=1e-4)
    assert np.isnan(answer.score_NK[rows.train]).all()


@pytest.mark.parametrize("number", [1, 5, 20])
def test_values_as_scikit_learn(number, monkeypatch):
    monkeypatch.setattr(knn, "NEIGHBOURS", (number,))
    x, y = drawn("values")
    rows = thirds(90)
    search = KNeighborsRegressor(number, metric="cosine", weights=lambda d: np.exp(-d / 0.07))
    expected = search.fit(x[rows.train], y[rows.train]).predict(x[rows.test])
    answer = answered(x, y, "values", rows)
    np.testing.assert_allclose(answer.score_NK[rows.test], expected, rtol=1e-4)


def test_few_similarities_at_once_as_all(monkeypatch):
    x, truth = drawn("multilabel")
    whole = answered(x, truth, "multilabel", thirds(90))
    monkeypatch.setattr(knn, "AT_ONCE", 150)
    calls, nearest = [], knn._nearest
    monkeypatch.setattr(knn, "_nearest", lambda some, *rest: calls.append(len(some)) or nearest(some, *rest))
    parts = answered(x, truth, "multilabel", thirds(90))
    assert max(calls) * 30 <= 150
    np.testing.assert_allclose(parts.score_NK, whole.score_NK, rtol=1e-5)


def test_by_hand():
    """Neighbours at 0 and 90 degrees, asked at 0: the second's weight is exp(-1 / 0.07), some millionths."""
    x = np.array([[2.0, 0], [0, 3], [1, 0], [0, 1], [5, 0], [0, 7]])
    truth = np.array([[1.0], [0], [1], [0], [1], [0]])
    rows = Rows(*(np.arange(6) // 2 == part for part in range(3)))
    answer = answered(x, truth, "multilabel", rows)
    assert answer.extras == {"k": 1}
    np.testing.assert_allclose(expit(answer.score_NK[4:, 0]), [(1 + 0.5) / 2, (0 + 0.5) / 2])


def test_few_training_records_and_zero_vectors():
    x, truth = drawn("exclusive", 60)
    rows = thirds(60)
    x[[0, 1]] = 0
    three = np.zeros(60, dtype=bool)
    three[[0, 3, 6]] = True
    answer = answered(x, truth, "exclusive", rows._replace(train=three))
    assert answer.extras["k"] in (1, 3)
    assert np.isfinite(answer.score_NK[rows.test]).all()


def test_the_length_of_a_vector_does_not_matter():
    x, truth = drawn("multilabel")
    longer = x * np.random.default_rng(1).uniform(0.1, 10, size=(90, 1))
    one, two = (answered(features, truth, "multilabel", thirds(90)) for features in (x, longer))
    np.testing.assert_allclose(two.score_NK, one.score_NK, rtol=1e-4)


def test_of_equal_neighbours_the_earlier_is_the_nearer():
    unit = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (5, 1))
    assert knn._nearest(unit[:1], unit, 5)[1].tolist() == [[0, 1, 2, 3, 4]]
