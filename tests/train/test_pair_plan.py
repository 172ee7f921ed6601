"""Batches of pairs of a patient's records."""

import json
from collections import Counter

import noise_cohort
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clef_ray.augment import Choice
from clef_ray.cluster import stream
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import ConfigError
from clef_ray.sections import Signals, Views
from clef_ray.shards import ingest_local, load_corpus
from clef_ray.train import plan as plan_module
from clef_ray.train.feed import ResidentFeed
from clef_ray.train.loop import RECORD
from clef_ray.train.pairs import PairPlan

pytestmark = pytest.mark.filterwarnings("ignore:pairs of a patient's records")


def cohort(patients, seed=0):
    """Rows with gaps between them, in no order, and whose each is: every patient has 1 to 5 records."""
    rng = np.random.default_rng(seed)
    of_N = np.repeat(np.arange(patients), rng.integers(1, 6, patients))
    rows = rng.permutation(3 * len(of_N))[: len(of_N)]
    return rows, of_N


@settings(max_examples=20)
@given(
    patients=st.integers(8, 40),
    share=st.integers(1, 3),
    workers=st.sampled_from([1, 2]),
    epoch=st.integers(0, 3),
    stratified=st.booleans(),
)
def test_batches_are_pairs_of_different_records_of_different_patients(
    patients, share, workers, epoch, stratified
):
    rows, of_N = cohort(patients)
    batch = 2 * share * workers
    several = {p for p, count in Counter(of_N.tolist()).items() if count > 1}
    if len(several) < batch // 2:
        return
    risk = np.random.default_rng(1).normal(size=len(rows)) if stratified else None
    plan = PairPlan.of(rows, rows // 50, batch, 1, risk, of_N)
    patient_of = dict(zip(rows.tolist(), of_N.tolist(), strict=True))
    batches = plan.batches(epoch)
    assert batches.shape == (plan.steps, batch) == (len(several) // (batch // 2), batch)
    first, second = batches[:, ::2].ravel().tolist(), batches[:, 1::2].ravel().tolist()
    assert [patient_of[r] for r in first] == [patient_of[r] for r in second]
    assert all(r != s for r, s in zip(first, second, strict=True))
    seen = [patient_of[r] for r in first]
    assert len(set(seen)) == len(seen)
    assert set(seen) <= several == {patient_of[r] for r in plan.rows.tolist()}
    shares = [list(plan.slices(epoch, rank, workers)) for rank in range(workers)]
    for step, whole in enumerate(batches):
        assert np.array_equal(whole, np.concatenate([parts[step] for parts in shares]))
    order = plan.order(epoch).tolist()
    assert sorted({patient_of[r] for r in order}) == sorted(several)
    if not stratified:
        assert order[: batches.size] == batches.ravel().tolist()
    assert plan.ends(epoch)[-1] == batches.size


def test_every_pair_of_a_patients_records_is_as_likely_and_each_order():
    rows = np.array([10, 11, 12, 20, 21])
    plan = PairPlan.of(rows, rows * 0, 4, 0, None, np.array([5, 5, 5, 6, 6]))
    drawn = Counter()
    for epoch in range(600):
        drawn.update(map(tuple, plan.batches(epoch)[0].reshape(2, 2).tolist()))
    three = {pair: count for pair, count in drawn.items() if pair[0] < 20}
    assert set(three) == {(a, b) for a in (10, 11, 12) for b in (10, 11, 12) if a != b}
    assert max(abs(count - 100) for count in three.values()) < 5 * np.sqrt(100)
    assert abs(drawn[20, 21] - 300) < 5 * np.sqrt(150)
    assert drawn[20, 21] + drawn[21, 20] == 600


def test_a_plan_follows_from_records_seed_and_epoch_alone():
    rows, of_N = cohort(40)
    mixed = np.random.default_rng(3).permutation(len(rows))

    def plan(seed=0, at=slice(None)):
        return PairPlan.of(rows[at], rows[at] // 50, 8, seed, None, of_N[at])

    assert np.array_equal(plan().batches(2), plan().batches(2))
    assert np.array_equal(plan().batches(2), plan(at=mixed).batches(2))
    assert not np.array_equal(plan().batches(2), plan().batches(3))
    assert not np.array_equal(plan().batches(2), plan(seed=1).batches(2))


def test_who_has_one_record_is_left_out_and_counted():
    rows, of_N = np.arange(6), np.array([0, 1, 1, 2, 3, 3])
    with pytest.warns(UserWarning, match="2 of the 4 training patients have one record and are left out"):
        plan = PairPlan.of(rows, rows * 0, 4, 0, None, of_N)
    assert plan.rows.tolist() == [1, 2, 4, 5]


def test_what_does_not_fit_is_refused():
    rows, of_N = np.arange(6), np.array([0, 1, 1, 2, 3, 3])
    with pytest.raises(
        ConfigError, match=r"batch 6 is pairs of records of 3 patients, but 2 training patients"
    ):
        PairPlan.of(rows, rows * 0, 6, 0, None, of_N)
    with pytest.raises(ConfigError, match=r"batch 2 is pairs .* but 0 training patients"):
        PairPlan.of(rows, rows * 0, 2, 0, None, rows)
    with pytest.raises(ConfigError, match="batch 3: the method takes pairs of records; an even number"):
        PairPlan.of(rows, rows * 0, 3, 0, None, of_N)
    with pytest.raises(ConfigError, match="2 pairs of records, which cannot be shared evenly by 4 workers"):
        list(PairPlan.of(rows, rows * 0, 4, 0, None, of_N).slices(0, 0, 4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("pairs"))
    ingest_local(Synthetic(patients=60, records_per_patient=3.0, seed=5), out, records_per_part=120)
    return out


@pytest.mark.parametrize("workers", [1, 2])
def test_streamed_windows_are_the_resident_batches(folder, monkeypatch, workers):
    monkeypatch.setattr(plan_module, "WINDOW", 2)
    held = load_corpus(folder, 100.0, ("I",))
    of_N = np.unique(held.table["patient"], return_inverse=True)[1]
    plan = PairPlan.of(np.arange(len(of_N)), held.groups, 8, 0, None, of_N)
    choose = Choice(Signals(fs=100, seconds=6), Views(lead="I", crop="random"), ("I",), 0)
    for rank in range(workers):
        reader = stream._WindowReader(plan, rank, workers, choose, folder, 100.0)
        tasks = reader.tasks(range(1, 3))
        assert len(tasks) == 2 * -(-len(np.unique(held.groups)) // 2), "cut where windows end"
        read = [
            block
            for task in tasks
            for block in reader.read({name: np.array([value]) for name, value in task.items()})
        ]
        expected = list(
            ResidentFeed(held.signals, held.leads).stream(plan, range(1, 3), rank, workers, choose)
        )
        rows = np.concatenate([block["row"] for block in read])
        assert rows.tolist() == np.concatenate([batch.rows_b for batch in expected]).tolist()
        raw = np.concatenate([block["raw"] for block in read])
        assert np.array_equal(raw, torch.cat([batch.raw_b2T for batch in expected]).numpy())


def test_a_run_tells_the_records_that_it_could_use(tmp_path):
    """Of 18 training records six are of three patients with two each."""
    table, held = noise_cohort.cohort()
    table["patient"] = [f"p{max(n // 2, n - 3)}" for n in range(len(table))]
    chosen = {"method": "pclr", "optimiser.batch": 4}
    with pytest.warns(UserWarning, match="12 of the 15 training patients have one record and are left out"):
        store = noise_cohort.train(tmp_path, chosen, data=(table, held))
    record = json.loads(store.read_bytes(RECORD))
    assert (record["records"], record["patients"]) == (6, 3)
