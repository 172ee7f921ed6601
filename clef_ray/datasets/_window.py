"""The shape that a dataset's records get in the shards, checked."""

from clef_ray.errors import ConfigError

_RATES, _SECONDS = (50.0, 2000.0), (0.5, 600.0)


def window_samples(dataset: str, fs: float, seconds: float) -> int:
    """Samples of `seconds` at `fs` Hz. ConfigError: a rate outside 50-2000 Hz, a length outside 0.5-600 s."""
    for option, value, (low, high), unit in (("fs", fs, _RATES, "Hz"), ("seconds", seconds, _SECONDS, "s")):
        if not low <= value <= high:
            raise ConfigError(f"{dataset}.{option} is {value:g}; allowed are {low:g} to {high:g} {unit}")
    return round(seconds * fs)
