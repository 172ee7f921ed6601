"""Ingestion in parallel: Ray Data maps the parts of a dataset, one task per part, anywhere in the cluster."""

import pickle
from collections.abc import Mapping
from functools import partial
from typing import Any

import ray
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from clef_ray.cluster.stream import set_up_data
from clef_ray.datasets import Dataset
from clef_ray.errors import ClefRayError
from clef_ray.registry import DATASETS
from clef_ray.sections import Filters, Quality
from clef_ray.shards import Manifest, Plan, write_part
from clef_ray.store import Store

#: Options of datasets that are files or folders; a task's working folder may be another one.
PATHS = ("root", "map", "hosp", "ed", "scored", "lvef")


def ingest(
    dataset_name: str,
    options: Mapping[str, Any],
    out: str,
    *,
    records_per_part: int = 500,
    max_bad: float = 0.05,
    progress: bool = True,
    quality: Quality = Quality(),  # noqa: B008 - frozen
    filters: Filters = Filters(),  # noqa: B008 - frozen
) -> Manifest:
    """Ingest a dataset (name and options, see clef_ray.datasets) into the shard folder `out`, on the Ray that is running.

    The same as `shards.ingest_local` with the parts written in parallel, to the same bytes: resumable; where all is done the parts are only
    verified, and a new folder is needed to read the dataset again. Relative paths (`out`, the options PATHS) count from here, not from where
    a task runs; `out` and the dataset's files must be reachable from every node. progress: a bar, where the output is a terminal.
    quality, filters: what is set aside, and what is done to the samples; part of the ingestion's identity.
    """
    chosen = DATASETS.options(dataset_name, options, f"dataset {dataset_name}")
    for key in PATHS:
        if chosen.get(key):  # empty or None: not given
            chosen[key] = Store(chosen[key]).path()
    dataset: Dataset = DATASETS.get(dataset_name)(**chosen)
    plan, store = Plan(dataset, records_per_part, quality, filters), Store(Store(out).path())
    task = partial(_task, name=dataset_name, options=chosen, out=store.uri, quality=quality, filters=filters)

    def write(files: list[str]) -> None:
        _write_parts(plan, files, task, progress)

    return plan.carry_out(store, max_bad, write)


def _task(
    item: dict[str, Any],
    name: str,
    options: Mapping[str, Any],
    out: str,
    quality: Quality,
    filters: Filters,
) -> dict[str, Any]:
    """One part, in a Ray task: the dataset is made anew there, and gets only the part's rows.

    An error that the user can put right is handed over as a result: raised here, it would arrive wrapped in Ray's own, with the cause lost.
    """
    try:
        dataset: Dataset = DATASETS.get(name)(**options)
        rows = pickle.loads(item["rows"])  # noqa: S301 - pickled below
        summary = write_part(dataset, rows, Store(out), item["file"], quality, filters)
    except ClefRayError as error:
        return {"records": 0, "bad": 0, "error": pickle.dumps(error)}
    bad = len(summary.quarantined)
    return {"records": summary.part.records + bad, "bad": bad, "error": b""}


class _Speed(ProgressColumn):
    """Records per second, over the last parts."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} records/s" if task.speed else "")


def _write_parts(plan: Plan, files: list[str], task: partial[dict[str, Any]], progress: bool) -> None:
    set_up_data()
    items = [{"file": file, "rows": pickle.dumps(plan.rows(file))} for file in files]
    console = Console(stderr=True)
    columns = (
        TextColumn("ingest"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("records, {task.fields[bad]} set aside,"),
        _Speed(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not (progress and console.is_terminal)) as bar:
        shown = bar.add_task("ingest", total=sum(len(plan.rows(file)) for file in files), bad=0)
        bad = 0
        for done in ray.data.from_items(items, override_num_blocks=len(items)).map(task).iter_rows():
            if done["error"]:
                raise pickle.loads(done["error"])  # noqa: S301 - pickled by our own task
            bad += done["bad"]
            bar.update(shown, advance=done["records"], bad=bad)
