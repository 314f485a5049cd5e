"""What a data file holds, by SQLite alone, and whether it is safe to hand to coverage.py.

The connection is read-only, runs nothing that the file brings along, and stops at a deadline. The kinds of damage are
told apart: see `coverage_hooks.collect.verify`.
"""

from __future__ import annotations

import functools
import re
import sqlite3
import time
from array import array
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from coverage_hooks.errors import VolumeError

#: Seconds that SQLite may work on one file; ten sound ones of a thousand source files take 0.14 in all.
DEADLINE = 30.0

#: Beyond any line that a program has, so that no claim can make a set of lines fill the memory.
LAST_LINE = 10_000_000

_COMMENT = re.compile(r"--[^\n]*")
_SPACE = re.compile(r"\s+")


class DamagedError(VolumeError):
    """File `file` of a recording cannot be used; the message begins with the kind of damage."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(reason)
        self.file = file


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What coverage.py makes of an empty database, and the number that it gives this."""

    entries: frozenset[tuple[str, ...]]
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a data file holds: its paths, the highest line of each, and counts as in a manifest.

    Thousands of these are held at once, and most have the same paths, so those are shared.
    """

    arcs: bool
    paths: tuple[str, ...]
    tops: array[int]
    line_count: int
    arc_count: int

    @property
    def highest(self) -> dict[str, int]:
        """The highest line by path."""
        return dict(zip(self.paths, self.tops, strict=True))


@functools.lru_cache(maxsize=256)
def _shared(paths: tuple[str, ...]) -> tuple[str, ...]:
    return paths


def read_content(path: Path, schema: Schema) -> Content:
    """Return what data file *path* holds; `DamagedError` when no coverage.py of *schema* wrote it like this."""
    try:
        with _opened(path) as connection:
            _check_schema(connection, schema)
            _check_integrity(connection)
            return _measure(connection)
    except UnicodeDecodeError:  # the message itself, which quotes a broken schema
        raise DamagedError(path.name, "damaged: SQLite finds a schema that is no text") from None
    except (sqlite3.Error, sqlite3.Warning) as error:
        kind = "foreign" if "not a database" in str(error) else "damaged"
        raise DamagedError(path.name, f"{kind}: SQLite says: {error}") from None
    except _FoundError as error:
        raise DamagedError(path.name, str(error)) from None


class _FoundError(Exception):
    """A reason, before it is known which file it belongs to."""


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    # immutable: no lock, no journal and no write-ahead log beside the file is even looked for.
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LAST_LINE // 4)
        end = time.monotonic() + DEADLINE
        connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        yield connection


def read_schema(connection: sqlite3.Connection) -> frozenset[tuple[str, ...]]:
    """Return kind, name, table and definition of everything in a database; at most a hundred of them."""
    return frozenset(_entries(connection))


def _entries(connection: sqlite3.Connection) -> Iterator[tuple[str, ...]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT 100")
    for kind, name, table, definition in rows:
        # Nothing forces these to be text in a broken file; as what it is shown as, it fits nothing expected.
        sql = definition if isinstance(definition, str | None) else repr(definition)
        # Comments change between versions of coverage.py that share a schema. What a comment could hide is not there:
        # whatever quotes it would have to be left standing, and coverage.py's schema has no quotes.
        yield str(kind), str(name), str(table), _SPACE.sub(" ", _COMMENT.sub("", sql or "")).strip()


def _check_schema(connection: sqlite3.Connection, schema: Schema) -> None:
    expected, found = schema.entries, read_schema(connection)
    if surplus := found - expected:
        kind, name, *_ = min(surplus)
        if any((kind, name) == (ours[0], ours[1]) for ours in expected):
            raise _FoundError(f"foreign: {kind} {name!r} is not as coverage.py makes it")
        raise _FoundError(f"foreign: it holds {kind} {name!r}, which coverage.py does not make")
    if missing := expected - found:
        kind, name, *_ = min(missing)
        raise _FoundError(f"foreign: {kind} {name!r} of coverage.py is missing")
    versions = connection.execute("SELECT version FROM coverage_schema LIMIT 2").fetchall()
    if versions != [(schema.version,)]:
        said = ", ".join(str(row[0]) for row in versions) or "none"
        raise _FoundError(f"foreign: schema {said}, the coverage.py here reads {schema.version}")


def _check_integrity(connection: sqlite3.Connection) -> None:
    answers = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    if answers != ["ok"]:
        raise _FoundError(f"damaged: SQLite's integrity check says: {'; '.join(map(str, answers))}")


#: What must not be there, as conditions; coverage.py would crash on each, or count what nobody ran.
_REFUSED = {
    "a file number that SQLite never gave": "SELECT 1 FROM file WHERE id NOT BETWEEN 1 AND 2147483647",
    "a path that is no text": "SELECT 1 FROM file WHERE typeof(path) != 'text' OR length(path) > 4096",
    "a context that is no text": "SELECT 1 FROM context WHERE typeof(context) != 'text' OR length(context) > 4096",
    "lines that are no bit set": "SELECT 1 FROM line_bits WHERE typeof(numbits) != 'blob'",
    "lines of an unknown file": "SELECT 1 FROM line_bits WHERE file_id NOT IN (SELECT id FROM file) OR file_id IS NULL",
    "lines of an unknown context": (
        "SELECT 1 FROM line_bits WHERE context_id NOT IN (SELECT id FROM context) OR context_id IS NULL"
    ),
}


def _measure(connection: sqlite3.Connection) -> Content:
    for what, query in _REFUSED.items():
        if connection.execute(f"{query} LIMIT 1").fetchone():
            raise _FoundError(f"damaged: it holds {what}")
    if plugin := connection.execute("SELECT tracer FROM tracer LIMIT 1").fetchone():
        # Its paths are no Python files, and coverage.py would look for the plug-in here.
        raise _FoundError(f"foreign: measured through the coverage plug-in {plugin[0]!r}; leave it out when recording")
    paths: dict[int, str] = dict(connection.execute("SELECT id, path FROM file ORDER BY path"))
    arcs = _has_arcs(connection)
    tops, line_count, arc_count = _measure_arcs(connection, paths) if arcs else (*_measure_lines(connection), 0)
    for number, path in paths.items():
        if tops.get(number, 0) > LAST_LINE:
            raise _FoundError(f"damaged: {path} has line {tops[number]}, beyond any program's")
    return Content(
        arcs=arcs,
        paths=_shared(tuple(paths.values())),
        tops=array("I", (tops.get(number, 0) for number in paths)),
        line_count=line_count,
        arc_count=arc_count,
    )


def _has_arcs(connection: sqlite3.Connection) -> bool:
    said = connection.execute("SELECT value FROM meta WHERE key = 'has_arcs'").fetchall()
    if said not in ([("0",)], [("1",)]):
        raise _FoundError("empty: it does not say whether lines or branches were measured; nothing ever was")
    wrong = "line_bits" if said == [("1",)] else "arc"
    if connection.execute(f"SELECT 1 FROM {wrong} LIMIT 1").fetchone():  # noqa: S608 - one of two names of ours
        raise _FoundError("damaged: it holds both lines and branches")
    return said == [("1",)]


def _measure_lines(connection: sqlite3.Connection) -> tuple[dict[int, int], int]:
    """Return the highest line by file, and the number of lines over all files, contexts merged.

    Sets of bits are merged as numbers, not as sets: a file that claims ten million lines costs milliseconds.
    """
    tops: dict[int, int] = {}
    count = merged = 0
    last = None
    for file, numbits in connection.execute("SELECT file_id, numbits FROM line_bits ORDER BY file_id"):
        if file != last:
            count, merged, last = count + merged.bit_count(), 0, file
        merged |= int.from_bytes(numbits, "little")
        tops[file] = max(0, merged.bit_length() - 1)
    return tops, count + merged.bit_count()


def _measure_arcs(connection: sqlite3.Connection, paths: Collection[int]) -> tuple[dict[int, int], int, int]:
    """As `_measure_lines`, and the number of arcs; negative numbers are where a code object is entered and left."""
    tops: dict[int, int] = {}
    contexts = {number for (number,) in connection.execute("SELECT id FROM context")}
    groups = arcs = 0
    # One walk along the index answers everything that can be asked of a group of arcs.
    for file, context, size, wrong, *ends in connection.execute(
        "SELECT file_id, context_id, count(*), sum(typeof(fromno) != 'integer' OR typeof(tono) != 'integer'), "
        "min(fromno), max(fromno), min(tono), max(tono) FROM arc GROUP BY file_id, context_id"
    ):
        if wrong:
            raise _FoundError("damaged: it holds arcs that are no numbers")
        if file not in paths:
            raise _FoundError("damaged: it holds arcs of an unknown file")
        if context not in contexts:
            raise _FoundError("damaged: it holds arcs of an unknown context")
        groups, arcs = groups + 1, arcs + size
        tops[file] = max(tops.get(file, 0), *map(abs, ends))
    if groups > len(tops):  # several contexts may have the same arc
        arcs = connection.execute("SELECT count(*) FROM (SELECT DISTINCT file_id, fromno, tono FROM arc)").fetchone()[0]
    if max(tops.values(), default=0) > LAST_LINE:  # refused for it in a moment
        return tops, 0, arcs
    # One number can stand for file and line, at half the work of two.
    ends = "SELECT file_id << 32 | {0} AS line FROM arc WHERE {0} > 0"
    lines = connection.execute(
        f"SELECT count(*) FROM ({ends.format('fromno')} UNION {ends.format('tono')})"  # noqa: S608 - as above
    ).fetchone()[0]
    return tops, lines, arcs
