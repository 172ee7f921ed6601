"""The read plan: every batch follows from (records, seed, epoch)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clef_ray.errors import ConfigError
from clef_ray.train.plan import WINDOW, ReadPlan


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
