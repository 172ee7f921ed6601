"""A group of workers whose cluster has become smaller goes on with fewer of them, on the same curve."""

import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import ray
import ray.train
from ray.util.placement_group import placement_group, remove_placement_group

from clef_ray.cluster import elastic
from clef_ray.cluster.capacity import Request
from clef_ray.cluster.trainer import Source, pretrain_in_group
from clef_ray.config import Run, override
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import ClefRayError
from clef_ray.shards import ingest_local, load_corpus
from clef_ray.store import Store
from clef_ray.trial import pretrain_here, record_of, run_store

#: As in tests/train/test_many_workers.py, which holds more numbers of workers to it.
TOLERANCE = 1e-4


def run_of(batch, method="clef"):
    settings = {"optimiser.batch": batch, "method": method, "signals.fs": 100, "signals.seconds": 2.0}
    return override(Run(), {**settings, "views.lead": "I", "optimiser.epochs": 3, "optimiser.lr": 1e-3})


@pytest.mark.parametrize(
    ("batch", "method", "workers", "room", "expected"),
    [
        (64, "clef", 4, 3, 2),  # 3 workers cannot share 64 records evenly
        (64, "clef", 4, 1, 1),
        (60, "clef", 4, 3, 3),
        (64, "clef", 8, 7, 4),
        (64, "clef", 4, 0, None),
        (12, "pclr", 6, 5, 3),  # 6 pairs of records
        (12, "clef", 6, 5, 4),
        (64, "clef", 1, 0, None),
    ],
)
def test_as_many_workers_stay_as_fit_and_share_the_batch_evenly(batch, method, workers, room, expected):
    request, asked = Request(workers), []

    def fits(smaller):
        asked.append(smaller)
        return smaller.workers_per_trial <= room

    assert elastic.most(run_of(batch, method), request, fits) == expected
    assert {smaller.micro_batch for smaller in asked} <= {batch // workers}, "pieces of the former shares"


@pytest.fixture
def answers(monkeypatch):
    """Without Ray: whether so many workers find a place, asked in this order."""
    asked = []

    def these(room):
        def placed(request, seconds):
            asked.append((request.workers_per_trial, seconds))
            return request.workers_per_trial <= room

        monkeypatch.setattr(elastic, "_placed", placed)
        return asked

    return these


def test_a_group_that_finds_its_place_stays_as_it_is(answers):
    asked, request = answers(4), Request(4, micro_batch=7)
    assert elastic.attainable(run_of(64), request) is request
    assert asked == [(4, elastic.PATIENCE)]


def test_a_smaller_group_keeps_what_else_was_asked_for_and_it_is_said(answers, caplog):
    asked, request = answers(3), Request(4, 0.5, micro_batch=7)
    assert elastic.attainable(run_of(64), request) == replace(request, workers_per_trial=2)
    assert asked == [(4, elastic.PATIENCE), (2, elastic.AT_ONCE)]
    assert "no place for 4 workers; it goes on with 2, with the same batches" in caplog.text
    assert elastic.attainable(run_of(64), Request(4)).micro_batch == 16


def test_where_nothing_fits_ray_is_left_to_say_so(answers):
    answers(0)
    request = Request(4)
    assert elastic.attainable(run_of(64), request) is request


@pytest.mark.ray
@pytest.mark.long
def test_two_workers_of_which_one_starts_late_and_is_lost_and_then_the_other_alone(
    local_ray, tmp_path, monkeypatch
):
    """Epoch 1 by both, though the second is 3 s late; in epoch 2 it dies and its CPU is taken by somebody else; the rest by one worker."""
    folder, storage = str(tmp_path / "shards"), str(tmp_path / "storage")
    # 210 training records in batches of 32: 18 are left over; parts of 100, of which the last one is short
    ingest_local(Synthetic(patients=260, records_per_patient=1.0, seed=5), folder, records_per_part=100)
    corpus = load_corpus(folder, 100.0, ("I",))
    run, held = replace(run_of(32), data=corpus.manifest.fingerprint), ray.put(corpus)

    class Dying(Source):
        def feed(self, device, *, alone):
            feed = super().feed(device, alone=alone)
            if ray.train.get_context().get_world_rank() == 1:
                time.sleep(3)
                feed.stream = dying(feed.stream)
            return feed

    def dying(stream):
        def wrapped(plan, epochs, *rest):
            for number, batch in enumerate(stream(plan, epochs, *rest)):
                if number == plan.steps + 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield batch

        return wrapped

    told, request = [], Request(2, 0.9)
    with pytest.raises(ClefRayError, match="the group of workers broke off"):
        pretrain_in_group(run, Dying(folder, 100.0, ("I",), held), storage, request, told.append)
    assert [metrics["epoch"] for metrics in told] == [1]
    thief = placement_group([{"CPU": 1}])
    assert ray.wait([thief.ready()], timeout=60)[0]
    monkeypatch.setattr(elastic, "PATIENCE", 2.0)
    try:
        pretrain_in_group(run, Source(folder, 100.0, ("I",), held), storage, request, told.append)
    finally:
        remove_placement_group(thief)
    assert [metrics["epoch"] for metrics in told] == [1, 2, 3]
    alone = Store(str(tmp_path / "alone"))
    pretrain_here(run, corpus, alone, device="cpu")
    found, expected = record_of(run_store(storage, run)), record_of(alone)
    assert (found["workers"], expected["workers"]) == (1, 1)
    for one, other in zip(found["history"], expected["history"], strict=True):
        np.testing.assert_allclose(one["loss"], other["loss"], rtol=TOLERANCE)
        assert (one["order"], one["epoch"]) == (other["order"], other["epoch"])
