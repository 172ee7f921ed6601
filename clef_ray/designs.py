"""Designs of experiments as explicit lists of arms: every combination, one factor at a time, or a balanced fraction of two-level factors.

A factor is a setting (a dotted key) with its levels. Arms are named by what they set, e.g. `alpha=0.2 negatives=31`.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from clef_ray.ablation import Arm
from clef_ray.errors import ConfigError

Factors = Mapping[str, Sequence[Any]]

#: Generators of minimum-aberration two-level designs: (factors, base factors) -> for each further factor the base factors whose product it
#: is, A = 0 (Box, Hunter & Hunter, Statistics for Experimenters, 2nd ed. 2005, table 6.22; Wu & Hamada 2009, tables 5A.2-5A.4).
GENERATORS: Mapping[tuple[int, int], tuple[str, ...]] = {
    (3, 2): ("AB",),
    (4, 3): ("ABC",),
    (5, 3): ("AB", "AC"),
    (5, 4): ("ABCD",),
    (6, 3): ("AB", "AC", "BC"),
    (6, 4): ("ABC", "BCD"),
    (6, 5): ("ABCDE",),
    (7, 3): ("AB", "AC", "BC", "ABC"),
    (7, 4): ("ABC", "BCD", "ACD"),
    (7, 6): ("ABCDEF",),
    (8, 4): ("BCD", "ACD", "ABC", "ABD"),
    (8, 6): ("ABCD", "ABEF"),
}


def factorial(factors: Factors) -> tuple[Arm, ...]:
    """Every combination of the levels, the last factor varying fastest."""
    _check(factors, least=1)
    combinations = itertools.product(*factors.values())
    return _arms([dict(zip(factors, levels, strict=True)) for levels in combinations], factors)


def one_factor_at_a_time(base: Mapping[str, Any], factors: Factors) -> tuple[Arm, ...]:
    """The base, then each factor at each of its other levels with the rest as in the base. base: a level for every factor."""
    _check(factors, least=1)
    if set(base) != set(factors):
        raise ConfigError(f"base names {', '.join(base)}; it needs a level for each of {', '.join(factors)}")
    changed = [{**base, key: level} for key, levels in factors.items() for level in levels]
    first = Arm("base", dict(base), family="design")
    others = [settings for settings in _distinct(changed) if settings != dict(base)]
    names = [
        " ".join(f"{_short(key, factors)}={s[key]}" for key in factors if s[key] != base[key]) for s in others
    ]
    return (first, *(Arm(name, s, family="design") for name, s in zip(names, others, strict=True)))


def fractional(factors: Factors, resolution: int = 3) -> tuple[Arm, ...]:
    """The smallest tabulated fraction of a two-level design with at least this resolution; the full design where no fraction has it.

    resolution: 3: no two main effects are confounded; 4: nor a main effect with a pair; 5: nor two pairs. Balanced: every factor has each
    level in half of the arms, and every two factors each pair of levels in a quarter. The arm with every factor at its second level is one
    of them. At most 8 factors of two levels each.
    """
    _check(factors, least=2, most=2)
    count = len(factors)
    if resolution not in (3, 4, 5):
        raise ConfigError(f"resolution {resolution}: 3, 4 or 5 are allowed")
    if count > 8:
        raise ConfigError(f"{count} factors: fractions are tabulated for at most 8")
    fitting = (
        (base, words)
        for (size, base), words in sorted(GENERATORS.items())
        if size == count and resolution_of(base, words) >= resolution
    )
    base, words = next(fitting, (count, ()))
    rows = []
    for signs in itertools.product((0, 1), repeat=base):
        # the product of levels -1 and 1 is 1 where an even number of them is -1
        further = [(sum(1 - signs["ABCDEFGH".index(f)] for f in word) + 1) % 2 for word in words]
        rows.append([*signs, *further])
    keys = list(factors)
    return _arms(
        [{key: factors[key][level] for key, level in zip(keys, row, strict=True)} for row in rows], factors
    )


def resolution_of(base: int, words: Sequence[str]) -> float:
    """The length of the shortest word of the defining relation: how many factors are confounded at the least; infinite for a full design."""
    letters = "ABCDEFGH"
    defining = [frozenset(word) | {letters[base + n]} for n, word in enumerate(words)]
    products = []
    for size in range(1, len(defining) + 1):
        for chosen in itertools.combinations(defining, size):
            word: frozenset[str] = frozenset()
            for one in chosen:
                word ^= one
            products.append(len(word))
    return min(products, default=float("inf"))


def _check(factors: Factors, least: int, most: int | None = None) -> None:
    if not factors:
        raise ConfigError("a design needs at least one factor")
    for key, levels in factors.items():
        if (
            len(levels) < least
            or (most is not None and len(levels) > most)
            or len(_distinct(levels)) < len(levels)
        ):
            wanted = f"{least} different levels" if least == most else f"at least {least} level, each once"
            raise ConfigError(f"factor {key}: {wanted} needed; {list(levels)} given")


def _arms(rows: Sequence[Mapping[str, Any]], factors: Factors) -> tuple[Arm, ...]:
    return tuple(
        Arm(
            " ".join(f"{_short(key, factors)}={level}" for key, level in row.items()),
            dict(row),
            family="design",
        )
        for row in _distinct(rows)
    )


def _short(key: str, factors: Factors) -> str:
    """The last part of a key, or the whole where another factor ends alike."""
    last = key.rpartition(".")[2]
    return key if sum(other.rpartition(".")[2] == last for other in factors) > 1 else last


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Each value once, in order; values need not be hashable."""
    seen: list[Any] = []
    for value in values:
        if value not in seen:
            seen.append(value)
    return seen
