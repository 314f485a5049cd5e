"""Damage that nobody thought of: what a recording can be turned into at random, layer by layer."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from coverage_hooks.collect.contents import DamagedError, read_content
from coverage_hooks.collect.verify import schema
from coverage_hooks.volume import layout
from tests.unit.collect.building import Recording

Mutation = Callable[[random.Random, Recording, Recording], None]

TEXTS = (
    "", "x", "0", "../../x", "/etc/passwd", "data-3.coverage", "a" * 5000, "\0", "\x1b[31mred\x1b[0m", "\u202egnp",
    "\ud800",
    "é", "e\u0301", "<script>", "[bold]", "|", "\n", "😀" * 100, "*", "run-1", "{}", "shop/cart.py",
    "/app/shop/cart.py",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 7, 255, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**400, -0.0, 1.5, 1e308,
    1e-308,
    float("nan"), float("inf"),
)  # fmt: skip
CELLS: tuple[object, ...] = (
    None, 0, 1, -1, 3, 2**31, 2**40, 2**63 - 1, -(2**63), 1.5, float("inf"), "", "x", "/app/shop/cart.py",
    "\x1b[31m", b"", b"\0",
    b"\xff", b"\xff" * 100, bytes(5000) + b"\x01", b"\xff\xfe", "1", "é", 10_000_001, -10_000_001,
)  # fmt: skip


def _path(chance: random.Random, recording: Recording) -> Path:
    return chance.choice([recording.data, recording.sources, recording.manifest_path])


def flip_bytes(chance: random.Random, bad: Recording, other: Recording) -> None:
    path = _path(chance, bad)
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 1, 2, 50])):
        if content:
            content[chance.randrange(len(content))] ^= chance.randrange(1, 256)
    path.write_bytes(content)


def cut_or_grow(chance: random.Random, bad: Recording, other: Recording) -> None:
    path = _path(chance, bad)
    content = path.read_bytes()
    at = chance.randrange(len(content) + 1)
    more = chance.choice([b"", b"\0" * 4096, chance.randbytes(100), content])
    path.write_bytes(chance.choice([content[:at], content + more, content[at:], content[:at] + more + content[at:]]))


def zero_pages(chance: random.Random, bad: Recording, other: Recording) -> None:
    """What a file system leaves after a crash."""
    content = bytearray(bad.data.read_bytes())
    page = 512 * chance.randrange(len(content) // 512 or 1)
    content[page : page + 4096] = bytes(len(content[page : page + 4096]))
    bad.data.write_bytes(content)


def swap_files(chance: random.Random, bad: Recording, other: Recording) -> None:
    one, two = _path(chance, bad), _path(chance, other)
    mine, theirs = one.read_bytes(), two.read_bytes()
    one.write_bytes(theirs)
    two.write_bytes(mine)


def honest_garbage(chance: random.Random, bad: Recording, other: Recording) -> None:
    """Data that is not what it was, with a manifest that stands by it."""
    content = bytearray(bad.data.read_bytes())
    for _ in range(chance.choice([1, 2, 10, 100])):
        if content:
            content[chance.randrange(len(content))] = chance.randrange(256)
    bad.publish_data(bytes(content))


def _evil(chance: random.Random) -> Any:
    deep: Any = []
    for _ in range(chance.choice([1, 3, 20, 200])):
        deep = chance.choice([[deep], {"a": deep}])
    return chance.choice([None, True, False, [], {}, deep, chance.choice(TEXTS), chance.choice(NUMBERS), ["x"] * 60])


def _mutated(chance: random.Random, document: Any) -> Any:
    """Return *document* with something changed somewhere in it."""
    if not document or not isinstance(document, dict | list) or chance.random() < 0.1:
        return _evil(chance)
    if isinstance(document, list):
        place = chance.randrange(len(document))
        return [*document[:place], _mutated(chance, document[place]), *document[place + 1 :]]
    key = chance.choice(list(document))
    match chance.choice(["below", "below", "below", "delete", "rename", "more"]):
        case "below":
            return {**document, key: _mutated(chance, document[key])}
        case "delete":
            return {name: value for name, value in document.items() if name != key}
        case "rename":
            return {chance.choice(TEXTS) if name == key else name: value for name, value in document.items()}
        case _:
            return {**document, chance.choice(TEXTS): _evil(chance)}


def _text(chance: random.Random, content: str) -> str:
    """Return JSON *content* as parsers disagree about it."""
    with suppress(ValueError, RecursionError):
        content = json.dumps(_mutated(chance, json.loads(content)), ensure_ascii=chance.random() < 0.8)
    match chance.choice(["as it is", "twice", "number", "mark", "spaces", "comment"]):
        case "twice":  # of two equal keys the last one counts, for whom?
            return content.replace("{", '{"run": "run-2", "sha256": 1, "format": 1, ', 1)
        case "number":
            return content.replace("1", chance.choice(["1e400", "01", "1.", "-1", "1" * 5000, "0x1"]), 1)
        case "mark":
            return "\ufeff" + content
        case "spaces":
            return content.replace(" ", " " * chance.choice([2, 30_000]), 1)
        case "comment":
            return content + "// end"
    return content


def rewrite_manifest(chance: random.Random, bad: Recording, other: Recording) -> None:
    content = bad.manifest_path.read_bytes().decode("utf-8", "replace")
    bad.manifest_path.write_bytes(_text(chance, content).encode("utf-8", "surrogatepass"))


def rewrite_sources(chance: random.Random, bad: Recording, other: Recording) -> None:
    content = _text(chance, bad.sources.read_bytes().decode("utf-8", "replace")).encode("utf-8", "surrogatepass")
    bad.publish_sources(content)


_TABLES = {
    "file": ("id", "path"),
    "context": ("id", "context"),
    "line_bits": ("file_id", "context_id", "numbits"),
    "arc": ("file_id", "context_id", "fromno", "tono"),
    "tracer": ("file_id", "tracer"),
    "meta": ("key", "value"),
    "coverage_schema": ("version",),
}
_COUNTING = "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
_SCRIPTS = (
    "CREATE TABLE x (y)", "CREATE VIEW v AS SELECT * FROM file", "DROP TABLE tracer", "DROP TABLE line_bits",
    "DROP TABLE meta",
    "CREATE TRIGGER t AFTER INSERT ON file BEGIN DELETE FROM file; END", "CREATE INDEX i ON file (path)",
    "PRAGMA page_size = 65536; VACUUM", "PRAGMA page_size = 512; VACUUM", "PRAGMA journal_mode = WAL",
    "PRAGMA user_version = 9",
    "PRAGMA auto_vacuum = 1; VACUUM", "VACUUM", "PRAGMA application_id = 7", "ALTER TABLE file RENAME TO files",
    "ALTER TABLE arc ADD COLUMN more", "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 2",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'x' WHERE name = 'file'",
    "PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE name LIKE 'sqlite_autoindex%'",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 999999 WHERE name = 'arc'",
    "INSERT INTO line_bits SELECT id, 1, zeroblob(1000000) FROM file", "ANALYZE", "REINDEX",
    *(f"{_COUNTING} INSERT INTO {what} FROM n" for what in (
        "arc SELECT 1, 1, i, i + 1", "file SELECT i, '/app/' || i", "context SELECT i, 'c' || i"
    )),
)  # fmt: skip


#: What would pass for the content of a column, so that more than the first check has something to do.
_LIKELY: dict[str, tuple[object, ...]] = {
    "numbits": (b"", b"\0", b"\x02", b"\xff", b"\xff" * 100, bytes(3) + b"\x01", bytes(5000) + b"\x01"),
    "path": ("/app/shop/cart.py", "/app/shop/unused.py", "/app/shop/gone.py", "/app/other/till.py", "cart.py", "/"),
    "context": ("", "create|a/b", "\x1b[31m", "x" * 4096),
    "value": ("0", "1", "2"),
    "version": (6, 7, 8),
}
_NUMBERED = (0, 1, 2, 3, 4, 5, 9, 99, -1, -7)


def _cell(chance: random.Random, column: str) -> object:
    return chance.choice(_LIKELY.get(column, _NUMBERED) if chance.random() < 0.8 else CELLS)


def _statement(chance: random.Random) -> tuple[str, list[object]]:
    table = chance.choice([*_TABLES, "line_bits", "line_bits", "line_bits", "file", "file"])
    column = chance.choice([*_TABLES[table], _TABLES[table][-1]])
    match chance.choice(["update", "update", "insert", "delete"]):
        case "update":
            where = f"rowid = {chance.randrange(1, 5)}" if chance.random() < 0.7 else "1"
            return f"UPDATE {table} SET {column} = ? WHERE {where}", [_cell(chance, column)]
        case "insert":
            marks = ", ".join("?" * len(_TABLES[table]))
            return f"INSERT INTO {table} VALUES ({marks})", [_cell(chance, each) for each in _TABLES[table]]
        case _:
            return f"DELETE FROM {table} WHERE rowid = ?", [chance.randrange(1, 5)]


def change_tables(chance: random.Random, bad: Recording, other: Recording) -> None:
    """Change the database as its own program could, with a manifest that stands by it and by what there is to count."""
    with suppress(sqlite3.Error, OverflowError), closing(sqlite3.connect(bad.data)) as connection:
        for _ in range(chance.choice([1, 1, 2, 5])):
            with suppress(sqlite3.Error, OverflowError, UnicodeError), connection:
                if chance.random() < 0.3:
                    connection.executescript(chance.choice(_SCRIPTS))
                else:
                    connection.execute(*_statement(chance))
    counts = {}
    with suppress(DamagedError):
        found = read_content(bad.data, schema())
        counts = {"files": len(found.paths), "lines": found.line_count, "arcs": found.arc_count}
        if found.branch != bad.manifest.process.branch:
            bad = bad.change(process=dataclasses.replace(bad.manifest.process, branch=found.branch))
    bad.publish_data(bad.data.read_bytes(), **counts)


def replace_entry(chance: random.Random, bad: Recording, other: Recording) -> None:
    path = chance.choice([bad.data, bad.sources, bad.manifest_path, bad.path])
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    match chance.choice(["link", "dangling", "self", "zero", "FIFO", "folder", "socket", "other's", "nothing"]):
        case "link":
            path.symlink_to(other.path / path.name)
        case "dangling":
            path.symlink_to("/nowhere")
        case "self":
            path.symlink_to(path.name)
        case "zero":
            path.symlink_to("/dev/zero")
        case "FIFO":
            os.mkfifo(path)
        case "folder":
            (path / "deeper").mkdir(parents=True)
        case "socket":
            _bind(path)
        case "other's" if (other.path / path.name).is_file():
            path.hardlink_to(other.path / path.name)


def _bind(path: Path) -> None:
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(path.parent)  # the name of a socket may have 108 bytes only
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def add_entries(chance: random.Random, bad: Recording, other: Recording) -> None:
    """Lay something beside and into it; that is nobody's loss."""
    names = [
        b"\xff\xfe", b"\x1b[2J", b"a" * 255, "\u202e".encode(), b"data-9.coverage", b"data-x.coverage",
        b".hidden",
        b"-rf", b"recording.json.tmp", layout.temporary_name(layout.MANIFEST, 1).encode(), b"lost+found", b"..data",
    ]  # fmt: skip
    for folder in (bad.path, bad.path.parent):
        place = os.path.join(os.fsencode(folder), chance.choice(names))  # noqa: PTH118 - bytes, which are no text
        if not os.path.lexists(place):
            makers: list[Callable[[bytes], None]] = [os.mkdir, os.mkfifo, _link_to_zeros]
            chance.choice(makers)(place)


def _link_to_zeros(name: bytes) -> None:
    os.symlink(b"/dev/zero", name)  # noqa: PTH211 - as above


#: Of these a recording knows nothing, so whatever they change has to be noticed.
SILENT = (flip_bytes, cut_or_grow, zero_pages, swap_files, replace_entry, add_entries)
HONEST = (honest_garbage, rewrite_manifest, rewrite_sources, change_tables, change_tables, change_tables)
MUTATIONS: dict[str, Mutation] = {mutation.__name__: mutation for mutation in (*SILENT, *HONEST)}
