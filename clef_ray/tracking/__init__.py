"""Where results are recorded while an ablation runs. `Tracker` is what the sweep calls; `mlflow.py` is the real one (and alone imports mlflow).

Order of calls: open_ablation, then per trial open_trial / log_epochs / close_trial in any interleaving, then close_ablation, or interrupt.
Every call may be repeated, also by a later process: a second start of the same plan continues the same record.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.errors import ConfigError
from clef_ray.store import Store


class Summary(Protocol):
    """What a record keeps of a comparison. `report.comparison.Comparison` is one; the report lies above this layer."""

    @property
    def answer(self) -> str:
        """The answer in words."""

    def csv(self) -> str:
        """One line per arm and headline metric."""


class Tracker(Protocol):
    """Records one ablation. Every method may raise TrackingError when the store does not answer."""

    def open_ablation(self, plan: Plan, lineage: Mapping[str, str]) -> None:
        """Begin, or continue, the record of this plan.

        lineage: what the results came from, free names to texts. `data` (where the shards lie) and `git_commit` are also shown where the
        tracking UI expects them.
        """

    def open_trial(self, trial: Trial) -> None:
        """Begin, or continue, the record of one trial."""

    def log_epochs(self, trial: Trial, rows: Sequence[Mapping[str, float]]) -> None:
        """Add epochs (`epoch`, `loss`, ...); those already recorded are skipped, so the whole history may be given each time."""

    def close_trial(self, outcome: Outcome) -> None:
        """Record how a trial ended; opens it where nobody did, and adds the epochs that are missing."""

    def close_ablation(self, comparison: Summary, files: Mapping[str, str]) -> None:
        """Attach the comparison and the report. files: file name -> where it lies (local path or URI)."""

    def interrupt(self) -> None:
        """Mark everything that is still running as killed; a second start opens it again."""


class NullTracker:
    """Records nothing."""

    def open_ablation(self, plan: Plan, lineage: Mapping[str, str]) -> None: ...

    def open_trial(self, trial: Trial) -> None: ...

    def log_epochs(self, trial: Trial, rows: Sequence[Mapping[str, float]]) -> None: ...

    def close_trial(self, outcome: Outcome) -> None: ...

    def close_ablation(self, comparison: Summary, files: Mapping[str, str]) -> None: ...

    def interrupt(self) -> None: ...


def public(text: str) -> str:
    """The text with `***` for the password of a URI in it (postgresql://user:password@host/db): fit for a log or a record.

    Everything up to the last `@` is hidden, since some drivers take a password with `/` or `@` in it as it is.
    """
    return re.sub(r"(://[^/:@\s]*:)\S*@", r"\1***@", text)


def default_uri(storage: Store) -> str:
    """The SQLite file below a local storage folder; ConfigError where the storage is remote, since SQLite needs a local file."""
    if not storage.local:
        raise ConfigError(
            f"storage {storage.uri!r} is remote and SQLite needs a local file: give --tracking-uri, e.g. http://host:5000 "
            "or sqlite:////home/me/mlflow.db"
        )
    return f"sqlite:///{storage.path('mlflow/mlflow.db').removeprefix('file://')}"
