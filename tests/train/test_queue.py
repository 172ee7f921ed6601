"""The queue of past embeddings, against a list of rows."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from noise_cohort import STILL, make_trainer, steps

from clef_ray.losses import Pairs
from clef_ray.train.queue import EmbeddingQueue


def batch(size, start):
    """Embeddings of both views and what is known of their subjects, every number different."""
    number_B = torch.arange(start, start + size, dtype=torch.float32)
    z_VD = torch.stack([torch.cat([number_B, number_B + 0.5]), -torch.cat([number_B, number_B])], dim=1)
    risk_BK = torch.stack([number_B, number_B * 2], dim=1)
    return z_VD.requires_grad_(), Pairs(risk_BK, number_B / 1000, number_B.long(), (0, 0))


@given(rows=st.integers(1, 12), sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_it_holds_the_newest_views_oldest_first_with_what_is_known_of_them(rows, sizes):
    queue, expected, start = EmbeddingQueue(rows), [], 0
    assert queue.held is None
    for size in sizes:
        z_VD, pairs = batch(size, start)
        queue.push(z_VD, pairs)
        for view in (0, 0.5):  # all first views, then all second views
            expected += [(subject, subject + view) for subject in range(start, start + size)]
        start += size
        held = expected[-rows:]
        assert queue.held.z_QD[:, 0].tolist() == [z for _, z in held]
        assert queue.held.risk_QK.tolist() == [[s, 2 * s] for s, _ in held]
        assert queue.held.completeness_Q.tolist() == pytest.approx([s / 1000 for s, _ in held])
        assert queue.held.patient_Q.tolist() == [s for s, _ in held]
        assert not queue.held.z_QD.requires_grad


def test_no_rows_hold_nothing():
    queue = EmbeddingQueue(0)
    queue.push(*batch(3, 0))
    assert queue.held is None
    assert queue.state() == {}


def test_it_survives_the_checkpoint_and_stores_no_more_than_it_holds():
    queue, copy = EmbeddingQueue(4), EmbeddingQueue(4)
    queue.push(*batch(500, 0))
    queue.push(*batch(500, 500))
    stored = io.BytesIO()
    torch.save(queue.state(), stored)
    assert len(stored.getvalue()) < 4000, "four rows, not the batch they were cut from"
    stored.seek(0)
    copy.load(torch.load(stored, weights_only=True), torch.device("cpu"))
    for q in (queue, copy):
        q.push(*batch(1, 1000))
    assert all(torch.equal(a, b) for a, b in zip(queue.state().values(), copy.state().values(), strict=True))
    copy.load({}, torch.device("cpu"))
    assert copy.held is None


def test_an_embedding_written_over_later_stays_as_it_was_pushed():
    queue, (z_VD, pairs) = EmbeddingQueue(4), batch(2, 0)
    queue.push(z_VD, pairs)
    with torch.no_grad():
        z_VD.zero_()
    assert queue.held.z_QD[:, 0].tolist() == [0, 1, 0.5, 1.5]


@pytest.mark.parametrize("method", ["clef", "simclr"])
def test_the_loss_sees_the_batches_before_and_not_its_own(method):
    """With weights that stand still, the first step has no queue and the loss of every later one is that of a longer list of negatives."""
    still = {"method": method, **STILL}
    with_queue, without = make_trainer({**still, "loss.queue": 20}), make_trainer(still)
    seen = []
    original = with_queue.loss.forward
    with_queue.loss.forward = lambda z, rows, pairs: seen.append(pairs) or original(z, rows, pairs)
    losses = [[values[0] for values, _ in steps(t, 3)] for t in (with_queue, without)]
    assert losses[0][0] == losses[1][0]
    pairs = list(zip(*losses, strict=True))[1:]
    assert all(a > b if method == "simclr" else a != b for a, b in pairs)
    assert [None if p.queue is None else len(p.queue.z_QD) for p in seen] == [None, 16, 20]
    assert torch.equal(seen[1].queue.patient_Q, seen[0].patient_B.repeat(2))
    np.testing.assert_array_equal(seen[1].queue.risk_QK, seen[0].risk_BK.repeat(2, 1))
    assert torch.equal(seen[2].queue.patient_Q[-16:], seen[1].patient_B.repeat(2))
    assert with_queue.queue.held.z_QD.shape == (20, 256)
