"""Sweeps without training: outcomes whose numbers follow from the run, and a loop that stands in for the cluster."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import optuna

from clef_ray.ablation import Ablation, Arm, Outcome, Plan, Trial, plan
from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.evaluate.run import TaskResult
from clef_ray.search import Choice, Configuration, Float, Objective, Search, Stopping
from clef_ray.studies.book import Book
from clef_ray.studies.rows import configuration
from clef_ray.studies.storage import close_storage, open_storage

EPOCHS = 4
FACTS = {"git_commit": "0123abc", "data": "d1a7a", "cpus": 2.0, "gpus": 0.0}
SETTINGS = {"method": "clef", "optimiser.epochs": EPOCHS, "optimiser.batch": 64}


def slices(uri: str, name: str) -> tuple[Configuration, ...]:
    """Every configuration of a study, by number, as another process reads it."""
    storage = open_storage(uri)
    study = optuna.load_study(study_name=name, storage=storage)
    rows = tuple(configuration(t, study.metric_names or ()) for t in study.get_trials())
    close_storage(storage)
    return rows


def attrs(uri: str, name: str) -> list[Mapping[str, object]]:
    """What is kept with every configuration of a study, by number."""
    storage = open_storage(uri)
    found = [t.user_attrs for t in optuna.load_study(study_name=name, storage=storage).trials]
    close_storage(storage)
    return found


def search(**changes: object) -> Search:
    fields = {
        "name": "toy",
        "question": "Which?",
        "expect": "One.",
        "space": (Float("loss.alpha", 0.0, 1.0), Choice("score", ("score2", "age"))),
        "objectives": (Objective("zeroshot/rsa", "maximize"),),
        "configurations": 6,
        "start": ({"loss.alpha": 0.2, "score": "score2"},),
        "sampler": "random",
        "stopping": Stopping(rule="none", collapse=0),
        "tasks": ("diagnosis",),
        "settings": SETTINGS,
    }
    return Search(**{**fields, **changes})


def ablation_plan(**changes: object) -> Plan:
    fields = {
        "name": "arms",
        "question": "?",
        "expect": "!",
        "arms": tuple(Arm(f"alpha-{n}", {"loss.alpha": n / 10}) for n in range(3)),
        "base": "alpha-0",
        "seeds": (0, 1),
        "headline": ("zeroshot/rsa",),
        "tasks": ("diagnosis",),
        "settings": SETTINGS,
    }
    return plan(Ablation(**{**fields, **changes}), "d1a7a")


def alpha(trial: Trial) -> float:
    return float(dict(trial.run.loss.options)["alpha"])


def truth(trial: Trial) -> float:
    """The best alpha is 0.7; seeds differ by 0.01."""
    return 1.0 - abs(alpha(trial) - 0.7) + 0.01 * trial.seed


def history(trial: Trial, value: float | None = None, epochs: int = EPOCHS) -> list[dict[str, float]]:
    value = truth(trial) if value is None else value
    return [{"epoch": float(e), "loss": 1.0, "valid/rsa": value * e / EPOCHS} for e in range(1, epochs + 1)]


def complete(trial: Trial, value: float | None = None, **extras: float) -> Outcome:
    value = truth(trial) if value is None else value
    rsa = Estimate(value, value, value, np.empty(0))
    result = TaskResult({"zeroshot/rsa": rsa}, {"probe/auroc": 1.0 - value, **extras})
    rows = history(trial, 0.0 if math.isnan(value) else value)
    return Outcome(trial, "COMPLETE", {"probe": result}, rows, {"pretrain": 7.2})


def nothing_known(trial: Trial) -> None:
    return None


def silent(text: str) -> None: ...


class Shop:
    """A store of finished runs on disk: one empty file per fingerprint, since the numbers follow from the run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def known(self, trial: Trial) -> Outcome | None:
        return complete(trial) if (self.folder / trial.run.fingerprint()).exists() else None

    def put(self, trial: Trial) -> None:
        # a run that is trained twice is an error here
        (self.folder / trial.run.fingerprint()).touch(exist_ok=False)


def work(
    book,
    outcome: Callable[[Trial], Outcome] = complete,
    curve: Callable[[Trial], list[Mapping[str, float]]] = history,
    limit: int = 10_000,
    shop: Shop | None = None,
    seconds: float = 0.0,
) -> list[Trial]:
    """Run what the book names, one after the other; the runs that were started."""
    started = []
    while not book.finished and len(started) < limit:
        trial = book.next()
        if trial is None:
            assert book.finished, "nothing runs and nothing comes: a sweep would hang here"
            break
        started.append(trial)
        reason = None
        for epoch in curve(trial):
            time.sleep(seconds)
            reason = book.epoch(trial, epoch)
            if reason is not None:
                break
        if reason is not None:
            rows = curve(trial)[: int(epoch["epoch"])]
            book.end(Outcome(trial, "PRUNED", history=rows, reason=reason))
            continue
        ended = outcome(trial)
        if shop is not None and ended.state == "COMPLETE":
            shop.put(trial)
        book.end(ended)
    return started


def failed(trial: Trial, reason: str = "the loss is not finite") -> Outcome:
    return Outcome(trial, "FAILED", reason=reason)


def lost(trial: Trial) -> Outcome:
    return Outcome(trial, "FAILED", reason="the node went away", lost=True)


def of_search(declared: Search, uri: str, known=nothing_known) -> Book:
    return Book.of_search(declared, "d1a7a", uri, FACTS, known, silent)


def of_plan(made: Plan, uri: str, known=nothing_known) -> Book:
    return Book.of_plan(made, uri, FACTS, known, silent)


def read(book: Book) -> list[optuna.trial.FrozenTrial]:
    """What Optuna says, by a connection of its own."""
    return optuna.load_study(study_name=book.name, storage=open_storage(book.uri)).trials


def states(book: Book) -> dict[str, int]:
    return dict(Counter(t.state.name for t in read(book)))
