"""An S3 object store as a file system that waits out what passes by itself: a throttled request, a server that is away or does not answer, a
connection that breaks off.

All retries are here, and one number, PATIENCE, bounds them. pyarrow's own client tries a single request three times; it knows neither an
outage nor a body that ends too early. What does not pass (no right, no such bucket, no such file) is told at once.
"""

from functools import lru_cache
from urllib.parse import parse_qsl, unquote, urlsplit

import pyarrow.fs as pafs

from clef_ray.errors import StorageError
from clef_ray.registry import unknown
from clef_ray.remote.place import Place
from clef_ray.remote.system import PATIENCE, Patient

__all__ = ["PATIENCE", "open_s3", "put", "reason"]

#: What a URI may say after its question mark.
OPTIONS = ("region", "scheme", "endpoint_override", "tls_ca_file_path")


def open_s3(uri: str, patience: float = PATIENCE) -> tuple[pafs.PyFileSystem, str]:
    """The file system of `s3://bucket/path?options`, and the path in it. It can be pickled; each process connects by its own environment.

    Nothing is asked yet. StorageError: the URI has credentials in it, or no bucket; ConfigError: unknown options.
    """
    parts = urlsplit(uri)
    if "@" in parts.netloc:
        raise StorageError(
            "an s3:// URI must not hold credentials: it is written into records and reports. Give them as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role"
        )
    if not parts.netloc:
        raise StorageError(f"{uri}: which bucket? Such a URI is s3://BUCKET/PATH")
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if name not in OPTIONS:
            raise unknown("option", name, OPTIONS, uri)
    path = unquote(parts.path).strip("/")
    place = Place(parts.netloc, parts.query, patience)
    return _system(place), f"{parts.netloc}/{path}" if path else parts.netloc


@lru_cache(maxsize=16)
def _system(place: Place) -> pafs.PyFileSystem:
    return pafs.PyFileSystem(Patient(place))


def put(system: pafs.FileSystem, path: str, data: bytes) -> None:
    """Write a whole file into any object store: a reader sees the old one or the new one."""
    if isinstance(system, pafs.PyFileSystem):
        system.handler.put(path, data)
        return
    with system.open_output_stream(path) as stream:
        stream.write(data)


def reason(system: pafs.FileSystem, error: OSError) -> str:
    """What an error of any file system means."""
    if isinstance(system, pafs.PyFileSystem):
        return str(system.handler.place.meaning(error))
    return str(error)
