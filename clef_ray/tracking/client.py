"""How this package talks to MLflow: its settings, a client, a first use that several processes survive, and errors in our words."""

import fcntl
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# A clinical site's runs tell nobody that they ran. MLflow reads this when it is imported; `false` opts in.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Two lines per trial would tear the progress display apart; the experiment says once where to look.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# MLflow would send a request seven times more, for minutes, also one that makes a run: the server may have heard the first one. We look
# at what has arrived before we repeat anything (delivery.py).
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from clef_ray.errors import TrackingError
from clef_ray.tracking import UnreachableError, public
from clef_ray.tracking.reach import reach, sqlite_path

_WHO = (
    "wants to know who asks (HTTP 401): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to those of an account there, or write "
    "them into ~/.mlflow/credentials (storage/README.md)"
)


def check(uri: str) -> None:
    """Reach the tracking store within about 10 s, creating and migrating a new database. Raises TrackingError that says what to do."""
    reach(uri)
    with errors(uri), _first_use(uri):
        client(uri).search_experiments(max_results=1)


@contextmanager
def _first_use(uri: str) -> Iterator[None]:
    """One process at a time: of several that meet a fresh SQLite file, all but one would fail halfway through its migration."""
    if not uri.startswith("sqlite:"):
        yield
        return
    path = sqlite_path(uri)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def errors(uri: str) -> Iterator[None]:
    """MLflow's errors as TrackingError; UnreachableError where the same call may succeed later (no answer, a busy or full database, HTTP 5xx)."""
    try:
        yield
    except MlflowException as error:
        status = error.get_http_status_code()
        if status == 401:
            raise TrackingError(f"MLflow at {public(uri)} {_WHO}") from error
        kind = UnreachableError if status == 429 or status >= 500 else TrackingError
        raise kind(f"MLflow at {public(uri)}: {public(str(error).splitlines()[0])}") from error
    except OSError as error:  # while files are copied; requests' errors are OSErrors too
        raise UnreachableError(f"MLflow at {public(uri)}: {public(str(error))}") from error
    except ModuleNotFoundError as error:
        raise TrackingError(
            f"MLflow at {public(uri)} needs the Python package {error.name!r}: install it"
        ) from error


def client(uri: str) -> MlflowClient:
    """MLflow's client without its chatter."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def find_runs(asked: MlflowClient, experiments: list[str], tags: Mapping[str, str]) -> list[Run]:
    """All active runs with all these tags, the oldest first."""
    condition = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    found: list[Run] = []
    token: str | None = None
    while True:
        page = asked.search_runs(
            experiments, condition, order_by=["attributes.start_time ASC"], page_token=token
        )
        found += page
        token = page.token
        if not token:
            return found


def recorded(asked: MlflowClient, fingerprint: str) -> list[Run]:
    """The finished runs of any experiment that recorded this pretraining themselves, the oldest first."""
    experiments = [str(experiment.experiment_id) for experiment in asked.search_experiments()]
    found = find_runs(asked, experiments, {"fingerprint": fingerprint, "state": "COMPLETE"})
    return [run for run in found if not run.data.tags.get("linked_run")]
