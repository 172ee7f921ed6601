"""Where results are recorded while an ablation runs. `Tracker` is what the sweep calls; `mlflow.py` is the real one, `delivery.py` puts it into
the background, `registry.py` keeps the encoders worth keeping. mlflow is imported in this package alone.

Order of calls: open_ablation, then per trial open_trial / log_epochs / close_trial in any interleaving, then close_ablation, or interrupt.
Every call may be repeated, also by a later process: a second start of the same plan continues the same record.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from clef_ray.ablation import Arm, Outcome, Plan, Trial
from clef_ray.errors import ConfigError, TrackingError
from clef_ray.store import Store


class UnreachableError(TrackingError):
    """The tracking store does not answer now; the same call may succeed later."""


class Bounds(Protocol):
    """A 95 % interval."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


class SummaryCell(Protocol):
    """One arm's metric: the value of each seed, their mean, its interval over seeds and over patients (None where there is none)."""

    @property
    def values(self) -> Mapping[int, float]: ...
    @property
    def mean(self) -> float: ...
    @property
    def seeds(self) -> Bounds | None: ...
    @property
    def patients(self) -> Bounds | None: ...


class SummaryRow(Protocol):
    """One arm and its metrics by name."""

    @property
    def arm(self) -> Arm: ...
    @property
    def cells(self) -> Mapping[str, SummaryCell]: ...


class Summary(Protocol):
    """What a record keeps of a comparison. `report.comparison.Comparison` is one; the report lies above this layer."""

    @property
    def answer(self) -> str:
        """The answer in words."""

    @property
    def caveats(self) -> Sequence[str]:
        """What a reader must know before believing it."""

    @property
    def rows(self) -> Sequence[SummaryRow]:
        """One per arm."""

    def csv(self) -> str:
        """One line per arm and headline metric."""


class Tracker(Protocol):
    """Records one ablation. Every method may raise TrackingError; UnreachableError where the store does not answer.

    at: when it happened, ms since 1970 (now where it is not given). A call that is repeated with the same `at` leaves the same record.
    """

    def open_ablation(self, plan: Plan, lineage: Mapping[str, str]) -> None:
        """Begin, or continue, the record of this plan.

        lineage: what the results came from, free names to texts. `data` (where the shards lie), `git_commit` and `command` are also shown
        where the tracking UI expects them.
        """

    def open_trial(self, trial: Trial, at: int | None = None) -> None:
        """Begin, or continue, the record of one trial."""

    def log_epochs(
        self, trial: Trial, rows: Sequence[Mapping[str, float]], at: Sequence[int] | None = None
    ) -> None:
        """Add epochs (`epoch`, `loss`, ...); those already recorded are skipped, so the whole history may be given each time.

        at: one time per row.
        """

    def close_trial(self, outcome: Outcome, at: int | None = None) -> None:
        """Record how a trial ended; opens it where nobody did, and adds the epochs that are missing."""

    def log_machine(self, metrics: Mapping[str, float], at: int) -> None:
        """Add one sample of how busy the machine is that runs the sweep."""

    def close_ablation(self, comparison: Summary, files: Mapping[str, str]) -> None:
        """Attach the comparison and the report. files: file name -> where it lies (local path or URI)."""

    def interrupt(self) -> None:
        """Mark everything that is still running as killed; a second start opens it again."""

    def recover(self) -> None:
        """After a call that failed: read again what has arrived. UnreachableError where the store still does not answer."""


#: What holds a password, and as a group what stands before it: a URI's user-info, a parameter of its query, a word for a driver.
_SECRET = re.compile(
    r"""
    (\bs3[an]?://)                   [^/:@\s]+:\S*(?=@)                               # the key names an account: hidden too
    | (://[^/:@\s]*:)                (?:\S*passw(?:or)?d=\S*@\S*|\S*(?=@))            # the last @ may belong to a password in the query
    | ([?&]\w*passw(?:or)?d=)        [^&\s]*
    | (\b\w*passw(?:or)?d\s*=\s*)    (?:'(?:\\.|[^'\\])*'|\S+)
    """,
    re.IGNORECASE | re.VERBOSE,
)


def public(text: str) -> str:
    """The text with `***` for every password in it: fit for a log or a record.

    Those of a URI (postgresql://user:password@host/db, s3://key:secret@bucket, where the key is hidden too), and `password=`, `passwd=`,
    `sslpassword=` in a URI's query or among a driver's words (host=h password='a b').

    Of a URI everything up to the last `@` is hidden, since some drivers take a password with `/` or `@` in it as it is.
    """
    return _SECRET.sub(r"\1\2\3\4***", text)


def default_uri(storage: Store) -> str:
    """The SQLite file below a local storage folder; ConfigError where the storage is remote, since SQLite needs a local file."""
    if not storage.local:
        raise ConfigError(
            f"storage {storage.uri!r} is remote and SQLite needs a local file: give --tracking-uri, e.g. http://host:5000 "
            "or sqlite:////home/me/mlflow.db"
        )
    return f"sqlite:///{storage.path('mlflow/mlflow.db').removeprefix('file://')}"
