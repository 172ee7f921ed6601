"""A cohort whose patients can be told apart, a very small encoder, and trainings of any method on them."""

from unittest import mock

import numpy as np
import pandas as pd
import torch
from torch import nn

from clef_ray.config import Run, override
from clef_ray.datasets import COVARIATES
from clef_ray.distributed import LocalContext
from clef_ray.shards import Stored
from clef_ray.store import Store
from clef_ray.train.feed import ResidentFeed
from clef_ray.train.loop import Trainer
from clef_ray.train.subjects import read_plan, subjects, training_rows

SETTINGS = {
    "signals.fs": 100,
    "signals.seconds": 2.0,
    "views.lead": "I",
    "views.noise_mv": 0.01,
    "views.mask_probability": 0,
    "optimiser.batch": 8,
    "optimiser.epochs": 8,
    "optimiser.lr_min": 1e-6,
    "optimiser.lr": 3e-3,
    "optimiser.warmup_epochs": 0,
}

LEADS = ("I", "II")


def cohort():
    """16 patients of two records each, the last four held out; label_kind: slow or fast, unknown of every fifth record; leads differ."""
    rng = np.random.default_rng(0)
    patient_N = np.arange(32) // 2
    table = pd.DataFrame({name: np.full(32, np.nan) for name in COVARIATES})
    table["record"] = [f"r{n}" for n in range(32)]
    table["patient"] = [f"p{p}" for p in patient_N]
    table["fold"] = [1 + p % 8 if p < 12 else 10 for p in patient_N]
    table["age"], table["sex"] = 40.0 + patient_N, (patient_N % 2).astype(float)
    hertz_P = rng.permutation(np.linspace(2, 20, 16))
    kinds = [["fast"] if hertz_P[p] > 11 else ["slow"] for p in patient_N]
    table["label_kind"] = [kinds[n] if n % 5 else None for n in range(32)]
    t = np.arange(200) / 100
    phase_NL = rng.uniform(0, 1, (32, 2))
    waves_NLT = np.sin(2 * np.pi * (hertz_P[patient_N, None, None] * t + phase_NL[..., None]))
    return table, Stored.of_millivolts(waves_NLT.astype(np.float32))


class Tiny(nn.Module):
    """Patches by themselves: as an encoder of any kind must be, but with few parameters."""

    masks = True
    dim = 16

    def __init__(self, patch=10, norm=False):
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(patch, self.dim)
        self.mix = nn.Sequential(nn.Linear(self.dim, 64), nn.GELU(), nn.Linear(64, self.dim))
        self.norm = nn.BatchNorm1d(self.dim) if norm else nn.Identity()

    def patches(self, x_BCT):
        x_BT = nn.functional.pad(x_BCT[:, 0], (0, -x_BCT.shape[-1] % self.patch))
        return x_BT.unflatten(1, (-1, self.patch))

    def tokens(self, x_BCT, keep_BK=None):
        p_BNP = self.patches(x_BCT)
        turn_ND = torch.arange(p_BNP.shape[1])[:, None] * torch.logspace(0, -2, self.dim)
        y_BND = 2 * self.embed(p_BNP) + 0.3 * turn_ND.to(p_BNP).sin()
        if keep_BK is not None:
            y_BND = y_BND.gather(1, keep_BK[..., None].expand(-1, -1, self.dim))
        return self.mix(y_BND)

    def forward(self, x_BCT):
        return self.norm(self.tokens(x_BCT).amax(1))


def encoder(seed=0, norm=False):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Tiny(norm=norm)


def make_trainer(settings, rank=0, world_size=1, micro_batch=None, folder="unused", listen=None, norm=False):
    """The trainer of one worker, of the small encoder; nothing is stored unless `fit` is called."""
    table, signals = cohort()
    run = override(Run(), {**SETTINGS, **settings}).canonical()
    context = LocalContext(Store(str(folder)), "cpu", listen)
    context.rank, context.world_size = rank, world_size
    people, rows = subjects(run, table), training_rows(run, table)
    plan = read_plan(run, people, rows, np.zeros(len(table), dtype=np.int64))
    feed = ResidentFeed(signals, LEADS)
    with mock.patch("clef_ray.train.loop.build_encoder", lambda run: encoder(run.seed, norm)):
        return Trainer(run, people, plan, feed, context, micro_batch, table=table)


def step(trainer, number):
    """Step `number` of the training, counted from 0: the loss and its terms."""
    epoch, place = divmod(number, trainer.plan.steps)
    batch = trainer.plan.batches(epoch)[place]
    share = len(batch) // trainer.context.world_size
    own = batch[trainer.context.rank * share :][:share]
    _, values = trainer.step(epoch, place, batch, trainer.feed.batch(epoch, own, trainer.choose))
    return values


def gradients(trainer):
    """Of every parameter that is optimised."""
    named = [*trainer.learner.named_parameters(), *trainer.loss.named_parameters()]
    return {name: p.grad.clone() for name, p in named if p.requires_grad and p.grad is not None}
