"""What every experiment needs before its first trial: data, Ray, storage, MLflow, all checked before anything is trained."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console

from clef_ray.cli.data import check_tasks, prepare, target
from clef_ray.cluster.capacity import Request, check, require_shared
from clef_ray.cluster.ingest import ingest
from clef_ray.cluster.interrupt import interruptible
from clef_ray.cluster.session import session
from clef_ray.config import Run, Spec
from clef_ray.registry import METHODS
from clef_ray.shards import Manifest
from clef_ray.store import Store
from clef_ray.studies.storage import check as check_study
from clef_ray.studies.storage import default_uri as default_study
from clef_ray.tracking import default_uri, public
from clef_ray.tracking.client import check as check_tracking


@dataclass(frozen=True)
class Launch:
    """A running Ray with its data. folder: of the shards; data: their fingerprint; targets: folders of the corpora that encoders are judged
    on besides, by name; slots: how many trials fit at once.
    """

    arguments: argparse.Namespace
    console: Console
    request: Request
    folder: str
    data: str
    targets: Mapping[str, str]
    slots: int
    tracking: str
    study: str

    @property
    def storage(self) -> str:
        return str(self.arguments.storage)

    @property
    def resources(self) -> dict[str, float]:
        """What one trial holds, in Ray's terms."""
        return {
            name: n * self.request.workers_per_trial for name, n in self.request.worker_resources().items()
        }

    @property
    def target_data(self) -> dict[str, str]:
        """The targets' fingerprints."""
        return {name: Manifest.load(folder).fingerprint for name, folder in self.targets.items()}

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    def ui(self, page: str = "") -> str:
        """Where to look at the records. page: of MLflow's UI, below its address."""
        if self.arguments.tracking_uri:
            return f"{public(self.tracking)}{page}"
        local = self.storage == "storage"
        command = "make ui" if local else f"mlflow ui --backend-store-uri {self.tracking}"
        return f"{command}   then open http://127.0.0.1:5000{page}"


def request_of(arguments: argparse.Namespace) -> Request:
    """What one trial asks for."""
    return Request(
        arguments.workers_per_trial,
        arguments.cpus_per_worker,
        arguments.gpus_per_worker,
        arguments.micro_batch,
    )


def data_of(arguments: argparse.Namespace, runs: Sequence[Run]) -> str:
    """The data as the user named them; a small cohort under --smoke."""
    return smoke_data(runs) if arguments.smoke and arguments.data == "synthetic" else str(arguments.data)


def smoke_data(runs: Sequence[Run]) -> str:
    """The cohort of --smoke: few patients, but in the eight training folds of ten enough for one of the largest batches. Of one record each,
    but for methods that take two of a patient.
    """
    pairs = any(getattr(METHODS.get(run.method.name), "pairs_records", False) for run in runs)
    return f"synthetic:patients={_smoke_patients(runs)},records_per_patient={2 if pairs else 1}"


def smoke_targets(
    targets: Mapping[str, str], declared: Mapping[str, str], runs: Sequence[Run]
) -> dict[str, str]:
    """The targets of --smoke: of those that the experiment declares, and its user gives no data for, synthetic cohorts of no more patients
    than there are in `smoke_data`.
    """
    most = _smoke_patients(runs)
    return {
        name: re.sub(r"\bpatients=(\d+)", lambda found: f"patients={min(int(found[1]), most)}", data)
        if data == declared.get(name)
        else data
        for name, data in targets.items()
    }


def _smoke_patients(runs: Sequence[Run]) -> int:
    return max(250, max(run.optimiser.batch for run in runs) * 3 // 2)


@contextmanager
def launch(
    runs: Sequence[Run],
    arguments: argparse.Namespace,
    console: Console,
    tasks: Sequence[Spec],
    targets: Mapping[str, str] | None = None,
) -> Iterator[Launch]:
    """Everything ready for runs like these. What is wrong is told in the order of its price: names, folders, databases, Ray, capacity.

    tasks: that they are judged by; targets: name -> data of the corpora that they are judged on besides.
    """
    data, fs = data_of(arguments, runs), runs[0].signals.fs
    check_tasks(tasks, data, targets or {}, fs)
    request, store = request_of(arguments), Store(arguments.storage)
    store.check_writable()
    tracking = arguments.tracking_uri or default_uri(store)
    study = arguments.study_uri or default_study(store)
    check_tracking(tracking)
    check_study(study)
    with interruptible(), session(arguments.address):
        slots = check(request).concurrent
        require_shared(arguments.storage)
        folder = prepare(data, fs, arguments.storage, ingest)
        fingerprint = Manifest.load(folder).fingerprint
        folders = {
            name: prepare(named, fs, arguments.storage, ingest, target(name))
            for name, named in (targets or {}).items()
        }
        yield Launch(arguments, console, request, folder, fingerprint, folders, slots, tracking, study)
