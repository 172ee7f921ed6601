"""Ridge regression against scikit-learn's."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from made import material
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from clef_ray.evaluate.inputs import Rows
from clef_ray.evaluate.modes import ridge
from clef_ray.evaluate.problem import Problem
from clef_ray.tasks import Values


@dataclass(frozen=True, kw_only=True)
class HowMuch(Values):
    target: ClassVar[str] = "y"
    unit: ClassVar[str] = "mV"


def answered(features, y, rows):
    problem = Problem("values", ("y",), y[:, None], rows, np.arange(len(y)).astype(str), "mV")
    return ridge.answer(problem, HowMuch(), material(features, pd.DataFrame(index=range(len(y)))))


def thirds(count):
    n = np.arange(count) % 3
    return Rows(n == 0, n == 1, n == 2)


@pytest.mark.parametrize(("records", "features", "noise"), [(300, 12, 1.0), (300, 12, 30.0), (60, 90, 1.0)])
def test_as_scikit_learn_with_the_strength_of_least_error_on_validation(records, features, noise):
    rng = np.random.default_rng(records)
    x = rng.normal(3, 2, size=(records, features)).astype(np.float32)
    y = 50 + x @ rng.normal(size=features) + noise * rng.normal(size=records)
    rows = thirds(records)
    scaled = StandardScaler().fit(x[rows.train].astype(float)).transform(x.astype(float))
    each, error = {}, {}
    for alpha in ridge.ALPHAS:
        model = Ridge(alpha * rows.train.sum()).fit(scaled[rows.train], y[rows.train])
        each[alpha] = model.predict(scaled)
        error[alpha] = np.abs(each[alpha] - y)[rows.validation].mean()
    best = min(error, key=error.get)
    answer = answered(x, y, rows)
    assert answer.extras == {"alpha": best}
    np.testing.assert_allclose(answer.score_NK[:, 0], each[best], rtol=1e-6)


def test_the_noisier_the_stronger():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 40))
    quiet, noisy = (answered(x, x[:, 0] + s * rng.normal(size=300), thirds(300)) for s in (0.01, 20.0))
    assert quiet.extras["alpha"] < 1e-2 < noisy.extras["alpha"]


def test_two_training_records_and_features_that_say_nothing():
    rows = thirds(30)
    two = np.zeros(30, dtype=bool)
    two[[0, 3]] = True
    y = np.arange(30.0)
    answer = answered(np.ones((30, 5)), y, rows._replace(train=two))
    np.testing.assert_allclose(answer.score_NK, 1.5)


def test_test_records_do_not_touch_the_fit():
    rng = np.random.default_rng(0)
    x, y, rows = rng.normal(size=(90, 4)), rng.normal(size=90), thirds(90)
    before = answered(x, y, rows)
    x[rows.test] += 100
    y[rows.test] *= -1000
    after = answered(x, y, rows)
    assert after.extras == before.extras
    np.testing.assert_array_equal(after.score_NK[~rows.test], before.score_NK[~rows.test])
