"""The arcs of one file: each is kept as one number, which takes half of what a pair takes to read and to keep."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

_LOWER = (1 << 32) - 1

#: The expression in SQL that makes one number of the columns ``fromno`` and ``tono``, as `pack` does.
PACKED = f"(tono << 32) | (fromno & {_LOWER})"

#: Those that make ``fromno`` and ``tono`` of number ``value``, as `unpack` does.
UNPACKED = f"(value & {_LOWER}) - ((value & {1 << 31}) << 1), value >> 32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arcs:
    """A set of arcs, each as `pack` makes it, in order; with their lowest and highest end, and the number of lines."""

    packed: array[int]
    lowest: int
    highest: int
    line_count: int

    @classmethod
    def of(cls, packed: Collection[int]) -> Arcs:
        """Return those *packed* arcs, of which there is at least one."""
        kept = array("q", sorted(packed))
        # As `unpack` does, for all at once: in memory, both halves are numbers by themselves.
        numbers = sorted(set(memoryview(kept).cast("B").cast("i")))
        lines = len(numbers) - bisect.bisect_right(numbers, 0)
        return cls(packed=kept, lowest=numbers[0], highest=numbers[-1], line_count=lines)

    @classmethod
    def merged(cls, parts: Collection[Arcs]) -> Arcs:
        """Return all arcs of *parts*, each once."""
        return next(iter(parts)) if len(parts) == 1 else cls.of(set().union(*(part.packed for part in parts)))

    def __len__(self) -> int:
        return len(self.packed)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return map(unpack, self.packed)


def pack(arcs: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Yield *arcs* as numbers, as they lie in a journal; negative ends are where code is entered or left."""
    return (end << 32 | start & _LOWER for start, end in arcs)


def unpack(arc: int) -> tuple[int, int]:
    """Return where *arc* starts and where it ends."""
    start = arc & _LOWER
    return (start - _LOWER - 1 if start >> 31 else start), arc >> 32
