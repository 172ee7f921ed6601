"""The pretraining loop: one pass over the read plan per epoch, the same in a plain process and in a Ray Train worker.

A checkpoint after every epoch holds the weights, the optimiser, the loss's own state, the queue and the history; all randomness is keyed by
(seed, epoch, record), so a run that was killed continues from its last epoch and ends exactly where an uninterrupted one ends.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clef_ray.augment import Batch, Choice, Noise, NoiseBank, two_views
from clef_ray.config import Run, to_dict
from clef_ray.distributed import (
    CHECKPOINT,
    Context,
    exact_float32,
    from_all_workers,
    gather_parts,
    load_state,
    save_state,
    sum_gradients,
    sum_over_workers,
)
from clef_ray.errors import TrainingError
from clef_ray.losses import Pairs, RiskReference, Term, mean
from clef_ray.methods import At, Learner, Setting
from clef_ray.randomness import fold
from clef_ray.registry import ENCODERS, LOSSES, METHODS
from clef_ray.store import Store
from clef_ray.train.cost import Meter
from clef_ray.train.feed import Feed, ahead, check_fed, order_of
from clef_ray.train.optimise import adamw, learning_rate
from clef_ray.train.pieces import backward_all, cut, embed_all, refuse_shared_state
from clef_ray.train.plan import ReadPlan
from clef_ray.train.queue import EmbeddingQueue
from clef_ray.train.subjects import Subjects

ENCODER = "encoder.pt"
RECORD = "pretrain.json"

#: Metrics of the encoder between two epochs. It leaves the encoder and torch's random numbers as they are.
Watch = Callable[[nn.Module], Mapping[str, float]]


def build_encoder(run: Run) -> nn.Module:
    """The run's encoder at its seeded initial weights: two arms with the same seed and encoder start from the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold("init", run.seed))
        encoder: nn.Module = run.encoder.build(ENCODERS)
    return encoder


@dataclass
class Trainer:
    """The state of one pretraining. `run` must be canonical.

    micro_batch: records encoded at once by one worker, None: its whole slice. It changes the memory needed, not the result.
    bank: the one that the run's views.noise names, None where that is synthetic. table: the corpus', for methods that look at labels.
    meter: what measures the training's cost, None: it is not measured.
    """

    run: Run
    subjects: Subjects
    plan: ReadPlan
    feed: Feed
    context: Context
    micro_batch: int | None = None
    bank: NoiseBank | None = None
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    meter: Meter | None = None
    history: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert self.run.loss is not None, "canonical() fills in the loss"
        exact_float32()
        signals, device = self.run.signals, self.context.device
        self.choose = Choice(signals, self.run.views, self.feed.leads, self.run.seed)
        self.noise = Noise.of(self.bank, signals, self.feed.leads, device)
        self.learner = self._learner().to(device)
        self.encoder, records = self.learner.encoder, self.learner.records
        self.pieces = cut(self.plan.batch // self.context.world_size, self.micro_batch, records)
        refuse_shared_state(self.learner, self.context.world_size, len(self.pieces))
        self.loss = self.run.loss.build(LOSSES).to(self.context.device)
        self.learned = list(self.loss.parameters())
        self.queue = EmbeddingQueue(self.loss.queue)
        trained = [p for p in self.learner.parameters() if p.requires_grad]
        self.optimiser = adamw(self.run.optimiser, trained, self.learned)
        self.reference = self._reference()

    def _learner(self) -> Learner:
        run, epochs = self.run, self.run.optimiser.epochs
        setting = Setting(run.signals, run.views, epochs * self.plan.steps, self.table, self.plan.rows)
        encoder = build_encoder(run)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(fold("heads", run.seed))
            learner: Learner = run.method.build(METHODS).learner(encoder, setting)
        return learner

    def _reference(self) -> RiskReference | None:
        """The scale of risk differences over the training patients (method §1.5), the same for every batch and worker."""
        if self.run.score is None or not self.loss.uses_risk:
            return None
        first = np.unique(self.subjects.patient_N[self.plan.rows], return_index=True)[1]
        risk_PK = self.subjects.risk_NK[self.plan.rows[first]]
        reference: RiskReference = self.loss.reference(risk_PK)
        return reference

    def resume(self) -> None:
        """Continue from the last epoch's checkpoint where there is one."""
        if not self.context.store.exists(CHECKPOINT):
            return
        state = load_state(self.context.store, CHECKPOINT)
        self.learner.load_state_dict(state["learner"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.loss.load_state_dict(state["loss"])
        self.queue.load(state["queue"], self.context.device)
        self.history = list(state["history"])

    def fit(self, watch: Watch | None = None) -> list[dict[str, float]]:
        """Train the epochs that are left; returns the whole history, one mapping per epoch. watch: rank 0 has one, which adds metrics."""
        self.resume()
        start = len(self.history)
        epochs = range(start, self.run.optimiser.epochs)
        rank, world_size = self.context.rank, self.context.world_size
        stream = self.feed.stream(self.plan, epochs, rank, world_size, self.choose)
        batches = ahead(stream, self.context.device)
        for epoch in epochs:
            metrics = self._epoch(epoch, batches)
            if watch is not None:
                metrics |= watch(self.encoder)
            self.history.append(metrics)
            if self.context.rank == 0:
                self._checkpoint()
            self.context.report(metrics)
        return self.history

    def _epoch(self, epoch: int, batches: Iterator[Batch]) -> dict[str, float]:
        begin = time.perf_counter()
        torch.manual_seed(fold("dropout", self.run.seed, epoch, self.context.rank))
        self.learner.train()
        names: list[str] = []
        sums = first_bad = torch.zeros((), device=self.context.device)
        planned_SB = self.plan.batches(epoch)
        for step, rows_B in enumerate(planned_SB):
            with self.meter.step() if self.meter else nullcontext():
                names, values = self.step(epoch, step, rows_B, next(batches))
            sums = sums + values
            # Kept on the device: looking at it in every step would make the host wait.
            first_bad = torch.where(first_bad.isfinite().all(), values, first_bad)
        means = (sums / self.plan.steps).tolist()
        if not all(map(math.isfinite, means)):
            raise TrainingError(_not_finite(epoch, dict(zip(names, first_bad.tolist(), strict=True))))
        seconds = time.perf_counter() - begin
        return {
            "epoch": float(epoch + 1),
            "order": order_of(planned_SB),
            **dict(zip(names, means, strict=True)),
            "lr": learning_rate(self.run.optimiser, epoch + 1),
            **({"temperature": self.loss.current_temperature} if self.learned else {}),
            "records_per_second": self.plan.steps * self.plan.batch / seconds,
            "seconds": seconds,
        }

    def step(
        self, epoch: int, step: int, rows_B: NDArray[np.int64], batch: Batch
    ) -> tuple[list[str], Tensor]:
        """One optimiser step on this worker's slice of the global batch `rows_B`; returns the global loss and its terms.

        TrainingError where the slice holds other records than the plan says.
        """
        c, o = self.context, self.run.optimiser
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(o, epoch + (step + 1) / self.plan.steps)
        share = len(rows_B) // c.world_size
        check_fed(batch, rows_B[c.rank * share : (c.rank + 1) * share], epoch, step)
        embed = partial(self._embed, epoch, batch)
        parts, records = self.learner.parts, self.learner.records
        z_vbD = embed_all(embed, self.pieces, parts)
        z_all, rows = gather_parts(z_vbD, parts, c)
        done = epoch * self.plan.steps + step
        pairs = self._pairs(rows_B[::records], (self.run.seed, done))
        terms: Sequence[Term] = self.loss(z_all, rows, pairs)
        counts = sum_over_workers(torch.stack([t.count for t in terms]), c)
        by_term = mean(torch.stack([t.total for t in terms]), counts)
        coefficients = torch.tensor([t.coefficient for t in terms], device=c.device)
        loss = (coefficients * by_term).sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        backward_all(embed, self.pieces, z_vbD, parts, records)
        sum_gradients(chain(self.learner.parameters(), self.learned), c)
        self.optimiser.step()
        self.learner.after_step(done + 1)
        self.queue.push(z_all[len(pairs.patient_B) :] if self.loss.takes == "keys" else z_all, pairs)
        values = sum_over_workers(torch.cat([loss[None], by_term]), c)
        return ["loss", *(f"loss/{t.name}" for t in terms)], values

    def _embed(self, epoch: int, batch: Batch, piece: slice) -> Tensor:
        """What the learner returns for one piece of this worker's slice, float32 (of two views: [2m, D])."""
        r = self.run
        at = At(torch.from_numpy(batch.rows_b[piece]), fold("method", r.seed, epoch))
        x_2mT = two_views(batch[piece], r.seed, epoch, r.signals, r.views, self.noise)
        with torch.autocast(
            self.context.device.type, torch.bfloat16, enabled=r.optimiser.precision == "bf16"
        ):
            z_vmD: Tensor = self.learner(x_2mT[:, None], at)
        return z_vmD.float()

    def _pairs(self, batch: NDArray[np.int64], key: tuple[int, int]) -> Pairs:
        risk_BK, completeness_B, patient_B = self.subjects.batch(batch, self.context.device)
        everyone = partial(from_all_workers, context=self.context) if self.context.world_size > 1 else None
        held = self.queue.held
        return Pairs(risk_BK, completeness_B, patient_B, key, self.reference, held, everyone)

    def _checkpoint(self) -> None:
        state = {
            "learner": self.learner.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "loss": self.loss.state_dict(),
            "queue": self.queue.state(),
            "history": self.history,
        }
        save_state(self.context.store, CHECKPOINT, state)


def _not_finite(epoch: int, values: Mapping[str, float]) -> str:
    """values: the loss and its terms in the first step that was not finite: after it all of them are not."""
    terms = [name for name, value in values.items() if name != "loss" and not math.isfinite(value)]
    return (
        f"the loss is not finite in epoch {epoch + 1} ({', '.join(terms) or 'loss'}); "
        "lower optimiser.lr, or look for signals that are not finite"
    )


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


def history_so_far(store: Store) -> list[dict[str, float]]:
    """The finished epochs of a run that has not come to its end; empty before its first checkpoint."""
    return list(load_state(store, CHECKPOINT)["history"]) if store.exists(CHECKPOINT) else []


def complete(store: Store) -> bool:
    """Whether a run's pretraining is finished (only COMPLETE counts)."""
    return store.exists(RECORD)
