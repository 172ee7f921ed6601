"""A tiny cohort of noise, and trainings on it: what the tests of pretraining share."""

import numpy as np
import pandas as pd
import torch

from clef_ray.config import Run, override
from clef_ray.datasets import COVARIATES
from clef_ray.distributed import LocalContext, load_state
from clef_ray.shards import Stored
from clef_ray.store import Store
from clef_ray.train.feed import ResidentFeed
from clef_ray.train.loop import ENCODER, Trainer
from clef_ray.train.subjects import read_plan, subjects, training_rows
from clef_ray.trial import pretrain

SETTINGS = {
    "signals.fs": 100,
    "signals.seconds": 2.0,
    "views.lead": "I",
    "optimiser.batch": 8,
    "optimiser.epochs": 3,
    "optimiser.lr_min": 1e-6,
    "optimiser.lr": 1e-3,
}

#: Weights that stand still: whatever differs between two steps comes from the steps themselves.
STILL = {"optimiser.lr_min": 0, "optimiser.lr": 0}


def cohort(records: int = 24, seed: int = 0) -> tuple[pd.DataFrame, Stored]:
    """A table with complete covariates, and one lead of noise per record; the last six records are held out."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({name: np.full(records, np.nan) for name in COVARIATES})
    table["record"] = [f"r{i}" for i in range(records)]
    table["patient"] = [f"p{i}" for i in range(records)]
    table["fold"] = [1 + i % 8 if i < records - 6 else 10 for i in range(records)]
    table["age"], table["sex"] = rng.uniform(40, 69, records), rng.integers(0, 2, records).astype(float)
    table["sbp"], table["smoker"] = rng.uniform(100, 180, records), rng.integers(0, 2, records).astype(float)
    table["total_cholesterol"], table["hdl"] = rng.uniform(4, 8, records), rng.uniform(0.8, 2, records)
    return table, Stored.of_millivolts(rng.normal(size=(records, 1, 200)).astype(np.float32))


def train(folder, settings=None, listen=None, data=None, micro_batch=None):
    table, signals = data or cohort()
    run = override(Run(), {**SETTINGS, **(settings or {})})
    store = Store(str(folder))
    feed = ResidentFeed(signals, ("I",))
    groups = np.zeros(len(table), dtype=np.int64)
    context = LocalContext(store, "cpu", listen)
    pretrain(
        run,
        table,
        groups,
        feed,
        context,
        lambda rows, lead: signals.take(rows, 0).millivolts()[:, 0],
        micro_batch,
    )
    return store


def weights(store):
    return load_state(store, ENCODER)["encoder"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def make_trainer(settings=None, rank=0, world_size=1, micro_batch=None):
    """The trainer of one worker; nothing is stored."""
    table, signals = cohort()
    run = override(Run(), {**SETTINGS, **(settings or {})}).canonical()
    context = LocalContext(Store("unused"), "cpu")
    context.rank, context.world_size = rank, world_size
    people, rows = subjects(run, table), training_rows(run, table)
    plan = read_plan(run, people, rows, np.zeros(len(table), dtype=np.int64))
    return Trainer(run, people, plan, ResidentFeed(signals, ("I",)), context, micro_batch, table=table)


def steps(trainer, count):
    """`count` steps of the first epoch and on: [(loss and its terms, gradients by parameter)]."""
    found = []
    for number in range(count):
        epoch, step = divmod(number, trainer.plan.steps)
        batch = trainer.plan.batches(epoch)[step]
        share = len(batch) // trainer.context.world_size
        own = batch[trainer.context.rank * share :][:share]
        _, values = trainer.step(epoch, step, batch, trainer.feed.batch(epoch, own, trainer.choose))
        named = [*trainer.learner.named_parameters(), *trainer.loss.named_parameters()]
        found.append((values.numpy(), {name: p.grad.numpy().copy() for name, p in named}))
    return found


def assert_same_steps(found, expected):
    """Equal losses, and gradients to 3e-5 of the gradient's length, and of each parameter's as well as single precision allows; of later steps
    than the first, after Adam has divided what rounding left of small gradients by their size.
    """
    for (values, gradients), (wanted, reference) in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, wanted, rtol=1e-5)
        assert gradients.keys() == reference.keys()
        error = {name: np.linalg.norm(gradients[name] - reference[name]) for name in reference}
        length = {name: np.linalg.norm(reference[name]) for name in reference}
        assert np.linalg.norm([*error.values()]) <= 3e-5 * np.linalg.norm([*length.values()])
        for name in reference:
            assert error[name] <= 1e-4 * length[name], name
