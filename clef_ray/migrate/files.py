"""Files from one storage to another: local folder, S3, Google Cloud; compared by size and sha256, and read back after the copy."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

from clef_ray.errors import StorageError
from clef_ray.migrate import Count, Tell
from clef_ray.store import Entry, Store

#: The folders of a storage that another storage takes over. Not `mlflow` and `optuna`, whose databases are copied by their rows; not
#: `leases` and `ray`, which speak of processes of this place.
FOLDERS = ("shards", "runs", "reports", "noise")

#: What a write or a check of the storage leaves for a moment only.
_PASSING = re.compile(r"(\.[0-9a-f]{8}\.tmp|(^|/)\.writable-[0-9a-f]{8})$")


def copy_folders(
    source: str, target: str, folders: Sequence[str], tell: Tell, *, dry_run: bool, overwrite: bool
) -> list[Count]:
    """The named folders below `source` to the same names below `target`; a Count each of those that hold a file.

    A file that is there and has another size or sha256 differs. One file at a time is held in memory. StorageError: a place that cannot be
    read or written, or that gives back other bytes than were written.
    """
    here, there = Store(source), Store(target)
    counts = []
    for name in folders:
        files = [e for e in here.walk(name) if not _PASSING.search(e.name)]
        if files:
            counts.append(_copy(here, there, name, files, tell, dry_run=dry_run, overwrite=overwrite))
    return counts


def copy_folder(source: str, target: str, tell: Tell, *, dry_run: bool, overwrite: bool) -> Count:
    """Everything below `source`, as `copy_folders` does it."""
    here = Store(source)
    files = [e for e in here.walk() if not _PASSING.search(e.name)]
    return _copy(here, Store(target), "files", files, tell, dry_run=dry_run, overwrite=overwrite)


def _copy(
    here: Store,
    there: Store,
    what: str,
    files: Iterable[Entry],
    tell: Tell,
    *,
    dry_run: bool,
    overwrite: bool,
) -> Count:
    count, ordered = Count(what), sorted(files, key=lambda e: e.name)
    # One listing instead of a question per file, which an object store answers slowly.
    known = {entry.name: entry.size for entry in _listed(there, what)}
    for done, entry in enumerate(ordered, 1):
        if entry.name not in known:
            _write(here, there, entry.name, dry_run=dry_run)
            count.copied, count.size = count.copied + 1, count.size + entry.size
        elif known[entry.name] == entry.size and here.digest(entry.name) == there.digest(entry.name):
            count.there += 1
        elif overwrite:
            _write(here, there, entry.name, dry_run=dry_run)
            count.copied, count.size = count.copied + 1, count.size + entry.size
        else:
            count.differs(entry.name)
        tell(what, done, len(ordered))
    return count


def _listed(there: Store, what: str) -> Iterator[Entry]:
    return there.walk("" if what == "files" else what)


def _write(here: Store, there: Store, name: str, *, dry_run: bool) -> None:
    if dry_run:
        return
    content = here.read_bytes(name)
    there.write_bytes(name, content)
    if there.digest(name) != hashlib.sha256(content).hexdigest():
        raise StorageError(f"{there.path(name)} holds other bytes than were written to it")
