"""A PhysioNet database onto this disk, with wfdb's own client: resumed within a file, and every file checked against SHA256SUMS.txt.

wfdb's `dl_files` holds whole files in memory and keeps nothing of one that broke off; so its ranged transfers are used directly, two
at once, which is the most that its connection pool allows. An unfinished file is called NAME.part; only a verified one has its name.
"""

import hashlib
import posixpath
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path, PurePosixPath
from threading import Event, Lock

from wfdb.io import download as client
from wfdb.io._url import NetFileNotFoundError, NetFilePermissionError, RangeTransfer

from clef_ray.errors import DataError, StorageError

SUMS = "SHA256SUMS.txt"

#: Transfers at once: PhysioNet asks for few, and wfdb's pool has two connections.
CONNECTIONS = 2

#: Transfers of one file that may break off one after the other, without a byte more, before it is given up; seconds between them.
ATTEMPTS, PAUSE = 4, 2.0

#: A line of SHA256SUMS.txt: digest, spaces (or a star for binary mode), path.
_LINE = re.compile(r"([0-9a-fA-F]{64})[ *]+(.+)")


@dataclass(frozen=True, slots=True)
class File:
    """One published file: its path below the database, and the sha256 it must have."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one file. problem: empty where it is there and right; downloaded: bytes that came over the network."""

    file: File
    downloaded: int
    problem: str = ""


def published_files(database: str, root: Path) -> list[File]:
    """The files of "slug/version", from its SHA256SUMS.txt, which is stored in `root`.

    DataError: no such database or no such list there, no permission, or a list that is none. StorageError: `root` cannot be written.
    """
    url = posixpath.join(client.config.db_index_url, database, SUMS)
    try:
        with RangeTransfer(url, 0, None) as transfer:
            text = transfer.content()[1].decode("utf-8", errors="replace")
    except NetFileNotFoundError as error:
        raise DataError(f"{url}: not there; without it nothing can be verified") from error
    except NetFilePermissionError as error:
        raise DataError(f"{url}: the server wants an account; sign in on the database's page") from error
    except OSError as error:
        raise DataError(
            f"{url}: cannot be fetched. Is this machine on the network, or does it need a proxy (HTTPS_PROXY)? In detail: {error}"
        ) from error
    files = parse_sums(text, url)
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / SUMS).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{root}: cannot be written: {error.strerror}") from error
    return files


def parse_sums(text: str, where: str) -> list[File]:
    """The files a list of checksums names, in its order. DataError: a line is none, or a path leads out of the folder."""
    files = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        path = PurePosixPath(found[2].removeprefix("./")) if found else None
        if found is None or path is None or path.is_absolute() or ".." in path.parts:
            raise DataError(f"{where}: line {number} is no checksum with a path below the folder")
        files.append(File(str(path), found[1].lower()))
    return files


def chosen(files: Sequence[File], only: Sequence[str], limit: int | None) -> list[File]:
    """Those that match one of the patterns `only` (all where there are none; * also matches /), and of these the first `limit`."""
    found = [f for f in files if not only or any(fnmatchcase(f.path, pattern) for pattern in only)]
    return found[:limit]


def fetch_all(
    database: str,
    files: Iterable[File],
    root: Path,
    on_bytes: Callable[[int], None],
    on_file: Callable[[Fetched], None],
) -> None:
    """Bring every file below `root` and verify it. on_bytes, on_file: told of what came and of each file that is done, from threads.

    Ctrl-C and StorageError (disk full) end it in good order: what has come stays and is gone on with.
    """
    base = posixpath.join(client.config.db_index_url, database)
    left, lock, over = iter(files), Lock(), Event()

    def work() -> None:  # one of few, each taking the next file: a million of them are not queued
        while not over.is_set():
            with lock:
                file = next(left, None)
            if file is None:
                return
            on_file(fetch(posixpath.join(base, file.path), file, root, on_bytes, over))

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        try:
            for future in as_completed([pool.submit(work) for _ in range(CONNECTIONS)]):
                future.result()
        finally:
            over.set()


def fetch(url: str, file: File, root: Path, on_bytes: Callable[[int], None], over: Event) -> Fetched:
    """One file: verified where it is there, gone on with where it is begun, else fetched."""
    target = root / file.path
    part = target.with_name(f"{target.name}.part")
    downloaded = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            if _sha256(target) == file.sha256:
                return Fetched(file, 0)
            target.replace(
                part
            )  # another client's unfinished file, perhaps: go on with it, and let the digest tell
        for fresh in (False, True):
            if fresh:
                part.unlink(missing_ok=True)
            came, problem = _complete(url, part, on_bytes, over)
            downloaded += came
            if problem:
                return Fetched(file, downloaded, problem)
            if _sha256(part) == file.sha256:
                part.replace(target)
                return Fetched(file, downloaded)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror}. What has come is kept") from error
    part.unlink(missing_ok=True)
    return Fetched(file, downloaded, f"has another sha256 than {SUMS} says, fetched anew too")


def _complete(url: str, part: Path, on_bytes: Callable[[int], None], over: Event) -> tuple[int, str]:
    """Fetch what `part` lacks, however often the transfer breaks off. Returns the bytes that came, and the problem where it is not whole."""
    came, failures = 0, 0
    while True:
        size = part.stat().st_size if part.exists() else 0
        try:
            return came + _transfer(url, part, size, on_bytes, over), ""
        except _StoppedError:
            return came, "stopped"
        except NetFileNotFoundError:
            return came, "not on the server"
        except NetFilePermissionError:
            return came, "the server wants an account"
        except _BrokenError as error:
            more = max((part.stat().st_size if part.exists() else 0) - size, 0)
            came += more
            failures = 0 if more else failures + 1
            if failures >= ATTEMPTS:
                return came, f"broke off: {error}"
            time.sleep(PAUSE if failures else 0)


class _BrokenError(Exception):
    """The network or the server failed; another attempt may do."""


class _StoppedError(Exception):
    """Another thread failed or the person pressed Ctrl-C."""


def _transfer(url: str, part: Path, size: int, on_bytes: Callable[[int], None], over: Event) -> int:
    """One request for what is missing from byte `size` on, appended as it comes. Returns the bytes that came."""
    # Not as a context: that would read the rest of a file which is stopped in the middle.
    chunks = _chunks(url, size)
    came = 0
    first = next(chunks, None)
    with part.open("r+b" if size else "wb") as file:
        for start, data in chain([] if first is None else [first], chunks):
            if over.is_set():
                raise _StoppedError
            file.seek(start)  # a server without ranges sends all from the start
            file.write(data)
            came += len(data)
            on_bytes(len(data))
    return came


def _chunks(url: str, size: int) -> Iterator[tuple[int, bytes]]:
    """The pieces of a file from byte `size` on, with where they belong; what the network does wrong is a _BrokenError."""
    try:
        yield from RangeTransfer(url, size, None).iter_chunks()
    except (NetFileNotFoundError, NetFilePermissionError):
        raise
    except OSError as error:
        raise _BrokenError(str(error)) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
