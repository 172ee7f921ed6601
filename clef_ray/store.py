"""One folder, local or in an object store, with the few operations that runs, shards and reports need.

A path or URI (`storage`, `/data/x`, `s3://bucket/x`) goes through pyarrow's file systems, which Ray uses too. Local writes are atomic:
a reader sees the old file or the new one, never half of it.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from clef_ray.errors import StorageError


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored file: its name, its size in bytes, when it was written in seconds since 1970."""

    name: str
    size: int
    modified: float


@dataclass(frozen=True)
class Store:
    """A folder named by a path or URI. Names are relative to it, with forward slashes."""

    uri: str

    def _at(self, name: str) -> tuple[pafs.FileSystem, str]:
        root = self.uri if "://" in self.uri else str(Path(self.uri).absolute())
        try:
            filesystem, path = pafs.FileSystem.from_uri(root)
        except (pa.ArrowInvalid, OSError) as error:
            raise StorageError(f"cannot open storage {self.uri!r}: {error}") from error
        return filesystem, f"{path}/{name}" if name else path

    @property
    def local(self) -> bool:
        """Whether this is a folder of this machine's file system."""
        return "://" not in self.uri or self.uri.startswith("file://")

    def child(self, name: str) -> "Store":
        return Store(f"{self.uri.rstrip('/')}/{name}")

    def path(self, name: str = "") -> str:
        """The name's full path or URI, as other libraries take it; absolute where local."""
        base = self.uri.rstrip("/") if "://" in self.uri else str(Path(self.uri).absolute())
        return f"{base}/{name}" if name else base

    @contextmanager
    def _told(self, action: str, name: str) -> Iterator[None]:
        """An OSError (no right, disk full, endpoint out of reach) becomes a StorageError that names the place."""
        try:
            yield
        except OSError as error:
            raise StorageError(f"cannot {action} {self.path(name)}: {error}") from error

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

    def read_bytes(self, name: str) -> bytes:
        with self.open_input(name) as stream, self._told("read", name):
            return bytes(stream.read())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write atomically (an object store's put is atomic by itself). StorageError where it cannot be written."""
        filesystem, path = self._at(name)
        local = isinstance(filesystem, pafs.LocalFileSystem)
        target = f"{path}.{uuid.uuid4().hex[:8]}.tmp" if local else path
        with self._told("write", name):
            if local:
                filesystem.create_dir(str(Path(path).parent), recursive=True)
            with filesystem.open_output_stream(target) as stream:
                stream.write(data)
            if local:
                Path(target).replace(path)

    def delete(self, name: str) -> None:
        """Delete a file, or a folder with all in it; one that is not there is no error. StorageError where it cannot be deleted."""
        filesystem, path = self._at(name)
        with self._told("delete", name):
            kind = filesystem.get_file_info(path).type
            if kind == pafs.FileType.Directory:
                filesystem.delete_dir(path)
            elif kind != pafs.FileType.NotFound:
                filesystem.delete_file(path)

    def check_writable(self) -> None:
        """StorageError with the reason when nothing can be written here."""
        name = f".writable-{uuid.uuid4().hex[:8]}"
        self.write_bytes(name, b"")
        self.delete(name)
