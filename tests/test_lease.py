"""Who drives a sweep: one living process, and after its death the next."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clef_ray import lease as module
from clef_ray.errors import ConfigError
from clef_ray.lease import BEAT, DEAD, LeaseLostError, Leases, lease
from clef_ray.store import Store

HOLD = """
import sys
from clef_ray import lease
from clef_ray.store import Store
lease.BEAT = float(sys.argv[2])
with lease.lease(Store(sys.argv[1]), "sweep"):
    print("held", flush=True)
    sys.stdin.read()
print("released", flush=True)
"""
FILE = "leases/sweep.json"

RACE = """
import sys
from clef_ray.lease import Leases
from clef_ray.store import Store
with Leases(Store(sys.argv[1])) as leases:
    print(leases.take("sweep") is None, flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder, beat=BEAT):
    """A process that holds the lease until its input ends."""
    command = [sys.executable, "-c", HOLD, str(folder), str(beat)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait(30)


def let_go(process):
    """It ends in good order."""
    out, err = process.communicate("", timeout=30)
    assert (out, err, process.returncode) == ("released\n", "", 0)


def told(**changes):
    return {"token": "x", "host": "elsewhere", "pid": 1, "since": 0.0, "beat": time.time(), **changes}


def write(store, content):
    store.write_bytes(FILE, json.dumps(content).encode())


def beat_of(store):
    return json.loads(store.read_bytes(FILE))["beat"]


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited for 30 s"
        time.sleep(0.02)


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path):
    store = Store(str(tmp_path))
    with holder(tmp_path) as first:
        with pytest.raises(ConfigError, match=f"process {first.pid}"), lease(store, "sweep"):
            pass
        with lease(store, "another"):
            pass
        first.send_signal(signal.SIGKILL)
        first.wait(30)
    with lease(store, "sweep"), pytest.raises(ConfigError, match="already"), lease(store, "sweep"):
        pass
    assert not store.exists(FILE)


@pytest.mark.parametrize(("age", "refused"), [(10, True), (500, False)])
def test_another_machine_lives_as_long_as_it_says_so(tmp_path, age, refused):
    store = Store(str(tmp_path))
    write(store, told(beat=time.time() - age))
    if refused:
        with pytest.raises(ConfigError, match="on elsewhere"), lease(store, "sweep"):
            pass
    else:
        with lease(store, "sweep"):
            pass


@pytest.mark.parametrize("change", [{"since": 1.0}, {"pid": -1}])
def test_a_number_that_was_given_to_another_process_is_not_the_first_one(tmp_path, change):
    store = Store(str(tmp_path))
    with lease(store, "sweep"):
        own = json.loads(store.read_bytes(FILE))
    write(store, {**own, **change})
    with lease(store, "sweep"):
        pass


def test_who_has_lost_it_neither_renews_nor_deletes_it(tmp_path):
    """Two real processes: the first seems dead to another machine, which takes over; then the first wakes up, and ends."""
    store = Store(str(tmp_path))
    with holder(tmp_path, beat=0.5) as first:
        begun = beat_of(store)
        wait_for(lambda: beat_of(store) > begun)  # so that it sleeps between two beats, not within one
        first.send_signal(signal.SIGSTOP)
        write(store, told())
        kept = store.read_bytes(FILE)
        first.send_signal(signal.SIGCONT)
        time.sleep(1.5)
        assert store.read_bytes(FILE) == kept
        let_go(first)
    assert store.read_bytes(FILE) == kept
    with pytest.raises(ConfigError, match="on elsewhere"), lease(store, "sweep"):
        pass


def test_a_lease_that_is_lost_just_before_the_end_is_not_deleted(tmp_path):
    """No beat comes between the loss and the end."""
    store = Store(str(tmp_path))
    with holder(tmp_path) as first:
        write(store, told())
        kept = store.read_bytes(FILE)
        let_go(first)
    assert store.read_bytes(FILE) == kept


def test_the_beat_outlives_a_storage_that_cannot_be_written(tmp_path):
    """A file where the folder should be: nothing can be written there, whoever one is."""
    store, folder, away = Store(str(tmp_path)), tmp_path / "leases", tmp_path / "away"
    with holder(tmp_path, beat=0.05) as first:
        begun = beat_of(store)
        wait_for(lambda: beat_of(store) > begun)
        first.send_signal(signal.SIGSTOP)  # or it makes the folder anew between the two
        folder.rename(away)
        folder.write_bytes(b"")
        first.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        assert folder.read_bytes() == b""
        folder.unlink()
        wait_for(lambda: store.exists(FILE) and beat_of(store) > begun)
        last = beat_of(store)
        wait_for(lambda: beat_of(store) > last)
        with pytest.raises(ConfigError, match=f"process {first.pid}"), lease(store, "sweep"):
            pass
        let_go(first)
    assert not store.exists(FILE)


def test_a_storage_that_is_away_at_the_end_hides_nothing(tmp_path):
    """What the block raises is what the user sees; the lease ends with the process."""
    store = Store(str(tmp_path))

    def work():
        with lease(store, "sweep"):
            (tmp_path / FILE).unlink()
            (tmp_path / FILE).mkdir()  # can be neither read nor written
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        work()


def test_who_has_lost_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BEAT", 0.05)
    store = Store(str(tmp_path))
    with Leases(store) as leases:
        assert leases.take("sweep") is None
        assert leases.take("another") is None
        leases.check()
        write(store, told(pid=77))
        wait_for(lambda: leases._lost)
        with pytest.raises(LeaseLostError, match=r"sweep\.json: process 77 on elsewhere took this over"):
            leases.check()
    assert json.loads(store.read_bytes(FILE))["pid"] == 77
    assert not store.exists("leases/another.json")


def test_who_looked_before_another_wrote_does_not_write_over_it(tmp_path, monkeypatch):
    store = Store(str(tmp_path))
    write(store, told())
    kept, leases = store.read_bytes(FILE), Leases(store)
    monkeypatch.setattr(Store, "exists", lambda store, name: False)  # as it was a moment ago
    assert not leases._create(FILE)
    assert store.read_bytes(FILE) == kept
    assert [file.name for file in (tmp_path / "leases").iterdir()] == ["sweep.json"]


def test_of_many_processes_that_begin_at_the_same_moment_one_holds_it(tmp_path):
    """Without a pause to see who wrote last: a folder's system lets one of them win."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path)], **pipes) for _ in range(4)]
    said = sorted(p.stdout.readline() for p in processes)
    for process in processes:
        process.communicate("", timeout=30)
    assert said == ["False\n"] * 3 + ["True\n"]


DAMAGED = [b"", b"{", b"null", b"[]", b"{}", b"\xff", json.dumps(told(pid="no number")).encode()]


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_lease_counts_as_long_as_a_living_one_would(tmp_path, damaged):
    store = Store(str(tmp_path))
    store.write_bytes(FILE, damaged)
    with pytest.raises(ConfigError, match=r"sweep\.json is damaged.*delete it"), lease(store, "sweep"):
        pass
    assert store.read_bytes(FILE) == damaged
    then = time.time() - DEAD - 1
    os.utime(tmp_path / FILE, (then, then))
    with lease(store, "sweep"):
        assert json.loads(store.read_bytes(FILE))["pid"] == os.getpid()
    assert not store.exists(FILE)


def test_a_lease_that_is_damaged_while_it_is_held_is_mended(tmp_path):
    store = Store(str(tmp_path))
    with holder(tmp_path, beat=0.05) as first:
        store.write_bytes(FILE, b"")
        wait_for(lambda: store.read_bytes(FILE) != b"")
        with pytest.raises(ConfigError, match=f"process {first.pid}"), lease(store, "sweep"):
            pass
        let_go(first)
    assert not store.exists(FILE)


@given(data=st.data())
def test_whatever_became_of_the_file_is_told_without_a_traceback(tmp_path_factory, data):
    """Some bytes of a whole file changed, or its end cut off."""
    store = Store(str(tmp_path_factory.mktemp("lease")))
    whole = bytearray(json.dumps(told(pid=12345, host="here", beat=1.5)).encode())
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=3)):
        whole[place] = data.draw(st.sampled_from(b'-1e9."{}[,\x00\xff') | st.integers(0, 255))
    store.write_bytes(FILE, bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.socket, "gethostname", lambda: "here")
        assert module._living(store, FILE) is None or "\n" not in module._living(store, FILE)
