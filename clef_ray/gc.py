"""What nothing needs any more in a storage, and freeing it. The rule:

- a finished run's checkpoint goes (its encoder.pt is the result), an unfinished run's stays: the run goes on from it;
- of unfinished runs those are given up that a report calls stopped early, or gone wrong by themselves, and that no report calls anything
  else: nobody goes on from their checkpoints, so these go. Whoever wants such a run all the same trains it from its beginning;
- Ray Train's notes on finished runs go, and what an ended process left behind: temporary files, probes, shards without a manifest;
- a finished run's embeddings go (its encoder makes them again when a task needs them), unless its encoder is gone: then they are all that a
  further task could still be answered from; and unless a report that draws embeddings names the run: its pictures are made from them;
- encoders stay, unless they are asked for: then those go of runs that a report has judged in full, but for its best arm's and its winner's,
  and with them what is left of their embeddings that no report draws, which is told as a kind of its own;
- results (pretrain.json, evaluate/*.npz), manifests, reports, MLflow's and Optuna's records never go, so every comparison can be made again.

Nothing goes that was written within the hour: a sweep may be at work on it.
"""

import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from clef_ray.distributed import CHECKPOINT
from clef_ray.errors import ConfigError, DataError
from clef_ray.evaluate.features import FOLDER
from clef_ray.report import record
from clef_ray.shards.manifest import MANIFEST, PLAN
from clef_ray.store import Entry, Store
from clef_ray.train.loop import ENCODER, RECORD

HOUR, DAY = 3600.0, 86400.0

#: What each kind of garbage is, in the order in which it is told.
KINDS = {
    "checkpoints": "of finished runs, whose encoder.pt is the result",
    "given-up checkpoints": "of runs that were stopped early or went wrong by themselves: nobody goes on from them",
    "encoders": "of runs that a report has judged, and which are neither its best nor its winner",
    "embeddings": "of finished runs, whose encoder makes them again when a task needs them",
    "last embeddings": "of judged runs whose encoder is gone or goes: a further task has to train such a run again",
    "notes of Ray Train": "on finished runs",
    "unfinished shards": "an ingestion that ended a day ago without a manifest; another start makes them from the source",
    "temporary files": "of writes that were cut off more than a day ago",
    "probes": "that asked whether the storage can be written and is shared",
}

#: How `Store.write_bytes` and `Store.check_writable` name what they write for a moment only.
_TEMPORARY = re.compile(r"\.[0-9a-f]{8}\.tmp$")
_PROBE = re.compile(r"(^|/)(\.writable-[0-9a-f]{8}|\.shared/probe)$")


@dataclass(frozen=True, slots=True)
class Garbage:
    """A file or folder below the storage that nothing needs: what it is (of `KINDS`), its name, its size in bytes."""

    kind: str
    name: str
    size: int


def find(storage: str, *, older_than: float = 0.0, encoders: bool = False) -> list[Garbage]:
    """What can go, in the order of KINDS.

    older_than: days, >= 0; what was written since stays, beyond the hour (or day) that always stays. encoders: these too.
    Raises ConfigError for other days, StorageError where the storage cannot be listed, DataError where a report's record is damaged, or
    (with `encoders`) was written by a version whose runs have other names.
    """
    if not (math.isfinite(older_than) and older_than >= 0):
        raise ConfigError(f"--older-than {older_than:g}: give days, 0 or more")
    store, now = Store(storage), time.time()
    hour, day = (now - max(age, older_than * DAY) for age in (HOUR, DAY))
    runs = _by_folder(store.walk("runs"))
    finished = {mark for mark, files in runs.items() if f"runs/{mark}/{RECORD}" in {f.name for f in files}}
    quiet = [*chain(*(files for files in runs.values() if _newest(files) < hour))]
    spent = _judged(store) & finished if encoders else set()
    records = list(_records(store))
    drawn = _drawn(records)
    found = []
    for kind, names in (
        ("checkpoints", _files(finished, CHECKPOINT)),
        ("given-up checkpoints", _files(_given_up(records) - finished, CHECKPOINT)),
        ("encoders", _files(spent, ENCODER)),
    ):
        found += [Garbage(kind, e.name, e.size) for e in quiet if e.name in names]
    for kind, marks in (("embeddings", _with(runs, finished, ENCODER) - spent), ("last embeddings", spent)):
        folders = {f"runs/{mark}/{FOLDER}" for mark in marks - drawn}
        found += [
            Garbage(kind, e.name, e.size)
            for e in quiet
            if e.name.endswith(".npy") and e.name.rpartition("/")[0] in folders
        ]
    notes = {mark: files for mark, files in _by_folder(store.walk("ray")).items() if mark in finished}
    found += _folders("notes of Ray Train", "ray", notes, hour)
    shards = _by_folder(store.walk("shards"))
    found += _folders("unfinished shards", "shards", _without_manifest(shards), day)
    gone = {g.name for g in found if g.kind == "unfinished shards"}
    rest = [*chain(*runs.values(), *shards.values()), *store.walk("reports"), *_probes(store)]
    rest = [e for e in rest if "/".join(e.name.split("/")[:2]) not in gone]
    found += [
        Garbage("temporary files", e.name, e.size)
        for e in rest
        if _TEMPORARY.search(e.name) and e.modified < day
    ]
    found += [Garbage("probes", e.name, e.size) for e in rest if _PROBE.search(e.name) and e.modified < hour]
    return found


def free(storage: str, garbage: Iterable[Garbage]) -> None:
    """Delete it. StorageError where something cannot be deleted; the same call goes on."""
    store = Store(storage)
    for item in garbage:
        store.delete(item.name)


def _by_folder(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The files of runs/NAME/..., ray/NAME/... or shards/NAME/... by NAME."""
    folders: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        _, name, *below = entry.name.split("/")
        if below:
            folders[name].append(entry)
    return folders


def _newest(files: Sequence[Entry]) -> float:
    return max(e.modified for e in files)


def _with(runs: Mapping[str, list[Entry]], marks: Iterable[str], name: str) -> set[str]:
    """Those of the runs that have such a file."""
    return {mark for mark in marks if f"runs/{mark}/{name}" in {e.name for e in runs[mark]}}


def _files(marks: Iterable[str], name: str) -> set[str]:
    return {f"runs/{mark}/{name}" for mark in marks}


def _folders(kind: str, parent: str, folders: dict[str, list[Entry]], before: float) -> list[Garbage]:
    """Whole folders in which nothing was written since `before`."""
    return [
        Garbage(kind, f"{parent}/{name}", sum(e.size for e in files))
        for name, files in folders.items()
        if _newest(files) < before
    ]


def _without_manifest(shards: dict[str, list[Entry]]) -> dict[str, list[Entry]]:
    """Shard folders (their plan says so) whose ingestion has not come to its end."""
    unfinished = {}
    for name, files in shards.items():
        names = {e.name for e in files}
        if f"shards/{name}/{PLAN}" in names and f"shards/{name}/{MANIFEST}" not in names:
            unfinished[name] = files
    return unfinished


def _probes(store: Store) -> Iterator[Entry]:
    """The storage's own files; not those in the folders of MLflow and Optuna, which know best themselves."""
    yield from store.walk(recursive=False)
    yield from store.walk(".shared")


def _reports(store: Store) -> Iterator[Store]:
    """The folders of reports that say what they were made of."""
    reports = store.child("reports")
    yield from (folder for folder in map(reports.child, reports.list()) if folder.exists(record.RECORD))


def _records(store: Store) -> Iterator[Mapping[str, Any]]:
    """The reports' records as they are: one of a version whose runs have other names says as much about those names."""
    for folder in _reports(store):
        try:
            yield json.loads(folder.read_bytes(record.RECORD))
        except ValueError as error:
            raise DataError(
                f"{folder.path(record.RECORD)} is damaged ({error}): start its experiment again, or delete the folder"
            ) from error


def _drawn(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """The runs of reports that draw embeddings."""
    drawing = [content for content in records if content["ablation"].get("clouds") is not None]
    return {trial["fingerprint"] for content in drawing for trial in content["trials"]}


def _given_up(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """Runs whose every mention in a report's record is an outcome from which nobody goes on: PRUNED, or FAILED and not lost."""
    ended: set[str] = set()
    needed: set[str] = set()
    for content in records:
        winner = content["study"]["winner"] if content["study"] else []
        over = {(o["arm"], o["seed"]) for o in content["outcomes"] if _is_over(o)}
        ended |= {o["fingerprint"] for o in winner if _is_over(o)}
        ended |= {t["fingerprint"] for t in content["trials"] if (t["arm"], t["seed"]) in over}
        needed |= {o["fingerprint"] for o in winner if not _is_over(o)}
        needed |= {t["fingerprint"] for t in content["trials"] if (t["arm"], t["seed"]) not in over}
    return ended - needed


def _is_over(outcome: Mapping[str, Any]) -> bool:
    return outcome["state"] == "PRUNED" or (outcome["state"] == "FAILED" and not outcome.get("lost", False))


def _judged(store: Store) -> set[str]:
    """Runs of which every report that names them has all results, and that are neither the best arm's nor the winner's of one.

    A run that no report names (`clef-ray pretrain`) is not among them: its encoder is all there is.
    """
    judged: set[str] = set()
    needed: set[str] = set()
    for folder in _reports(store):
        made = record.load(folder, store.uri)
        done = {o.trial.run.fingerprint() for o in made.outcomes if o.state == "COMPLETE"}
        judged |= done
        needed |= {t.run.fingerprint() for t in made.plan.trials} - done
        needed |= _best(made)
    return judged - needed


def _best(made: record.Report) -> set[str]:
    """The runs of the arm with the highest mean of the first headline metric; of a sweep those of what it found, and its winner's."""
    if made.study is not None:
        arms = {row.arm for row in made.study.rows if row.number in made.study.best}
        winner = {o.trial.run.fingerprint() for o in made.study.winner}
    else:
        metric, winner = made.plan.ablation.headline[0], set()
        values: dict[str, list[float]] = defaultdict(list)
        for outcome in made.outcomes:
            if math.isfinite(value := outcome.metrics.get(metric, math.nan)):
                values[outcome.trial.arm.name].append(value)
        means = {arm: sum(v) / len(v) for arm, v in values.items()}
        arms = {arm for arm, value in means.items() if value == max(means.values())}
    return winner | {t.run.fingerprint() for t in made.plan.trials if t.arm.name in arms}
