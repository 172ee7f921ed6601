"""One encoder on one corpus: its frozen embeddings, made once per lead and rate, and the encoder itself for learners that change it."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clef_ray.augment import preprocess
from clef_ray.config import Spec
from clef_ray.evaluate.embedder import Embedder
from clef_ray.evaluate.problem import Unanswerable
from clef_ray.registry import TASKS
from clef_ray.shards import Corpus
from clef_ray.signal.filters import resample
from clef_ray.tasks import Task, lead_in
from clef_ray.train.loop import build_encoder

#: Records that are in mV at once while embeddings are made.
AT_ONCE = 1024


class Features:
    """`Material.features` and `Material.trainable` of an encoder on a corpus in memory."""

    def __init__(self, encoder: Embedder, corpus: Corpus) -> None:
        self._encoder, self._corpus = encoder, corpus
        self._made: dict[tuple[str, float | None], NDArray[np.float32]] = {}

    @property
    def device(self) -> torch.device:
        return self._encoder.device

    def __call__(self, task: Task) -> NDArray[np.float32]:
        """Embeddings [N, D] of every record's first window. Only some records are in mV at any time."""
        key = (self._lead(task), task.rate)
        if key not in self._made:
            rows_N = np.arange(len(self._corpus.table))
            parts = [rows_N[n : n + AT_ONCE] for n in range(0, len(rows_N), AT_ONCE)]
            self._made[key] = np.concatenate(
                [self._encoder.features(self._millivolts(task, part_N)) for part_N in parts]
            )
        return self._made[key]

    def pretrained(self) -> nn.Module:
        return copy.deepcopy(self._encoder.encoder)

    def blank(self, seed: int) -> nn.Module:
        return build_encoder(replace(self._encoder.run, seed=seed)).to(self.device)

    def inputs(self, task: Task, rows_N: NDArray[np.int64]) -> Tensor:
        x_BT = torch.from_numpy(self._millivolts(task, rows_N)).to(self.device)
        return preprocess(x_BT, self._encoder.run.signals)[:, None]

    def _lead(self, task: Task) -> str:
        lead = lead_in(task, self._corpus.leads)
        if lead is None:
            raise Unanswerable(f"it needs lead {task.lead}; the shards hold {', '.join(self._corpus.leads)}")
        return lead

    def _millivolts(self, task: Task, rows_N: NDArray[np.int64]) -> NDArray[np.float32]:
        """The window that the encoder sees, [rows, T]; of a corpus whose records are shorter than that, whole records."""
        signals, corpus = self._encoder.run.signals, self._corpus
        x_NT = corpus.millivolts(rows_N, self._lead(task))
        if task.rate is not None and task.rate != corpus.fs:
            x_NT = resample(resample(x_NT, corpus.fs, task.rate), task.rate, corpus.fs)
        return np.ascontiguousarray(x_NT[:, : round(signals.seconds * signals.fs)])


def task_leads(tasks: Sequence[Spec], leads: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the shards' leads that the tasks judge."""
    judged = {lead_in(task.build(TASKS), leads) for task in tasks}
    return tuple(lead for lead in leads if lead in judged)
