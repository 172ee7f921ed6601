"""Moving from the embedded default to a team's services: databases table by table, folders file by file, everything read back.

Each move may be repeated: what is there already and is the same stays, what is missing is copied (so an interrupted move goes on), and what
is there and differs is told and left alone unless `overwrite` says otherwise. Nothing is ever deleted, and the source is only read.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

#: Told while a move goes on: what is being moved, how much of it is done, and how much there is.
Tell = Callable[[str, int, int], None]

#: How many names of differing things a `Count` keeps.
NAMED = 5


@dataclass
class Count:
    """What became of one table's rows or one folder's files. A dry run counts what it would copy.

    copied: were missing, or differed and were overwritten; there: were the same already; differ: are not the same and were left alone;
    named: the first of these; size: bytes copied (0 of rows).
    """

    what: str
    copied: int = 0
    there: int = 0
    differ: int = 0
    size: int = 0
    named: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.copied + self.there + self.differ

    def differs(self, name: str) -> None:
        self.differ += 1
        if len(self.named) < NAMED:
            self.named.append(name)
