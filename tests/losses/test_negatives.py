"""Sub-sampled negatives: exact, seeded, uniform, and the same whoever computes the row."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clef_ray.losses._negatives import candidates, sample


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=12),
    st.integers(1, 8),
    st.integers(0, 2**40),
    st.integers(0, 10**6),
)
def test_exactly_as_many_as_asked_and_only_candidates(patients, negatives, seed, step):
    patient_B = torch.tensor(patients)
    rows = torch.arange(2 * len(patients))
    allowed = candidates(rows, patient_B)
    for i in rows.tolist():
        for k in rows.tolist():
            assert allowed[i, k] == (patients[i % len(patients)] != patients[k % len(patients)])
    if negatives > 2 * len(patients) - 2:
        return
    used = sample(allowed, rows, negatives, (seed, step))
    assert not (used & ~allowed).any()
    assert (used.sum(1) == allowed.sum(1).clamp(max=negatives)).all()


def test_same_patient_may_be_asked_for():
    patient_B = torch.tensor([1, 1, 2])
    allowed = candidates(torch.arange(6), patient_B, same_patient=True)
    assert allowed.sum(1).tolist() == [4] * 6  # all but itself and its other view
    assert candidates(torch.arange(6), patient_B).sum(1).tolist() == [2, 2, 4, 2, 2, 4]


def test_all_negatives_equal_the_largest_number():
    rows = torch.arange(20)
    allowed = candidates(rows, torch.arange(10))
    assert torch.equal(sample(allowed, rows, 18, (0, 0)), sample(allowed, rows, None, (0, 0)))


def test_choice_depends_on_seed_step_and_row_only():
    patient_B, rows = torch.arange(16), torch.arange(32)
    whole = sample(candidates(rows, patient_B), rows, 5, (7, 3))
    shuffled = rows[torch.randperm(32, generator=torch.Generator().manual_seed(0))]
    assert torch.equal(sample(candidates(shuffled, patient_B), shuffled, 5, (7, 3)), whole[shuffled])
    assert torch.equal(sample(candidates(rows, patient_B), rows, 5, (7, 3)), whole)
    for key in ((7, 4), (8, 3), (3, 7)):
        assert not torch.equal(sample(candidates(rows, patient_B), rows, 5, key), whole)
    assert len({tuple(r.nonzero()[:, 0].tolist()) for r in whole}) > 16  # anchors choose for themselves


def test_more_negatives_contain_the_fewer():
    """Nested, so that an ablation of the number compares like with like."""
    patient_B, rows = torch.arange(16), torch.arange(32)
    allowed = candidates(rows, patient_B)
    few, more = (sample(allowed, rows, n, (1, 1)) for n in (3, 9))
    assert not (few & ~more).any()


def test_every_candidate_is_as_likely():
    """Chi-square over columns for one anchor, and over pairs of columns: 4,000 steps, fixed seed."""
    subjects, negatives, steps = 8, 5, 4000
    rows = torch.tensor([3])
    allowed = candidates(rows, torch.arange(subjects))
    used = np.stack(
        [sample(allowed, rows, negatives, (42, step))[0].numpy() for step in range(steps)]
    ).astype(int)
    columns = np.flatnonzero(allowed[0].numpy())
    counts = used[:, columns].sum(0)
    share = negatives / len(columns)
    # inclusions of one step are negatively correlated: the statistic is chi-square after the factor (K - 1) / (K (1 - share))
    statistic = (
        ((counts - steps * share) ** 2).sum()
        / (steps * share * (1 - share))
        * (len(columns) - 1)
        / len(columns)
    )
    assert stats.chi2.sf(statistic, len(columns) - 1) > 0.001
    together = used[:, columns].T @ used[:, columns]
    expected = steps * negatives * (negatives - 1) / len(columns) / (len(columns) - 1)
    off = together[np.triu_indices(len(columns), 1)]
    assert np.abs(off - expected).max() < 5 * np.sqrt(expected)


def test_anchors_choose_independently():
    """Two anchors share a candidate as often as chance says."""
    rows = torch.tensor([0, 1])
    allowed = candidates(rows, torch.arange(9))
    both = [int((u[0] & u[1]).sum()) for u in (sample(allowed, rows, 4, (1, s)) for s in range(3000))]
    common = int((allowed[0] & allowed[1]).sum())
    assert np.mean(both) == pytest.approx(common * (4 / 16) ** 2, abs=0.06)
