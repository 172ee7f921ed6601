"""The monitor and a training gone wrong where Ray runs them: in a streaming process, and in a group of workers."""

import json
import time

import numpy as np
import pytest
import ray
from ray import tune

from clef_ray.cluster.capacity import DRIVER_CPUS, Request
from clef_ray.cluster.trainer import Source, pretrain_in_group, pretrain_in_process
from clef_ray.config import Run, override
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.shards import ingest_local, load_corpus
from clef_ray.train.loop import RECORD, complete
from clef_ray.trial import run_store

pytestmark = pytest.mark.ray

RUN = override(
    Run(data="d"),
    {
        "signals.fs": 100,
        "signals.seconds": 2.0,
        "views.lead": "II",
        "train_folds": (1, 2),
        "optimiser.batch": 16,
        "optimiser.epochs": 2,
    },
)
SECONDS_BUSY = 12.0
NAMES = ("valid/rsa", "embedding/std", "embedding/effective_rank")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("shards"))
    ingest_local(Synthetic(patients=260, records_per_patient=1.0, seed=5), out, records_per_part=100)
    return out


def held(folder, *leads):
    return ray.put(load_corpus(folder, 100.0, leads))


def watched(storage):
    history = json.loads(run_store(str(storage), RUN).read_bytes(RECORD))["history"]
    return [[epoch[name] for name in NAMES] for epoch in history]


def in_process(source, storage):
    pretrain_in_process(RUN, source, str(storage), Request(1, 1.0, 0.0), lambda metrics: None)
    return watched(storage)


class Slow(tune.Callback):
    """A driver that is busy when an epoch is told, for longer than the group needs to end."""

    def on_trial_result(self, iteration, trials, trial, result, **info):
        if result["epoch"] == 1:
            time.sleep(SECONDS_BUSY)


def in_group(runs, folder, storage, **options):
    """Under Tune, one after the other, as a sweep runs them: Tune's results."""
    source, request = Source(folder, 100.0, ("II",), held(folder, "II")), Request(2, 0.5, 0.0)

    def trial(config):
        pretrain_in_group(config["run"], source, str(storage), request, tune.report)

    tuner = tune.Tuner(
        tune.with_resources(trial, {"CPU": DRIVER_CPUS}),
        param_space={"run": tune.grid_search(runs)},
        tune_config=tune.TuneConfig(max_concurrent_trials=1, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(storage / "tune"), verbose=0, **options),
    )
    return list(tuner.fit())


def test_streamed_and_held_signals_give_the_same_metrics(local_ray, folder, tmp_path):
    memory = in_process(Source(folder, 100.0, ("II",), held(folder, "I", "II")), tmp_path / "memory")
    assert np.isfinite(memory).all()
    assert in_process(Source(folder, 100.0, ("II",)), tmp_path / "shards") == memory
    tasks = Source(folder, 100.0, ("II",), judged=held(folder, "II"))
    assert in_process(tasks, tmp_path / "judged") == memory
    another = Source(folder, 100.0, ("II",), judged=held(folder, "I"))
    assert in_process(another, tmp_path / "another") == memory, (
        "the tasks' leads do not change a run's history"
    )


def test_signals_that_the_tasks_hold_are_not_read_again(local_ray, folder, monkeypatch):
    monkeypatch.setattr("clef_ray.cluster.trainer.read_rows", None)
    source = Source(folder, 100.0, ("II",), judged=held(folder, "I", "II"))
    rows = np.array([3, 200, 7])
    np.testing.assert_array_equal(
        source.read(rows, "II"), load_corpus(folder, 100.0, ("II",)).millivolts(rows, "II")
    )


@pytest.mark.slow
def test_a_group_is_watched_as_one_worker_is_however_busy_the_driver(local_ray, folder, tmp_path):
    alone = in_process(Source(folder, 100.0, ("II",), held(folder, "II")), tmp_path / "one")
    [result] = in_group([RUN], folder, tmp_path / "two", callbacks=[Slow()])
    assert result.error is None
    np.testing.assert_allclose(watched(tmp_path / "two"), alone, rtol=1e-2)
    assert [result.metrics[name] for name in NAMES] == watched(tmp_path / "two")[-1], "Tune is told"


@pytest.mark.slow
def test_a_group_that_tune_stops_leaves_its_cpus_and_its_process_to_the_next(local_ray, folder, tmp_path):
    long, next_one = (override(RUN, {"optimiser.epochs": epochs}) for epochs in (500, 2))
    results = in_group([long, next_one], folder, tmp_path, stop={"training_iteration": 1})
    assert [(len(found.metrics_dataframe), found.error) for found in results] == [(1, None), (1, None)]
    assert results[0].metrics["pid"] == results[1].metrics["pid"]
    assert not complete(run_store(str(tmp_path), long))


@pytest.mark.long
@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_a_group_at_the_first_try(local_ray, folder, tmp_path):
    [result] = in_group([override(RUN, {"optimiser.lr": 1e6})], folder, tmp_path)
    assert "TrainingError: the loss is not finite" in str(result.error)
    assert "workers failed" not in str(result.error), "which Ray would have tried to mend by starting again"
