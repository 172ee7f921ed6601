"""One line of the doctor's: what was found, how bad it is, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from clef_ray.errors import ClefRayError

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """detail: what was found; remedy: what to do about it, as a command where there is one (empty where ok).

    warning: it works, slowly or not for all that one may want; problem: it does not work.
    """

    name: str
    level: Level
    detail: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether an experiment can start all the same."""
        return self.level != "problem"


def judge(name: str, level: Level, detail: str, remedy: str) -> Check:
    """A Check whose remedy is told only where there is something to do."""
    return Check(name, level, detail, "" if level == "ok" else remedy)


@contextmanager
def told(name: str, remedy: str, found: list[Check]) -> Iterator[None]:
    """A user's error inside the block becomes a problem."""
    try:
        yield
    except ClefRayError as error:
        found.append(Check(name, "problem", str(error), remedy))
