"""The settings that a sweep varies: one dimension each, conditional on earlier ones where it says `when`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clef_ray.errors import ConfigError
from clef_ray.registry import unknown

#: What an option may be: what a study's database keeps as it is.
Option = str | int | float | bool | None


@dataclass(frozen=True)
class _Conditional:
    key: str
    when: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def conditions(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Other settings and the values that switch this one on."""
        return [(key, v if isinstance(v, tuple) else (v,)) for key, v in self.when.items()]

    def _told(self, values: str, *, log: bool = False) -> str:
        """One line for a reader."""
        scale = ", logarithmic" if log else ""
        conditions = " and ".join(
            f"{key}={'|'.join(map(str, allowed))}" for key, allowed in self.conditions()
        )
        return f"{self.key}: {values}{scale}{f', where {conditions}' if conditions else ''}"

    def on(self, params: Mapping[str, Any]) -> bool:
        """Whether a configuration with these params has this setting."""
        return all(key in params and params[key] in allowed for key, allowed in self.conditions())


@dataclass(frozen=True)
class Float(_Conditional):
    """A number in [low, high], in steps of `step` where it is given; log: sampled on a logarithmic scale (no step then).

    when: the setting exists only where earlier dimensions have these values: {key: value} or {key: (value, ...)}.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        _check_range(self.key, self.low, self.high, self.log, self.step)

    def __str__(self) -> str:
        return self._told(f"{self.low:g} to {self.high:g}", log=self.log)

    def ends(self) -> tuple[float, ...]:
        return (self.low, self.high)

    def check(self, value: Any, where: str) -> None:
        """ConfigError where the value is no number of the range."""
        _check_inside(self.key, value, self.low, self.high, self.step, where)


@dataclass(frozen=True)
class Int(_Conditional):
    """A whole number in [low, high], in steps of `step`; log: sampled on a logarithmic scale (step 1 then). when: as in `Float`."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        for value in (self.low, self.high, self.step):
            if not isinstance(value, int):
                raise ConfigError(f"{self.key}: {value!r} is no whole number; use Float")
        _check_range(
            self.key, self.low, self.high, self.log, None if self.log and self.step == 1 else self.step
        )

    def __str__(self) -> str:
        return self._told(f"{self.low} to {self.high}", log=self.log)

    def ends(self) -> tuple[int, ...]:
        return (self.low, self.high)

    def check(self, value: Any, where: str) -> None:
        """ConfigError where the value is no whole number of the range."""
        if not isinstance(value, int):
            raise ConfigError(f"{where}: {self.key}={value!r} is no whole number")
        _check_inside(self.key, value, self.low, self.high, self.step, where)


@dataclass(frozen=True)
class Choice(_Conditional):
    """One of at least two options: texts, numbers, booleans or None. when: as in `Float`."""

    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        if odd := [o for o in self.options if not isinstance(o, Option)]:
            raise ConfigError(f"{self.key}: option {odd[0]!r} is no text, number, boolean or None")
        if len(set(self.options)) < max(2, len(self.options)):
            raise ConfigError(f"{self.key}: at least two different options are needed, {self.options} given")

    def __str__(self) -> str:
        return self._told(", ".join(map(str, self.options)))

    def ends(self) -> tuple[Option, ...]:
        return self.options

    def check(self, value: Any, where: str) -> None:
        """ConfigError where the value is no option."""
        if value not in self.options:
            raise unknown(f"option of {self.key}", str(value), map(str, self.options), where)


Dimension = Float | Int | Choice


def check_space(space: Sequence[Dimension], where: str) -> None:
    """ConfigError: no dimension, one twice, a seed or the data among them, or a `when` that refers to nothing declared before it."""
    if not space:
        raise ConfigError(f"{where}: the space is empty; name at least one setting")
    earlier: dict[str, Dimension] = {}
    for dimension in space:
        if dimension.key in earlier:
            raise ConfigError(f"{where}: {dimension.key} is listed twice")
        if dimension.key in ("seed", "data"):
            raise ConfigError(f"{where}: {dimension.key} is no setting to search; every run has its own")
        for key, allowed in dimension.conditions():
            if key not in earlier:
                raise unknown(
                    "setting", key, earlier, f"{where}, `when` of {dimension.key}: one declared before it"
                )
            for value in allowed:
                earlier[key].check(value, f"{where}, `when` of {dimension.key}")
        earlier[dimension.key] = dimension


def _check_range(key: str, low: float, high: float, log: bool, step: float | None) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"{key}: the range needs low < high, both finite; {low!r} to {high!r} given")
    if log and low <= 0:
        raise ConfigError(f"{key}: a logarithmic scale starts above 0; low is {low:g}")
    if log and step is not None:
        raise ConfigError(f"{key}: steps and a logarithmic scale exclude each other")
    if step is not None and not (step > 0 and _whole((high - low) / step)):
        raise ConfigError(f"{key}: {low:g} to {high:g} is no whole number of steps of {step:g}")


def _check_inside(key: str, value: Any, low: float, high: float, step: float | None, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"{where}: {key}={value!r} is outside of {low:g} to {high:g}")
    if step is not None and not _whole((value - low) / step):
        raise ConfigError(
            f"{where}: {key}={value!r} is not on the grid {low:g}, {low + step:g}, ... {high:g}"
        )


def _whole(quotient: float) -> bool:
    return math.isclose(quotient, round(quotient), abs_tol=1e-9)
