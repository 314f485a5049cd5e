"""Sets for coverage.py's `SysMonitor` that write a point before its line runs.

coverage.py makes one set per file. It adds each point to it from a callback of ``sys.monitoring`` before the line runs,
and is not called again for that place. So a dictionary that makes sets of another kind is enough.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from coverage_hooks.record.journal import File, Journal

_NONE: frozenset[Any] = frozenset()


class Lines(set[Any]):
    """The lines of one file."""

    __slots__ = ("file", "journal", "saved")

    def __init__(self, file: File, journal: Journal) -> None:
        super().__init__()
        self.file = file
        self.journal = journal
        self.saved: frozenset[Any] = _NONE  # what other code has taken out, as `Coverage.save` does

    def add(self, point: Any) -> None:
        # Written first: the other way round an exception in between would lose the point, and another thread could run
        # the line before it is written. So a point may be written twice.
        if point in self:
            return
        if point not in self.saved:
            self.journal.put(self.file, point, 0)
        set.add(self, point)

    def difference_update(self, *others: Iterable[Any]) -> None:
        """Take out what is in *others*; it is in the journal, and stays known."""
        self.saved = self.saved.union(self)
        super().difference_update(*others)

    def pairs(self) -> list[tuple[int, int]]:
        """Return the points as they are in a journal."""
        return [(line, 0) for line in self.saved.union(self)]

    def __reduce__(self) -> tuple[Any, ...]:
        return set, (list(self),)  # a copy is a set like any other


class Arcs(Lines):
    """The arcs of one file."""

    __slots__ = ()

    def add(self, point: Any) -> None:
        if point in self:
            return
        if point not in self.saved:
            self.journal.put(self.file, *point)
        set.add(self, point)

    def pairs(self) -> list[tuple[int, int]]:
        return list(self.saved.union(self))


class Live(dict[str, Any]):
    """Stands in for ``Collector.data``: by path, sets that write to *journal*."""

    def __init__(self, journal: Journal, *, branch: bool) -> None:
        super().__init__()
        self._journal = journal
        self._kind = Arcs if branch else Lines

    def __setitem__(self, path: str, _: Any) -> None:
        # No input or output here: coverage.py may hold a lock, and a fork would leave it locked.
        self.setdefault(path, self._kind(File(path), self._journal))
