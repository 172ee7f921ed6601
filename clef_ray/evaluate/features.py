"""One encoder on one corpus: its frozen embeddings, made once per lead and rate and kept with the run, and the encoder itself for learners
that change it.
"""

import copy
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clef_ray.augment import preprocess
from clef_ray.config import EVALUATION_VERSION, Run, Spec, fingerprint
from clef_ray.evaluate.embedder import Embedder
from clef_ray.evaluate.problem import Unanswerable
from clef_ray.randomness import fold
from clef_ray.registry import TASKS
from clef_ray.shards import Corpus
from clef_ray.signal.filters import resample
from clef_ray.store import Store
from clef_ray.tasks import Task, lead_in
from clef_ray.train.loop import build_encoder

#: Where a run keeps its embeddings, `<fingerprint>.npy` each.
FOLDER = "features"

#: Records that are in mV at once while embeddings are made.
AT_ONCE = 1024


class Features:
    """`Material.features` and `Material.trainable` of a run's encoder on a corpus in memory.

    load: gives the encoder, which is asked for when something has to be computed with it, and not where all embeddings are there already;
    store: the run's, where embeddings are kept.
    """

    def __init__(self, run: Run, load: Callable[[], Embedder], corpus: Corpus, store: Store) -> None:
        self._run, self._load, self._corpus, self._store = run, load, corpus, store
        self._made: dict[str, NDArray[np.float32]] = {}

    @property
    def device(self) -> torch.device:
        return self._load().device

    def __call__(self, task: Task) -> NDArray[np.float32]:
        """Embeddings [N, D] of every record's first window, float32. Read where the run's store has them; else computed, with only some records
        in mV at any time, and written there. A file that is damaged or of other records is told (a warning), computed again and replaced.
        """
        name = self._file(task)
        if name not in self._made:
            kept = self._kept(name)
            self._made[name] = self._computed(task) if kept is None else kept
            if kept is None:
                content = io.BytesIO()
                np.save(content, self._made[name], allow_pickle=False)
                self._store.write_bytes(name, content.getvalue())
        return self._made[name]

    def _file(self, task: Task) -> str:
        return _name(self._run, self._corpus.manifest.fingerprint, self._lead(task), task.rate)

    def _kept(self, name: str) -> NDArray[np.float32] | None:
        """What the store has; None where that is nothing, or nothing that can be used."""
        if not self._store.exists(name):
            return None
        found, records = _array(self._store.read_bytes(name)), len(self._corpus.table)
        if found is not None and found.ndim == 2 and len(found) == records and found.dtype == np.float32:
            return found
        warnings.warn(
            f"{self._store.path(name)} is damaged, or not float32 [{records}, dimensions]: the embeddings are computed again",
            stacklevel=3,
        )
        return None

    def _computed(self, task: Task) -> NDArray[np.float32]:
        encoder, rows_N = self._load(), np.arange(len(self._corpus.table))
        parts = [rows_N[n : n + AT_ONCE] for n in range(0, len(rows_N), AT_ONCE)]
        z_ND: NDArray[np.float32] = np.concatenate(
            [encoder.features(self._millivolts(task, part_N)) for part_N in parts]
        ).astype(np.float32)
        return z_ND

    def pretrained(self) -> nn.Module:
        return copy.deepcopy(self._load().encoder)

    def blank(self, seed: int) -> nn.Module:
        return build_encoder(replace(self._run, seed=fold("blank", self._run.seed, seed))).to(self.device)

    @property
    def window(self) -> float:
        signals = self._run.signals
        return min(signals.seconds, float(self._corpus.signals.raw_NKT.shape[2] / signals.fs))

    def inputs(
        self, task: Task, rows_N: NDArray[np.int64], span: tuple[float, float] | None = None
    ) -> Tensor:
        signals, x_BT = self._run.signals, self._millivolts(task, rows_N)
        # Cut before it is filtered: the filter would carry 2 s of what is cut off into it.
        if span is not None:
            x_BT = np.ascontiguousarray(x_BT[:, round(span[0] * signals.fs) : round(span[1] * signals.fs)])
        return preprocess(torch.from_numpy(x_BT).to(self.device), signals)[:, None]

    def _lead(self, task: Task) -> str:
        lead = lead_in(task, self._corpus.leads)
        if lead is None:
            raise Unanswerable(f"it needs lead {task.lead}; the shards hold {', '.join(self._corpus.leads)}")
        return lead

    def _millivolts(self, task: Task, rows_N: NDArray[np.int64]) -> NDArray[np.float32]:
        """The window that the encoder sees, [rows, T]; of a corpus whose records are shorter than that, whole records."""
        signals, corpus = self._run.signals, self._corpus
        x_NT = corpus.millivolts(rows_N, self._lead(task))
        if task.rate is not None and task.rate != corpus.fs:
            x_NT = resample(resample(x_NT, corpus.fs, task.rate), task.rate, corpus.fs)
        return np.ascontiguousarray(x_NT[:, : round(signals.seconds * signals.fs)])


def stored_features(run: Run, data: str, lead: str, store: Store) -> NDArray[np.float32] | None:
    """What a run's store keeps of its embeddings of a corpus (its fingerprint) in one lead, [N, D]; None where there is nothing usable."""
    name = _name(run, data, lead, None)
    found = _array(store.read_bytes(name)) if store.exists(name) else None
    return found if found is not None and found.ndim == 2 and found.dtype == np.float32 else None


def _name(run: Run, data: str, lead: str, rate: float | None) -> str:
    """Named by all that embeddings depend on: the encoder, the records, and what is cut out of them. Not by the device: its rounding is."""
    window = {"lead": lead, "rate": rate, "fs": run.signals.fs, "seconds": run.signals.seconds}
    content = {"run": run.fingerprint(), "data": data, **window}
    return f"{FOLDER}/{fingerprint({'features': EVALUATION_VERSION, **content})}.npy"


def _array(content: bytes) -> NDArray[np.float32] | None:
    """The array of an .npy file's content; None where it is none."""
    try:
        found = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError):
        return None
    return found if isinstance(found, np.ndarray) else None


def task_leads(tasks: Sequence[Spec], leads: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the shards' leads that the tasks judge."""
    asked: list[Task] = [task.build(TASKS) for task in tasks]
    judged = {lead_in(task, leads) for task in asked} | {lead for task in asked for lead in task.more_leads}
    return tuple(lead for lead in leads if lead in judged)
