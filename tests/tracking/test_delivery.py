"""Delivery in the background: against a store that a test switches off, and against a real server that is stopped, frozen, killed."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from ablation_outcomes import LINEAGE, VALUES, complete, outcomes, toy_plan
from mlflow_server import Server
from mlflow_store import Read, Table

from clef_ray.ablation import Outcome
from clef_ray.errors import TrackingError
from clef_ray.tracking import UnreachableError, delivery
from clef_ray.tracking.delivery import Delivered
from clef_ray.tracking.mlflow import MlflowTracker

MADE = toy_plan()
FOUND = outcomes(MADE, VALUES)
FIRST, SECOND = MADE.trials[:2]


class Silent:
    """A tracker that records nothing."""

    def open_ablation(self, plan, lineage): ...

    def log_machine(self, metrics, at): ...

    def interrupt(self): ...

    def recover(self): ...


class Flaky(Silent):
    """Writes every call down; `away`: raises before it does, `refuses`: an error that no waiting mends."""

    def __init__(self) -> None:
        self.away, self.refuses = threading.Event(), False
        self.hold = threading.Lock()  # whoever holds it makes the store slow
        self.calls: list[tuple] = []
        self.threads: set[int] = set()

    def _call(self, *what: object) -> None:
        self.threads.add(threading.get_ident())
        with self.hold:
            if self.away.is_set():
                raise UnreachableError("nobody there")
            if self.refuses:
                raise TrackingError("the run is deleted")
            self.calls.append(what)

    def open_trial(self, trial, at=None):
        self._call("open", trial.arm.name, trial.seed, at)

    def log_epochs(self, trial, rows, at=None):
        self._call("epochs", trial.seed, [row["epoch"] for row in rows], at)

    def close_trial(self, outcome, at=None):
        self._call("close", outcome.trial.seed, at)

    def close_ablation(self, comparison, files):
        self._call("end")

    def interrupt(self):
        self._call("interrupt")

    def recover(self):
        self._call("recover")


@pytest.fixture
def store() -> Flaky:
    return Flaky()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Short pauses between attempts."""
    monkeypatch.setattr(delivery, "_FIRST_PAUSE", 0.02)
    monkeypatch.setattr(delivery, "_LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(delivery, "_PATIENCE_INTERRUPTED", 0.3)


def _opened(store, told, patience=20.0) -> Delivered:
    tracker = Delivered(store, told.append, patience)
    tracker.open_ablation(MADE, LINEAGE)
    return tracker


def _row(epoch: int) -> dict[str, float]:
    return {"epoch": float(epoch), "loss": 1.0}


def test_calls_return_at_once_and_arrive_in_order_from_one_thread(store, told):
    tracker = _opened(store, told)
    with store.hold:  # a store that takes its time
        begin = time.monotonic()
        tracker.open_trial(FIRST)
        time.sleep(0.05)  # the thread now waits in the store
        for epoch in range(3):
            tracker.log_epochs(FIRST, [_row(epoch)])
            tracker.log_epochs(SECOND, [_row(epoch)])
        tracker.close_trial(FOUND[0])
        tracker.log_epochs(SECOND, [_row(3)])
        assert time.monotonic() - begin < 2
    tracker.close_ablation(Table(MADE, FOUND), {})
    kinds = [call[:3] for call in store.calls if call[0] != "close"]
    # Epochs of one trial that waited together are one delivery; nothing passes the end of a trial.
    assert kinds == [
        ("open", "clef-1", 0),
        ("epochs", 0, [0, 1, 2]),
        ("epochs", 1, [0, 1, 2]),
        ("epochs", 1, [3]),
        ("end",),
    ]
    assert [call[0] for call in store.calls].index("close") == 3
    assert len(store.threads) == 1
    assert threading.get_ident() not in store.threads
    assert told == []


def test_what_a_store_could_not_take_is_kept_and_delivered_once_with_its_time(store, told):
    tracker = _opened(store, told)
    store.away.set()
    tracker.open_trial(FIRST)  # what follows waits behind it
    before = int(time.time() * 1000)
    tracker.log_epochs(FIRST, [_row(0), _row(1)])
    after = int(time.time() * 1000)
    tracker.close_trial(FOUND[0])
    time.sleep(0.3)
    store.away.clear()
    tracker.close_ablation(Table(MADE, FOUND), {})
    assert [call[0] for call in store.calls] == ["recover", "open", "epochs", "close", "end"]
    assert all(before <= at <= after for at in store.calls[2][3])
    assert len(told) == 2
    assert "results are kept" in told[0]
    assert "again" in told[1]


def test_the_end_gives_up_after_its_patience_and_says_that_nothing_is_lost(store, told):
    tracker = _opened(store, told, patience=0.3)
    store.away.set()
    tracker.close_trial(FOUND[0])
    begin = time.monotonic()
    with pytest.raises(UnreachableError, match=r"Nothing is lost.*same command again"):
        tracker.close_ablation(Table(MADE, FOUND), {})
    assert 0.3 <= time.monotonic() - begin < 5
    tracker.interrupt()  # what an experiment does next: nothing more is tried
    assert store.calls == []


def test_patience_is_about_silence_not_about_much_to_do(store, told):
    """A store that answers slowly is waited for, however long it takes."""
    tracker = _opened(store, told, patience=0.1)
    with store.hold:
        tracker.close_trial(FOUND[0])
        closing = threading.Thread(target=tracker.close_ablation, args=(Table(MADE, FOUND), {}))
        closing.start()
        time.sleep(0.5)
        assert closing.is_alive()
    closing.join(10)
    assert [call[0] for call in store.calls] == ["close", "end"]


def test_an_error_that_waiting_does_not_mend_surfaces_at_the_next_call(store, told):
    tracker = _opened(store, told)
    store.refuses = True
    tracker.open_trial(FIRST)
    time.sleep(0.3)
    with pytest.raises(TrackingError, match="the run is deleted"):
        tracker.log_epochs(FIRST, [_row(0)])
    with pytest.raises(TrackingError, match="the run is deleted"):
        tracker.close_ablation(Table(MADE, FOUND), {})


def test_an_interruption_delivers_what_is_there_and_never_hides_its_cause(store, told):
    tracker = _opened(store, told)
    tracker.open_trial(FIRST)
    tracker.interrupt()
    assert [call[0] for call in store.calls] == ["open", "interrupt"]
    tracker.interrupt()  # twice is once
    again = _opened(store, told)
    store.away.set()
    again.open_trial(FIRST)
    again.interrupt()
    assert "has not answered" in told[-1]
    assert len(store.calls) == 2


def test_a_store_that_is_away_at_the_start_is_an_error_before_any_work(told):
    class Away(Silent):
        def open_ablation(self, plan, lineage):
            raise UnreachableError("nobody there")

    with pytest.raises(UnreachableError):
        Delivered(Away(), told.append).open_ablation(MADE, LINEAGE)
    Delivered(Away(), told.append).interrupt()


def test_calls_before_the_start_are_a_programming_error(store, told):
    with pytest.raises(RuntimeError, match="before open_ablation"):
        Delivered(store, told.append).open_trial(FIRST)


# --- a real server ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    made.start()
    yield made
    made.send(signal.SIGCONT)
    made.stop()


def _rows(database: Path) -> Counter:
    """Every row of the metrics table by (run name, metric, step): each must be there once, whatever its timestamp."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as asked:
        found = asked.execute(
            "SELECT runs.name, metrics.key, metrics.step FROM metrics JOIN runs USING (run_uuid) "
            "WHERE metrics.key NOT LIKE 'system/%'"
        ).fetchall()
    return Counter(found)


def _expected(found: list[Outcome]) -> Counter:
    """The rows of complete outcomes: two per epoch, five estimates and bounds of the headline, AF, n_test, the seconds."""
    wanted: Counter = Counter()
    for outcome in found:
        name = f"{outcome.trial.arm.name} seed {outcome.trial.seed}"
        for row in outcome.history:
            wanted.update((name, f"train/{metric}", int(row["epoch"])) for metric in row if metric != "epoch")
        finals = [*outcome.metrics, *(f"seconds/{part}" for part in outcome.seconds)]
        finals += [f"{metric}{end}" for metric in MADE.ablation.headline for end in ("_low", "_high")]
        wanted.update((name, metric, 0) for metric in finals)
    return wanted


def _trial_rows(database: Path) -> Counter:
    return Counter({row: count for row, count in _rows(database).items() if " seed " in row[0]})


def _epochs(outcome: Outcome, tracker: Delivered) -> None:
    tracker.open_trial(outcome.trial)
    for row in outcome.history:
        tracker.log_epochs(outcome.trial, [row])


def _end(tracker: Delivered, folder: Path, found: list[Outcome]) -> None:
    for outcome in found:
        tracker.close_trial(outcome)
    (folder / "report.html").write_text("<p>a report")
    tracker.close_ablation(Table(MADE, found), {"report.html": str(folder / "report.html")})


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_a_server_that_is_away_in_the_middle_loses_and_repeats_nothing(
    server, tmp_path, told, monkeypatch, fault
):
    """Killed and started again; or frozen, so that requests that timed out are carried out later, after they were repeated."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setattr("clef_ray.tracking.reach._ANSWER_SECONDS", 1.0)
    tracker = Delivered(MlflowTracker(server.uri), told.append)
    tracker.open_ablation(MADE, LINEAGE)
    for outcome in FOUND[:2]:
        _epochs(outcome, tracker)
        tracker.close_trial(outcome)
    if fault == "killed":
        server.stop()
    else:
        server.send(signal.SIGSTOP)
    begin = time.monotonic()
    for outcome in FOUND[2:5]:
        _epochs(outcome, tracker)
        tracker.close_trial(outcome)
    assert time.monotonic() - begin < 1, "the sweep waited for MLflow"
    time.sleep(4)
    if fault == "killed":
        server.start()
    else:
        server.send(signal.SIGCONT)
    _end(tracker, tmp_path, FOUND[:5])
    assert _trial_rows(server.database) == _expected(FOUND[:5])
    read = Read(server.uri)
    assert read.statuses() == {"FINISHED"}
    assert len(read.runs) == 1 + 5 + 5
    histories = read.client.get_metric_history(read.children["clef-31 seed 0"].info.run_id, "train/loss")
    times = [metric.timestamp for metric in sorted(histories, key=lambda metric: metric.step)]
    assert times == sorted(times)
    assert len(told) == 2


_SECOND_PROCESS = """
import sys
sys.path[:0] = [{tests!r}, {here!r}]
from pathlib import Path
import test_delivery as t
found = t.FOUND[:{count}]
tracker = t.Delivered(t.MlflowTracker({uri!r}), print)
tracker.open_ablation(t.MADE, t.LINEAGE)
for outcome in found:
    tracker.open_trial(outcome.trial)
t._end(tracker, Path({folder!r}), found)
"""


def _run_again(uri: str, folder: Path, count: int) -> None:
    here = Path(__file__).parent
    code = _SECOND_PROCESS.format(
        tests=str(here.parent), here=str(here), uri=uri, folder=str(folder), count=count
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.slow
def test_after_a_server_that_never_came_back_the_same_command_delivers_everything(server, tmp_path, told):
    tracker = Delivered(MlflowTracker(server.uri), told.append, patience=1.0)
    tracker.open_ablation(MADE, LINEAGE)
    _epochs(FOUND[0], tracker)
    tracker.close_trial(FOUND[0])
    _epochs(FOUND[1], tracker)
    time.sleep(3)
    server.stop()
    _epochs(FOUND[2], tracker)
    with pytest.raises(UnreachableError, match="Nothing is lost"):
        _end(tracker, tmp_path, FOUND[:3])
    tracker.interrupt()
    server.start()
    _run_again(server.uri, tmp_path, 3)
    assert _trial_rows(server.database) == _expected(FOUND[:3])
    assert Read(server.uri).statuses() == {"FINISHED"}
    _run_again(server.uri, tmp_path, 3)  # and once more changes nothing
    assert _trial_rows(server.database) == _expected(FOUND[:3])


_SWEEP = """
import sys
sys.path[:0] = [{tests!r}, {here!r}]
from dataclasses import replace
from pathlib import Path
import test_delivery as t
made = t.toy_plan(name="toy{number}")
found = t.outcomes(made, t.VALUES)
tracker = t.Delivered(t.MlflowTracker({uri!r}), print)
tracker.open_ablation(made, t.LINEAGE)
for outcome in found:
    t._epochs(outcome, tracker)
    tracker.close_trial(outcome)
tracker.close_ablation(t.Table(made, found), {{}})
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["sqlite", pytest.param("server", marks=pytest.mark.long)])
def test_four_sweeps_at_once_on_one_store_lose_nothing(tmp_path, request, place):
    """Four processes meet a database that none has used before; every metric row of each is there once."""
    if place == "server":
        running = request.getfixturevalue("server")
        uri, database = running.uri, running.database
    else:
        database = tmp_path / "fresh" / "mlflow.db"
        uri = f"sqlite:///{database}"
    here = Path(__file__).parent
    codes = [
        _SWEEP.format(tests=str(here.parent), here=str(here), uri=uri, number=number) for number in range(4)
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running_sweeps = [subprocess.Popen([sys.executable, "-c", code], env=environment) for code in codes]
    try:
        assert [sweep.wait(240) for sweep in running_sweeps] == [0, 0, 0, 0]
    finally:
        for sweep in running_sweeps:
            sweep.kill()
    once = _expected([complete(t, 0.5) for t in MADE.trials])
    assert _trial_rows(database) == Counter({row: 4 * count for row, count in once.items()})
    for number in range(4):
        assert Read(uri, f"toy{number}").statuses() == {"FINISHED"}
