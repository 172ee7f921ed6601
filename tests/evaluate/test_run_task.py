"""From a task to named metrics, and to bytes and back."""

import io
from dataclasses import dataclass

import numpy as np
import pytest
from made import material

from clef_ray.datasets import COVARIATES
from clef_ray.errors import ConfigError, DataError
from clef_ray.evaluate.result import TaskResult
from clef_ray.evaluate.run import run_task
from clef_ray.tasks.diagnosis import Diagnosis
from clef_ray.tasks.score_spearman import ScoreSpearman

SETS = {"rhythm": ("AF", "SR"), "superclass": ("NORM", "MI")}


@pytest.fixture
def cohort(corpus):
    table = corpus(400).assign(**dict.fromkeys(set(COVARIATES) - {"age", "sex"}, np.nan))
    features = np.random.default_rng(0).normal(size=(400, 4))
    table["label_rhythm"] = [["AF"] if x > 0.5 else ["SR"] for x in features[:, 0]]
    return features, table


def made(cohort, sets=SETS, headline="rhythm", **options):
    return material(*cohort, label_sets=sets, headline=headline, **options)


def test_metrics_carry_the_tasks_prefix(cohort):
    given = made(cohort)
    probe = run_task(Diagnosis(), given)
    assert {"probe/auroc", "probe/f1", "probe/auroc/AF", "probe/auroc/SR"} <= set(probe.estimates)
    assert set(probe.extras) == {
        f"probe/{name}" for name in ("classes", "classes_absent", "n_test", "n_patients", "c")
    }
    assert all(name.startswith("probe/") for name in (*probe.estimates, *probe.extras, *probe.curves))
    zeroshot = run_task(ScoreSpearman(permutations=9), given)
    names = {
        f"{name}{control}" for name in ("rsa", "readout", "axis") for control in ("", "_age", "_permuted")
    }
    names |= {"rsa_partial", "rsa_beyond"}
    assert set(zeroshot.estimates) == {f"zeroshot/{name}" for name in names}
    assert set(zeroshot.extras) == {
        f"zeroshot/{name}" for name in ("coverage", "observed", "n_test", "n_patients", "rsa_p")
    }


def test_what_does_not_exist_is_named(cohort):
    assert "Did you mean 'rhythm'" in run_task(Diagnosis(labels="rythm"), made(cohort)).skipped
    with pytest.raises(DataError, match="no column label_superclass"):
        run_task(Diagnosis(), made(cohort, headline="superclass"))


def test_a_kind_that_does_not_exist_is_refused(cohort):
    @dataclass(frozen=True)
    class Other:
        kind: str = "guess"

    with pytest.raises(ConfigError, match="guess"):
        run_task(Other(), made(cohort))


def test_a_result_survives_storage(cohort):
    features, table = cohort
    constant = (features, table.assign(age=50.0, sex=1.0))
    for result in (
        run_task(Diagnosis(min_positives=2), made(cohort)),
        run_task(ScoreSpearman(), made(constant)),
        TaskResult(notes=("α is kept",)),
    ):
        again = TaskResult.from_bytes(result.to_bytes())
        assert list(again.estimates) == list(result.estimates)
        assert (again.extras, again.skipped, again.notes) == (result.extras, result.skipped, result.notes)
        for name, estimate in result.estimates.items():
            other = again.estimates[name]
            assert (other.value, other.low, other.high) == (estimate.value, estimate.low, estimate.high)
            np.testing.assert_array_equal(other.replicates, estimate.replicates)


def test_storage_holds_no_pickle_and_refuses_other_bytes():
    with np.load(io.BytesIO(TaskResult({}, {"n": 1.0}, "why").to_bytes()), allow_pickle=False) as file:
        assert file["skipped"].tolist() == ["why"]
    buffer = io.BytesIO()
    np.savez(buffer, names=np.array([{"a": 1}], dtype=object))
    for content in (b"", b"nonsense", buffer.getvalue(), TaskResult().to_bytes()[:100]):
        with pytest.raises(DataError, match="not a stored task result"):
            TaskResult.from_bytes(content)
