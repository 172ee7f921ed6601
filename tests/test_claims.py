"""Leases where the last of two writers wins: whoever is first or slow, two never hold one, and somebody does."""

import json
import os
import threading
import time
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clef_ray import claims as module
from clef_ray.claims import DEAD, Claims
from clef_ray.errors import StorageError
from clef_ray.lease import LeaseLostError, Leases, lease
from clef_ray.store import Entry, Store


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


@pytest.fixture
def no_folder(monkeypatch):
    """Every store counts as an object store."""
    monkeypatch.setattr(Store, "local", False)


def told(store, **changes):
    """Another machine's file about `x`."""
    claim = {"host": "elsewhere", "machine": "another", "pid": 7, "since": 0.0, "beat": time.time()}
    content = {**claim, "token": "0f", "holds": True, "over": [], **changes}
    store.write_bytes(f"leases/x.{content['token']}.json", json.dumps(content).encode())


def files(store):
    return [e.name for e in store.walk("leases")]


@dataclass
class Turns:
    """A store in which everybody waits for his turn before each operation, in an order given beforehand; then in turn."""

    order: list[int]
    content: dict[str, bytes] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    now: int | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)
    who: threading.local = field(default_factory=threading.local)

    def turn(self):
        with self.changed:
            self.waiting.add(self.who.number)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.now == self.who.number)
            self.waiting.discard(self.who.number)
            self.now = None

    def conduct(self, number):
        """Until all have ended: one operation at a time, when everybody who has not ended waits."""
        last, order = -1, iter(self.order)
        while True:
            with self.changed:
                self.changed.wait_for(
                    lambda: self.now is None and len(self.waiting) + len(self.ended) == number
                )
                if len(self.ended) == number:
                    return
                ready = sorted(self.waiting)
                wish = next(order, None)
                after = [n for n in ready if n > last]
                last = wish if wish in ready else (after or ready)[0]
                self.now = last
                self.changed.notify_all()

    def walk(self, prefix, *, recursive):
        self.turn()
        return [Entry(name, 1, time.time()) for name in sorted(self.content)]

    def read_bytes(self, name):
        self.turn()
        if name not in self.content:
            raise StorageError(name)
        return self.content[name]

    def exists(self, name):
        return name in self.content

    def write_bytes(self, name, data):
        self.turn()
        self.content[name] = data

    def delete(self, name):
        self.turn()
        self.content.pop(name, None)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 2), max_size=40), st.permutations([0, 1, 2]))
def test_in_whatever_order_three_look_and_write_one_of_them_holds_it(order, tokens):
    """Each operation on the store is one step; hypothesis says whose turn it is."""
    turns = Turns(order)
    taken = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SETTLE", 0.0)

        def contend(number):
            turns.who.number = number
            claims = Claims(turns)
            claims._own = replace(claims._own, token=f"{tokens[number]}")
            taken[number] = claims.take("x")
            with turns.changed:
                turns.ended.add(number)
                turns.changed.notify_all()

        threads = [threading.Thread(target=contend, args=(n,), daemon=True) for n in range(3)]
        for thread in threads:
            thread.start()
        turns.conduct(3)
        for thread in threads:
            thread.join()
    winners = [n for n, other in taken.items() if other is None]
    assert len(winners) == 1, taken
    assert list(turns.content) == [f"leases/x.{tokens[winners[0]]}.json"]


def test_a_living_holder_is_named_and_nothing_is_left_of_the_attempt(store):
    told(store)
    assert Claims(store).take("x") == "process 7 on elsewhere"
    assert Claims(store).take("y") is None
    assert min(files(store)) == "leases/x.0f.json"
    assert len(files(store)) == 2


def test_the_smaller_token_waits_for_the_larger_to_give_way(store, monkeypatch):
    told(store, token="zz", holds=False)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: store.delete("leases/x.zz.json"))
    assert Claims(store).take("x") is None


def test_who_holds_it_holds_it(store):
    claims = Claims(store)
    assert claims.take("x") is None
    kept = store.read_bytes(files(store)[0])
    assert claims.take("x") is None
    assert store.read_bytes(files(store)[0]) == kept, "it does not say meanwhile that it wants it only"
    claims.give("x")
    assert files(store) == []


def test_a_dead_holder_is_taken_over_and_told(store):
    told(store, beat=time.time() - DEAD - 1)
    claims = Claims(store)
    assert claims.take("x") is None
    (own,) = files(store)
    assert json.loads(store.read_bytes(own))["over"] == ["0f"]
    told(store)  # it was asleep, and writes what it was about to
    assert claims.beat("x") is None, "the successor goes on"


def test_who_was_taken_over_is_told_and_deletes_nothing_else(store):
    claims = Claims(store)
    assert claims.take("x") is None
    told(store, over=[claims._own.token])
    assert claims.beat("x") == "process 7 on elsewhere"
    claims.give("x")
    assert files(store) == ["leases/x.0f.json"]


def test_another_process_of_this_machine_is_asked_of_the_system(store):
    told(store, machine=module.machine(), pid=2**22 + 1)
    assert Claims(store).take("x") is None, "it ended a moment ago"


def test_a_damaged_file_counts_for_a_while(store, tmp_path):
    store.write_bytes("leases/x.0f.json", b"{")
    assert "unknown" in Claims(store).take("x")
    old = time.time() - DEAD - 1
    os.utime(tmp_path / "leases/x.0f.json", (old, old))
    assert Claims(store).take("x") is None


def test_a_name_that_begins_alike_is_another(store):
    told(store)
    store.write_bytes("leases/xy.0f.json", store.read_bytes("leases/x.0f.json"))
    store.write_bytes("leases/x.y.0f.json", store.read_bytes("leases/x.0f.json"))
    store.delete("leases/x.0f.json")
    assert Claims(store).take("x") is None


@pytest.mark.usefixtures("no_folder")
def test_leases_go_by_claims_where_there_are_no_links(store, monkeypatch):
    with lease(store, "x") as check:
        assert len(files(store)) == 1
        with Leases(store) as others:
            assert others.take("x").startswith("process ")
        check()
    assert files(store) == []
    monkeypatch.setattr("clef_ray.lease.BEAT", 0.01)
    with Leases(store) as leases:
        leases.take("x")
        told(store, over=[leases._claims._own.token])
        end = time.monotonic() + 30
        while not leases._lost and time.monotonic() < end:
            time.sleep(0.01)
        with pytest.raises(LeaseLostError, match="process 7 on elsewhere took this over"):
            leases.check()
