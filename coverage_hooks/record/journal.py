"""What was recorded since last asked, without taking anything away from the tracer.

coverage.py keeps one set of points (lines or arcs) per file while it runs. As long as nobody empties them, those sets
only grow, so a set that is no longer than when last seen holds nothing new, and a copy of one that is longer misses
nothing. `set.copy` and `list(dict.items())` are single C calls, atomic under the GIL, so no lock is needed and no
thread that records is ever stopped.

Keys are opaque: one per file today, one per context and file when contexts are recorded.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

#: Points per slice: about 2 ms of work, during which a handler may have to wait for the GIL.
SLICE = 1_000


class SetShrankError(Exception):
    """Somebody emptied a live set, so growth no longer tells what is new."""


class Journal(Generic[Key]):
    """Passes on the sets that grew.

    *live* returns the mapping of live sets; *add* stores copies of points for good. *add* may be called several times
    for one key, and gets at most `SLICE` points at once so that big growth never holds the interpreter for long.
    """

    def __init__(
        self,
        live: Callable[[], Mapping[Key, AbstractSet[Any]]],
        add: Callable[[dict[Key, set[Any]]], None],
    ) -> None:
        self._live = live
        self._add = add
        self._seen: dict[Key, int] = {}

    def catch_up(self) -> set[Key]:
        """Pass on everything recorded before this call, and return the keys that grew.

        Raises `SetShrankError` when a set is shorter than last seen; what was passed on before stays passed on. When
        *add* raises, the points concerned count as unseen and come again next time.
        """
        grown = self._grown()
        for batch in _sliced(grown):
            self._add(batch)
            time.sleep(0)  # hands the GIL over: without it a handler waits for all slices together
        self._seen.update((key, len(points)) for key, points in grown.items())
        return set(grown)

    def _grown(self) -> dict[Key, set[Any]]:
        grown = {}
        for key, points in list(self._live().items()):
            length, seen = len(points), self._seen.get(key, 0)
            if length < seen:
                raise SetShrankError(f"{key!r} went from {seen} points to {length}")
            if length > seen:
                grown[key] = set(points) if not isinstance(points, set) else points.copy()
        return grown


def _sliced(grown: dict[Key, set[Any]]) -> Iterator[dict[Key, set[Any]]]:
    """Yield *grown* in parts of at most `SLICE` points, small sets packed together and big ones cut."""
    batch: dict[Key, set[Any]] = {}
    room = SLICE
    for key, points in grown.items():
        rest = iter(points)
        while part := set(itertools.islice(rest, room)):
            batch[key] = part
            room -= len(part)
            if room == 0:
                yield batch
                batch, room = {}, SLICE
    if batch:
        yield batch
