"""Ctrl-C that is never lost, and never leaves half of the tidying undone."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: How often Ctrl-C ends the process at once, whatever is left undone.
AT_ONCE = 3


class Interrupts:
    """How often Ctrl-C was pressed.

    The exception alone is lost where it strikes inside a destructor or a callback from C, and a second one would break off the tidying
    that the first one began.
    """

    def __init__(self) -> None:
        self.count = 0

    def check(self) -> None:
        """KeyboardInterrupt where Ctrl-C was pressed."""
        if self.count:
            raise KeyboardInterrupt

    def pressed(self, number: int, frame: Any) -> None:
        """The signal's handler."""
        self.count += 1
        if self.count == 1:
            signal.default_int_handler(number, frame)
        if self.count >= AT_ONCE:
            os._exit(128 + signal.SIGINT)
        print(
            f"\nStopping: what is finished is being put in order. Ctrl-C {AT_ONCE - self.count} more time to end at once.",
            file=sys.stderr,
            flush=True,
        )


_current: Interrupts | None = None


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Ctrl-C once is a KeyboardInterrupt, twice a message, three times the end at once. Inside another such block it is that one."""
    global _current  # noqa: PLW0603 - the process has one handler
    if _current is not None or threading.current_thread() is not threading.main_thread():
        yield _current or Interrupts()  # only the main thread receives signals
        return
    _current = interrupts = Interrupts()
    before = signal.signal(signal.SIGINT, interrupts.pressed)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
        _current = None
