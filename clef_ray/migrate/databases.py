"""The two databases of the embedded default, each with what makes its tables: MLflow's with the artifacts beside it, Optuna's studies."""

from collections.abc import Callable

from clef_ray.errors import ConfigError
from clef_ray.migrate import Count, Tell
from clef_ray.migrate.files import copy_folder
from clef_ray.migrate.schemas import MLFLOW, OPTUNA
from clef_ray.migrate.tables import copy_tables, engine_of
from clef_ray.store import Store

#: How a client names an artifact that the MLflow server fetches from, and puts to, where the server keeps them.
SERVED = "mlflow-artifacts:/"


def move_tracking(
    source: str, target: str, artifacts: str, tell: Tell, *, dry_run: bool, overwrite: bool
) -> list[Count]:
    """Everything that MLflow has recorded, and the artifacts in the folder `artifacts/` beside its SQLite file.

    source: sqlite:///FILE; target: the URI of the server's database (--backend-store-uri); artifacts: where the server keeps artifacts
    (--artifacts-destination). In the target every run's artifacts are named by the server's own address of them, which knows no folder
    of this machine. Runs, with their ids, tags, parameters and whole histories, stay what they are; an experiment is known by its name,
    and joins one of that name. ConfigError, TrackingError, StorageError as `copy_tables` and `copy_folder`.
    """
    from clef_ray.tracking.client import check
    from clef_ray.tracking.moving import prepare

    engine_of(target).dispose()
    engine_of(source, read_only=True).dispose()
    check(source)
    if not dry_run:
        prepare(target, SERVED)
    folder = Store(_beside(source)).child("artifacts")
    files = copy_folder(folder.path(), artifacts, tell, dry_run=dry_run, overwrite=overwrite)
    files.what = "MLflow artifacts"
    # Files first: whoever sees a run sees its artifacts, too.
    rows = copy_tables(
        source, target, MLFLOW, _served(folder.path()), tell, dry_run=dry_run, overwrite=overwrite
    )
    return [files, *rows]


def move_studies(source: str, target: str, tell: Tell, *, dry_run: bool, overwrite: bool) -> list[Count]:
    """Every study with its trials. A study is known by its name, a trial by its number; both stay, as do times, values and attributes.

    ConfigError, TrackingError as `copy_tables`.
    """
    from clef_ray.studies.storage import check

    engine_of(target).dispose()
    engine_of(source, read_only=True).dispose()
    check(source)
    if not dry_run:
        check(target)
    return copy_tables(source, target, OPTUNA, str, tell, dry_run=dry_run, overwrite=overwrite)


def _beside(uri: str) -> str:
    if not uri.startswith("sqlite:///"):
        raise ConfigError(
            f"{uri.partition(':')[0]}: what moves to a team's server is a SQLite file, sqlite:////absolute/path"
        )
    from clef_ray.tracking.reach import sqlite_path

    return str(sqlite_path(uri).parent)


def _served(folder: str) -> Callable[[str], str]:
    """A place below the folder as the server's address of it; any other place as it is."""
    from pathlib import Path

    prefix = f"{Path(folder).as_uri()}/"

    def place(uri: str) -> str:
        return f"{SERVED}{uri.removeprefix(prefix)}" if uri.startswith(prefix) else uri

    return place
