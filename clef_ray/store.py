"""One folder, local or in an object store, with the few operations that runs, shards and reports need.

A path or URI (`storage`, `/data/x`, `s3://bucket/x`) goes through pyarrow's file systems, which Ray uses too. Local writes are atomic and
durable: a reader sees the old file or the new one, never half of it, and what was written is still there after the power was cut. An S3
store that is away for a while is waited for (remote/); a local disk that is full says so at once.

Names may come from files that a stranger made (a manifest's parts): one that would leave the folder is refused.
"""

import hashlib
import os
import re
import socket
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil
import pyarrow as pa
import pyarrow.fs as pafs

from clef_ray.errors import StorageError
from clef_ray.remote import PATIENCE, open_s3, put, reason

#: A file that is being written: whose (host, process), and a number of its own. The end is what `clef_ray.gc` knows them by.
_TEMPORARY = re.compile(r"\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)\.[0-9a-f]{8}\.tmp$")

#: Seconds after which a temporary file is given up whoever wrote it: one lives as long as a single write.
_ABANDONED = 3600.0

#: Bytes that are hashed at a time.
_PIECE = 1 << 22


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored file: its name, its size in bytes, when it was written in seconds since 1970."""

    name: str
    size: int
    modified: float


@dataclass(frozen=True)
class Store:
    """A folder named by a path or URI. Names are relative to it, with forward slashes. StorageError: a name that leads out of it.

    patience: seconds for which an S3 store that is away is waited for, by every operation.
    """

    uri: str
    patience: float = PATIENCE

    def filesystem(self) -> tuple[pafs.FileSystem, str]:
        """As other libraries take it: the file system, with the same patience, and this folder's path in it. Nothing is asked yet."""
        if self.uri.startswith("s3://"):
            return open_s3(self.uri, self.patience)
        root = self.uri if "://" in self.uri else str(Path(self.uri).absolute())
        try:
            filesystem, path = pafs.FileSystem.from_uri(root)
        except (pa.ArrowInvalid, OSError) as error:
            raise StorageError(f"cannot open storage {self.uri!r}: {error}") from error
        return filesystem, path

    def _at(self, name: str) -> tuple[pafs.FileSystem, str]:
        self._check(name)
        filesystem, path = self.filesystem()
        return filesystem, f"{path}/{name}" if name else path

    def _check(self, name: str) -> None:
        """A URI's path ends at a question mark or hash, and a per cent sign stands for any other character."""
        special = "?#%" if "://" in self.uri else ""
        if name.startswith("/") or ".." in name.split("/") or any(c in name for c in f"\0{special}"):
            raise StorageError(
                f"{name!r} is no name for a file in {self.uri}: names are relative, without '..', a NUL byte"
                + (f" or any of {special}" if special else "")
            )

    @property
    def local(self) -> bool:
        """Whether this is a folder of this machine's file system."""
        return "://" not in self.uri or self.uri.startswith("file://")

    def child(self, name: str) -> "Store":
        self._check(name)
        return Store(self._below(self.uri, name), self.patience)

    def path(self, name: str = "") -> str:
        """The name's full path or URI, as other libraries take it; absolute where local."""
        self._check(name)
        base = self.uri if "://" in self.uri else str(Path(self.uri).absolute())
        return self._below(base, name)

    @classmethod
    def holding(cls, path: str) -> tuple["Store", str]:
        """The folder that a file lies in, and its name there: of a path or URI as `path` gives it. A URI's options go with the folder."""
        place, mark, options = path.partition("?") if "://" in path else (path, "", "")
        folder, _, name = place.rpartition("/")
        return cls(f"{folder or '.'}{mark}{options}"), name

    @staticmethod
    def _below(base: str, name: str) -> str:
        """A URI's options (`?endpoint_override=...`) stay at its end."""
        place, mark, options = base.partition("?") if "://" in base else (base, "", "")
        place = place.rstrip("/") or place
        return f"{place}/{name}{mark}{options}" if name else f"{place}{mark}{options}"

    @contextmanager
    def _told(self, action: str, name: str) -> Iterator[None]:
        """An OSError (no right, disk full, endpoint out of reach) becomes a StorageError that names the place."""
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"cannot {action} {self.path(name)}: {reason(self.filesystem()[0], error)}"
            ) from error

    def exists(self, name: str = "") -> bool:
        """Whether there is such a file or folder. StorageError where the place cannot be asked."""
        filesystem, path = self._at(name)
        with self._told("look at", name):
            return bool(filesystem.get_file_info(path).type != pafs.FileType.NotFound)

    def list(self, prefix: str = "") -> list[str]:
        """Names of the files and folders directly below `prefix`, sorted; empty where there is none. StorageError: cannot be listed."""
        filesystem, path = self._at(prefix)
        with self._told("list", prefix):
            found = filesystem.get_file_info(pafs.FileSelector(path, allow_not_found=True))
        return sorted(str(info.base_name) for info in found)

    def walk(self, prefix: str = "", *, recursive: bool = True) -> Iterator[Entry]:
        """Every file below `prefix`, at any depth or directly, in no particular order; none where there is no such folder.

        StorageError where it cannot be listed.
        """
        self._check(prefix)
        filesystem, root = self._at("")
        where = f"{root}/{prefix}" if prefix else root
        with self._told("list", prefix):
            found = filesystem.get_file_info(
                pafs.FileSelector(where, allow_not_found=True, recursive=recursive)
            )
        for info in found:
            if info.type == pafs.FileType.File:
                yield Entry(info.path.removeprefix(f"{root}/"), int(info.size), info.mtime_ns / 1e9)

    def open_input(self, name: str) -> pa.NativeFile:
        """Random-access input; StorageError where there is no such file."""
        filesystem, path = self._at(name)
        with self._told("read", name):
            return filesystem.open_input_file(path)

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO | pa.NativeFile]:
        """As `open_input`, for the `with` statement, within which an error of reading is a StorageError too.

        A local file comes as the system's own: thousands of small reads cost half of what they do through pyarrow.
        """
        filesystem, path = self._at(name)
        here = isinstance(filesystem, pafs.LocalFileSystem)
        with (
            self._told("read", name),
            Path(path).open("rb", buffering=0) if here else filesystem.open_input_file(path) as source,
        ):
            yield source

    def read_bytes(self, name: str) -> bytes:
        with self.open_input(name) as stream, self._told("read", name):
            return bytes(stream.read())

    def digest(self, name: str) -> str:
        """sha256 of a file's bytes in hexadecimal, read in pieces. StorageError where there is no such file."""
        found = hashlib.sha256()
        with self.open_input(name) as stream, self._told("read", name):
            while piece := stream.read_buffer(_PIECE):
                found.update(piece)
        return found.hexdigest()

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write atomically, on to the disk (an object store's put is so by itself). StorageError where it cannot be written."""
        filesystem, path = self._at(name)
        with self._told("write", name):
            if isinstance(filesystem, pafs.LocalFileSystem):
                _write_local(Path(path), data)
                return
            put(filesystem, path, data)

    def sweep(self) -> None:
        """Delete, directly below, the temporary files of processes that were killed; those of living ones stay."""
        for entry in self.walk(recursive=False) if self.local else ():
            if (found := _TEMPORARY.search(entry.name)) and _abandoned(found, entry.modified):
                self.delete(entry.name)

    def delete(self, name: str) -> None:
        """Delete a file, or a folder with all in it; one that is not there is no error. StorageError where it cannot be deleted."""
        filesystem, path = self._at(name)
        with self._told("delete", name):
            kind = filesystem.get_file_info(path).type
            with suppress(
                FileNotFoundError
            ):  # gone since: by another process, or by a request whose answer was lost
                if kind == pafs.FileType.Directory:
                    filesystem.delete_dir(path)
                elif kind != pafs.FileType.NotFound:
                    filesystem.delete_file(path)

    def check_writable(self) -> None:
        """StorageError with the reason when nothing can be written here."""
        name = f".writable-{uuid.uuid4().hex[:8]}"
        self.write_bytes(name, b"")
        self.delete(name)


def _write_local(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{_host()}-{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)  # the new name is durable only with its folder
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _host() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _abandoned(temporary: re.Match[str], modified: float) -> bool:
    here = temporary["host"] == _host()
    return (here and not psutil.pid_exists(int(temporary["pid"]))) or time.time() - modified > _ABANDONED
