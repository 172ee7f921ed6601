"""The bridge without Ray: runs that another process is at work on, and a sweep that is not to go on."""

import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from clef_ray.ablation import Ablation, Arm, Outcome, plan
from clef_ray.cluster import bridge as module
from clef_ray.cluster import sharing, sweep
from clef_ray.cluster.agenda import List
from clef_ray.cluster.bridge import Bridge
from clef_ray.cluster.interrupt import Interrupts
from clef_ray.cluster.sharing import Shared
from clef_ray.cluster.sweep import SMALL, Known
from clef_ray.errors import ClefRayError
from clef_ray.lease import LeaseLostError, Leases
from clef_ray.store import Store

PLAN = plan(
    Ablation(
        name="toy",
        question="?",
        expect="",
        arms=(Arm("clef", {"method": "clef"}), Arm("simclr", {"method": "simclr"})),
        base="clef",
        seeds=(0,),
        settings={"optimiser.epochs": 1},
    ),
    "d1a7a",
)
FIRST, SECOND = PLAN.trials

HOLD = """
import sys
from clef_ray.lease import Leases
from clef_ray.store import Store
with Leases(Store(sys.argv[1])) as leases:
    assert leases.take(sys.argv[2]) is None
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def at_work(folder, trial):
    """Another process that holds a run until its input ends."""
    command = [sys.executable, "-c", HOLD, str(folder), f"run-{trial.run.fingerprint()}"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait(30)


class Watch:
    def __init__(self):
        self.ended = []

    def start(self, trial): ...

    def epoch(self, trial, metrics): ...

    def end(self, outcome):
        self.ended.append((outcome.trial.arm.name, outcome.state))


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A bridge over both trials; `finished`: what the store holds."""
    monkeypatch.setattr(module, "LOOK", 0.0)
    monkeypatch.setattr(sharing, "LOOK", 0.0)
    finished, said, watch = {}, [], Watch()
    with Leases(Store(str(tmp_path))) as leases:
        bridge = Bridge(
            lambda trial: finished.get(trial.arm.name),
            List(PLAN.trials),
            str(tmp_path),
            [watch],
            Interrupts(),
            retries=0,
            shared=Shared(leases, said.append),
            guard=lambda: None,
        )
        yield bridge, finished, said, watch


def test_a_run_that_another_process_finishes_is_taken_from_the_store(made, tmp_path):
    bridge, finished, said, watch = made
    with at_work(tmp_path, FIRST) as other:
        assert bridge.ask("a") == SECOND, "what is free comes first"
        assert said == [
            f"clef seed 0 is being trained by process {other.pid} on {socket.gethostname()}: its result will be used"
        ]
        assert bridge.ask("b") is None
        assert not bridge.finished
        finished["clef"] = Outcome(FIRST, "COMPLETE", seconds={"wall": 3.0})
        other.communicate("", timeout=30)
    assert bridge.ask("b") is None
    assert watch.ended == [("clef", "COMPLETE")]
    assert bridge.ended[FIRST.run.fingerprint()].state == "COMPLETE"
    bridge.begin("a")
    bridge.fail("a", "clef_ray.errors.TrainingError: the loss is not finite")
    assert bridge.finished
    assert not list((tmp_path / "leases").iterdir()), "an ended run is held no longer"


def test_a_run_whose_process_dies_is_run_here(made, tmp_path):
    bridge, _, _, watch = made
    with at_work(tmp_path, FIRST) as other:
        assert bridge.ask("a") == SECOND
        assert bridge.ask("b") is None
        other.send_signal(signal.SIGKILL)
        other.wait(30)
        assert bridge.ask("b") == FIRST
    assert watch.ended == []


class UntilEnded(List):
    """As a study's book: it is finished once its runs have ended, not once they are handed out."""

    ended = False

    @property
    def finished(self):
        return self.ended

    def end(self, outcome):
        self.ended = True


def test_where_nothing_else_is_left_the_first_draw_waits(made, tmp_path):
    bridge, finished, _, watch = made
    bridge.agenda = UntilEnded([FIRST])
    with at_work(tmp_path, FIRST) as other:

        def guard():
            finished["clef"] = Outcome(FIRST, "COMPLETE")
            assert not bridge.finished
            other.communicate("", timeout=30)

        bridge.guard = guard
        assert bridge.draw() is None
    assert bridge.finished
    assert watch.ended == [("clef", "COMPLETE")]


def test_a_run_that_was_finished_before_it_was_held_is_not_run(made):
    """Between the agenda's look into the store and the lease another process may have come to its end."""
    bridge, finished, _, watch = made
    finished["clef"] = Outcome(FIRST, "COMPLETE")
    assert bridge.ask("a") == SECOND
    assert watch.ended == [("clef", "COMPLETE")]


@pytest.mark.parametrize("call", ["ask", "epoch"])
def test_a_sweep_that_is_not_to_go_on_stops_at_once(made, call):
    bridge, *_ = made
    bridge.ask("a")

    def guard():
        raise LeaseLostError("taken over")

    bridge.guard = guard
    with pytest.raises(LeaseLostError):
        bridge.ask("b") if call == "ask" else bridge.epoch("a", {"epoch": 1.0})
    assert isinstance(bridge.error, LeaseLostError), "Tune hands it on as text"


def test_an_agenda_that_names_nothing_while_nothing_runs_is_an_error(made):
    bridge, *_ = made

    class Stuck(List):
        finished = False

    bridge.agenda = Stuck([])
    with pytest.raises(ClefRayError, match="would wait for ever"):
        bridge.ask("a")


def test_a_finished_runs_results_are_read_once(monkeypatch):
    read = []

    def load(trial, *arguments):
        read.append((trial.arm.name, arguments))
        return Outcome(trial, "COMPLETE") if trial is FIRST else None

    monkeypatch.setattr("clef_ray.cluster.sweep.load_outcome", load)
    known, twin = Known(PLAN, "storage"), replace(FIRST, arm=Arm("twin", {}))
    assert [known(FIRST).trial, known(twin).trial, known(FIRST).trial] == [FIRST, twin, FIRST]
    assert known(SECOND) is None
    assert known(SECOND) is None
    asked = (PLAN.judging, "storage")
    assert read == [("clef", asked), ("simclr", asked), ("simclr", asked)], "what is missing may come"


@pytest.mark.parametrize(("records", "reader"), [(SMALL, "here"), (SMALL + 1, "elsewhere")])
def test_a_small_corpus_is_read_by_the_driver_itself(monkeypatch, records, reader):
    """Other processes take longer to start than the whole of it takes to read; a large one never enters the driver's memory."""
    monkeypatch.setattr(sweep, "load_corpus", lambda *arguments: ("here", *arguments))
    monkeypatch.setattr(sweep.ray, "put", lambda corpus: corpus)
    monkeypatch.setattr(sweep, "held", lambda *arguments: ("elsewhere", *arguments))
    manifest = SimpleNamespace(records=records)
    assert sweep._corpus("folder", 100.0, ("I",), manifest) == (reader, "folder", 100.0, ("I",))
