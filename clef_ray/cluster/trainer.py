"""One trial, on one worker in the trial's own process or on several under Ray Train."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import ray.train
import torch
from numpy.typing import NDArray
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.tune.integration.ray_train import TuneReportCallback

from clef_ray.cluster.capacity import Request
from clef_ray.cluster.stream import RayFeed
from clef_ray.config import Run
from clef_ray.distributed import LocalContext
from clef_ray.errors import ClefRayError, TrainingError
from clef_ray.evaluate.monitor import reader
from clef_ray.shards import Corpus, Manifest, read_rows, read_table, row_groups
from clef_ray.store import Store
from clef_ray.train.loop import Feed, MemoryFeed, complete
from clef_ray.trial import Listen, pretrain, run_store

#: How often Ray Train starts a group again from the last checkpoint after a worker or its node is lost.
RESTARTS = 3


@dataclass(frozen=True)
class Source:
    """Where workers find the signals: the shards' folder, and the corpus in the object store where it fits.

    judged: the tasks' corpus, which is always held; it spares the monitor reading the shards where it has its lead.
    """

    folder: str
    fs: float
    leads: tuple[str, ...]
    corpus: Any = None  # ObjectRef[Corpus] | None
    judged: Any = None  # ObjectRef[Corpus] | None

    def feed(self) -> Feed:
        if self.corpus is None:
            return RayFeed(self.folder, self.fs, self.leads)
        held: Corpus = ray.get(self.corpus)
        return MemoryFeed(held.signals_NCT, held.leads)

    def read(self, rows: NDArray[np.int64], lead: str) -> NDArray[np.float32]:
        """Single records, one lead: [rows, T] (evaluate.monitor.Read)."""
        for corpus in filter(None, (self.corpus, self.judged)):
            held: Corpus = ray.get(corpus)
            if lead in held.leads:
                return reader(held)(rows, lead)
        return read_rows(self.folder, rows, self.fs, (lead,))[:, 0]


class TrainContext:
    """A Ray Train worker as the loop sees it (distributed.Context). Checkpoints go to the run's store, not through Ray."""

    def __init__(self, store: Store) -> None:
        context = ray.train.get_context()
        self.rank = int(context.get_world_rank())
        self.world_size = int(context.get_world_size())
        self.device: torch.device = get_device()
        self.store = store

    def report(self, metrics: Mapping[str, float]) -> None:
        ray.train.report(dict(metrics))


def _tables(source: Source) -> tuple[Any, NDArray[np.int64]]:
    """Everything but the signals, and the row group of each record."""
    if source.corpus is not None:
        held: Corpus = ray.get(source.corpus)
        return held.table, held.groups
    return read_table(source.folder), row_groups(Manifest.load(source.folder))


def _worker(config: dict[str, Any]) -> str | None:
    """Returns why training went wrong where it did: an error would make Ray start the group again, to go the same way."""
    run, source = config["run"], config["source"]
    table, groups = _tables(source)
    context = TrainContext(run_store(config["storage"], run))
    try:
        pretrain(run, table, groups, source.feed(), context, source.read, config["micro_batch"])
    except TrainingError as error:  # in every worker at once: each has the mean of all
        return str(error)
    return None


def pretrain_in_process(run: Run, source: Source, storage: str, request: Request, listen: Listen) -> None:
    """Pretrain with one worker: this process, no worker group."""
    device = "cuda" if request.gpus_per_worker > 0 else "cpu"
    table, groups = _tables(source)
    context = LocalContext(run_store(storage, run), device, listen)
    pretrain(run, table, groups, source.feed(), context, source.read, request.micro_batch)


def pretrain_in_group(run: Run, source: Source, storage: str, request: Request) -> None:
    """Pretrain with several workers under Ray Train, inside a Tune trial. ClefRayError with the workers' reason if it fails,
    TrainingError, after one try, if the training itself went wrong.
    """
    trainer = TorchTrainer(
        _worker,
        train_loop_config={
            "run": run,
            "source": source,
            "storage": storage,
            "micro_batch": request.micro_batch,
        },
        torch_config=TorchConfig(backend="nccl" if request.gpus_per_worker > 0 else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=request.workers_per_trial,
            use_gpu=request.gpus_per_worker > 0,
            resources_per_worker=request.worker_resources(),
        ),
        run_config=ray.train.RunConfig(
            name=run.fingerprint(),
            storage_path=Store(storage).child("ray").path(),
            failure_config=ray.train.FailureConfig(max_failures=RESTARTS),
            callbacks=[TuneReportCallback()],
        ),
    )
    try:
        why = trainer.fit().return_value
    except ray.train.TrainingFailedError as error:
        raise ClefRayError(f"the workers failed {RESTARTS + 1} times: {_reason(error)}") from error
    if why is not None:
        raise TrainingError(why)
    if not complete(run_store(storage, run)):
        raise ClefRayError(f"run {run.fingerprint()}: the workers ended without finishing")


def _reason(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
