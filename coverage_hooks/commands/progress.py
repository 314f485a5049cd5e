"""What a command is doing: a line that changes on a terminal; in a log only what somebody may want to read later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status
from rich.text import Text

from coverage_hooks.shown import plain

_MIB = 1 << 20
#: A file that is worth a line of a log, in bytes.
_LARGE = 8 * _MIB


class Progress:
    """Goes to standard error. Everything may be called from any thread."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status: Status | None = None
        self._what = ""
        self._since = 0.0

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show *what* on a terminal while the block runs."""
        self._what = what
        with self._console.status(Text(plain(what))) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None

    def say(self, line: str) -> None:
        """Print *line*, on a terminal above what changes."""
        self._console.print(Text(plain(line)), soft_wrap=True)

    def waiting(self, why: str) -> None:
        """Show *why* nothing else happens, until that is empty; a log has the line alone."""
        if self._status is not None and self._console.is_terminal:
            self._status.update(Text(plain(why or self._what)))
        elif why:
            self.say(why)

    def copying(self, name: str, here: int, size: int) -> None:
        """Show that *here* of *size* bytes of a file are here."""
        if self._status is not None and self._console.is_terminal:
            self._status.update(Text(plain(f"{self._what}: {name}, {here / _MIB:.1f} of {size / _MIB:.1f} MiB")))
        elif size >= _LARGE:
            if not self._since:
                self._since = time.monotonic()
            if here == size:
                self.say(f"copied {name}: {size / _MIB:.1f} MiB in {time.monotonic() - self._since:.1f} s")
                self._since = 0.0
