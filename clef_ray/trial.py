"""One trial: pretrain, then evaluate; each part is skipped where the store holds its result. No Ray.

`storage/runs/<fingerprint>/` holds a run: checkpoint.pt (while it trains), encoder.pt and pretrain.json (once COMPLETE), and
`evaluate/<fingerprint>.npz`, one file per task.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.ablation import Outcome, Trial
from clef_ray.augment import NoiseBank, window
from clef_ray.config import Run, Spec, SplitName, evaluation_fingerprint
from clef_ray.datasets import covariates_of
from clef_ray.distributed import Context, LocalContext
from clef_ray.errors import DataError
from clef_ray.evaluate.embedder import Embedder
from clef_ray.evaluate.inputs import SPLITS
from clef_ray.evaluate.monitor import Monitor, Read, reader
from clef_ray.evaluate.run import TaskResult, run_task
from clef_ray.registry import METHODS, SCORES, TASKS
from clef_ray.scores import fit, risk
from clef_ray.shards import Corpus
from clef_ray.store import Store
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

#: Records that are in mV at once while embeddings are made.
AT_ONCE = 1024

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
    """A COMPLETE run's record: history, seconds, leakage counts."""
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
    earlier = 0.0
    if METHODS.get(run.method.name).trains:
        people = subjects(run, table)
        plan = read_plan(run, people, rows, row_groups)
        trainer = Trainer(run, people, plan, feed, context, micro_batch, bank)
        if context.rank == 0:
            earlier = sum(epoch["seconds"] for epoch in history_so_far(context.store))
        watch = Monitor.of(run, table, feed.leads, read, context.device) if context.rank == 0 else None
        history, encoder = trainer.fit(watch), trainer.encoder
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
    tasks: Sequence[Spec],
    corpus: Corpus,
    store: Store,
    device: str = "auto",
    split: SplitName = "official",
) -> dict[str, TaskResult]:
    """Every task's result on the split's test patients; tasks whose result is stored are read, not run.

    ConfigError where pretraining saw patients of the same data that the split judges on; DataError where a task has to be run and the
    encoder has been freed.
    """
    if run.data == corpus.manifest.fingerprint and METHODS.get(run.method.name).trains:
        SPLITS[split].refuse_seen(run.train_folds)
    results: dict[str, TaskResult] = {}
    features: dict[str, NDArray[np.float32]] = {}
    for spec in tasks:
        name = f"evaluate/{evaluation_fingerprint(run, spec, corpus.manifest.fingerprint, split)}.npz"
        if store.exists(name):
            results[spec.name] = TaskResult.from_bytes(store.read_bytes(name))
            continue
        task = spec.build(TASKS)
        if task.lead not in corpus.leads:
            raise DataError(
                f"task {spec.name!r} needs lead {task.lead}; the shards hold {', '.join(corpus.leads)}"
            )
        _require_encoder(run, spec, store)
        if task.lead not in features:
            features[task.lead] = _features(Embedder.load(store.path(), device), corpus, task.lead)
        risk_N, age_sex_risk_N = _task_risks(task, corpus.table)
        manifest = corpus.manifest
        result = run_task(
            task,
            features[task.lead],
            corpus.table,
            manifest.label_sets,
            manifest.headline,
            risk_N,
            age_sex_risk_N=age_sex_risk_N,
            split=SPLITS[split],
        )
        store.write_bytes(name, result.to_bytes())
        results[spec.name] = result
    return results


def _require_encoder(run: Run, spec: Spec, store: Store) -> None:
    """A finished run whose encoder is gone: `clef-ray gc --encoders` takes it once a report has judged the run, by the tasks of then."""
    if complete(store) and not store.exists(ENCODER):
        raise DataError(
            f"task {spec.name!r} has not judged run {run.fingerprint()} yet, and the run's encoder is gone (`clef-ray gc --encoders` frees "
            f"it): delete {store.path(RECORD)} and start the same command again; it trains the run anew"
        )


def _features(encoder: Embedder, corpus: Corpus, lead: str) -> NDArray[np.float32]:
    """Embeddings [N, D] of every record's first window. Only some records are in mV at any time."""
    width = window(encoder.run.signals, corpus.signals.raw_NKT.shape[-1])
    rows_N = np.arange(len(corpus.table))
    return np.concatenate(
        [
            encoder.features(corpus.millivolts(rows_N[n : n + AT_ONCE], lead)[:, :width])
            for n in range(0, len(rows_N), AT_ONCE)
        ]
    )


def _task_risks(
    task: Any, table: pd.DataFrame
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """The score a zero-shot task correlates with, and the same from age and sex alone, each [N] in %; None for other tasks.

    Missing fields other than age and sex stand at their centre; in the second all of them are missing.
    """
    if task.kind != "zeroshot":
        return None, None
    score, covariates = SCORES.get(task.score)(), covariates_of(table)
    age_sex = {
        name: value_N if name in ("age", "sex") else np.full_like(value_N, np.nan)
        for name, value_N in covariates.items()
    }
    patient_N, fill = table["patient"].to_numpy(dtype=str), fit("centre", covariates, score.fields)
    return risk(score, covariates, patient_N, fill).value_N, risk(score, age_sex, patient_N, fill).value_N


def load_outcome(
    trial: Trial, tasks: Sequence[Spec], data: str, storage: str, split: SplitName = "official"
) -> Outcome | None:
    """A finished trial from the store, or None where its pretraining or a task is missing."""
    store = run_store(storage, trial.run)
    if not complete(store):
        return None
    results: dict[str, TaskResult] = {}
    for spec in tasks:
        name = f"evaluate/{evaluation_fingerprint(trial.run, spec, data, split)}.npz"
        if not store.exists(name):
            return None
        results[spec.name] = TaskResult.from_bytes(store.read_bytes(name))
    record = record_of(store)
    return Outcome(
        trial,
        "COMPLETE",
        results,
        record["history"],
        {**seconds_of(store), "pretrain": record["seconds"]},
    )
