"""The arcs of one file: each is kept as one number, which takes half of what a pair takes to read and to keep."""

from __future__ import annotations

import bisect
import json
from array import array
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

_LOWER = (1 << 32) - 1

#: The expression in SQL that makes one number of the columns ``fromno`` and ``tono``, as `pack` does.
PACKED = f"(fromno << 32) | (tono & {_LOWER})"

#: Those that make ``fromno`` and ``tono`` of number ``value``, as `unpack` does.
UNPACKED = f"value >> 32, (value & {_LOWER}) - ((value & {1 << 31}) << 1)"

#: How many texts a `Parser` keeps, and the longest of them: they must not fill the memory.
_MOST, _LONGEST = 2048, 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arcs:
    """A set of arcs, each as `pack` makes it, with its highest line and the number of lines in it."""

    packed: array[int]
    top: int
    line_count: int

    @classmethod
    def merged(cls, parts: Collection[Arcs]) -> Arcs:
        """Return all arcs of *parts*, each once."""
        return next(iter(parts)) if len(parts) == 1 else _of(set().union(*(part.packed for part in parts)))

    def __len__(self) -> int:
        return len(self.packed)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return map(unpack, self.packed)


def pack(arcs: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Yield *arcs* as numbers; ends have 31 bits, and negative ones are where code is entered or left."""
    return (start << 32 | end & _LOWER for start, end in arcs)


def unpack(arc: int) -> tuple[int, int]:
    """Return where *arc* starts and where it ends."""
    end = arc & _LOWER
    return arc >> 32, end - _LOWER - 1 if end >> 31 else end


class Parser:
    """Parses texts, and most of them once: replicas of an operator run much the same of most files."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[str, Arcs]] = {}

    def parse(self, key: tuple[str, str], text: str) -> Arcs:
        """Return the arcs of the JSON list *text*: the object of before, if it is the text of before at *key*."""
        before = self._last.get(key)
        if before is not None and before[0] == text:
            return before[1]
        arcs = _of(json.loads(text))
        if len(text) <= _LONGEST:
            if len(self._last) >= _MOST:
                self._last.clear()
            self._last[key] = text, arcs
        return arcs


def _of(packed: Collection[int]) -> Arcs:
    # As `unpack` does, for all at once: in memory, both halves are numbers by themselves.
    kept = array("q", packed)
    numbers = sorted(set(memoryview(kept).cast("B").cast("i")))
    lines = len(numbers) - bisect.bisect_right(numbers, 0)
    return Arcs(packed=kept, top=max(numbers[-1], -numbers[0]), line_count=lines)
