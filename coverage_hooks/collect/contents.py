"""What a data file holds, by SQLite alone, and whether it is safe to hand to coverage.py.

The connection is read-only, runs nothing that the file brings along, and stops at a deadline. The kinds of damage are
told apart: see `coverage_hooks.collect.verify`.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage_hooks.collect.arcs import PACKED, Arcs, Parser
from coverage_hooks.errors import VolumeError

#: Seconds that SQLite may work on one file; ten sound ones of a thousand source files take 0.14 in all.
DEADLINE = 30.0

#: Beyond any line that a program has, so that no claim can make a set of lines fill the memory.
LAST_LINE = 10_000_000

#: Beyond any program, too, and little enough for the memory: content is held whole, of several files at a time.
MOST_ARCS, MOST_BYTES = 2_000_000, 40 << 20

_COMMENT = re.compile(r"--[^\n]*")
_SPACE = re.compile(r"\s+")


class DamagedError(VolumeError):
    """File `file` of a recording cannot be used; the message begins with the kind of damage."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(reason)
        self.file = file

    def __reduce__(self) -> tuple[type[DamagedError], tuple[str, str]]:
        return type(self), (self.file, str(self))  # as it comes from another process


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What coverage.py makes of an empty database, the number that it gives this, and all of it as it is `written`."""

    entries: frozenset[tuple[str, ...]]
    version: int
    written: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a data file holds: all `paths`, and by path and context the lines or the arcs.

    Lines are one number, with bit n for line n, as they lie in the file. `tracers` names the plug-in that measured a
    path, where one did; `tops` has the highest line by path, and the counts are as in a manifest.
    """

    paths: tuple[str, ...]
    lines: Mapping[tuple[str, str], int]
    arcs: Mapping[tuple[str, str], Arcs] | None
    tracers: Mapping[str, str]
    tops: Mapping[str, int]
    line_count: int
    arc_count: int

    @property
    def branch(self) -> bool:
        """Whether branches were measured, not lines."""
        return self.arcs is not None


def read_data(path: Path) -> Content:
    """Return what data file *path* holds, which coverage.py has just written here: however much and long that is."""
    with closing(_connected(path)) as connection:
        return _read(connection, Parser())


def read_content(path: Path, schema: Schema, parser: Parser | None = None) -> Content:
    """Return what data file *path* holds; `DamagedError` when no coverage.py of *schema* wrote it like this."""
    try:
        with _opened(path) as connection:
            _check_schema(connection, schema)
            _check_integrity(connection, schema)
            _refuse(connection)
            _check_amount(connection)
            return _read(connection, parser or Parser())
    except UnicodeDecodeError:  # the message itself, which quotes a broken schema
        raise DamagedError(path.name, "damaged: SQLite finds a schema that is no text") from None
    except (sqlite3.Error, sqlite3.Warning) as error:
        kind = "foreign" if "not a database" in str(error) else "damaged"
        raise DamagedError(path.name, f"{kind}: SQLite says: {error}") from None
    except _FoundError as error:
        raise DamagedError(path.name, str(error)) from None


class _FoundError(Exception):
    """A reason, before it is known which file it belongs to."""


def _connected(path: Path) -> sqlite3.Connection:
    # immutable: no lock, no journal and no write-ahead log beside the file is even looked for.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(_connected(path)) as connection:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LAST_LINE // 4)
        end = time.monotonic() + DEADLINE
        connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        yield connection


def fetch(connection: sqlite3.Connection, columns: str, source: str) -> list[list[Any]]:
    """Return *columns* of every row of *source*, none of which may be a BLOB.

    As one value, not row by row: each step of SQLite's lets other threads run, and where there are any, it then waits
    for its turn again.
    """
    query = f"SELECT json_group_array(json_array({columns})) FROM {source}"  # noqa: S608 - names of ours
    try:
        rows: list[list[Any]] = json.loads(connection.execute(query).fetchone()[0])
    except sqlite3.OperationalError as error:
        if "decode" in str(error):  # and then comes all of it
            raise _FoundError("damaged: it holds text that is not UTF-8") from None
        raise
    return rows


def read_schema(connection: sqlite3.Connection) -> Schema:
    """Return the schema of a database that coverage.py made."""
    version: int = connection.execute("SELECT version FROM coverage_schema").fetchone()[0]
    return Schema(entries=frozenset(_entries(connection)), version=version, written=_written(connection))


def _written(connection: sqlite3.Connection) -> str:
    entry = "quote(type) || quote(name) || quote(tbl_name) || quote(sql)"
    everything = "(SELECT * FROM sqlite_master ORDER BY name LIMIT 100)"
    return str(connection.execute(f"SELECT group_concat({entry}) FROM {everything}").fetchone()[0])  # noqa: S608


def _entries(connection: sqlite3.Connection) -> Iterator[tuple[str, ...]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT 100")
    for kind, name, table, definition in rows:
        # Nothing forces these to be text in a broken file; as what it is shown as, it fits nothing expected.
        sql = definition if isinstance(definition, str | None) else repr(definition)
        # Comments change between versions of coverage.py that share a schema. What a comment could hide is not there:
        # whatever quotes it would have to be left standing, and coverage.py's schema has no quotes.
        yield str(kind), str(name), str(table), _SPACE.sub(" ", _COMMENT.sub("", sql or "")).strip()


def _check_schema(connection: sqlite3.Connection, schema: Schema) -> None:
    if _written(connection) != schema.written:
        _compare_schema(connection, schema)
    versions = connection.execute("SELECT version FROM coverage_schema LIMIT 2").fetchall()
    if versions != [(schema.version,)]:
        said = ", ".join(str(row[0]) for row in versions) or "none"
        raise _FoundError(f"foreign: schema {said}, the coverage.py here reads {schema.version}")


def _compare_schema(connection: sqlite3.Connection, schema: Schema) -> None:
    """Refuse what differs in more than the remarks of another version of coverage.py."""
    expected, found = schema.entries, frozenset(_entries(connection))
    if surplus := found - expected:
        kind, name, *_ = min(surplus)
        if any((kind, name) == (ours[0], ours[1]) for ours in expected):
            raise _FoundError(f"foreign: {kind} {name!r} is not as coverage.py makes it")
        raise _FoundError(f"foreign: it holds {kind} {name!r}, which coverage.py does not make")
    if missing := expected - found:
        kind, name, *_ = min(missing)
        raise _FoundError(f"foreign: {kind} {name!r} of coverage.py is missing")


def _check_integrity(connection: sqlite3.Connection, schema: Schema) -> None:
    """Check everything but whether each arc is in the index: that takes as long as all the rest of verifying.

    There are as many in it as in the table, and nobody reads them but from the index.
    """
    small = sorted({table for kind, name, table, _ in schema.entries if kind == "index"} - {"arc"})
    # Without a limit of its own: since SQLite 3.53 that is taken for the name of a table here.
    checks = ["SELECT quick_check AS said FROM pragma_quick_check"]
    checks += [f"SELECT integrity_check FROM pragma_integrity_check('{table}')" for table in small]  # noqa: S608
    wrong = f"SELECT * FROM ({' UNION ALL '.join(checks)}) WHERE said != 'ok' LIMIT 3"  # noqa: S608
    answers = [row[0] for row in connection.execute(wrong)]
    index = "arc INDEXED BY sqlite_autoindex_arc_1 WHERE file_id > 0"  # without a condition SQLite does not use it
    listed, indexed = connection.execute(
        f"SELECT (SELECT count(*) FROM arc NOT INDEXED), (SELECT count(*) FROM {index})"  # noqa: S608
    ).fetchone()
    if listed != indexed:
        answers.append(f"{listed} arcs in the table, {indexed} in its index")
    if answers:
        raise _FoundError(f"damaged: SQLite's integrity check says: {'; '.join(map(str, answers[:3]))}")


#: What must not be there, as conditions; coverage.py would crash on each, or count what nobody ran.
_REFUSED = {
    "a file number that SQLite never gave": "SELECT 1 FROM file WHERE id NOT BETWEEN 1 AND 2147483647",
    "a path that is no text": "SELECT 1 FROM file WHERE typeof(path) != 'text' OR length(path) > 4096",
    "a context that is no text": "SELECT 1 FROM context WHERE typeof(context) != 'text' OR length(context) > 4096",
    "lines that are no bit set": "SELECT 1 FROM line_bits WHERE typeof(numbits) != 'blob'",
    "a line beyond any program''s": f"SELECT 1 FROM line_bits WHERE length(numbits) > {LAST_LINE // 8 + 1}",  # noqa: S608
    "lines of an unknown file": "SELECT 1 FROM line_bits WHERE file_id NOT IN (SELECT id FROM file) OR file_id IS NULL",
    "lines of an unknown context": (
        "SELECT 1 FROM line_bits WHERE context_id NOT IN (SELECT id FROM context) OR context_id IS NULL"
    ),
    "a plug-in that is no text": "SELECT 1 FROM tracer WHERE typeof(tracer) != 'text' OR length(tracer) > 4096",
    "a plug-in of an unknown file": "SELECT 1 FROM tracer WHERE file_id NOT IN (SELECT id FROM file)",
}


def _refuse(connection: sqlite3.Connection) -> None:
    # In one statement, as in `fetch`.
    asked = " UNION ALL ".join(f"SELECT '{what}' WHERE EXISTS ({query})" for what, query in _REFUSED.items())
    if found := connection.execute(asked).fetchone():
        raise _FoundError(f"damaged: it holds {found[0]}")


def _check_amount(connection: sqlite3.Connection) -> None:
    arcs, size = connection.execute(
        "SELECT (SELECT count(*) FROM arc), (SELECT total(length(numbits)) FROM line_bits)"
    ).fetchone()
    if arcs > MOST_ARCS or size > MOST_BYTES:
        raise _FoundError("damaged: it holds more than any program has")
    # Up to here no value may be long; from here on all arcs, or all lines, come as one text.
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(20 * MOST_ARCS, 3 * MOST_BYTES))


def _read(connection: sqlite3.Connection, parser: Parser) -> Content:
    paths: dict[int, str] = dict(fetch(connection, "id, path", "file"))
    contexts: dict[int, str] = dict(fetch(connection, "id, context", "context"))
    tracers = dict(connection.execute("SELECT path, tracer FROM tracer JOIN file ON file.id = file_id"))
    lines, arcs = {}, None
    if _has_arcs(connection):
        arcs = dict(_read_arcs(connection, paths, contexts, parser))
        tops, line_count, arc_count = _measure_arcs(arcs)
        # Where a template is entered and left is told, below zero, in lines of the Python that renders it.
        tops |= dict.fromkeys(tracers, 0)
        for (path, _), found in arcs.items():
            if path in tracers:
                tops[path] = max(tops[path], *(end for arc in found for end in arc))
    else:
        lines = dict(_read_lines(connection, paths, contexts))
        tops, line_count, arc_count = (*_measure_lines(lines), 0)
    for path, top in tops.items():
        if top > LAST_LINE:
            raise _FoundError(f"damaged: {path} has a line beyond any program's")
    return Content(
        paths=tuple(sorted(paths.values())),
        lines=lines,
        arcs=arcs,
        tracers=tracers,
        tops={path: tops.get(path, 0) for path in paths.values()},
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


def _read_lines(
    connection: sqlite3.Connection, paths: Mapping[int, str], contexts: Mapping[int, str]
) -> Iterator[tuple[tuple[str, str], int]]:
    for file, context, numbits in fetch(connection, "file_id, context_id, hex(numbits)", "line_bits"):
        yield (paths[file], contexts[context]), int.from_bytes(bytes.fromhex(numbits), "little")


def _measure_lines(lines: Mapping[tuple[str, str], int]) -> tuple[dict[str, int], int]:
    """Return the highest line by path, and the number of lines over all paths, contexts merged.

    Sets of bits are merged as numbers, not as sets: a file that claims ten million lines costs milliseconds.
    """
    merged: Counter[str] = Counter()
    for (path, _), bits in lines.items():
        merged[path] |= bits
    tops = {path: max(0, bits.bit_length() - 1) for path, bits in merged.items()}
    return tops, sum(bits.bit_count() for bits in merged.values())


#: An arc as one number, or NULL for one that cannot be: it has an end that is no number, or beyond any program's.
_SOUND = f"""CASE WHEN typeof(fromno) = 'integer' AND fromno BETWEEN -{LAST_LINE} AND {LAST_LINE}
    AND typeof(tono) = 'integer' AND tono BETWEEN -{LAST_LINE} AND {LAST_LINE}
    THEN {PACKED} END"""


def _read_arcs(
    connection: sqlite3.Connection, paths: Mapping[int, str], contexts: Mapping[int, str], parser: Parser
) -> Iterator[tuple[tuple[str, str], Arcs]]:
    groups = f"(SELECT file_id, context_id, json_group_array({_SOUND}) AS arcs FROM arc GROUP BY file_id, context_id)"  # noqa: S608
    for file, context, text in fetch(connection, "file_id, context_id, arcs || ''", groups):
        if file not in paths:
            raise _FoundError("damaged: it holds arcs of an unknown file")
        if context not in contexts:
            raise _FoundError("damaged: it holds arcs of an unknown context")
        if "null" in text:
            number = "SELECT 1 FROM arc WHERE typeof(fromno) != 'integer' OR typeof(tono) != 'integer' LIMIT 1"
            kind = (
                "arcs that are no numbers" if connection.execute(number).fetchone() else "a line beyond any program's"
            )
            raise _FoundError(f"damaged: {paths[file]} has {kind}")
        key = paths[file], contexts[context]
        yield key, parser.parse(key, text)


def _measure_arcs(groups: Mapping[tuple[str, str], Arcs]) -> tuple[dict[str, int], int, int]:
    """As `_measure_lines`, and the number of arcs."""
    by_path: dict[str, list[Arcs]] = defaultdict(list)
    for (path, _), arcs in groups.items():
        by_path[path].append(arcs)
    merged = {path: Arcs.merged(found) for path, found in by_path.items()}  # several contexts may have the same arc
    tops = {path: arcs.top for path, arcs in merged.items()}
    return tops, sum(arcs.line_count for arcs in merged.values()), sum(map(len, merged.values()))
