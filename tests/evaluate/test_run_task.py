"""From a task to named metrics, and to bytes and back."""

import io
from dataclasses import dataclass

import numpy as np
import pytest

from clef_ray.errors import ConfigError, DataError
from clef_ray.evaluate.result import TaskResult
from clef_ray.evaluate.run import run_task
from clef_ray.tasks.diagnosis import Diagnosis
from clef_ray.tasks.score_spearman import ScoreSpearman

SETS = {"rhythm": ("AF", "SR"), "superclass": ("NORM", "MI")}


@pytest.fixture
def cohort(corpus):
    table = corpus(400)
    features = np.random.default_rng(0).normal(size=(400, 4))
    table["label_rhythm"] = [["AF"] if x > 0.5 else ["SR"] for x in features[:, 0]]
    return features, table


def test_metrics_carry_the_tasks_prefix(cohort):
    features, table = cohort
    probe = run_task(Diagnosis(), features, table, SETS, "rhythm", n_boot=20)
    assert set(probe.estimates) == {"probe/auroc", "probe/f1", "probe/auroc/AF", "probe/auroc/SR"}
    assert set(probe.extras) == {"probe/classes", "probe/n_test", "probe/c"}
    zeroshot = run_task(
        ScoreSpearman(permutations=9), features, table, SETS, "rhythm", features[:, 1], n_boot=20
    )
    names = {
        f"{name}{control}" for name in ("rsa", "readout", "axis") for control in ("", "_age", "_permuted")
    }
    names |= {"rsa_partial", "rsa_beyond"}
    assert set(zeroshot.estimates) == {f"zeroshot/{name}" for name in names}
    assert set(zeroshot.extras) == {"zeroshot/coverage", "zeroshot/n_test", "zeroshot/rsa_p"}


def test_what_does_not_exist_is_named(cohort):
    features, table = cohort
    with pytest.raises(ConfigError, match="Did you mean 'rhythm'"):
        run_task(Diagnosis(labels="rythm"), features, table, SETS, "superclass")
    with pytest.raises(DataError, match="no column label_superclass"):
        run_task(Diagnosis(), features, table, SETS, "superclass")
    with pytest.raises(DataError, match="needs the records' risks"):
        run_task(ScoreSpearman(), features, table, SETS, "rhythm")


def test_a_kind_that_does_not_exist_is_refused(cohort):
    @dataclass(frozen=True)
    class Other:
        kind: str = "guess"

    with pytest.raises(ConfigError, match="guess"):
        run_task(Other(), *cohort, SETS, "rhythm")


def test_a_result_survives_storage(cohort):
    features, table = cohort
    for result in (
        run_task(Diagnosis(min_positives=2), features, table, SETS, "rhythm", n_boot=20),
        run_task(ScoreSpearman(), features, table, SETS, "rhythm", np.full(400, 3.0)),
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
