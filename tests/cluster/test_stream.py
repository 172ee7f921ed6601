"""How signals are read: whole or window by window, and what is said about it. No Ray: its tasks are called here."""

import pickle

import numpy as np
import pytest
import torch

from clef_ray.augment import Choice
from clef_ray.cluster import stream
from clef_ray.cluster.stream import held_bytes, reading
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import CapacityError
from clef_ray.sections import Signals, Views
from clef_ray.shards import corpus, ingest_local, load_corpus
from clef_ray.train import plan
from clef_ray.train.feed import ResidentFeed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("shards"))
    ingest_local(Synthetic(patients=330, records_per_patient=1.0, seed=5), out, records_per_part=120)
    return out


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("stratified", [False, True])
def test_windows_together_are_the_resident_batches_and_read_each_row_group_once(
    folder, monkeypatch, workers, stratified
):
    monkeypatch.setattr(plan, "WINDOW", 3)
    held = load_corpus(folder, 100.0, ("I", "V2"))
    rows = np.flatnonzero(np.arange(len(held.table)) % 5)
    risk = np.random.default_rng(0).uniform(size=len(rows)) if stratified else None
    read_plan = plan.ReadPlan(rows, held.groups[rows], 16, 0, risk)
    choose = Choice(Signals(fs=100, seconds=6), Views(crop="random", same_lead=0.3), ("I", "V2"), 0)
    read_groups = []
    plain = corpus.decode_into

    def counted(*arguments):
        read_groups.append(arguments)
        plain(*arguments)

    monkeypatch.setattr(corpus, "decode_into", counted)
    for rank in range(workers):
        read_groups.clear()
        reader = stream._WindowReader(read_plan, rank, workers, choose, folder, 100.0)
        tasks = reader.tasks(range(1, 3))
        assert len(tasks) == 2 * 3, "8 row groups are three windows of three"
        blocks = [
            block
            for task in tasks
            for block in reader.read({name: np.array([value]) for name, value in task.items()})
        ]
        found = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        expected = list(
            ResidentFeed(held.signals, held.leads).stream(read_plan, range(1, 3), rank, workers, choose)
        )
        assert found["row"].tolist() == np.concatenate([b.rows_b for b in expected]).tolist()
        assert found["lead"].tolist() == np.concatenate([b.lead_b2 for b in expected]).tolist()
        assert np.array_equal(found["raw"], torch.cat([b.raw_b2T for b in expected]).numpy())
        assert np.array_equal(found["gain"], torch.cat([b.gain_b2 for b in expected]).numpy())
        if not stratified:
            assert len(read_groups) == 2 * 8, "each once an epoch"


def test_a_process_orders_an_epoch_once_however_many_windows_it_reads(folder, monkeypatch):
    monkeypatch.setattr(plan, "WINDOW", 3)
    held = load_corpus(folder, 100.0, ("I",))
    rows = np.arange(len(held.table))
    choose = Choice(Signals(fs=100, seconds=6), Views(), ("I",), 0)
    ordered = []
    plain = plan.ReadPlan.batches

    def counted(self, epoch):
        ordered.append(epoch)
        return plain(self, epoch)

    def read(seed):
        reader = stream._WindowReader(plan.ReadPlan(rows, held.groups, 16, seed), 0, 1, choose, folder, 100.0)
        found = []
        for task in reader.tasks(range(1, 3)):
            arrived = pickle.loads(pickle.dumps(reader))  # as in every task of Ray Data
            batch = {name: np.array([value]) for name, value in task.items()}
            found += [row for block in arrived.read(batch) for row in block["row"].tolist()]
        return found

    monkeypatch.setattr(plan.ReadPlan, "batches", counted)
    first = read(seed=0)
    assert ordered == [1, 2]
    assert read(seed=1) != first, "another plan is another reader, though all else is the same"


@pytest.fixture
def nodes(monkeypatch):
    def these(*sizes):
        found = {str(n): {"object_store_memory": size} for n, size in enumerate(sizes)}
        monkeypatch.setattr(stream, "live_nodes", lambda: found)

    return these


class Shape:
    fs, samples, leads = 500.0, 5000, ("I", "II", "V1")


def test_the_corpus_is_resident_where_it_fits_into_the_smallest_node_and_it_is_said(nodes):
    size = held_bytes(Shape, 1000, 500.0, ("I", "II"))
    assert size == 1000 * 2 * (5000 * 2 + 4 + 4)
    assert held_bytes(Shape, 1000, 250.0, ("I",)) == 1000 * (2500 * 2 + 8)
    nodes(2e9, 2 * size)
    how = reading(Shape, 1000, 500.0, ("II",), ("I",))
    assert (how.resident, how.leads) == (True, ("I", "II"))
    assert how.line.startswith("signals: resident, 20.0 MB of int16 in shared memory, once per node")
    nodes(2e9, 2 * size - 1)
    how = reading(Shape, 1000, 500.0, ("II",), ("I",))
    assert (how.resident, how.leads) == (False, ("I",))
    assert (
        "signals: streaming, 20.0 MB of int16 do not fit into 50% of the object store of each node, 20.0 MB"
        in how.line
    )
    assert "resident for the tasks alone, 10.0 MB" in how.line
    nodes(size - 1)
    with pytest.raises(CapacityError, match=r"the tasks' signals \(10\.0 MB\) do not fit into 50%"):
        reading(Shape, 1000, 500.0, ("II",), ("I",))
