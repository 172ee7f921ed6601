"""The read plan: every batch follows from (records, seed, epoch)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clef_ray.errors import ConfigError
from clef_ray.train import plan
from clef_ray.train.plan import MIXED, WINDOW, ReadPlan


@given(
    records=st.integers(8, 400),
    batch=st.integers(1, 8),
    workers=st.sampled_from([1, 2, 4]),
    epoch=st.integers(0, 5),
)
def test_workers_together_read_each_record_at_most_once_and_agree_with_one_worker(
    records, batch, workers, epoch
):
    rows = np.arange(records) * 3 + 5
    plan = (
        ReadPlan(rows, np.arange(records) // 50, batch * workers, seed=1)
        if records >= batch * workers
        else None
    )
    if plan is None:
        return
    whole = list(plan.slices(epoch, 0, 1))
    shares = [list(plan.slices(epoch, r, workers)) for r in range(workers)]
    for step, batch_rows in enumerate(whole):
        assert np.array_equal(batch_rows, np.concatenate([share[step] for share in shares]))
    seen = np.concatenate(whole)
    assert len(np.unique(seen)) == len(seen) == plan.steps * plan.batch
    assert set(seen) <= set(rows)


def test_epochs_and_seeds_shuffle_anew_and_repeat_exactly():
    rows, groups = np.arange(300), np.arange(300) // 50
    plan = ReadPlan(rows, groups, 32, seed=0)
    assert np.array_equal(plan.batches(3), ReadPlan(rows, groups, 32, seed=0).batches(3))
    assert not np.array_equal(plan.batches(3), plan.batches(4))
    assert not np.array_equal(plan.batches(3), ReadPlan(rows, groups, 32, seed=1).batches(3))
    counts = np.zeros(300)
    for epoch in range(400):
        counts[plan.batches(epoch)[0]] += 1
    assert counts.std() < 1.3 * np.sqrt(400 * 32 / 300), "the first batch draws every record alike"


def test_a_large_corpus_is_read_in_windows_of_whole_row_groups():
    groups = np.repeat(np.arange(4 * WINDOW), 50)
    plan = ReadPlan(np.arange(len(groups)), groups, 64, seed=0)
    order = groups[plan.order(0)]
    for start in range(0, len(order), WINDOW * 50):
        assert len(np.unique(order[start : start + WINDOW * 50])) == WINDOW


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="batch 64 is larger than the 10 training records"):
        ReadPlan(np.arange(10), np.zeros(10, dtype=int), 64, 0)
    with pytest.raises(ConfigError, match="cannot be shared evenly by 3 workers"):
        list(ReadPlan(np.arange(10), np.zeros(10, dtype=int), 8, 0).slices(0, 0, 3))


def test_a_plan_does_not_depend_on_the_order_in_which_its_rows_are_listed():
    rng = np.random.default_rng(0)
    rows, groups, risk = np.arange(300) * 2, np.arange(300) // 50, rng.normal(size=300)
    mixed = rng.permutation(300)
    for one, other in [
        (ReadPlan(rows, groups, 32, 0), ReadPlan(rows[mixed], groups[mixed], 32, 0)),
        (ReadPlan(rows, groups, 32, 0, risk), ReadPlan(rows[mixed], groups[mixed], 32, 0, risk[mixed])),
    ]:
        assert np.array_equal(one.batches(2), other.batches(2))


# --- stratified by risk ----------------------------------------------------------------------------------------------------------------


def stratum(values, strata):
    """The stratum of each of the values: how many others lie below, in steps of the strata's size."""
    size = len(values) // strata
    return [sum(other < value for other in values) // size for value in values]


@given(
    batch=st.integers(2, 9),
    steps=st.integers(1, 12),
    spare=st.integers(0, 1),
    unknown=st.integers(0, 20),
    workers=st.sampled_from([1, 2, 4]),
    epoch=st.integers(0, 3),
    seed=st.integers(0, 5),
)
def test_every_batch_takes_one_record_of_each_stratum_of_risk(
    batch, steps, spare, unknown, workers, epoch, seed
):
    batch *= workers
    records = batch * steps + spare * (batch - 1)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(3 * records)[:records]
    risk = rng.permutation(records).astype(float)
    missing = rng.permutation(records)[: min(unknown, records)]
    known = dict(zip(rows.tolist(), risk.tolist(), strict=True))
    risk[missing] = np.nan
    lost = set(rows[missing].tolist())
    plan = ReadPlan(rows, np.arange(records) // 50, batch, seed, risk)
    plain = ReadPlan(rows, np.arange(records) // 50, batch, seed)
    found = plan.batches(epoch)
    assert sorted(found.ravel()) == sorted(plain.batches(epoch).ravel()), "the epoch's records stay the same"
    assert len(np.unique(found)) == found.size
    used = [row for row in found.ravel().tolist() if row not in lost]
    place = {row: number for number, row in enumerate(sorted(used, key=known.__getitem__))}
    for one in found.tolist():
        # a stratum is `steps` neighbours by risk; the one in which the known end holds fewer
        strata = [place[row] // plan.steps for row in one if row not in lost]
        assert len(set(strata)) == len(strata)
        assert abs(len(strata) - len(used) / plan.steps) < 1
    shares = [list(plan.slices(epoch, r, workers)) for r in range(workers)]
    for step in range(plan.steps):
        assert np.array_equal(found[step], np.concatenate([share[step] for share in shares]))


def test_stratified_batches_differ_between_epochs_and_mix_partners_and_places():
    rows, risk = np.arange(320), np.arange(320.0)
    plan = ReadPlan(rows, rows // 50, 32, 0, risk)
    first, second = plan.batches(0), plan.batches(1)
    assert not np.array_equal(np.sort(first, axis=1), np.sort(second, axis=1))
    assert np.array_equal(first, ReadPlan(rows, rows // 50, 32, 0, risk).batches(0))
    means = np.array([plan.batches(e).mean(axis=1) for e in range(20)])
    shuffled = np.array([ReadPlan(rows, rows // 50, 32, 0).batches(e).mean(axis=1) for e in range(20)])
    assert means.std() < 0.1 * shuffled.std(), "every batch has the same mix"
    halves = np.array([plan.batches(e)[:, :16].mean() for e in range(20)])
    assert abs(halves.mean() - 159.5) < 10, "no place in a batch has a preferred risk"


def test_a_large_corpus_is_stratified_within_windows():
    groups = np.repeat(np.arange(4 * WINDOW), 50)
    risk = np.random.default_rng(0).normal(size=len(groups))
    plan = ReadPlan(np.arange(len(groups)), groups, 64, 0, risk)
    batches, steps = plan.batches(0), WINDOW * 50 // 64
    for start in range(0, len(batches), steps):
        part = batches[start : start + steps]
        assert len(np.unique(groups[part])) == WINDOW
        ranks = np.argsort(np.argsort(risk[part.ravel()])).reshape(part.shape)
        assert (np.sort(ranks // steps, axis=1) == np.arange(64)).all()


def test_batches_as_large_as_a_window_are_stratified_over_several():
    groups = np.repeat(np.arange(4 * WINDOW), 50)
    risk = np.random.default_rng(0).normal(size=len(groups))
    plan = ReadPlan(np.arange(len(groups)), groups, 2000, 0, risk)
    batches = plan.batches(0)
    assert len(batches) == 6
    ranks = np.argsort(np.argsort(risk[batches.ravel()])).reshape(batches.shape)
    assert (np.sort(ranks // 6, axis=1) == np.arange(2000)).all(), (
        f"fewer than {MIXED} batches end in a window"
    )


@pytest.mark.parametrize("batch", [16, 48])
def test_windows_end_where_their_last_record_is_read(monkeypatch, batch):
    """`ends` is cheap; here against the order itself, on records of which some are held out."""
    monkeypatch.setattr(plan, "WINDOW", 3)
    rows = np.flatnonzero(np.arange(1000) % 7 != 2)
    read = plan.ReadPlan(rows, rows // 50, batch, seed=1)
    for epoch in range(3):
        _, window_N = read._shuffled(epoch)
        ends = [*(np.flatnonzero(np.diff(window_N)) + 1).tolist(), len(window_N)]
        assert read.ends(epoch).tolist() == sorted({min(end, read.steps * batch) for end in ends})
