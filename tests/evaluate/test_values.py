"""A learner's predictions of a value, as named metrics. The predictions are made here: no learner is fitted."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from made import material
from scipy import stats
from sklearn import metrics as sk

from clef_ray.evaluate import values as module
from clef_ray.evaluate.inputs import OFFICIAL
from clef_ray.evaluate.problem import Answer
from clef_ray.evaluate.run import run_task
from clef_ray.tasks import Values


@dataclass(frozen=True, kw_only=True)
class Age(Values):
    target: ClassVar[str] = "age"
    unit: ClassVar[str] = "years"


@dataclass(frozen=True, kw_only=True)
class Pressure(Values):
    target: ClassVar[str] = "sbp"
    unit: ClassVar[str] = "mmHg"


@pytest.fixture
def cohort(corpus, monkeypatch):
    """cohort(task, patients, error_N, ...): the result where the learner's predictions are wrong by so much, per draw; and the truth."""

    def judge(task, patients, *errors):
        table = corpus(patients)
        table["target_sbp"] = table["sbp"] = np.random.default_rng(1).normal(130, 15, patients)
        true = table[task.target].to_numpy()
        given = [Answer((true + e)[:, None], {"alpha": float(k)}) for k, e in enumerate(errors)]
        monkeypatch.setattr(module, "answers", lambda problem, task, material: iter(given))
        result = run_task(task, material(np.zeros((patients, 1)), table))
        test = OFFICIAL.rows(table).test
        return result, true[test], np.array(errors)[:, test]

    return judge


def test_values_are_measured_against_the_libraries(cohort):
    result, true, (error,) = cohort(Age(), 400, np.random.default_rng(2).normal(2, 9, 400))
    value = {name.removeprefix(f"{Age().prefix}/"): e.value for name, e in result.estimates.items()}
    predicted = true + error
    assert value == pytest.approx(
        {
            "mae": sk.mean_absolute_error(true, predicted),
            "rmse": sk.root_mean_squared_error(true, predicted),
            "bias": error.mean(),
            "sd_error": error.std(ddof=1),
            "r2": sk.r2_score(true, predicted),
            "pearson": stats.pearsonr(true, predicted).statistic,
            "spearman": stats.spearmanr(true, predicted).statistic,
            "kendall": stats.kendalltau(true, predicted).statistic,
        }
    )
    assert result.extras == {
        f"{Age().prefix}/{k}": v for k, v in (("n_test", 40), ("n_patients", 40), ("alpha", 0))
    }
    assert result.notes == ()
    curve = result.curves[f"{Age().prefix}/true_by_predicted"]
    assert (curve.x_label, curve.y_label) == ("predicted age [years]", "true age [years]")
    assert (curve.x * curve.n).sum() == pytest.approx(predicted.sum())
    assert (curve.y * curve.n).sum() == pytest.approx(true.sum())
    assert len(curve.x) == 4


def test_blood_pressure_is_graded_and_too_few_people_are_said(cohort):
    # Of 40 test patients 24 are wrong by 3 mmHg, 10 by 8, 4 by 13 and 2 by 18: 60, 85 and 95 % within the limits.
    sizes = np.repeat([3.0, 8, 13, 18], [24, 10, 4, 2]) * np.tile([1, -1], 20)
    errors = np.zeros(400)
    errors[9::10] = sizes
    result, _, _ = cohort(Pressure(), 400, errors)
    value = {name.removeprefix(f"{Pressure().prefix}/"): e for name, e in result.estimates.items()}
    assert [value[f"bhs_{limit}"].value for limit in (5, 10, 15)] == [60, 85, 95]
    assert value["sd_error"].value == pytest.approx(sizes.std(ddof=1))
    assert result.extras[f"{Pressure().prefix}/bhs_grade"] == 1
    assert result.extras[f"{Pressure().prefix}/aami_pass"] == 1
    assert any("40 test patients, the standards ask for 85" in note for note in result.notes)
    worse, _, _ = cohort(Pressure(), 900, np.full(900, 5.5))
    assert worse.extras[f"{Pressure().prefix}/bhs_grade"] == 4
    assert worse.extras[f"{Pressure().prefix}/aami_pass"] == 0
    assert worse.notes == ()


def test_draws_are_averaged(cohort):
    errors = np.random.default_rng(3).normal(0, 9, (2, 400))
    both, _, on_test = cohort(Age(), 400, *errors)
    assert both.estimates[f"{Age().prefix}/mae"].value == pytest.approx(np.abs(on_test).mean())
    assert both.extras[f"{Age().prefix}/alpha"] == 0.5


def test_what_is_undefined_is_said(cohort, corpus):
    """Everybody is predicted to be 60: no correlation."""
    ages = corpus(400)["age"].to_numpy()
    result, true, _ = cohort(Age(), 400, 60 - ages)
    assert np.isnan(result.estimates[f"{Age().prefix}/pearson"].value)
    assert result.estimates[f"{Age().prefix}/mae"].value == pytest.approx(np.abs(true - 60).mean())
    assert result.notes == ("undefined on these records: pearson, spearman, kendall",)
