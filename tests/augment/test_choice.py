"""Which leads and which window two views show."""

import numpy as np
import pytest

from clef_ray.augment import Choice, window
from clef_ray.config import Signals, Views
from clef_ray.errors import ConfigError


def choice(leads="abcdefghijkl", seed=5, **views):
    return Choice(Signals(fs=100, seconds=5), Views(**views), tuple(leads), seed)


def test_leads_are_drawn_as_published():
    choose = choice(lead="random", same_lead=0.8)
    first, second = choose.lead(0, np.arange(20_000)).T
    assert np.bincount(first, minlength=12).min() > 1500
    assert (first == second).mean() == pytest.approx(0.8 + 0.2 / 12, abs=0.01)
    assert np.array_equal(choose.lead(0, np.array([7, 3])), np.stack([first, second], axis=1)[[7, 3]])
    assert not np.array_equal(choose.lead(1, np.arange(100)), choose.lead(0, np.arange(100)))
    assert (choice("abc", lead="c").lead(0, np.arange(10)) == 2).all()
    with pytest.raises(ConfigError, match="V9"):
        choice("abc", lead="V9")


def test_the_first_window_is_the_default_and_a_random_one_is_anywhere():
    assert (choice().start(0, np.arange(50), 1000) == 0).all()
    choose = choice(crop="random")
    start = choose.start(0, np.arange(20_000), 1000)
    assert (start.min(), start.max()) == (0, 500), "the last window ends with the record"
    assert np.bincount(start // 100, minlength=6)[:5] == pytest.approx(4000, rel=0.1)
    assert np.array_equal(choose.start(0, np.array([7, 3]), 1000), start[[7, 3]])
    assert not np.array_equal(choose.start(1, np.arange(100), 1000), start[:100])
    assert not np.array_equal(choice(crop="random", seed=6).start(0, np.arange(100), 1000), start[:100])
    assert (choose.start(0, np.arange(50), 500) == 0).all(), "records of the window's length have one"


def test_a_window_longer_than_the_records_is_refused():
    assert window(Signals(fs=100, seconds=5), 1000) == 500
    with pytest.raises(ConfigError, match="the records last 10 s"):
        window(Signals(fs=100, seconds=12), 1000)
    with pytest.raises(ConfigError, match="the records last 4 s"):
        choice(crop="random").start(0, np.arange(3), 400)
