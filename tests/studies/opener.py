"""Opens a study database at the same moment as others do; apart, since a process that only does this need not import what the tests do."""

from multiprocessing.synchronize import Barrier

from clef_ray.studies.storage import open_storage


def open_together(start: Barrier, uri: str, seconds: float) -> None:
    start.wait(seconds)
    open_storage(uri)
