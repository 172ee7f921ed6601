"""pyarrow's S3 file system, with the patience that it lacks."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs

from clef_ray.remote.files import Sink, Source
from clef_ray.remote.place import Place, passes

#: Seconds for which one operation (a file that is written, a piece that is read) is tried again, from its first failure on.
PATIENCE = 120.0

#: Seconds between two tries: the first pause, doubled up to the longest, each shortened at random so that workers do not come in step.
PAUSE, LONGEST_PAUSE = 0.5, 8.0

#: Seconds after a warning in which there is no other one.
QUIET = 60.0

_Answer = TypeVar("_Answer")
_log = logging.getLogger("clef_ray.store")


class Patient(pafs.FileSystemHandler):  # type: ignore[misc]  # an untyped class
    """pyarrow's S3 file system, each operation tried until `place.patience` seconds after its first failure."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._lock = threading.Lock()
        self._away_since: float | None = None
        self._told_at = -QUIET

    def __reduce__(self) -> tuple[type["Patient"], tuple[Place]]:
        return Patient, (self.place,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Patient) and self.place == other.place

    def __hash__(self) -> int:
        return hash(self.place)

    def attempt(self, act: Callable[[pafs.FileSystem], _Answer]) -> _Answer:
        """What `act` answers, given pyarrow's file system; OSError once it meets a lasting error, or patience has ended."""
        first, pause, tries = 0.0, PAUSE, 0
        while True:
            try:
                answer = act(self.place.connect())
            except OSError as error:
                now, tries = time.monotonic(), tries + 1
                first = first or now
                left = first + self.place.patience - now
                if not passes(error):
                    raise
                if left <= 0:
                    text = f"{error}; tried {tries} times in {now - first:.0f} s"
                    raise OSError(text) from error
                self._tell(error)
                time.sleep(min(left, pause * random.uniform(0.5, 1.0)))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._answers()
                return answer

    def _tell(self, error: OSError) -> None:
        """Once per outage, for which many threads may wait, and once in a while of a server that throttles every other request."""
        with self._lock:
            now = time.monotonic()
            if self._away_since is not None or now - self._told_at < QUIET:
                return
            self._away_since = self._told_at = now
        _log.warning(
            "storage s3://%s: %s. Trying again for up to %.0f s",
            self.place.bucket,
            self.place.meaning(error),
            self.place.patience,
        )

    def _answers(self) -> None:
        if self._away_since is None:
            return
        with self._lock:
            since, self._away_since = self._away_since, None
        if since is not None:
            _log.warning(
                "storage s3://%s answers again, after %.0f s", self.place.bucket, time.monotonic() - since
            )

    def put(self, path: str, data: Any) -> None:
        """Write a whole file: a reader sees the old one or the new one. data: bytes, or what lies in memory as bytes do."""

        def write(system: pafs.FileSystem) -> None:
            stream = system.open_output_stream(
                path
            )  # not `with`: leaving it early would complete half a file
            stream.write(data)
            stream.close()

        self.attempt(write)

    def open_input_file(self, path: str) -> pa.PythonFile:
        return pa.PythonFile(Source(self.attempt, path), mode="r")

    def open_input_stream(self, path: str) -> pa.PythonFile:
        return self.open_input_file(path)

    def open_output_stream(self, path: str, metadata: Any) -> pa.PythonFile:  # noqa: ARG002 - pyarrow's signature
        """The file is written when it is closed."""
        return pa.PythonFile(Sink(self.put, path), mode="w")

    def open_append_stream(self, path: str, metadata: Any) -> pa.PythonFile:
        raise NotImplementedError(f"s3://{path}: an object store cannot append")

    def get_type_name(self) -> str:
        return "s3"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[pafs.FileInfo]:
        return self.attempt(lambda system: system.get_file_info(paths))

    def get_file_info_selector(self, selector: pafs.FileSelector) -> list[pafs.FileInfo]:
        return self.attempt(lambda system: system.get_file_info(selector))

    def create_dir(self, path: str, recursive: bool) -> None:
        self.attempt(lambda system: system.create_dir(path, recursive=recursive))

    def delete_dir(self, path: str) -> None:
        self.attempt(lambda system: system.delete_dir(path))

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self.attempt(lambda system: system.delete_dir_contents(path, missing_dir_ok=missing_dir_ok))

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError("all buckets at once are not deleted")

    def delete_file(self, path: str) -> None:
        self.attempt(lambda system: system.delete_file(path))

    def move(self, src: str, dest: str) -> None:
        self.attempt(lambda system: system.move(src, dest))

    def copy_file(self, src: str, dest: str) -> None:
        self.attempt(lambda system: system.copy_file(src, dest))
