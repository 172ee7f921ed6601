"""`--dry-run` of a sweep: it says what would be done and what is there already, and leaves everything as it was."""

import argparse
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from clef_ray.ablation import Outcome
from clef_ray.cli import dryrun
from clef_ray.cli.data import find
from clef_ray.cli.options import add_options
from clef_ray.cluster import stream
from clef_ray.cluster.capacity import Room
from clef_ray.config import Run, override
from clef_ray.errors import TrackingError
from clef_ray.search import Choice, Float, Objective, Search, Stopping
from clef_ray.shards import ingest_local
from clef_ray.studies.book import Book

DATA = "synthetic:patients=40,records_per_patient=1"
SEARCH = Search(
    name="toy",
    question="Which [bold] one?",
    expect="One.",
    space=(Float("loss.alpha", 0.0, 1.0), Choice("score", ("score2", "age"))),
    objectives=(Objective("zeroshot/rsa", "maximize"),),
    configurations=6,
    seeds=(3, 4),
    start=({"loss.alpha": 0.2, "score": "score2"},),
    sampler="random",
    stopping=Stopping(rule="asha", grace=2, reduction=3, collapse=2.0),
    tasks=("diagnosis",),
    settings={
        "method": "clef",
        "signals.fs": 100,
        "signals.seconds": 2,
        "views.lead": "I",
        "optimiser.batch": 16,
    },
)


@pytest.fixture
def told(tmp_path, monkeypatch):
    """`told(*options)` -> what a dry run of SEARCH prints, on two free places of a cluster that is not there."""
    monkeypatch.setattr(dryrun, "check", lambda request: Room(2, {}))
    monkeypatch.setattr(stream, "live_nodes", lambda: {"a": {"object_store_memory": 1e9}})

    def call(*options):
        parser = argparse.ArgumentParser()
        add_options(parser)
        arguments = parser.parse_args(["--data", DATA, "--storage", str(tmp_path), *options])
        out = io.StringIO()
        run = SEARCH.trial(0, SEARCH.start[0], 3, "").run
        assert dryrun.show_search(SEARCH, {}, [run], arguments, Console(file=out, width=80)) == 0
        return out.getvalue()

    return call


def test_runs_that_see_other_folds_have_their_own_steps():
    """Ten people a fold: 10 records are one step of 8, 80 are ten."""
    table = pd.DataFrame({"patient": [f"p{i}" for i in range(100)], "fold": np.repeat(np.arange(1, 11), 10)})
    base = override(Run(), {"optimiser.batch": "8", "optimiser.epochs": "3"})
    one, eight = (replace(base, train_folds=tuple(range(1, last + 1))) for last in (1, 8))
    assert dryrun.training_steps([one, eight, one], table) == [3, 30, 3]


def everything(folder):
    """Every file and folder; SQLite's notes to itself come and go with a connection."""
    return {str(p) for p in folder.rglob("*") if not p.name.endswith(("-wal", "-shm"))}


def half_done(folder, uri):
    """The study's first configuration failed, the second one waits; the folder of the data."""
    found = find(DATA, 100)
    shards = found.default_folder(str(folder))
    data = ingest_local(found.build(), shards).fingerprint
    book = Book.of_search(SEARCH, data, uri, {"cpus": 1.0}, lambda trial: None, lambda text: None)
    first, _ = book.next(), book.next()
    book.end(Outcome(first, "FAILED", reason="the loss is not finite"))
    book.close()
    return shards


def test_before_anything_is_there(told, tmp_path):
    said = told()
    assert "Which [bold] one?" in said
    assert "6 configurations by random, with seeds 3, 4 each: maximize zeroshot/rsa" in said
    assert "asha on valid/rsa (maximize): from epoch 2, about 1 of 3 goes on" in said
    assert "with the fresh seeds 100, 101, 102 on the test patients" in said
    assert f"data: 40 records of 40 patients, to be ingested into {tmp_path}/shards/synthetic-" in said
    assert "signals: resident, 0.1 MB of int16 in shared memory" in said, (
        "40 records of one lead, 10 s at 100 Hz"
    )
    assert f"new study in sqlite:///{tmp_path}/optuna/optuna.db" in said
    assert "at most 18 runs" in said
    assert "secret" not in told("--study-uri", f"sqlite:///{tmp_path}/x?password=secret")
    assert not everything(tmp_path)


@pytest.mark.parametrize("scheme", ["sqlite", "journal"])
def test_what_is_there_is_named_and_stays(told, tmp_path, scheme):
    uri = f"{scheme}:///{tmp_path}/study"
    shards = half_done(tmp_path, uri)
    before = everything(tmp_path)
    for _ in range(2):  # the second one sees what the first one has seen
        said = told("--study-uri", uri)
        assert f"data: 40 records of 40 patients, in {shards}" in said
        assert "1 of 6 configurations have ended" in said
        assert "failed: c000\n" in said
        assert "waiting to go on: c001\n" in said
        assert "at most 16 runs" in said
    assert everything(tmp_path) == before
    assert f"new study in sqlite:///{tmp_path}/optuna/optuna.db" in told()
    assert f"new study in {uri}" in told("--study-uri", uri, "--data", "synthetic:patients=41")


@pytest.mark.parametrize(
    "uri", ["mongo://h/db", "sqlite:///", "postgresql://user:secret@127.0.0.1:9/none?connect_timeout=2"]
)
def test_a_study_that_cannot_be_is_refused(told, tmp_path, uri):
    with pytest.raises(TrackingError, match="--study-uri") as caught:
        told("--study-uri", uri)
    assert "secret" not in str(caught.value)
    assert not everything(tmp_path)


@pytest.mark.parametrize(
    ("stopping", "words"),
    [
        (Stopping(rule="none", collapse=0), "nothing is stopped early"),
        (
            Stopping(rule="none", grace=3),
            "stopped early, by its first seed: after epoch 3, where the embedding's effective rank is below 2 twice running",
        ),
        (
            Stopping(rule="median", metric="loss", direction="minimize", collapse=0),
            "stopped early, by its first seed: median on loss (minimize): from epoch 2, it goes on while it is no worse than the median of the others",
        ),
    ],
)
def test_the_stopping_rule_in_words(stopping, words):
    assert dryrun.stopping_rule(stopping) == words


@pytest.mark.parametrize("rule", ["asha", "hyperband"])
def test_both_rules_of_halving_say_how_many_go_on(rule):
    said = dryrun.stopping_rule(replace(SEARCH.stopping, rule=rule, reduction=7))
    assert f"{rule} on valid/rsa" in said
    assert "1 of 7 goes on" in said
