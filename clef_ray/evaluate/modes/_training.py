"""An encoder and a linear head trained together on a task's own labels: what `finetune` and `scratch` share (method.md §4).

Published defaults (CLEF's code): batch 64, lr 1e-3, weight decay 1e-5, at most 100 epochs, stopped after 5 without the validation loss falling by
1e-3. Here: the same batch, rate and decay; fewer epochs (`Learnt.epochs`), since the rate follows a cosine over all of them; and the fall is a
share of the loss, because the loss itself is smaller the more rare classes it is the mean of.

Shape letters: N records, S of them in a step, D features, K classes (1 for values), T samples.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.errors import TrainingError
from clef_ray.evaluate.problem import Answer, Kind, Material, Problem, Trainable, Unanswerable
from clef_ray.randomness import fold, hash_u32
from clef_ray.sections import Optimiser
from clef_ray.tasks import Learnt, Task, Trains
from clef_ray.train.optimise import learning_rate

BATCH = 64
WEIGHT_DECAY = 1e-5
#: Share of all epochs over which the rate rises.
WARMUP = 0.1
#: Epochs without a better validation loss after which training ends, and the share of the loss that counts as better.
PATIENCE = 5
MIN_DELTA = 1e-3
#: Largest norm of a step's gradient: one odd batch must not undo what pretraining has learnt.
CLIP = 1.0
#: Steps of an epoch at least. Of few training records several passes are one epoch: learning from 1 % of the patients would else end after
#: a handful of steps, and few labels would look worse than they are.
LEAST_STEPS = 10
#: Records embedded at once where no gradient is needed.
AT_ONCE = 256


def trainable_of(material: Material) -> Trainable:
    """The encoder itself. Unanswerable where only features are at hand."""
    if material.trainable is None:
        raise Unanswerable("its learner trains the encoder, and only frozen features are at hand")
    return material.trainable


def draw_seed(problem: Problem, material: Material) -> int:
    """The key of all that is random, 32 bits: another one for every draw of training records, the same for all encoders."""
    return fold("draw", material.seed, *np.flatnonzero(problem.rows.train).tolist())


def train(
    encoder: nn.Module, problem: Problem, task: Learnt, material: Material, layer_decay: float
) -> Answer:
    """Train `encoder` (in place) with a linear head on the training records; the weights of the best epoch on validation answer for
    validation and test records, whose truth no gradient sees. Others are NaN.

    layer_decay: by how much a stage learns more slowly than the next one (`rates`), 1: all alike. extras: `epochs`, after how many it was best;
    `valid_loss`: the mean over validation records of BCE (multilabel, mean over classes), of cross entropy (exclusive) or of the
    absolute error in standard deviations of the training values. On a CPU the same call gives the same bits. Raises TrainingError where a
    loss is not finite.
    """
    rows, seed = problem.rows, draw_seed(problem, material)
    shift, scale = _units(problem)
    truth_NK = torch.from_numpy((problem.truth_NK - shift) / scale).to(torch.float32)
    records = Records(trainable_of(material), task, problem.kind, truth_NK)
    fit = Fit(encoder, records, np.flatnonzero(rows.train), task, layer_decay, seed)
    epochs, loss = fit.until_best(np.flatnonzero(rows.validation))
    judged = np.flatnonzero(rows.validation | rows.test)
    score_NK = np.full(problem.truth_NK.shape, np.nan)
    score_NK[judged] = records.outputs(fit.model, judged).double().cpu().numpy() * scale + shift
    return Answer(score_NK, {"epochs": float(epochs), "valid_loss": loss})


def rates(encoder: nn.Module, layer_decay: float) -> list[tuple[list[nn.Parameter], float]]:
    """The encoder's trainable parameters by stage, first to last, and the share of the learning rate that each has: layer_decay ** (how
    many stages before the head). The head's own share is 1 (Clark et al. 2020, arXiv 2003.10555; Bao et al. 2022, arXiv 2106.08254).

    A stage is a child module of the encoder, or a member of a child that is a Sequential or a ModuleList (a stack of blocks); modules are
    taken in the order in which the encoder registers them, which is to be the order in which signals pass through. Parameters of the encoder
    itself belong to the first stage, and shared ones to the first that has them.
    """
    stages = [list(encoder.parameters(recurse=False))]
    for child in encoder.children():
        members = child if isinstance(child, nn.Sequential | nn.ModuleList) else [child]
        stages += [list(member.parameters()) for member in members]
    if len(stages) > 1:
        stages[:2] = [stages[0] + stages[1]]
    seen: set[nn.Parameter] = set()
    groups = []
    for stage in stages:
        own = [p for p in stage if p.requires_grad and p not in seen]
        seen |= set(own)
        groups += [own] if own else []
    return [(own, layer_decay ** (len(groups) - n)) for n, own in enumerate(groups)]


def batches(rows_N: NDArray[np.int64], seed: int, epoch: int) -> Iterator[NDArray[np.int64]]:
    """An epoch's steps: all records, shuffled, in batches of nearly equal size and at most BATCH; as many passes as make LEAST_STEPS steps.

    A record's place follows from (seed, epoch, pass, record) alone.
    """
    count = math.ceil(len(rows_N) / BATCH)
    for turn in range(math.ceil(LEAST_STEPS / count)):
        drawn_N = hash_u32(fold("order", seed, epoch, turn), torch.from_numpy(rows_N))
        order_N = torch.argsort(drawn_N, stable=True).numpy()
        yield from np.array_split(rows_N[order_N], count)


class Inputs(Protocol):
    """Where records come from; as `Trainable` has it."""

    @property
    def device(self) -> torch.device: ...

    def inputs(self, task: Task, rows_N: NDArray[np.int64]) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Records:
    """The records as the training sees them. truth_NK: as the loss takes it."""

    source: Inputs
    task: Task
    kind: Kind
    truth_NK: Tensor

    def inputs(self, rows_S: NDArray[np.int64]) -> Tensor:
        return self.source.inputs(self.task, rows_S)

    def loss(self, score_SK: Tensor, rows_S: NDArray[np.int64]) -> Tensor:
        """Of every record, [S]."""
        truth_SK = self.truth_NK[torch.from_numpy(rows_S)].to(score_SK.device)
        if self.kind == "multilabel":
            return functional.binary_cross_entropy_with_logits(score_SK, truth_SK, reduction="none").mean(1)
        if self.kind == "exclusive":
            return functional.cross_entropy(score_SK, truth_SK.argmax(1), reduction="none")
        return (score_SK - truth_SK).abs().mean(1)

    def outputs(self, model: nn.Module, rows_S: NDArray[np.int64]) -> Tensor:
        """What a model makes of these records, in evaluation mode and without gradient; no more than AT_ONCE are in memory as mV."""
        model.eval()
        pieces = [rows_S[n : n + AT_ONCE] for n in range(0, len(rows_S), AT_ONCE)]
        with torch.no_grad():
            return torch.cat([model(self.inputs(piece)).float() for piece in pieces])


class _Head(nn.Module):
    """A linear readout that starts at the share of each class whatever the embedding: what it knows before it has looked.

    It sees features standardised as they were before training, as the linear probe does, so that an encoder of small embeddings does not
    learn more slowly than one of large ones. It is linear in the embedding all the same.
    """

    mean_D: Tensor
    scale_D: Tensor

    def __init__(self, z_ND: Tensor, start_K: Tensor) -> None:
        super().__init__()
        deviation_D = z_ND.std(dim=0, correction=0)
        self.register_buffer("mean_D", z_ND.mean(dim=0))
        self.register_buffer("scale_D", torch.where(deviation_D > 0, deviation_D, 1.0))
        self.weight_KD = nn.Parameter(torch.zeros(len(start_K), z_ND.shape[1]))
        self.bias_K = nn.Parameter(start_K)

    def forward(self, z_SD: Tensor) -> Tensor:
        return functional.linear((z_SD - self.mean_D) / self.scale_D, self.weight_KD, self.bias_K)


@dataclass(eq=False)
class Fit:
    """One training: encoder, head, optimiser. embeddings: of the training records before it, [records, D]."""

    encoder: nn.Module
    records: Records
    rows_N: NDArray[np.int64]
    task: Trains
    layer_decay: float
    seed: int
    model: nn.Sequential = field(init=False)
    head: "_Head" = field(init=False)
    embeddings: Tensor = field(init=False)

    def __post_init__(self) -> None:
        task, records = self.task, self.records
        self.embeddings = z_ND = records.outputs(self.encoder, self.rows_N)
        start_K = _start(records.truth_NK[torch.from_numpy(self.rows_N)], records.kind)
        self.head = head = _Head(z_ND, start_K).to(z_ND.device)
        self.model = nn.Sequential(self.encoder, head)
        self.schedule = Optimiser(
            epochs=task.epochs, batch=BATCH, lr=task.lr, lr_min=0.0, warmup_epochs=WARMUP * task.epochs
        )
        groups = [*rates(self.encoder, self.layer_decay), (list(head.parameters()), 1.0)]
        self.optimiser = torch.optim.AdamW(
            [{"params": own, "share": share} for own, share in groups], task.lr, weight_decay=WEIGHT_DECAY
        )

    def until_best(self, validation_N: NDArray[np.int64]) -> tuple[int, float]:
        """Train until the validation loss falls no more; the model then has the weights of the best epoch. Returns that and its loss."""
        best, least, weights = 0, math.inf, self.model.state_dict()
        for epoch in range(1, self.task.epochs + 1):
            self._epoch(epoch)
            score_NK = self.records.outputs(self.model, validation_N)
            loss = float(self.records.loss(score_NK, validation_N).double().mean())
            self._require_finite(loss, "validation", epoch)
            if loss < least * (1 - MIN_DELTA):
                best, least, weights = epoch, loss, copy.deepcopy(self.model.state_dict())
            elif epoch - best >= PATIENCE:
                break
        self.model.load_state_dict(weights)
        return best, least

    def to_the_end(self) -> None:
        """Train for all epochs: where nothing is there to choose by."""
        for epoch in range(1, self.task.epochs + 1):
            self._epoch(epoch)

    def _epoch(self, epoch: int) -> None:
        planned = list(batches(self.rows_N, self.seed, epoch))
        device = self.records.source.device
        total = torch.zeros((), device=device)
        self.model.train()
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(fold("dropout", self.seed, epoch))
            for step, rows_S in enumerate(planned, start=1):
                total += self._step(rows_S, epoch - 1 + step / len(planned))
        self._require_finite(float(total), "training", epoch)

    def _step(self, rows_S: NDArray[np.int64], at: float) -> Tensor:
        """One step; returns its loss. at: epochs trained, counting fractions."""
        for group in self.optimiser.param_groups:
            group["lr"] = group["share"] * learning_rate(self.schedule, at)
        loss = self.records.loss(self.model(self.records.inputs(rows_S)).float(), rows_S).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimiser.step()
        return loss.detach()

    def _require_finite(self, loss: float, of: str, epoch: int) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"task {self.task.name}: the {of} loss of mode {self.task.mode} is not finite in epoch {epoch}; try a smaller lr than "
                f"{self.task.lr:g}"
            )


def _start(truth_NK: Tensor, kind: Kind) -> Tensor:
    """The head's first answer, [K]: log odds or logits of the classes' shares among the training records, half a record added to each side so
    that a class that a draw lacks is unlikely and not impossible; of standardised values 0.
    """
    if kind == "values":
        return torch.zeros(1)
    have_K = truth_NK.sum(dim=0) + 0.5
    return torch.log(have_K / (len(truth_NK) + 1 - have_K)) if kind == "multilabel" else torch.log(have_K)


def _units(problem: Problem) -> tuple[float, float]:
    """(shift, scale) by which the truth is standardised: mean and standard deviation of the training values; of classes none."""
    if problem.kind != "values":
        return 0.0, 1.0
    known_N = problem.truth_NK[problem.rows.train]
    return float(known_N.mean()), float(known_N.std()) or 1.0
