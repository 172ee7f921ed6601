"""The pretraining loop: one pass over the read plan per epoch, the same in a plain process and in a Ray Train worker.

A checkpoint after every epoch holds the weights, the optimiser and the history; all randomness is keyed by (seed, epoch, record), so a run
that was killed continues from its last epoch and ends exactly where an uninterrupted one ends.
"""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clef_ray.augment import LeadChoice, two_views, window
from clef_ray.config import Optimiser, Run, to_dict
from clef_ray.distributed import (
    CHECKPOINT,
    Context,
    exact_float32,
    gather_views,
    load_state,
    save_state,
    sum_gradients,
    sum_over_workers,
)
from clef_ray.errors import ClefRayError, ConfigError
from clef_ray.losses import Pairs, RiskReference, Term, mean
from clef_ray.randomness import fold
from clef_ray.registry import ENCODERS, LOSSES, METHODS
from clef_ray.store import Store
from clef_ray.train.plan import ReadPlan
from clef_ray.train.subjects import Subjects

ENCODER = "encoder.pt"
RECORD = "pretrain.json"


class Feed(Protocol):
    """Delivers a worker's share of every batch of the plan, in order."""

    leads: tuple[str, ...]

    def stream(
        self, plan: ReadPlan, epochs: range, rank: int, world_size: int, choose: LeadChoice
    ) -> Iterator[Tensor]:
        """One tensor per step: of each record of this worker's slice the leads of its two views, [b, 2, T] float32 mV at the training rate."""
        ...


class MemoryFeed:
    """Signals that are in memory (or in Ray's object store) already. signals_NCT: float32, mV."""

    def __init__(self, signals_NCT: NDArray[np.float32], leads: tuple[str, ...]) -> None:
        self.signals_NCT = signals_NCT
        self.leads = leads

    def stream(
        self, plan: ReadPlan, epochs: range, rank: int, world_size: int, choose: LeadChoice
    ) -> Iterator[Tensor]:
        for epoch in epochs:
            for rows in plan.slices(epoch, rank, world_size):
                yield torch.from_numpy(self.signals_NCT[rows[:, None], choose(epoch, rows)])


def build_encoder(run: Run) -> nn.Module:
    """The run's encoder at its seeded initial weights: two arms with the same seed and encoder start from the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold("init", run.seed))
        encoder: nn.Module = run.encoder.build(ENCODERS)
    return encoder


def _refuse_per_worker_state(encoder: nn.Module, context: Context) -> None:
    """A run's result may not depend on the number of workers; these layers see one worker's share of the batch only."""
    if context.world_size == 1:
        return
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm1d | nn.Dropout):
            raise ConfigError(
                f"encoder: {type(module).__name__} works on each worker's share of the batch, so {context.world_size} workers would give "
                "another result than one; use one worker, or norm=none and dropout=0"
            )


def learning_rate(optimiser: Optimiser, epoch: float) -> float:
    """Linear warm-up over warmup_epochs, then cosine from lr to lr_min at the last epoch; epoch counts fractions."""
    if epoch < optimiser.warmup_epochs:
        return optimiser.lr * epoch / optimiser.warmup_epochs
    rest = max(optimiser.epochs - optimiser.warmup_epochs, 1e-9)
    progress = min((epoch - optimiser.warmup_epochs) / rest, 1.0)
    return optimiser.lr_min + (optimiser.lr - optimiser.lr_min) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass
class Trainer:
    """The state of one pretraining. `run` must be canonical."""

    run: Run
    subjects: Subjects
    plan: ReadPlan
    feed: Feed
    context: Context
    history: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert self.run.loss is not None, "canonical() fills in the loss"
        exact_float32()
        self.encoder = build_encoder(self.run).to(self.context.device)
        _refuse_per_worker_state(self.encoder, self.context)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(fold("heads", self.run.seed))
            heads = self.run.method.build(METHODS).heads(int(self.encoder.dim))  # type: ignore[arg-type]
        self.model = nn.Sequential(self.encoder, heads.to(self.context.device))
        self.loss = self.run.loss.build(LOSSES)
        o = self.run.optimiser
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=o.lr, betas=o.betas, weight_decay=o.weight_decay, fused=True
        )
        self.reference = self._reference()

    def _reference(self) -> RiskReference | None:
        """The scale of risk differences over the training patients (method §1.5), the same for every batch and worker."""
        if self.run.score is None:
            return None
        first = np.unique(self.subjects.patient_N[self.plan.rows], return_index=True)[1]
        risk_P = self.subjects.risk_N[self.plan.rows[first]]
        reference: RiskReference = self.loss.reference(risk_P)
        return reference

    def resume(self) -> None:
        """Continue from the last epoch's checkpoint where there is one."""
        if not self.context.store.exists(CHECKPOINT):
            return
        state = load_state(self.context.store, CHECKPOINT)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.history = list(state["history"])

    def fit(self) -> list[dict[str, float]]:
        """Train the epochs that are left; returns the whole history, one mapping per epoch."""
        self.resume()
        start = len(self.history)
        epochs = range(start, self.run.optimiser.epochs)
        choose = LeadChoice(self.run.views, self.feed.leads, self.run.seed)
        signals = self.feed.stream(self.plan, epochs, self.context.rank, self.context.world_size, choose)
        for epoch in epochs:
            metrics = self._epoch(epoch, signals)
            self.history.append(metrics)
            if self.context.rank == 0:
                self._checkpoint()
            self.context.report(metrics)
        return self.history

    def _epoch(self, epoch: int, signals: Iterator[Tensor]) -> dict[str, float]:
        begin = time.perf_counter()
        torch.manual_seed(fold("dropout", self.run.seed, epoch, self.context.rank))
        self.model.train()
        names: list[str] = []
        sums: Tensor | None = None
        for step, batch in enumerate(self.plan.batches(epoch)):
            x_b2T = next(signals).to(self.context.device, non_blocking=True)
            names, values = self.step(epoch, step, batch, x_b2T)
            sums = values if sums is None else sums + values
        assert sums is not None, "a plan has at least one step"
        means = (sums / self.plan.steps).tolist()
        if not all(map(math.isfinite, means)):
            raise ClefRayError(
                f"the loss is not finite in epoch {epoch + 1} ({dict(zip(names, means, strict=True))})"
            )
        seconds = time.perf_counter() - begin
        return {
            "epoch": float(epoch + 1),
            **dict(zip(names, means, strict=True)),
            "lr": learning_rate(self.run.optimiser, epoch + 1),
            "records_per_second": self.plan.steps * self.plan.batch / seconds,
            "seconds": seconds,
        }

    def step(
        self, epoch: int, step: int, batch: NDArray[np.int64], x_b2T: Tensor
    ) -> tuple[list[str], Tensor]:
        """One optimiser step on this worker's slice of one global batch; returns the global loss and its terms."""
        c, o = self.context, self.run.optimiser
        own = batch[c.rank * len(x_b2T) : (c.rank + 1) * len(x_b2T)]
        record_b = torch.from_numpy(own).to(c.device)
        x_b2T = x_b2T[..., : window(self.run.signals, x_b2T.shape[-1])]
        x_2bT = two_views(x_b2T, record_b, self.run.seed, epoch, self.run.signals, self.run.views)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(o, epoch + (step + 1) / self.plan.steps)
        with torch.autocast(c.device.type, torch.bfloat16, enabled=o.precision == "bf16"):
            z_2bD = self.model(x_2bT[:, None])
        z_all, rows = gather_views(z_2bD.float(), c)
        risk_B, completeness_B, patient_B = self.subjects.batch(batch, c.device)
        key = (self.run.seed, epoch * self.plan.steps + step)
        terms: Sequence[Term] = self.loss(
            z_all, rows, Pairs(risk_B, completeness_B, patient_B, key=key, reference=self.reference)
        )
        counts = sum_over_workers(torch.stack([t.count for t in terms]), c)
        parts = mean(torch.stack([t.total for t in terms]), counts)
        coefficients = torch.tensor([t.coefficient for t in terms], device=c.device)
        loss = (coefficients * parts).sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        sum_gradients(self.model.parameters(), c)
        self.optimiser.step()
        values = sum_over_workers(torch.cat([loss[None], parts]), c)
        return ["loss", *(f"loss/{t.name}" for t in terms)], values

    def _checkpoint(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "history": self.history,
        }
        save_state(self.context.store, CHECKPOINT, state)


def finish(
    run: Run, encoder: nn.Module, history: list[dict[str, float]], store: Store, facts: dict[str, Any]
) -> None:
    """Write the encoder and, last, the record that makes the run COMPLETE."""
    save_state(
        store, ENCODER, {"encoder": encoder.state_dict(), "run": to_dict(run), "leads": facts["leads"]}
    )
    record = {
        "state": "COMPLETE",
        "fingerprint": run.fingerprint(),
        "run": to_dict(run),
        "history": history,
        **facts,
    }
    store.write_bytes(RECORD, json.dumps(record, indent=1).encode())


def complete(store: Store) -> bool:
    """Whether a run's pretraining is finished (only COMPLETE counts)."""
    return store.exists(RECORD)
