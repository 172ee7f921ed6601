"""A run's frozen embeddings of shards by Ray Data: any number of workers, and no more signals in memory than they work on.

They are written where evaluation looks for them (evaluate/features.py), and are those that it would make itself, but for rounding.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from clef_ray.cluster.stream import set_up_data
from clef_ray.config import Spec
from clef_ray.errors import ConfigError
from clef_ray.evaluate.embedder import Embedder
from clef_ray.evaluate.features import file_name, keep, pieces, windows
from clef_ray.registry import TASKS
from clef_ray.shards import Manifest, read_rows
from clef_ray.store import Store
from clef_ray.tasks import Task, lead_in


class _Worker:
    """One of Ray Data's processes, with the encoder."""

    def __init__(self, run: str, folder: str, lead: str, rate: float | None) -> None:
        self.encoder = Embedder.load(run)
        self.folder, self.lead, self.rate = folder, lead, rate

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        rows, signals = np.arange(int(batch["start"][0]), int(batch["stop"][0])), self.encoder.run.signals
        x_NT = read_rows(self.folder, rows, signals.fs, (self.lead,)).millivolts()[:, 0]
        return {"row": rows, "z": self.encoder.features(windows(x_NT, signals, self.rate))}


def embed_shards(run: str, folder: str, tasks: Sequence[Spec], workers: int, *, gpus: float = 0.0) -> int:
    """Make the embeddings that the tasks want of the shards in `folder` and that the run's store lacks, on the Ray that runs; how many
    files were made.

    run: its folder or URI, which, like `folder`, every node must see; workers: at most so many processes, of one CPU and `gpus` GPUs each. ConfigError below 1.
    """
    if workers < 1:
        raise ConfigError(f"--workers {workers}: at least 1 is needed")
    made, judged = 0, Embedder.load(run, "cpu").run
    store, manifest = Store(run), Manifest.load(folder)
    for lead, rate in sorted(_wanted(tasks, manifest), key=str):
        name = file_name(judged, manifest.fingerprint, lead, rate)
        if not store.exists(name):
            keep(store, name, _embed(run, folder, lead, rate, manifest.records, workers, gpus))
            made += 1
    return made


def _wanted(tasks: Sequence[Spec], manifest: Manifest) -> set[tuple[str, float | None]]:
    """The leads and rates that the tasks judge; a task whose lead the shards lack says so when it is asked."""
    asked: list[Task] = [task.build(TASKS) for task in tasks]
    found = {
        (lead, task.rate) for task in asked for lead in (lead_in(task, manifest.leads), *task.more_leads)
    }
    return {(lead, rate) for lead, rate in found if lead in manifest.leads}


def _embed(
    run: str, folder: str, lead: str, rate: float | None, records: int, workers: int, gpus: float
) -> NDArray[np.float32]:
    set_up_data()
    spans = [{"start": int(rows[0]), "stop": int(rows[-1]) + 1} for rows in pieces(records)]
    parts = ray.data.from_items(spans, override_num_blocks=len(spans)).map_batches(
        _Worker,
        fn_constructor_args=(run, folder, lead, rate),
        batch_size=1,
        concurrency=(1, min(workers, len(spans))),
        num_cpus=1,
        num_gpus=gpus,
    )
    z_ND: NDArray[np.float32] | None = None
    for batch in parts.iter_batches(batch_size=None, batch_format="numpy"):
        if z_ND is None:
            z_ND = np.empty((records, batch["z"].shape[1]), dtype=np.float32)
        z_ND[batch["row"]] = batch["z"]
    assert z_ND is not None, "a manifest has at least one record"
    return z_ND
