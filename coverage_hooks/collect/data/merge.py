"""What was measured, joined in memory, and written by SQLite alone.

`coverage.CoverageData` does it too, and takes 3 ms for a recording of 80 files (7 ms with branches) each time, with
three times to go: into the recording's own file, into its world, and into the union of the worlds. What makes SQL safe
here: a target was made empty by coverage.py itself, and tests compare what comes out with what ``coverage combine``
makes of the same.
"""

from __future__ import annotations

import json
import sqlite3
import types
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from coverage_hooks.collect.data.arcs import UNPACKED, pack
from coverage_hooks.collect.data.contents import Content


class Moved(Protocol):
    """Where the lines and arcs of a file went whose source has changed since; None for those that are no more."""

    def line(self, number: int) -> int | None: ...
    def arc(self, start: int, end: int) -> tuple[int, int] | None: ...


@dataclass(frozen=True, slots=True)
class Blank:
    """A data file that coverage.py has made empty, and the numbers that it gave to files and contexts."""

    content: bytes
    files: Mapping[str, int]
    contexts: Mapping[str, int]

    @classmethod
    def at(cls, path: Path) -> Blank:
        """Return the one at *path*, in which there is the empty context, too."""
        with _written(path) as connection, connection:
            files, contexts = (
                _numbered(connection, "file", "path", (), {}),
                _numbered(connection, "context", "context", [""], {}),
            )
        return cls(path.read_bytes(), files, contexts)


class Union:
    """What data files say of lines, or of arcs, each fact once: what it takes does not depend on how many they are.

    Facts are kept by name of a file and context; lines as one number, with bit n for line n.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], int] = {}
        self._arcs: dict[tuple[str, str], array[int] | set[int]] = {}  # what is there once is not copied
        self._tracers: dict[str, str] = {}

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Union)
            and self._lines == other._lines
            and self._arcs == other._arcs
            and self._tracers == other._tracers
        )

    __hash__ = None  # type: ignore[assignment] # it changes

    def add(
        self, content: Content, places: Mapping[str, str], moved: Mapping[str, Moved] = types.MappingProxyType({})
    ) -> None:
        """Add what *content* says of the paths in *places*, under the names that these have there.

        The lines of a path in *moved* are moved on the way.
        """
        self._tracers |= {places[path]: tracer for path, tracer in content.tracers.items() if path in places}
        for (path, context), bits in content.lines.items():
            if path in moved:
                bits = bits_of([here for line in lines_of(bits) if (here := moved[path].line(line)) is not None])  # noqa: PLW2901
            if path in places:
                self._add_lines((places[path], context), bits)
        for (path, context), arcs in (content.arcs or {}).items():
            if path in moved:
                ends = (moved[path].arc(*arc) for arc in arcs)
                self._add_arcs((places[path], context), set(pack(each for each in ends if each is not None)))
            elif path in places:
                self._add_arcs((places[path], context), arcs.packed)

    def add_proven(self, name: str, lines: Collection[int], *, branch: bool) -> None:
        """Add that *lines* of *name* were run; as arcs, that they were, and not what was run next."""
        if branch:
            self._add_arcs((name, ""), set(pack((line, line) for line in lines)))
        else:
            self._add_lines((name, ""), bits_of(lines))

    def update(self, other: Union) -> None:
        """Add what *other* has."""
        self._tracers |= other._tracers
        for key, bits in other._lines.items():
            self._add_lines(key, bits)
        for key, arcs in other._arcs.items():
            self._add_arcs(key, arcs)

    def _add_lines(self, key: tuple[str, str], bits: int) -> None:
        self._lines[key] = self._lines.get(key, 0) | bits

    def _add_arcs(self, key: tuple[str, str], arcs: array[int] | set[int]) -> None:
        held = self._arcs.get(key)
        if held is None:
            self._arcs[key] = arcs if isinstance(arcs, array) else set(arcs)
            return
        if isinstance(held, array):
            self._arcs[key] = held = set(held)
        held.update(arcs)

    def write(self, target: Path, blank: Blank) -> None:
        """Make *target* a data file of what this holds, by filling *blank*, which is one of its kind."""
        target.write_bytes(blank.content)
        groups = self._lines.keys() | self._arcs.keys()
        with _written(target) as connection, connection:
            files = _numbered(connection, "file", "path", {name for name, _ in groups}, blank.files)
            contexts = _numbered(connection, "context", "context", {context for _, context in groups}, blank.contexts)
            connection.executemany(
                "INSERT OR IGNORE INTO tracer (file_id, tracer) VALUES (?, ?)",
                [(files[name], tracer) for name, tracer in self._tracers.items()],
            )
            connection.executemany(
                "INSERT INTO line_bits (file_id, context_id, numbits) VALUES (?, ?, ?)",
                [
                    (files[name], contexts[context], bits.to_bytes((bits.bit_length() + 7) // 8, "little"))
                    for (name, context), bits in self._lines.items()
                ],
            )
            # As one text for each group, which SQLite takes apart in less than half the time of row by row.
            connection.executemany(
                f"INSERT INTO arc (file_id, context_id, fromno, tono) SELECT ?, ?, {UNPACKED} FROM json_each(?)",  # noqa: S608
                (
                    (files[name], contexts[context], json.dumps(sorted(arcs)))
                    for (name, context), arcs in self._arcs.items()
                ),
            )


def _numbered(
    connection: sqlite3.Connection, table: str, column: str, names: Collection[str], known: Mapping[str, int]
) -> Mapping[str, int]:
    """Return the ids of *names*, which are entered into *table* where they are not *known*."""
    missing = sorted(set(names).difference(known))
    if known and not missing:
        return known
    connection.executemany(f"INSERT INTO {table} ({column}) VALUES (?)", [(name,) for name in missing])  # noqa: S608 - names of ours
    return dict(connection.execute(f"SELECT {column}, id FROM {table}"))  # noqa: S608 - as above


def lines_of(bits: int) -> Iterator[int]:
    """Return the lines in *bits*, as they lie in a data file: bit n for line n."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def bits_of(lines: Iterable[int]) -> int:
    """Return *lines* as bits."""
    bits = 0
    for line in lines:
        bits |= 1 << line
    return bits


@contextmanager
def _written(target: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(target.absolute().as_uri(), uri=True)) as connection:
        # A target that is not finished is thrown away, so nothing needs to reach the disk in order.
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")
        yield connection
