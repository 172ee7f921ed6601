"""1, 2 and 4 workers with the same global batch: the same losses and the same final metrics; also of records that divide unevenly, of a
worker that starts late, and of a training that goes on with fewer workers than it began with.
"""

import time
from contextlib import suppress
from unittest import mock

import numpy as np
import pytest
import torch
from noise_cohort import SETTINGS, cohort
from scipy import stats
from torch import nn

from clef_ray.bench.group import together
from clef_ray.config import Run, override
from clef_ray.distributed import LocalContext, from_all_workers
from clef_ray.errors import ConfigError
from clef_ray.store import Store
from clef_ray.train.feed import ResidentFeed
from clef_ray.train.plan import ReadPlan
from clef_ray.trial import pretrain, record_of

#: float32 on CPUs: what the losses of 20 steps may differ by. Sums in another order differ by 1e-7 a step, which training amplifies.
TOLERANCE = 1e-4

#: The margin within which final metrics count as equivalent, stated before any was looked at. Both metrics lie between -1 and 1 or 0 and 1;
#: two seeds of this training differ by some .05 in them, and no conclusion is drawn from less than .01: a fifth of the one, half of the other.
MARGIN = {"valid/rsa": 5e-3, "embedding/std": 5e-3}

#: 42 training records: batches of 8 leave two over, 4 workers have two records of each; row groups of 13 end within batches.
TRAINED, HELD_OUT, EPOCHS = 42, 22, 4
RUNS = [
    *({"method": "clef", "seed": seed} for seed in range(3)),
    {"method": "clef", "loss.preset": "published"},
]


class Small(nn.Module):
    """An encoder of a few thousand operations a record: what is tested lies outside of it."""

    dim = 16

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(20, 64), nn.Linear(64, self.dim)

    def forward(self, x_BCT):
        return self.outer(torch.relu(self.inner(x_BCT[:, 0].unflatten(1, (-1, 20)))).amax(1))


def small(run):
    with torch.random.fork_rng():
        torch.manual_seed(run.seed)
        return Small()


class StoppedError(Exception):
    """The training was interrupted by the test."""


def fit(settings, folder, rank=0, world_size=1, micro_batch=None, stop=None, late=0.0):
    """Pretrain as one of several workers. stop: after so many epochs of this start; late: seconds before the last worker begins."""
    time.sleep(late * (rank == world_size - 1))
    table, signals = cohort(TRAINED + HELD_OUT)
    table["fold"] = [1 + i % 8 if i < TRAINED else 9 for i in range(TRAINED + HELD_OUT)]
    told = []

    def listen(metrics):
        told.append(metrics)
        if len(told) == stop:
            raise StoppedError

    context = LocalContext(Store(str(folder)), "cpu", listen)
    context.rank, context.world_size = rank, world_size
    run, groups = override(Run(), {**SETTINGS, "optimiser.epochs": EPOCHS, **settings}), np.arange(64) // 13

    def read(rows, lead):
        return signals.take(rows, 0).millivolts()[:, 0]

    with suppress(StoppedError), mock.patch("clef_ray.train.loop.build_encoder", small):
        pretrain(run, table, groups, ResidentFeed(signals, ("I",)), context, read, micro_batch)


def fit_all(rank, world_size, folder):
    """Every run whole, the first one with a worker that starts late; by 4 workers the first one's beginning once more."""
    for number, settings in enumerate(RUNS):
        late = 0.5 if number == 0 and world_size > 1 else 0.0
        fit(settings, folder / f"{world_size}-{number}", rank, world_size, late=late)
    if world_size == 4:
        fit(RUNS[0], folder / "shrinking", rank, world_size, stop=2)


def in_pair(folder):
    fit_all(torch.distributed.get_rank(), 2, folder)


def go_on_in_pair(folder):
    fit(RUNS[0], folder, torch.distributed.get_rank(), 2, micro_batch=2, stop=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, gloo_pair):
    made = tmp_path_factory.mktemp("workers")
    fit_all(0, 1, made)
    gloo_pair.run(in_pair, made)
    together(4, fit_all, made)
    return made


def history(folder, workers, number):
    return record_of(Store(str(folder / f"{workers}-{number}")))["history"]


def losses(epochs):
    return [[epoch[name] for name in epoch if name.startswith("loss")] for epoch in epochs]


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("number", range(len(RUNS)))
def test_the_losses_of_20_steps_are_those_of_one_worker(folder, workers, number):
    alone, found = history(folder, 1, number), history(folder, workers, number)
    assert EPOCHS * (TRAINED // 8) == 20
    np.testing.assert_allclose(losses(found), losses(alone), rtol=TOLERANCE, atol=0)
    assert [e["order"] for e in found] == [e["order"] for e in alone]
    assert record_of(Store(str(folder / f"{workers}-{number}")))["workers"] == workers


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("metric", MARGIN)
def test_the_final_metrics_are_equivalent(folder, workers, metric):
    """Two one-sided t-tests of the paired differences over the seeds, at 5 % each: the 90 % interval lies within the margin."""
    final = np.array([[history(folder, w, n)[-1][metric] for n in range(3)] for w in (1, workers)])
    difference = final[1] - final[0]
    half = stats.t.ppf(0.95, 2) * difference.std(ddof=1) / np.sqrt(3)
    assert abs(difference.mean()) + half < MARGIN[metric], difference
    assert np.ptp(final[0]) > MARGIN[metric], "the margin tells seeds apart"


def test_a_training_that_loses_workers_goes_on_with_fewer_on_the_same_curve(folder, gloo_pair):
    """Two epochs by 4 workers, one by 2, one by 1: batches stay, each worker takes the pieces that 4 had one after the other."""
    place = folder / "shrinking"
    gloo_pair.run(go_on_in_pair, place)
    fit(RUNS[0], place, micro_batch=2)
    found = record_of(Store(str(place)))
    alone = history(folder, 1, 0)
    np.testing.assert_allclose(losses(found["history"]), losses(alone), rtol=TOLERANCE, atol=0)
    assert [epoch["epoch"] for epoch in found["history"]] == [1, 2, 3, 4]
    for metric, margin in MARGIN.items():
        assert found["history"][-1][metric] == pytest.approx(alone[-1][metric], abs=margin)


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_the_shares_of_uneven_records_are_the_batches_in_order(workers):
    """42 records in row groups of 13: none is seen twice in an epoch, and the same two are left over whoever reads."""
    rows = np.arange(3, 45)
    plan = ReadPlan(rows, rows // 13, 8, seed=5)
    shares = [np.stack(list(plan.slices(1, rank, workers))) for rank in range(workers)]
    together_SB = np.concatenate(shares, axis=1)
    assert np.array_equal(together_SB, plan.batches(1))
    assert len(np.unique(together_SB)) == 40


def test_a_batch_that_workers_cannot_share_evenly_is_refused():
    plan = ReadPlan(np.arange(42), np.zeros(42, dtype=np.int64), 8, seed=0)
    with pytest.raises(ConfigError, match="batch 8 cannot be shared evenly by 3 workers"):
        next(plan.slices(0, 0, 3))


def give_rank(rank, world_size):
    context = LocalContext(Store("unused"), "cpu")
    context.rank, context.world_size = rank, world_size
    return from_all_workers(torch.tensor([float(rank), -1.0]), context).tolist()


def give_rank_in_pair():
    return give_rank(torch.distributed.get_rank(), 2)


def test_what_every_worker_gives_comes_by_rank(gloo_pair):
    assert gloo_pair.run(give_rank_in_pair) == [[[0, -1], [1, -1]]] * 2
    assert give_rank(0, 1) == [[0, -1]]
