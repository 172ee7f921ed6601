"""Feeds: what they deliver, that the loop checks it, and the number by which orders are compared."""

import json
import threading

import numpy as np
import pytest
import torch
from noise_cohort import cohort, make_trainer, train

from clef_ray.augment import Choice
from clef_ray.config import Signals, Views
from clef_ray.errors import TrainingError
from clef_ray.shards import Stored
from clef_ray.train.feed import ResidentFeed, ahead, order_of, resident
from clef_ray.train.loop import RECORD
from clef_ray.train.plan import ReadPlan

CPU = torch.device("cpu")
LEADS = ("I", "II", "V1")


def stored(records=20, samples=400):
    rng = np.random.default_rng(0)
    raw = rng.integers(-3000, 3000, (records, len(LEADS), samples)).astype(np.int16)
    gain, baseline = (rng.uniform(1, 9, (records, len(LEADS))).astype(np.float32) for _ in range(2))
    return Stored(raw, gain, baseline)


def plan(records=20, batch=8):
    return ReadPlan(np.arange(records), np.zeros(records, dtype=np.int64), batch, seed=0)


@pytest.mark.parametrize("crop", ["first", "random"])
def test_a_batch_holds_the_chosen_leads_and_window_of_the_plans_records(crop):
    signals, read = stored(), plan()
    for array in (signals.raw_NKT, signals.gain_NK, signals.baseline_NK):
        array.setflags(write=False)  # as Ray's object store lends them
    choose = Choice(Signals(fs=100, seconds=2), Views(crop=crop, same_lead=0.2), LEADS, 0)
    batches = list(ResidentFeed(signals, LEADS).stream(read, range(1, 3), 1, 2, choose))
    assert len(batches) == 2 * read.steps
    starts = set()
    for number, batch in enumerate(batches):
        epoch, step = 1 + number // read.steps, number % read.steps
        assert batch.rows_b.tolist() == read.batches(epoch)[step][4:].tolist()
        first = choose.start(epoch, batch.rows_b, 400)
        starts |= set(first.tolist())
        for i, row in enumerate(batch.rows_b):
            for view in range(2):
                lead = choose.lead(epoch, batch.rows_b)[i, view]
                raw = signals.raw_NKT[row, lead, first[i] : first[i] + 200]
                assert torch.equal(batch.raw_b2T[i, view], torch.from_numpy(raw.copy()))
                assert batch.gain_b2[i, view] == signals.gain_NK[row, lead]
                assert batch.baseline_b2[i, view] == signals.baseline_NK[row, lead]
    assert (len(starts) > 5) == (crop == "random")


def test_a_feed_on_a_device_delivers_the_same():
    """Here the device is the CPU: the way through torch, not the copy, is what can go wrong."""
    signals, read = stored(), plan()
    choose = Choice(Signals(fs=100, seconds=2), Views(crop="random"), LEADS, 0)
    here, there = (ResidentFeed(signals, LEADS, device) for device in (None, CPU))
    for a, b in zip(*(f.stream(read, range(2), 0, 1, choose) for f in (here, there)), strict=True):
        assert np.array_equal(a.rows_b, b.rows_b)
        assert all(torch.equal(getattr(a, n), getattr(b, n)) for n in ("raw_b2T", "gain_b2", "baseline_b2"))


def test_signals_move_to_a_gpu_only_where_it_is_alone_and_has_room(monkeypatch):
    signals, moved = stored(), []
    monkeypatch.setattr("clef_ray.train.feed._moved", lambda raw, device: moved.append(device))
    size, gpu = signals.raw_NKT.nbytes, torch.device("cuda")
    for device, alone, free, expected in (
        (CPU, True, 100 * size, []),
        (gpu, False, 100 * size, []),
        (gpu, True, 2 * size, []),
        (gpu, True, 3 * size, [gpu]),
    ):
        moved.clear()
        monkeypatch.setattr("torch.cuda.mem_get_info", lambda device, free=free: (free, 10 * free))
        resident(signals, LEADS, device, alone=alone)
        assert moved == expected


def test_the_next_batch_is_made_in_another_thread_while_one_is_used(monkeypatch):
    made, read = [], plan()
    feed, choose = ResidentFeed(stored(), LEADS), Choice(Signals(fs=100, seconds=2), Views(), LEADS, 0)

    def told():
        for batch in feed.stream(read, range(3), 0, 1, choose):
            made.append(threading.current_thread().name)
            yield batch

    class Pretended:
        type = "cuda"

    monkeypatch.setattr("clef_ray.augment.Batch.pinned", lambda self: self)
    monkeypatch.setattr("clef_ray.augment.Batch.to", lambda self, device: self)
    plain = [b.rows_b.tolist() for b in feed.stream(read, range(3), 0, 1, choose)]
    assert [b.rows_b.tolist() for b in ahead(told(), Pretended())] == plain
    assert len(made) == len(plain)
    assert all(name.startswith("feed") for name in made)

    def broken():
        yield next(told())
        raise TrainingError("lost")

    batches = ahead(broken(), Pretended())
    next(batches)
    with pytest.raises(TrainingError, match="lost"):
        next(batches)


def test_records_other_than_the_plans_end_the_training():
    trainer = make_trainer()
    rows = trainer.plan.batches(0)[0]
    for fed, words in (
        (rows[::-1].copy(), "delivered other records"),
        (rows[:7], "delivered 7 instead of 8 records"),
    ):
        with pytest.raises(TrainingError, match=f"epoch 1, step 1: the feed {words}"):
            trainer.step(0, 0, rows, trainer.feed.batch(0, fed, trainer.choose))
    trainer.step(0, 0, rows, trainer.feed.batch(0, rows, trainer.choose))


def test_a_feed_that_swaps_two_batches_is_found_out(tmp_path):
    trainer = make_trainer()
    stream = trainer.feed.stream

    def swapped(*arguments):
        first, second, *rest = stream(*arguments)
        return iter([second, first, *rest])

    trainer.feed.stream = swapped
    with pytest.raises(TrainingError, match="epoch 1, step 1"):
        trainer.fit()


def test_orders_are_equal_numbers_only_where_they_are_equal():
    batches = np.arange(24).reshape(3, 8)
    number = order_of(batches)
    assert number == order_of(batches.copy()) == order_of(np.asfortranarray(batches))
    assert 0 <= number < 2**32
    assert number == int(number), "shown to its last digit"
    other = batches.copy()
    other[0, [0, 1]] = other[0, [1, 0]]
    assert len({number, order_of(other), order_of(batches[:2]), order_of(batches[::-1])}) == 4


def orders(rank, world_size):
    trainer = make_trainer({"batches": "risk_stratified"}, rank, world_size)
    trainer._checkpoint = lambda: None
    return [epoch["order"] for epoch in trainer.fit()]


def orders_in_pool():
    return orders(torch.distributed.get_rank(), 2)


def test_the_order_is_the_same_for_one_and_two_workers(gloo_pair):
    alone = orders(0, 1)
    assert len(set(alone)) == 3, "every epoch has its own"
    assert gloo_pair.run(orders_in_pool) == [alone, alone]


def test_the_order_is_the_same_before_and_after_a_resume(tmp_path):
    class KilledError(Exception):
        pass

    def kill(metrics):
        if metrics["epoch"] == 2:
            raise KilledError

    def told(folder, listen=None):
        return [e["order"] for e in json.loads(train(folder, listen=listen).read_bytes(RECORD))["history"]]

    whole = told(tmp_path / "whole")
    with pytest.raises(KilledError):
        train(tmp_path / "killed", listen=kill)
    assert told(tmp_path / "killed") == whole


def test_numbers_of_millivolts_are_rounded_to_microvolts():
    _, signals = cohort()
    assert np.unique(signals.gain_NK).tolist() == [1000]
    assert signals.raw_NKT.dtype == np.int16
