"""Studies in real databases: several processes at once, a process that is killed, a server that goes away, a dashboard that looks on."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import optuna
import pytest
from fakes import EPOCHS, FACTS, attrs, complete, failed, history, nothing_known, search, silent, slices, work
from opener import open_together
from postgres import postgres

from clef_ray.errors import TrackingError
from clef_ray.search import Stopping
from clef_ray.studies import storage
from clef_ray.studies.book import Book
from clef_ray.studies.storage import open_storage, patient

TIMEOUT = 180
PROCESS = Path(__file__).with_name("process.py")


@pytest.fixture(scope="module")
def server():
    with postgres() as made:
        yield made


@pytest.fixture(params=["sqlite", "journal", pytest.param("postgres", marks=pytest.mark.postgres)])
def uri(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/fresh/optuna.db"
    if request.param == "journal":
        return f"journal:///{tmp_path}/fresh/optuna.log"
    server = request.getfixturevalue("server")
    name = f"test_{time.monotonic_ns()}"
    import psycopg

    with psycopg.connect(server.uri, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.database(name)


def start(uri, folder, name, seconds=0.0, configurations=5) -> subprocess.Popen:
    command = [sys.executable, str(PROCESS), uri, str(folder), name, str(seconds), str(configurations)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process) -> str:
    text, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, text
    return text


@pytest.mark.slow
def test_four_processes_meet_a_fresh_database(uri, tmp_path):
    """Nothing is lost, and nobody even has to wait for a locked database."""
    processes = [start(uri, tmp_path / f"shop{n}", f"sweep{n}") for n in range(4)]
    said = [finish(p) for p in processes]
    assert not any("does not answer" in text for text in said), said
    names = optuna.get_all_study_names(open_storage(uri))
    assert len(names) == 4
    for name in names:
        rows = slices(uri, name)
        assert [row.state for row in rows] == ["COMPLETE"] * 5
        assert all(len(kept["fingerprints"]) == 2 for kept in attrs(uri, name))


def test_tables_are_made_once_by_processes_that_begin_at_the_same_moment(tmp_path):
    uris = [f"sqlite:///{tmp_path}/fresh{n}/optuna.db" for n in range(3) for _ in range(4)]
    context = multiprocessing.get_context("forkserver")  # what is imported is imported once, for all of them
    context.set_forkserver_preload(["pytest", "clef_ray.studies.storage"])
    start = context.Barrier(len(uris))
    processes = [context.Process(target=open_together, args=(start, uri, TIMEOUT)) for uri in uris]
    for process in processes:
        process.start()
    for process in processes:
        process.join(TIMEOUT)
    assert [process.exitcode for process in processes] == [0] * len(uris)


@pytest.mark.slow
def test_kill_in_the_middle_leaves_no_orphan_and_no_double(uri, tmp_path):
    """Two kills, each between the two seeds of a configuration; each run is trained once to its end (Shop refuses a second time), each number is there once."""
    shop = tmp_path / "shop"
    for least in (1, 5):
        process = start(uri, shop, "killed", seconds=0.05, configurations=6)
        deadline = time.monotonic() + TIMEOUT
        # an odd number of finished runs: a configuration has one of its two seeds
        while (done := len(list(shop.glob("*")))) < least or done % 2 == 0:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=TIMEOUT)
    (name,) = optuna.get_all_study_names(open_storage(uri))
    before = {row.number: row for row in slices(uri, name)}
    assert any(row.state == "RUNNING" for row in before.values()), (
        "killed at an idle moment: the test says nothing"
    )
    finish(start(uri, shop, "killed", configurations=6))
    after = slices(uri, name)
    assert [row.number for row in after] == list(range(6))
    assert {row.state for row in after} == {"COMPLETE"}
    for number, row in before.items():
        if row.state == "COMPLETE":
            assert after[number] == row
        else:
            assert dict(row.params).items() <= dict(after[number].params).items()
    assert len(list(shop.iterdir())) == 12


@pytest.mark.postgres
@pytest.mark.slow
def test_a_server_that_is_away_for_five_seconds_is_waited_for(tmp_path):
    said = []
    with postgres() as server:
        book = Book.of_search(
            search(configurations=8), "d1a7a", server.uri, FACTS, nothing_known, said.append
        )

        def away():
            time.sleep(0.5)
            server.stop()
            time.sleep(5)
            server.start()

        thread = threading.Thread(target=away)
        thread.start()
        begin = time.monotonic()
        started = work(book, seconds=0.02)
        thread.join()
        assert time.monotonic() - begin > 5
        rows, kept = book.rows(), attrs(book.uri, book.name)
        book.close()
    assert len(started) == 16
    assert [row.state for row in rows] == ["COMPLETE"] * 8
    assert all(len(own["values"]["zeroshot/rsa"]) == 2 for own in kept)
    assert len(said) == 2
    assert said[0].startswith("the study database does not answer (")
    assert said[1] == "the study database answers again"
    assert "secret-word" not in said[0]


@pytest.mark.postgres
def test_what_cannot_be_opened_says_what_to_do_and_no_password(server, tmp_path):
    for uri, says in (
        (server.uri.replace("secret-word", "wrong-word"), "password authentication failed"),
        (server.database("absent"), 'database "absent" does not exist'),
        ("postgresql://clef:secret-word@127.0.0.1:1/x", "onnection refused"),
        ("mysql://clef:secret-word@host/x", "names no study database"),
        ("sqlite:////proc/absent/optuna.db", "cannot be opened"),
    ):
        with pytest.raises(TrackingError, match=says) as caught:
            open_storage(uri)
        assert "--study-uri" in str(caught.value)
        assert "-word" not in str(caught.value)


def test_the_database_of_mlflow_is_refused_and_left_alone(tmp_path):
    import sqlite3

    from mlflow import MlflowClient

    file = tmp_path / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{file}").create_experiment("x")
    before = {row[0] for row in sqlite3.connect(file).execute("SELECT name FROM sqlite_master")}
    with pytest.raises(TrackingError, match="another program"):
        open_storage(f"sqlite:///{file}")
    assert {row[0] for row in sqlite3.connect(file).execute("SELECT name FROM sqlite_master")} == before


def test_patience_ends(monkeypatch):
    from sqlalchemy.exc import OperationalError

    def call():
        raise OperationalError("SELECT 1", {}, OSError("postgresql://clef:secret-word@host/x is gone"))

    said = []
    with pytest.raises(TrackingError, match="has not answered for 0 s") as caught:
        patient(call, said.append, 0.0)
    assert "secret-word" not in str(caught.value)


def test_other_errors_are_not_waited_for():
    from sqlalchemy.exc import DataError

    def call():
        raise DataError("INSERT", {}, ValueError("too long"))

    with pytest.raises(DataError):
        patient(call, silent)


@pytest.mark.slow
def test_the_dashboard_shows_the_truth(tmp_path):
    """optuna-dashboard's own JSON API, on the file of a finished study."""
    uri = f"sqlite:///{tmp_path}/optuna.db"
    declared = search(configurations=4, stopping=Stopping(rule="none", grace=1, collapse=2.0))

    def curve(trial):
        return [
            {**row, "embedding/effective_rank": 1.0 if trial.arm.name == "c001" else 9.0}
            for row in history(trial)
        ]

    book = Book.of_search(declared, "d1a7a", uri, FACTS, nothing_known, silent)
    work(book, lambda t: failed(t) if t.arm.name == "c002" else complete(t), curve)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("optuna-dashboard")),
        uri,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    dashboard = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        studies = ask(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
        (summary,) = [s for s in studies if s["study_name"] == book.name]
        trials = ask(f"http://127.0.0.1:{port}/api/studies/{summary['study_id']}")["trials"]
    finally:
        dashboard.terminate()
        dashboard.wait(30)
    assert Counter(t["state"] for t in trials) == {"Complete": 2, "Pruned": 1, "Fail": 1}
    pruned = next(t for t in trials if t["state"] == "Pruned")
    assert [p["step"] for p in pruned["intermediate_values"]] == list(
        range(1, 1 + len(pruned["intermediate_values"]))
    )
    assert 1 <= len(pruned["intermediate_values"]) < EPOCHS
    reasons = {t["number"]: a["value"] for t in trials for a in t["user_attrs"] if a["key"] == "reason"}
    assert "collapsed" in reasons[1]
    assert "not finite" in reasons[2]


def ask(url):
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_lost_answer_makes_no_second_trial(tmp_path, monkeypatch):
    """The database does what it is asked, and the answer is lost on its way: each kind of operation once."""
    from sqlalchemy.exc import OperationalError

    lost = Counter()
    real = {
        name: getattr(storage.RDBStorage, name) for name in ("_create_new_trial", "set_trial_state_values")
    }

    def losing(name):
        def call(self, *arguments, **options):
            answer = real[name](self, *arguments, **options)
            lost[name] += 1
            if lost[name] % 3 == 0:
                raise OperationalError(name, {}, OSError("connection lost"))
            return answer

        return call

    for name in real:
        monkeypatch.setattr(storage.RDBStorage, name, losing(name))
    book = Book.of_search(search(), "d1a7a", f"sqlite:///{tmp_path}/optuna.db", FACTS, nothing_known, silent)
    started = work(book)
    assert lost["_create_new_trial"] > 3
    assert [row.state for row in book.rows()] == ["COMPLETE"] * 6
    assert len({(t.arm.name, t.seed) for t in started}) == len(started) == 12


def test_nothing_of_a_run_is_kept_twice(tmp_path):
    """A run that goes on from its checkpoint reports epochs again: the first report stays."""
    uri = f"sqlite:///{tmp_path}/optuna.db"
    book = Book.of_search(search(configurations=1), "d1a7a", uri, FACTS, nothing_known, silent)
    trial = book.next()
    book.epoch(trial, {"epoch": 1, "valid/rsa": 0.5})
    book.epoch(trial, {"epoch": 1, "valid/rsa": 0.7})
    again = Book.of_search(search(configurations=1), "d1a7a", uri, FACTS, nothing_known, silent)
    assert again.next().run == trial.run
    again.epoch(trial, {"epoch": 1, "valid/rsa": 0.9})
    again.epoch(trial, {"epoch": 2, "valid/rsa": 0.6})
    study = optuna.load_study(study_name=book.name, storage=uri)
    assert study.trials[0].intermediate_values == {1: 0.5, 2: 0.6}
