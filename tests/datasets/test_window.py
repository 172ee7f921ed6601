import pytest

from clef_ray.datasets._window import window_samples
from clef_ray.errors import ConfigError


def test_the_window_is_seconds_at_the_rate():
    assert window_samples("any", 257.0, 10.0) == 2570
    assert window_samples("any", 360.0, 0.5) == 180


@pytest.mark.parametrize(
    ("fs", "seconds", "named"),
    [(49.9, 10, "any.fs"), (2001, 10, "any.fs"), (500, 0, "any.seconds"), (500, 601, "any.seconds")],
)
def test_what_is_outside_its_range_is_named_with_what_is_allowed(fs, seconds, named):
    with pytest.raises(ConfigError, match=rf"{named} is .*; allowed are .* to "):
        window_samples("any", fs, seconds)
