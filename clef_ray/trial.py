"""One trial: pretrain, then evaluate; each part is skipped where the store holds its result. No Ray.

`storage/runs/<fingerprint>/` holds a run: checkpoint.pt (while it trains), encoder.pt and pretrain.json (once COMPLETE),
`evaluate/<fingerprint>.npz`, one file per task and corpus, and `features/<fingerprint>.npy`, its embeddings of a corpus.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.ablation import Outcome, Trial
from clef_ray.augment import NoiseBank
from clef_ray.config import Run, SplitName
from clef_ray.distributed import Context, LocalContext
from clef_ray.errors import DataError
from clef_ray.evaluate.embedder import Embedder
from clef_ray.evaluate.features import Features
from clef_ray.evaluate.gaps import with_gaps
from clef_ray.evaluate.inputs import SPLITS
from clef_ray.evaluate.judging import Asked, Judging
from clef_ray.evaluate.monitor import Monitor, Read, reader
from clef_ray.evaluate.problem import Material
from clef_ray.evaluate.run import TaskResult, run_task
from clef_ray.registry import METHODS, TASKS
from clef_ray.shards import Corpus, Records
from clef_ray.store import Store
from clef_ray.train.cost import NOTHING, Meter
from clef_ray.train.feed import Feed, resident
from clef_ray.train.loop import (
    ENCODER,
    RECORD,
    Trainer,
    build_encoder,
    complete,
    finish,
    history_so_far,
)
from clef_ray.train.subjects import read_plan, subjects, training_rows

#: Beside pretrain.json, since a run may be evaluated again, or stopped before there is one.
SECONDS = "seconds.json"

Listen = Callable[[dict[str, float]], None]


def run_store(storage: str, run: Run) -> Store:
    """Where a run lies."""
    return Store(storage).child("runs").child(run.fingerprint())


def keep_seconds(store: Store, seconds: Mapping[str, float]) -> None:
    """Keep what a run took with the run: a later process that finds it finished, or stopped, knows its cost."""
    store.write_bytes(SECONDS, json.dumps(dict(seconds)).encode())


def seconds_of(store: Store) -> dict[str, float]:
    """What is known of a run's cost: `pretrain`, `evaluate`, `wall`, in seconds; empty where nothing is."""
    return dict(json.loads(store.read_bytes(SECONDS))) if store.exists(SECONDS) else {}


def record_of(store: Store) -> dict[str, Any]:
    """A COMPLETE run's record: history, seconds, cost, leakage counts."""
    record: dict[str, Any] = json.loads(store.read_bytes(RECORD))
    return record


def pretrain(
    run: Run,
    table: pd.DataFrame,
    row_groups: NDArray[np.int64],
    feed: Feed,
    context: Context,
    read: Read,
    micro_batch: int | None = None,
    bank: NoiseBank | None = None,
) -> None:
    """Pretrain a run unless its store holds it already. Every worker of a group calls this; rank 0 writes.

    read: single records' signals: the validation patients', for the metrics of each epoch (evaluate/monitor.py); micro_batch: records
    encoded at once (train/pieces.py); hardware, not part of the run's identity; bank: the noise that views.noise names
    (`augment.bank_of`), None where it is synthetic.
    """
    if complete(context.store):
        return
    run, begin = run.canonical(), time.perf_counter()
    rows = training_rows(run, table)
    history: list[dict[str, float]] = []
    earlier, cost = 0.0, dict(NOTHING)
    if METHODS.get(run.method.name).trains:
        meter, people = Meter(context.device), subjects(run, table)
        plan = read_plan(run, people, rows, row_groups)
        rows = plan.rows  # without those that the method cannot use
        trainer = Trainer(run, people, plan, feed, context, micro_batch, bank, table, meter)
        if context.rank == 0:
            earlier = sum(epoch["seconds"] for epoch in history_so_far(context.store))
        watch = Monitor.of(run, table, feed.leads, read, context.device) if context.rank == 0 else None
        history, encoder = trainer.fit(watch), trainer.encoder
        cost = meter.cost(steps=run.epochs * plan.steps, batch=plan.batch, workers=context.world_size)
    else:
        encoder = build_encoder(run)
    if context.rank == 0:
        held_out = table.loc[~table["fold"].isin(run.train_folds), "patient"].nunique()
        facts = {
            "leads": list(feed.leads),
            "records": len(rows),
            "patients": int(table["patient"].iloc[rows].nunique()),
            "patients_excluded": int(held_out),
            "workers": context.world_size,
            "seconds": earlier + time.perf_counter() - begin,
            "cost": cost,
        }
        finish(run, encoder, history, context.store, facts)


def pretrain_here(
    run: Run,
    corpus: Corpus,
    store: Store,
    listen: Listen | None = None,
    device: str = "auto",
    micro_batch: int | None = None,
    bank: NoiseBank | None = None,
) -> None:
    """Pretrain in this process on a corpus in memory."""
    context = LocalContext(store, device, listen)
    feed = resident(corpus.signals, corpus.leads, context.device, alone=True)
    pretrain(run, corpus.table, corpus.groups, feed, context, reader(corpus), micro_batch, bank)


def evaluate(
    run: Run,
    judging: Judging,
    home: Records,
    store: Store,
    targets: Mapping[str, Records] | None = None,
    device: str = "auto",
) -> dict[str, TaskResult]:
    """Every task's result, on the corpus of pretraining and on each target, by the key of its metrics; what is stored is read, not run.

    home, targets: the corpora that `judging` names. ConfigError where pretraining saw patients of the same data that the split judges on;
    DataError where the encoder is needed and has been freed.
    """
    corpora = {"": home, **(targets or {})}
    marks = {corpus.manifest.fingerprint for corpus in corpora.values()}
    if run.data in marks and METHODS.get(run.method.name).trains:
        SPLITS[judging.split].refuse_seen(run.train_folds)
    encoder = _Encoder(run, store, device)
    materials = _materials(encoder, corpora, judging.split)
    results: dict[str, TaskResult] = {}
    for asked in judging.asked(run):
        if not store.exists(asked.file):
            encoder.needed_by = asked.task.name
            result = run_task(asked.task.build(TASKS), materials[asked.target])
            store.write_bytes(asked.file, result.to_bytes())
        results[asked.key] = _stored(asked, store)
    return with_gaps(judging.gaps, results)


def _stored(asked: Asked, store: Store) -> TaskResult:
    """A result as it is kept, its metrics called after the target that is asked about: another name for the same corpus changes no result."""
    result = TaskResult.from_bytes(store.read_bytes(asked.file))
    return result.prefixed(asked.target) if asked.target else result


class _Encoder:
    """A run's encoder, read when it is needed: tasks that find their embeddings in the store do without it.

    needed_by: the task that is being answered.
    """

    needed_by = ""

    def __init__(self, run: Run, store: Store, device: str) -> None:
        self.run, self.store, self._device = run, store, device
        self._read: Embedder | None = None

    def __call__(self) -> Embedder:
        """DataError where `clef-ray gc --encoders` took it: it does so once a report has judged the run, by the tasks of then."""
        if self._read is None:
            if complete(self.store) and not self.store.exists(ENCODER):
                raise DataError(
                    f"task {self.needed_by!r} has not judged run {self.run.fingerprint()} yet, and the run's encoder is gone (`clef-ray gc "
                    f"--encoders` frees it): delete {self.store.path(RECORD)} and start the same command again; it trains the run anew"
                )
            self._read = Embedder.load(self.store.path(), self._device)
        return self._read


def _materials(encoder: _Encoder, corpora: Mapping[str, Records], split: SplitName) -> dict[str, Material]:
    """What each corpus gives a task to work with; "" is the one of pretraining."""
    home: Material | None = None
    materials = {}
    for name, corpus in corpora.items():
        features = Features(encoder.run, encoder, corpus, encoder.store)
        materials[name] = Material(corpus.table, corpus.manifest, features, features, home, SPLITS[split])
        home = home or materials[name]
    return materials


def load_outcome(trial: Trial, judging: Judging, storage: str) -> Outcome | None:
    """A finished trial from the store, or None where its pretraining or a result is missing."""
    store = run_store(storage, trial.run)
    if not complete(store):
        return None
    results: dict[str, TaskResult] = {}
    for asked in judging.asked(trial.run):
        if not store.exists(asked.file):
            return None
        results[asked.key] = _stored(asked, store)
    record = record_of(store)
    return Outcome(
        trial,
        "COMPLETE",
        with_gaps(judging.gaps, results),
        record["history"],
        {**seconds_of(store), "pretrain": record["seconds"]},
        record.get("cost", {}),
    )
