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
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

#: Points per slice: a few milliseconds of work, during which a handler may have to wait for the GIL.
SLICE = 1_000

_NOTHING: frozenset[Any] = frozenset()


class Journal(Generic[Key]):
    """Passes on what is new in the sets that grew.

    *live* returns the live sets with their keys; *add* stores points for good. *add* may be called several times for
    one key, and gets at most `SLICE` points at once so that big growth never holds the interpreter for long.

    Should a set be shorter than last seen, somebody emptied it and lengths say nothing any more: *on_shrinking* is told
    once, and from then on all sets are compared as a whole. What came and went in between two calls is then lost.
    """

    def __init__(
        self,
        live: Callable[[], Iterable[tuple[Key, set[Any]]]],
        add: Callable[[dict[Key, set[Any]]], None],
        on_shrinking: Callable[[str], None],
    ) -> None:
        self._live = live
        self._add = add
        self._on_shrinking = on_shrinking
        # Everything passed on so far: it costs memory, but storing a point again costs far more time.
        self._seen: dict[Key, set[Any]] = {}
        self.trusts_lengths = True

    def catch_up(self) -> set[Key]:
        """Pass on everything recorded before this call, and return the keys that grew.

        When *add* raises, all points of this call count as unseen and come again next time.
        """
        grown = self._grown()
        for batch in _sliced(grown):
            self._add(batch)
            time.sleep(0)  # hands the GIL over: without it a handler waits for all slices together
        for key, points in grown.items():
            self._seen.setdefault(key, set()).update(points)
        return set(grown)

    def distrust(self, reason: str) -> None:
        """Stop drawing conclusions from lengths."""
        if self.trusts_lengths:
            self.trusts_lengths = False
            self._on_shrinking(reason)

    def _grown(self) -> dict[Key, set[Any]]:
        live = list(self._live())
        for key, points in live:
            if len(points) < (seen := len(self._seen.get(key, _NOTHING))):
                self.distrust(f"{key!r} went from {seen} points to {len(points)}")
        grown: dict[Key, set[Any]] = {}
        for key, points in live:
            seen_points = self._seen.get(key, _NOTHING)
            if self.trusts_lengths and len(points) == len(seen_points):
                continue
            if new := points.copy() - seen_points:
                grown.setdefault(key, set()).update(new)
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
