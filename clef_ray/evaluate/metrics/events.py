"""Marked beats against found ones: which of them meet, and what the China Physiological Signal Challenge 2020 asks for those that do not.

The challenge looks at the classes S and V one by one. A found beat within 150 ms of a marked one meets it; the loss is 1 for each false
and 5 for each missed one (Cai et al., J Med Imaging Health Inform 2020;10:2663, doi:10.1166/jmihi.2020.3289). How falses are counted
differs:

    official   the script that was first given out: only the second and further ones near a marked beat, and in a recording without marked
               beats all of them; a false one far from any marked beat costs nothing
    revised    the script as it is said to be since 2020-08-31: found ones less met ones. In one copy of it the falses of a recording
               without marked beats count twice, in another once; here once
    strict     each marked and each found beat meets at most one other, as many as possible; every other found one is false

The scripts themselves were read in copies of competitors and in the package torch_ecg; which of the two ranked the entries could not be
confirmed. A beat that is marked twice (recording A04 has three) counts once here; in the scripts twice.

Where no two marked beats are within 300 ms, strict is the dearest. Where they are, one found beat may meet both of them in the scripts,
and official may count it as false in both.

Shape letters: M marked beats, P found (predicted) beats.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: How far a found beat may be from the marked one that it meets [s]; the limit itself meets.
TOLERANCE = 0.15

#: The loss for a beat that was found and is not marked, and for one that was not found.
FALSE_COST, MISSED_COST = 1, 5

#: Times of a day in seconds are exact to 2e-11; without this, 60 samples at 400 Hz were more than 150 ms now and then.
_ROUNDING = 1e-9


class Counts(NamedTuple):
    """met: marked beats that were found; false: found ones that are not marked; missed: marked ones that were not found."""

    met: int
    false: int
    missed: int

    @property
    def loss(self) -> int:
        """The challenge's loss, 0 at best."""
        return FALSE_COST * self.false + MISSED_COST * self.missed


#: A scorer: marked_M and found_P [s], in any order, of one class in one recording.
Scorer = Callable[[NDArray[np.float64], NDArray[np.float64]], Counts]


def official(marked_M: NDArray[np.float64], found_P: NDArray[np.float64]) -> Counts:
    """As the challenge's first script counts."""
    near_M = _near(marked_M, found_P)
    if not len(near_M):
        return Counts(0, len(found_P), 0)
    met = int((near_M > 0).sum())
    return Counts(met, int(near_M.sum()) - met, len(near_M) - met)


def revised(marked_M: NDArray[np.float64], found_P: NDArray[np.float64]) -> Counts:
    """As the challenge's later script counts. Marked beats within 300 ms that share one found beat make `false` negative if there is no
    other.
    """
    near_M = _near(marked_M, found_P)
    met = int((near_M > 0).sum())
    return Counts(met, len(found_P) - met, len(near_M) - met)


def strict(marked_M: NDArray[np.float64], found_P: NDArray[np.float64]) -> Counts:
    """One to one, as many pairs as can be. Both in order of time, each marked beat takes the first found one that is free and near: with
    one tolerance for all no other choice makes more pairs.
    """
    marked, found = np.unique(marked_M), np.sort(found_P)
    m = p = met = 0
    while m < len(marked) and p < len(found):
        apart = found[p] - marked[m]
        near = bool(abs(apart) <= TOLERANCE + _ROUNDING)
        met += near
        m += near or bool(apart > 0)
        p += near or bool(apart < 0)
    return Counts(met, len(found) - met, len(marked) - met)


def _near(marked_M: NDArray[np.float64], found_P: NDArray[np.float64]) -> NDArray[np.intp]:
    """How many found beats are near each distinct marked one, [distinct M]."""
    marked, found, reach = np.unique(marked_M), np.sort(found_P), TOLERANCE + _ROUNDING
    return np.searchsorted(found, marked + reach, "right") - np.searchsorted(found, marked - reach, "left")


#: The scorers by the names of their losses.
SCORERS: Mapping[str, Scorer] = {"official": official, "revised": revised, "strict": strict}
