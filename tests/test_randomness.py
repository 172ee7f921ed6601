"""Counter-based random numbers: uniform, independent of order, the same in any shape."""

import numpy as np
import pytest
import torch
from scipy import stats

from clef_ray.randomness import fold, hash_u32, uniform


def test_a_value_depends_on_key_and_counters_only():
    rows, columns = torch.arange(50), torch.arange(70)
    table = uniform(7, rows[:, None], columns[None])
    assert torch.equal(table[13, 5:9], uniform(7, torch.tensor(13), torch.arange(5, 9)))
    assert not torch.equal(table, uniform(8, rows[:, None], columns[None]))
    assert not torch.equal(table[:50, :50], table[:50, :50].T), "the counters' places matter"


def test_murmur_finaliser_against_its_definition_on_python_integers():
    def mix(h):
        h ^= h >> 16
        h = h * 0x85EBCA6B & 0xFFFFFFFF
        h ^= h >> 13
        h = h * 0xC2B2AE35 & 0xFFFFFFFF
        return h ^ h >> 16

    counter = torch.arange(0, 2**32, 2**24 + 12345)
    expected = [mix(99 ^ mix((int(c) + 0x9E3779B9) & 0xFFFFFFFF)) for c in counter]
    assert hash_u32(99, counter).tolist() == expected


def test_uniform_numbers_are_uniform():
    n = torch.arange(200_000)
    u = uniform(fold("test", 1), n).double().numpy()
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.01
    other = uniform(fold("test", 3), n).double().numpy()
    assert abs(np.corrcoef(u, other)[0, 1]) < 0.01


def test_fold_separates_its_words():
    assert len({fold("a", "b"), fold("ab"), fold("a", "b", ""), fold(1, 2), fold(12), fold("b", "a")}) == 6


@pytest.mark.gpu
def test_the_same_numbers_on_the_gpu():
    n = torch.arange(10_000)
    assert torch.equal(hash_u32(5, n), hash_u32(5, n.cuda()).cpu())
