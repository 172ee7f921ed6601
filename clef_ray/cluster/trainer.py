"""One trial, on one worker in the trial's own process or on several under Ray Train."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import ray
import ray.train
import torch
from numpy.typing import NDArray
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.util.queue import Empty, Queue

from clef_ray.augment import bank_of
from clef_ray.cluster.capacity import Request
from clef_ray.cluster.elastic import attainable
from clef_ray.cluster.stream import RayFeed
from clef_ray.config import Run
from clef_ray.distributed import LocalContext
from clef_ray.errors import ClefRayError, ConfigError, DataError, TrainingError
from clef_ray.evaluate.monitor import reader
from clef_ray.shards import Corpus, Manifest, read_rows, read_table, row_groups
from clef_ray.store import Store
from clef_ray.train.feed import Feed, resident
from clef_ray.train.loop import complete
from clef_ray.trial import Listen, pretrain, run_store

#: Errors that the same run would meet again, however often it is tried.
FINAL = (TrainingError, ConfigError, DataError)

#: How often Ray Train tries again to start a group that gets no resources or loses a worker while it starts; by itself it would for ever.
GROUP_STARTS = 3

#: Seconds after which a worker that waits for the others gives up; torch's own half an hour hides a lost worker for so long.
COLLECTIVE_SECONDS = 600

#: Seconds between two looks whether the group has ended, while no epoch of it arrives.
LOOK_SECONDS = 0.5


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

    def feed(self, device: torch.device, *, alone: bool) -> Feed:
        """alone: whether the worker has its GPU for itself."""
        if self.corpus is None:
            return RayFeed(self.folder, self.fs, self.leads)
        held: Corpus = ray.get(self.corpus)
        return resident(held.signals, held.leads, device, alone=alone)

    def read(self, rows: NDArray[np.int64], lead: str) -> NDArray[np.float32]:
        """Single records, one lead: [rows, T] (evaluate.monitor.Read)."""
        for corpus in filter(None, (self.corpus, self.judged)):
            held: Corpus = ray.get(corpus)
            if lead in held.leads:
                return reader(held)(rows, lead)
        return read_rows(self.folder, rows, self.fs, (lead,)).millivolts()[:, 0]


class Messenger(ray.train.UserCallback):  # type: ignore[misc]  # an untyped class
    """Sends each epoch's metrics of rank 0, and a handle of the controller that it runs in, to whoever started the group."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue

    def after_report(
        self,
        run_context: Any,  # noqa: ARG002 - Ray's signature
        metrics: list[dict[str, Any]],
        checkpoint: ray.train.Checkpoint | None,  # noqa: ARG002
    ) -> None:
        self.queue.put((metrics[0], ray.get_runtime_context().current_actor))


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


def _worker(run: Run, source: Source, storage: str, request: Request) -> None:
    table, groups = _tables(source)
    context = TrainContext(run_store(storage, run))
    feed, bank = source.feed(context.device, alone=request.alone), bank_of(run.views, storage)
    pretrain(run, table, groups, feed, context, source.read, request.micro_batch, bank)


def pretrain_in_process(run: Run, source: Source, storage: str, request: Request, listen: Listen) -> None:
    """Pretrain with one worker: this process, no worker group."""
    device = "cuda" if request.gpus_per_worker > 0 else "cpu"
    table, groups = _tables(source)
    context = LocalContext(run_store(storage, run), device, listen)
    feed, bank = source.feed(context.device, alone=request.alone), bank_of(run.views, storage)
    pretrain(run, table, groups, feed, context, source.read, request.micro_batch, bank)


def pretrain_in_group(run: Run, source: Source, storage: str, request: Request, listen: Listen) -> None:
    """Pretrain with several workers under Ray Train: once. `listen` hears of every epoch, in the caller's thread.

    Where a worker meets one of our own errors, that error: TrainingError, ConfigError and DataError would come again, whoever tries. Where a
    worker or its node is lost, ClefRayError: whoever called may call again, and the group goes on from the last checkpoint, with fewer
    workers where there is no place for all any more (elastic.py). Ray Train's own restarts are off because they cannot tell these two apart.
    """
    request = attainable(run, request)
    queue = Queue(actor_options={"num_cpus": 0})
    # By itself Ray would open the URI without our patience.
    filesystem, path = Store(storage).child("ray").filesystem()
    trainer = TorchTrainer(
        # in one piece: Ray's controller would unpickle a config, and import all that it is made of
        partial(_worker, run, source, storage, request),
        torch_config=TorchConfig(
            backend="nccl" if request.gpus_per_worker > 0 else "gloo", timeout_s=COLLECTIVE_SECONDS
        ),
        scaling_config=ray.train.ScalingConfig(
            num_workers=request.workers_per_trial,
            use_gpu=request.gpus_per_worker > 0,
            resources_per_worker=request.worker_resources(),
        ),
        run_config=ray.train.RunConfig(
            name=run.fingerprint(),
            storage_path=path,
            storage_filesystem=filesystem,
            failure_config=ray.train.FailureConfig(max_failures=0, controller_failure_limit=GROUP_STARTS),
            callbacks=[Messenger(queue)],
        ),
    )
    try:
        _fit(trainer, queue, listen)
    except ray.train.TrainingFailedError as error:
        raise _cause(error) from error
    if not complete(run_store(storage, run)):
        raise ClefRayError(f"run {run.fingerprint()}: the workers ended without finishing")


def _fit(trainer: TorchTrainer, queue: Queue, listen: Listen) -> None:
    """Hand what arrives in the queue to `listen` until the trainer has ended, to the last of it; the trainer's own error is raised.

    Ray's TuneReportCallback does so from the thread that Tune's process takes results with: where the group ends before Tune has asked for its
    last epoch, that thread waits for itself, for ever.
    """
    controller = None
    with ThreadPoolExecutor(1, "ray-train") as thread:
        fitted = thread.submit(trainer.fit)
        try:
            while True:
                ended = fitted.done()  # asked before the queue is: what was sent is in it by then
                try:
                    metrics, controller = queue.get(timeout=LOOK_SECONDS)
                except Empty:
                    if ended:
                        break
                else:
                    listen(metrics)
        finally:
            # Where Tune stops the trial, `listen` does not return: the group ends with its controller, and Tune may use this process again.
            if controller is not None and not fitted.done():
                ray.kill(controller)
    queue.shutdown()
    fitted.result()


def _cause(error: Exception) -> ClefRayError:
    """What stopped the group: the error of ours that a worker met, first of all one that would come again, else that workers were lost.

    The others of the group meet the loss of their connection to it, which says nothing.
    """
    failures = error.worker_failures.values() if isinstance(error, ray.train.WorkerGroupError) else ()
    ours = [failure for failure in failures if isinstance(failure, ClefRayError)]
    if ours:
        return next((failure for failure in ours if isinstance(failure, FINAL)), ours[0])
    return ClefRayError(f"the group of workers broke off: {_last_line(error)}")


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
