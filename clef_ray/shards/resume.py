"""What makes a shard folder survive a kill at any moment: a plan that is written first, parts that are only trusted with their summary.

Each file is written whole (`Store.write_bytes`), a part before its summary. So a part without a summary, or one that is not what its summary
says, was cut off, and is made again from its source.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from clef_ray.errors import DataError, StorageError
from clef_ray.shards.manifest import MANIFEST, PLAN, changed
from clef_ray.shards.schema import canonical
from clef_ray.shards.writer import PartSummary, sidecar
from clef_ray.store import Store


def claim(store: Store, identity: Mapping[str, Any]) -> None:
    """Make the folder this plan's, and clear away what a killed process left.

    DataError: the folder holds something else, or shards made otherwise (the first parameter that differs is named).
    """
    store.sweep()
    mine = json.loads(canonical(identity))
    if store.exists(PLAN):
        theirs = json.loads(store.read_bytes(PLAN))
        if (difference := _difference(theirs, mine)) is not None:
            raise DataError(
                f"{store.path()} was made with other parameters: {difference}; choose another folder"
            )
    elif present := store.list():
        raise DataError(
            f"{store.path()} is not empty ({present[0]}, ...) and not a shard folder; choose another folder"
        )
    else:
        store.write_bytes(PLAN, canonical(identity))


def pending(store: Store, files: Sequence[str], again: Callable[[PartSummary], bool]) -> list[str]:
    """Which of the parts are still to be written, in order; none where a manifest says that all were.

    A part that another process wrote is trusted when its size and its digest are what its summary says. again: parts to be tried once more
    though they are complete. A folder that had a manifest and lacks a part loses its manifest: it is not finished any more.
    """
    sizes = {entry.name: entry.size for entry in store.walk(recursive=False)}
    present = [file for file in files if {file, sidecar(file)} <= sizes.keys()]
    if MANIFEST in sizes and len(present) == len(files):
        return []
    trusted = {}
    for file in present:
        summary = _summary(store, file)
        if summary and summary.part.size == sizes[file] and (MANIFEST in sizes or not again(summary)):
            trusted[file] = summary.part
    torn = set(changed(store, list(trusted.values())))
    store.delete(MANIFEST)
    return [file for file in files if file not in trusted or file in torn]


@contextmanager
def told_what_is_kept(store: Store, files: Sequence[str]) -> Iterator[None]:
    """A StorageError on the way (a full disk) says what is kept and how to go on."""
    try:
        yield
    except StorageError as error:
        try:
            present = set(store.list())
        except StorageError:  # the place is away altogether
            raise error from None
        complete = sum({file, sidecar(file)} <= present for file in files)
        raise StorageError(
            f"{error}. Kept are {complete} of {len(files)} parts, complete; once that is put right, start the same command again and it goes on"
        ) from error


def _summary(store: Store, file: str) -> PartSummary | None:
    try:
        return PartSummary.load(store, file)
    except DataError:
        return None


def _difference(theirs: Mapping[str, Any], mine: Mapping[str, Any], where: str = "") -> str | None:
    """The first key on which two plans differ, with both values."""
    for key in sorted({*theirs, *mine}):
        a, b = theirs.get(key), mine.get(key)
        if a != b:
            if isinstance(a, Mapping) and isinstance(b, Mapping):
                return _difference(a, b, f"{where}{key}.")
            return f"{where}{key} is {a!r} there and {b!r} here"
    return None
