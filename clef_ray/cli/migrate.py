"""`clef-ray migrate`: from the embedded default to a team's services. Its options, and the table of what became of everything."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clef_ray.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from clef_ray.migrate import Count, Tell

Subparsers = Any  # argparse keeps its type private

_ABOUT = """\
Move what lies in a storage folder to a team's services: SQLite to PostgreSQL, files to an object store.

What is there already and is the same stays; an interrupted move goes on; again is nothing to do. What is there and differs
is told, left alone, and makes the exit code 1 (--overwrite: the source's version counts). All that was copied is read back.
Nothing is deleted here. Let no experiment run on the storage meanwhile.

Passwords never stand in an option: ~/.pgpass or PGPASSWORD for PostgreSQL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for
the object store, whose address is AWS_ENDPOINT_URL. See storage/README.md."""

_EXAMPLES = """\
examples:
  clef-ray migrate --to s3://clef/storage --dry-run
  clef-ray migrate --to s3://clef/storage --study-to postgresql://optuna@db/optuna \\
      --tracking-to postgresql://mlflow@db/mlflow --artifacts-to s3://clef/mlflow
  clef-ray migrate --copy s3://clef/storage /backup/storage"""


def add(actions: Subparsers) -> None:
    """The verb and its options."""
    parser = actions.add_parser(
        "migrate",
        help="Move a storage to a team's services: SQLite to PostgreSQL, files to an object store.",
        description=_ABOUT,
        epilog=_EXAMPLES,
    )
    parser.set_defaults(action=run)
    option = parser.add_argument
    option("--storage", default="storage", metavar="URI", help="what moves (default: storage)")
    option("--to", metavar="URI", help="another storage: shards, runs, reports and noise go there")
    option("--tracking-to", metavar="URI", help="the MLflow server's database: postgresql://user@host/mlflow")
    option("--artifacts-to", metavar="URI", help="the MLflow server's --artifacts-destination")
    option("--study-to", metavar="URI", help="the database of studies: postgresql://user@host/optuna")
    option("--tracking-uri", metavar="URI", help="MLflow's SQLite file (default: the one below --storage)")
    option("--study-uri", metavar="URI", help="the studies' SQLite file (default: the one below --storage)")
    option(
        "--copy",
        nargs=2,
        metavar=("FROM", "TO"),
        help="instead of all that: any folder or bucket to another place, as it is, for a backup or from one",
    )
    option("--dry-run", action="store_true", help="say what would be copied, and copy nothing")
    option("--overwrite", action="store_true", help="what is there and differs becomes what it is here")


def run(arguments: argparse.Namespace) -> int:
    """Returns 0, or 1 where something differs. ConfigError, StorageError and TrackingError as `clef_ray.migrate`."""
    from rich.console import Console

    _check(arguments)
    console = Console()
    with _progress(console) as tell:
        found = list(_moved(arguments, tell))
    console.print(_table(found, dry_run=arguments.dry_run))
    differing = [count for count in found if count.differ]
    for count in differing:
        names = "; ".join(count.named) + ("; ..." if count.differ > len(count.named) else "")
        console.print(f"{count.what}: {names}", markup=False, highlight=False, soft_wrap=True)
    if differing:
        console.print("Left alone what differs; --overwrite takes it from the source.", highlight=False)
        return 1
    if not any(count.copied for count in found):
        console.print("Nothing to do: everything is there, and the same.", highlight=False)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    from clef_ray.tracking import public

    targets = (arguments.to, arguments.tracking_to, arguments.study_to)
    if not any(targets) and not arguments.copy:
        raise ConfigError("nothing to move: give --to, --tracking-to, --study-to, or --copy FROM TO")
    if arguments.copy and any(targets):
        raise ConfigError("--copy stands alone: leave out --to, --tracking-to and --study-to")
    if bool(arguments.tracking_to) != bool(arguments.artifacts_to):
        raise ConfigError(
            "--tracking-to and --artifacts-to go together: what MLflow has recorded, and the files of its runs"
        )
    for name, value in vars(arguments).items():
        for uri in value if isinstance(value, list) else [value]:
            if isinstance(uri, str) and public(uri) != uri:
                raise ConfigError(
                    f"--{name.replace('_', '-')} holds a password, which others of this machine can read there: put it into ~/.pgpass "
                    "(host:port:database:user:password, mode 600) or PGPASSWORD, an object store's into AWS_SECRET_ACCESS_KEY"
                )


def _moved(arguments: argparse.Namespace, tell: "Tell") -> Iterator["Count"]:
    from clef_ray.migrate.files import FOLDERS, copy_folder, copy_folders
    from clef_ray.store import Store

    how = {"dry_run": arguments.dry_run, "overwrite": arguments.overwrite}
    if arguments.copy:
        source, target = arguments.copy
        yield copy_folder(source, target, tell, **how)
        return
    store = Store(arguments.storage)
    if arguments.to:
        yield from copy_folders(store.uri, arguments.to, FOLDERS, tell, **how)
    if arguments.tracking_to:
        from clef_ray import tracking
        from clef_ray.migrate.databases import move_tracking

        source = arguments.tracking_uri or tracking.default_uri(store)
        yield from move_tracking(source, arguments.tracking_to, arguments.artifacts_to, tell, **how)
    if arguments.study_to:
        from clef_ray.migrate.databases import move_studies
        from clef_ray.studies import storage as study_storage

        source = arguments.study_uri or study_storage.default_uri(store)
        yield from move_studies(source, arguments.study_to, tell, **how)


@contextmanager
def _progress(console: "Console") -> Iterator["Tell"]:
    """One bar, of what is being moved."""
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("")

        def tell(what: str, done: int, of: int) -> None:
            progress.update(bar, description=what, completed=done, total=of)

        yield tell


def _table(found: Sequence["Count"], *, dry_run: bool) -> "Table":
    from rich.table import Table

    from clef_ray.cli.gc import amount

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("what")
    for name in ("would copy" if dry_run else "copied", "was there", "differs", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for count in found:
        if count.total:
            differ = f"[red]{count.differ:,}[/]" if count.differ else "0"
            size = amount(count.size) if count.size else ""
            table.add_row(count.what, f"{count.copied:,}", f"{count.there:,}", differ, size)
    return table
