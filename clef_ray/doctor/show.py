"""The checks as a person reads them: a group at a time, as they are done."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from clef_ray.doctor.check import Check, Level

_MARKS: dict[Level, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "problem": ("✗", "red"),
}

#: Columns of a check's mark and name.
_INDENT, _NAME = 4, 15


class Page:
    """Prints groups and lines, and their sum at its end. problems, warnings: how many there were."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._waiting = Status("", console=self._console)
        self.problems = self.warnings = 0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._waiting.start()
        return self

    def begin(self, group: str) -> None:
        """A group begins; a terminal shows that it is being looked at."""
        self._console.print(f"\n[bold]{group}[/]")
        self._waiting.update(f"looking at {group}")

    def line(self, check: Check) -> None:
        """One check, its remedy below it."""
        self.problems += check.level == "problem"
        self.warnings += check.level == "warning"
        mark, colour = _MARKS[check.level]
        name = Text(f"{check.name:<{_NAME}} ", style="" if check.level == "ok" else "bold")
        self._print(Text.assemble("  ", (mark, colour), " ", name), check.detail)
        if check.remedy:
            self._print(Text.assemble(" " * (_INDENT + _NAME - 1), ("→", "cyan"), " "), check.remedy)

    def _print(self, head: Text, text: str) -> None:
        """The text wrapped beside its head on a terminal, in one piece elsewhere: a log is searched by lines, a command is copied."""
        if not self._console.is_terminal:
            self._console.print(head + Text(text), soft_wrap=True)
            return
        width = max(self._console.width - head.cell_len, 20)
        for i, part in enumerate(Text(text).wrap(self._console, width)):
            self._console.print((head if i == 0 else Text(" " * head.cell_len)) + part)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.stop()
        if kind is None:
            self._console.print(f"\n{self._sum()}")

    def _sum(self) -> str:
        if self.problems:
            also = f", {_count(self.warnings, 'warning')}" if self.warnings else ""
            return f"[red]{_count(self.problems, 'problem')}[/]{also}"
        also = f" {_count(self.warnings, 'warning')}: it works, but see above." if self.warnings else ""
        return f"[green]Ready.[/]{also}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
