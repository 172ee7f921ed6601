"""`clef-ray doctor`: is this machine, cluster, storage and tracking server ready? Everything is tried; each line is ok, or says what to do.

machine -> packages -> storage -> tracking -> studies -> ray -> cluster: one file each but for the services', the quick ones first.
"""

import json
from collections.abc import Iterator

from clef_ray.doctor import cluster, machine, packages, services
from clef_ray.doctor.check import Check
from clef_ray.doctor.show import Page

__all__ = ["Check", "doctor", "run_checks"]


def doctor(
    storage: str,
    tracking_uri: str | None,
    address: str | None,
    *,
    study_uri: str | None = None,
    as_json: bool = False,
) -> int:
    """Print every check, as lines or as a JSON list; 0 where an experiment can start, 1 where there is a problem."""
    groups = run_checks(storage, tracking_uri, address, study_uri)
    if as_json:
        checks = [(group, check) for group, found in groups for check in found]
        keys = ("name", "ok", "level", "detail", "remedy")
        print(
            json.dumps([{"group": g, **{key: getattr(c, key) for key in keys}} for g, c in checks], indent=1)
        )
        return int(not all(check.ok for _, check in checks))
    with Page() as page:
        for group, found in groups:
            page.begin(group)
            for check in found:
                page.line(check)
    return int(page.problems > 0)


def run_checks(
    storage: str, tracking_uri: str | None, address: str | None, study_uri: str | None = None
) -> Iterator[tuple[str, Iterator[Check]]]:
    """The groups with their checks, one after another as they are done.

    storage, tracking_uri and study_uri (None: SQLite below the storage), address (None: a local Ray is started and stopped): as every
    command takes them.
    """
    yield "machine", machine.checks()
    yield "packages", packages.checks()
    yield "storage", services.storage(storage)
    yield "tracking", services.tracking(storage, tracking_uri)
    yield "studies", services.studies(storage, study_uri)
    yield "ray", cluster.checks(storage, address)
