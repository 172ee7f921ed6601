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
from clef_ray.sections import Signals
from clef_ray.shards import Records
from clef_ray.signal.filters import resample
from clef_ray.store import Store
from clef_ray.tasks import Task, lead_in
from clef_ray.train.loop import build_encoder

#: Where a run keeps its embeddings, `<fingerprint>.npy` each.
FOLDER = "features"

#: Records that are in mV at once while embeddings are made.
AT_ONCE = 1024


class Features:
    """`Material.features` and `Material.trainable` of a run's encoder on a corpus.

    load: gives the encoder, which is asked for when something has to be computed with it, and not where all embeddings are there already;
    store: the run's, where embeddings are kept.
    """

    def __init__(self, run: Run, load: Callable[[], Embedder], corpus: Records, store: Store) -> None:
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
                keep(self._store, name, self._made[name])
        return self._made[name]

    def _file(self, task: Task) -> str:
        return file_name(self._run, self._corpus.manifest.fingerprint, self._lead(task), task.rate)

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
        encoder, parts = self._load(), pieces(len(self._corpus.table))
        made = [encoder.features(self._millivolts(task, part_N)) for part_N in parts]
        return np.concatenate(made).astype(np.float32)

    def pretrained(self) -> nn.Module:
        return copy.deepcopy(self._load().encoder)

    def blank(self, seed: int) -> nn.Module:
        return build_encoder(replace(self._run, seed=fold("blank", self._run.seed, seed))).to(self.device)

    @property
    def window(self) -> float:
        signals = self._run.signals
        return min(signals.seconds, float(self._corpus.samples / signals.fs))

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
        return windows(self._corpus.millivolts(rows_N, self._lead(task)), self._run.signals, task.rate)


def windows(x_NT: NDArray[np.float32], signals: Signals, rate: float | None) -> NDArray[np.float32]:
    """What the encoder sees of records at the training rate, [N, T]; of records that are shorter than that, the whole.

    rate [Hz]: what a task limits them to first.
    """
    if rate is not None and rate != signals.fs:
        x_NT = resample(resample(x_NT, signals.fs, rate), rate, signals.fs)
    return np.ascontiguousarray(x_NT[:, : round(signals.seconds * signals.fs)])


def pieces(records: int) -> list[NDArray[np.int64]]:
    """The positions of the records that are embedded together, the same ones wherever it is done."""
    return [np.arange(n, min(n + AT_ONCE, records)) for n in range(0, records, AT_ONCE)]


def keep(store: Store, name: str, z_ND: NDArray[np.float32]) -> None:
    """Write embeddings where `Features` looks for them."""
    content = io.BytesIO()
    np.save(content, z_ND, allow_pickle=False)
    store.write_bytes(name, content.getvalue())


def stored_features(run: Run, data: str, lead: str, store: Store) -> NDArray[np.float32] | None:
    """What a run's store keeps of its embeddings of a corpus (its fingerprint) in one lead, [N, D]; None where there is nothing usable."""
    name = file_name(run, data, lead, None)
    found = _array(store.read_bytes(name)) if store.exists(name) else None
    return found if found is not None and found.ndim == 2 and found.dtype == np.float32 else None


def file_name(run: Run, data: str, lead: str, rate: float | None) -> str:
    """Where a run's store has its embeddings: named by all that embeddings depend on: the encoder, the records, and what is cut out of them. Not by the device: its rounding is."""
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
