"""Files of an object store as Python's own files are: what pyarrow reads from and writes to."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

Attempt = Callable[[Callable[[pafs.FileSystem], Any]], Any]


class Source:
    """A stored file: every piece that is asked for is one request, tried until it arrives whole. OSError where there is no such file."""

    def __init__(self, attempt: Attempt, path: str) -> None:
        self._attempt, self._path = attempt, path
        self._file: pa.NativeFile = attempt(lambda system: system.open_input_file(path))
        self._size = int(self._file.size())
        self._at = 0
        self.closed = False

    def read_buffer(self, nbytes: int = -1) -> pa.Buffer:
        left = max(self._size - self._at, 0)
        wanted = left if nbytes < 0 else min(nbytes, left)
        if not wanted:
            return pa.py_buffer(b"")
        found = self._attempt(lambda _: self._piece(wanted))
        self._at += wanted
        return found

    def _piece(self, wanted: int) -> pa.Buffer:
        self._file.seek(self._at)
        found = self._file.read_buffer(wanted)
        if found.size != wanted:  # said as curl says it where it can tell
            raise OSError(
                f"AWS Error NETWORK_CONNECTION: {found.size} of {wanted} bytes arrived of s3://{self._path}"
            )
        return found

    def read(self, nbytes: int = -1) -> bytes:
        return bytes(self.read_buffer(nbytes).to_pybytes())

    def seek(self, position: int, whence: int = 0) -> int:
        self._at = position + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self.closed = True


class Sink:
    """A file to be: kept until it is closed, then written in one piece."""

    def __init__(self, put: Callable[[str, bytes], None], path: str) -> None:
        self._put, self._path = put, path
        self._pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._put(self._path, b"".join(self._pieces))
