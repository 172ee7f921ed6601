"""The training step of sizes S and M: the project's own, against the same step written naively (naive.py).

Both make their views with clef_ray.augment, which streaming.py measures; encoder, loss, optimiser and what holds them together differ.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clef_ray.augment import two_views
from clef_ray.bench.measure import Figure, added_memory, faster, in_process, interleaved, on
from clef_ray.bench.naive import NaiveEncoder, naive_loss
from clef_ray.config import Run, override
from clef_ray.datasets import LEADS
from clef_ray.distributed import LocalContext
from clef_ray.losses import Pairs
from clef_ray.shards import Stored
from clef_ray.store import Store
from clef_ray.train.feed import ResidentFeed
from clef_ray.train.loop import Trainer
from clef_ray.train.plan import ReadPlan
from clef_ray.train.subjects import Subjects

FS = 100
SAMPLES = 10 * FS


@dataclass(frozen=True)
class Sizes:
    """batch, batch_m: pairs per step of S and of M; steps: of S per turn; rounds, rounds_m: turns."""

    batch: int
    batch_m: int
    steps: int
    rounds: int
    rounds_m: int


class Step:
    """One batch, and the step on it written twice. Both start at the same weights."""

    def __init__(self, batch: int, micro_batch: int | None = None, size: str = "S") -> None:
        rng = np.random.default_rng(0)
        settings = {"signals.fs": FS, "encoder.size": size, "optimiser.batch": batch, "optimiser.epochs": 2}
        self.run = override(Run(), settings).canonical()
        signals = Stored.of_millivolts(rng.normal(size=(batch, 2, SAMPLES)).astype(np.float32))
        self.rows: NDArray[np.int64] = np.arange(batch)
        people = Subjects(self.rows // 2, rng.uniform(1, 20, (batch, 1)), rng.choice([0.4, 0.8, 1.0], batch))
        plan = ReadPlan(self.rows, np.zeros(batch, dtype=np.int64), batch, seed=0)
        feed = ResidentFeed(signals, LEADS[:2])
        # The store is for checkpoints, of which single steps write none.
        self.trainer = Trainer(
            self.run, people, plan, feed, LocalContext(Store("unused"), "cpu"), micro_batch
        )
        self.batch = feed.batch(0, self.rows, self.trainer.choose)
        self.pairs = Pairs(
            *people.batch(self.rows, torch.device("cpu")), key=(0, 0), reference=self.trainer.reference
        )
        self.encoder = NaiveEncoder(size)
        copy_parameters(self.trainer.encoder, self.encoder)
        o = self.run.optimiser
        self.optimiser = torch.optim.AdamW(
            self.encoder.parameters(), lr=o.lr, betas=o.betas, weight_decay=o.weight_decay
        )

    def ours(self) -> float:
        """The project's step; returns the loss."""
        _, values = self.trainer.step(0, 0, self.rows, self.batch)
        return values[0].item()

    def plain(self) -> float:
        """The same, naively."""
        r = self.run
        x_2BT = two_views(self.batch, r.seed, 0, r.signals, r.views, self.trainer.noise)
        loss = naive_loss(self.encoder(x_2BT[:, None]), self.pairs)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.item()


def copy_parameters(source: nn.Module, target: nn.Module) -> None:
    """Parameters by their order, which both encoders share with the equations."""
    with torch.no_grad():
        for a, b in zip(source.parameters(), target.parameters(), strict=True):
            b.copy_(a)


class BareLayers:
    """The limit: the step's convolutions and linear layers alone, forward and backward, each on an input of its shape."""

    def __init__(self, encoder: NaiveEncoder, views: int) -> None:
        self.calls: list[tuple[nn.Module, Tensor]] = []
        self.flop = 0
        hooks = [
            m.register_forward_hook(self._seen)
            for m in encoder.modules()
            if isinstance(m, nn.Conv1d | nn.Linear)
        ]
        encoder(torch.randn(views, 1, SAMPLES))
        for hook in hooks:
            hook.remove()

    def _seen(self, layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        # The stem's input needs no gradient: nothing lies below it.
        first = not self.calls
        self.calls.append((layer, torch.randn_like(inputs[0]).requires_grad_(not first)))
        assert isinstance(layer.weight, Tensor)
        per_output = layer.weight[0].numel()
        self.flop += (2 if first else 3) * 2 * per_output * output.numel()

    def run(self) -> None:
        """All layers once."""
        for layer, x in self.calls:
            x.grad = None
            layer.zero_grad()
            y = layer(x)
            y.backward(y.detach())


def matmul() -> int:
    """A turn of the machine's best case, float32 products of 1024 x 1024 matrices; returns the operations."""
    side = 1024
    a = torch.ones(side, side)
    for _ in range(4):
        torch.mm(a, a)
    return 4 * 2 * side**3


def training_step(sizes: Sizes) -> list[Figure]:
    """Pairs per second of the step, the naive step and the bare layers, on one thread: what a worker has by default."""
    return [
        _training_step("S", sizes.batch, sizes.steps, sizes.rounds),
        _training_step("M", sizes.batch_m, 1, sizes.rounds_m),
    ]


def _training_step(size: str, batch: int, steps: int, rounds: int) -> Figure:
    step = Step(batch, size=size)
    layers = BareLayers(step.encoder, 2 * batch)

    def repeat(side: Callable[[], object]) -> Callable[[], int]:
        def turn() -> int:
            for _ in range(steps):
                side()
            return steps * batch

        return on(1, turn)

    sides = {
        "ours": repeat(step.ours),
        "plain": repeat(step.plain),
        "limit": repeat(layers.run),
        "matmul": on(1, matmul),
    }
    rates = interleaved(sides, rounds)
    peak = median(rates["matmul"])
    note = (
        f"Training step {size}: plain is the same written naively; limit is PyTorch's convolutions and linear layers alone. "
        f"{layers.flop / 1e9:.1f} GFLOP per step; at the rate of a matrix product here ({peak / 1e9:.0f} GFLOP/s) "
        f"that would be {batch * peak / layers.flop:,.0f} pairs/s."
    )
    at_least = 1.5 if size == "S" else None  # nobody trains M on a processor
    return faster(f"training step {size}, batch {batch}, 1 thread", note, rates, at_least=at_least)


def gradient_caching(batch: int, piece: int) -> Figure:
    """Memory of one step on a large batch in pieces, against a plain step on one piece; its input, which is there before, not counted."""
    whole, alone = in_process(_added, batch, piece), in_process(_added, piece)
    negatives = 2 * batch - 4  # two records to a patient
    return Figure(
        f"memory of a step S, {negatives:,} negatives, pieces of {piece}",
        "MiB",
        whole / 2**20,
        plain=alone / 2**20,
        ratio=alone / whole,
        note=f"Gradient caching: plain is the step on a batch of {piece} alone, with {2 * piece - 4} negatives.",
    )


def _added(batch: int, piece: int | None = None) -> int:
    Step(4).ours()  # what the first step of anything loads is not the batch's
    return added_memory(Step(batch, piece).ours)
