"""Every way in which a recording can be other than it should be, by name, with what is to be said about it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage_hooks.volume import layout
from tests.unit.collect.building import LINES, Recording, data_bytes

PREFIX = "/app/"


@dataclass(frozen=True)
class Damage:
    """How to spoil a recording, and the file and the words that its loss has to name."""

    spoil: Callable[[Recording], object]
    file: str
    reason: str


def _overwrite(offset: int, content: bytes) -> Callable[[Recording], object]:
    def spoil(recording: Recording) -> None:
        with recording.data.open("r+b") as file:
            file.seek(offset)
            file.write(content)

    return spoil


def _sql(script: str, **counts: int) -> Callable[[Recording], object]:
    """Change the data file by *script*, with a manifest that is honest about the result."""

    def spoil(recording: Recording) -> None:
        with closing(sqlite3.connect(recording.data)) as connection:
            connection.executescript(script)
        recording.publish_data(recording.data.read_bytes(), **counts)

    return spoil


def _document(change: Callable[[dict[str, Any]], object]) -> Callable[[Recording], object]:
    """Change the manifest's JSON."""

    def spoil(recording: Recording) -> None:
        document = json.loads(recording.manifest_path.read_bytes())
        change(document)
        recording.manifest_path.write_text(json.dumps(document))

    return spoil


def _field(*path: str, value: object) -> Callable[[Recording], object]:
    def change(document: dict[str, Any]) -> None:
        *above, last = path
        for name in above:
            document = document[name]
        document[last] = value

    return _document(change)


def _bytes(content: bytes) -> Callable[[Recording], object]:
    return lambda recording: recording.manifest_path.write_bytes(content)


def _fifo(path: Callable[[Recording], Path]) -> Callable[[Recording], object]:
    def spoil(recording: Recording) -> None:
        path(recording).unlink()
        os.mkfifo(path(recording))

    return spoil


def _link(path: Callable[[Recording], Path]) -> Callable[[Recording], object]:
    """Put a link in place of the entry, to the very same content."""

    def spoil(recording: Recording) -> None:
        place = path(recording)
        elsewhere = recording.path.parent / f"elsewhere-of-{recording.name}-{place.name}"
        place.rename(elsewhere)
        place.symlink_to(elsewhere)

    return spoil


def _flip(recording: Recording) -> None:
    content = bytearray(recording.data.read_bytes())
    content[content.index(b"/app/shop/cart.py")] ^= 1
    recording.data.write_bytes(content)


def _garbage(recording: Recording) -> None:
    content = recording.data.read_bytes()
    recording.publish_data(content[:4096] + bytes(range(256)) * 16 + content[8192:])


def _file_as_folder(recording: Recording) -> None:
    shutil.rmtree(recording.path)
    recording.path.write_text("not a folder")


def _stale(recording: Recording) -> None:
    older = data_bytes({PREFIX + name: {1} for name in LINES})
    recording.path.joinpath(layout.data_name(2)).write_bytes(older)
    recording.data.write_bytes(older)


def _lying_sources(recording: Recording) -> None:
    text = b'{"/app/shop/cart.py": {"sha256": 7, "git": 8}}'
    recording.sources.write_bytes(text)
    described = recording.manifest.sources
    assert described is not None
    recording.change(sources=dataclasses.replace(described, sha256=hashlib.sha256(text).hexdigest()))


def _other(recording: Recording) -> bytes:
    return data_bytes({PREFIX + name: {2} for name in LINES})


def _many(recording: Recording) -> None:
    # 40,000 lists in one: no bracket is deep, and there is a megabyte of them.
    _field("problems", value=[[]] * 40_000)(recording)


data, sources, manifest = "data-3.coverage", "sources-3.json", layout.MANIFEST

DAMAGES = {
    # What a broken disk or a broken copy does to the data.
    "data cut short": Damage(lambda r: r.data.write_bytes(r.data.read_bytes()[:-5000]), data, "truncated"),
    "data of no bytes": Damage(lambda r: r.data.write_bytes(b""), data, "truncated: 0 of"),
    "data gone": Damage(lambda r: r.data.unlink(), data, "No such file"),
    "data with a page overwritten": Damage(_overwrite(4096, b"\xff" * 64), data, "damaged: "),
    "data with a header overwritten": Damage(
        _overwrite(0, b"\0" * 16), data, "foreign: SQLite says: file is not a database"
    ),
    "data with one bit flipped in a path": Damage(_flip, data, "damaged: "),
    "data of another moment": Damage(lambda r: r.data.write_bytes(_other(r)), data, "replaced: "),
    "data of an older sequence": Damage(_stale, data, "stale: it holds the content of data-2.coverage"),
    # What a confused or hostile writer publishes with an honest hash.
    "no SQLite": Damage(lambda r: r.publish_data(b"\x7fELF" * 4096), data, "foreign: SQLite says"),
    "another program's tables": Damage(
        _sql("DROP TABLE tracer; CREATE TABLE cats (name)"), data, "foreign: it holds table 'cats'"
    ),
    "a table less": Damage(_sql("DROP TABLE tracer"), data, "foreign: table 'tracer' of coverage.py is missing"),
    "a column more": Damage(
        _sql("ALTER TABLE tracer ADD COLUMN x"), data, "foreign: table 'tracer' is not as coverage.py makes it"
    ),
    "a table that is no text": Damage(
        _sql("PRAGMA writable_schema=ON; UPDATE sqlite_master SET sql=CAST(sql AS BLOB) WHERE name='tracer'"),
        data,
        "foreign: table 'tracer' is not as coverage.py makes it",
    ),
    "a view": Damage(_sql("CREATE VIEW v AS SELECT * FROM file"), data, "foreign: it holds view 'v'"),
    "a view in place of a table": Damage(
        _sql("ALTER TABLE tracer RENAME TO t; CREATE VIEW tracer AS SELECT * FROM t"),
        data,
        "foreign: it holds table 't'",
    ),
    "a trigger": Damage(
        _sql("CREATE TRIGGER t AFTER INSERT ON file BEGIN DELETE FROM arc; END"), data, "foreign: it holds trigger 't'"
    ),
    "an index": Damage(_sql("CREATE INDEX i ON file (lower(path))"), data, "foreign: it holds index 'i'"),
    "a virtual table": Damage(_sql("CREATE VIRTUAL TABLE words USING fts5 (word)"), data, "foreign: it holds "),
    "another schema": Damage(_sql("UPDATE coverage_schema SET version = 6"), data, "foreign: schema 6"),
    "two schemas": Damage(_sql("INSERT INTO coverage_schema VALUES (7)"), data, "foreign: schema 7, 7"),
    "a plug-in": Damage(
        _sql("INSERT INTO tracer SELECT id, 'x.y' FROM file LIMIT 1"),
        "/app/shop/__init__.py",
        "was measured through the coverage plugin 'x.y', which is not loaded here",
    ),
    "a plug-in that is no text": Damage(
        _sql("INSERT INTO tracer SELECT id, x'ff' FROM file LIMIT 1"),
        data,
        "damaged: it holds a plug-in that is no text",
    ),
    "a plug-in of a file that is not there": Damage(
        _sql("INSERT INTO tracer VALUES (99, 'x.y')"), data, "damaged: it holds a plug-in of an unknown file"
    ),
    "garbage with an honest hash": Damage(_garbage, data, "damaged: "),
    "lines and branches": Damage(_sql("INSERT INTO arc SELECT 1, 1, 1, 2"), data, "damaged: it holds both"),
    "neither lines nor branches": Damage(_sql("DELETE FROM meta WHERE key='has_arcs'"), data, "empty: "),
    "a kind that is no number": Damage(_sql("UPDATE meta SET value='x' WHERE key='has_arcs'"), data, "empty: "),
    "no lines": Damage(_sql("DELETE FROM line_bits", lines=0), data, "empty: it holds no line"),
    "lines as text": Damage(
        _sql("UPDATE line_bits SET numbits='abc'"), data, "damaged: it holds lines that are no bit set"
    ),
    "lines of nobody": Damage(
        _sql("UPDATE line_bits SET file_id=99 WHERE file_id=1"), data, "damaged: it holds lines of an"
    ),
    "a path as a number": Damage(
        _sql("UPDATE file SET path=x'ff' WHERE id=1"), data, "damaged: it holds a path that is no"
    ),
    "a path that is no text": Damage(
        _sql("UPDATE file SET path=CAST(x'2fff' AS TEXT) WHERE id=1"), data, "damaged: it holds text that is not UTF-8"
    ),
    "a line beyond the file": Damage(
        _sql("UPDATE line_bits SET numbits=x'0000000002' WHERE file_id=3", lines=4),
        "/app/shop/cart.py",
        "damaged: line 33",
    ),
    "a line beyond any program": Damage(
        _sql("UPDATE line_bits SET numbits=CAST(zeroblob(1300000) || x'01' AS BLOB)"), data, "beyond any program's"
    ),
    "more lines than fit": Damage(
        _sql("UPDATE line_bits SET numbits=zeroblob(9000000)"), data, "damaged: it holds a line beyond any program's"
    ),
    # What the manifest says and is not so.
    "a size too large": Damage(
        _field("data", "size", value=10**12), data, "damaged: the manifest claims 1000000000000"
    ),
    "a size too small": Damage(_field("data", "size", value=1), data, "damaged: the manifest claims 1 bytes"),
    "more files": Damage(_field("data", "files", value=5), data, "damaged: 4 files, 8 lines"),
    "more lines": Damage(_field("data", "lines", value=9), data, "damaged: 4 files, 8 lines"),
    "arcs": Damage(_field("data", "arcs", value=1), data, "damaged: 4 files, 8 lines"),
    "branches": Damage(_field("process", "branch", value=True), data, "damaged: manifest and data disagree"),
    # What the manifest may not say.
    "a name that leaves": Damage(_field("data", "file", value="../x"), manifest, "data.file is '../x'"),
    "a name from the root": Damage(_field("data", "file", value="/etc/passwd"), manifest, "data.file is '/etc/passwd'"),
    "sources that leave": Damage(_field("sources", "file", value="../../x"), manifest, "sources.file is"),
    "a negative size": Damage(_field("data", "size", value=-1), manifest, "data.size is -1"),
    "a number as text": Damage(_field("beat", value="7"), manifest, "beat is '7', expected int"),
    "a truth as number": Damage(_field("beat", value=True), manifest, "beat is True, expected int"),
    "not a number": Damage(_field("interval", value=float("nan")), manifest, "NaN is not JSON"),
    "an endless interval": Damage(_field("interval", value=10**400), manifest, "interval is 1000"),
    "an endless number": Damage(_document(lambda d: d.update(beat=10**4000)), manifest, "beat is 1000"),
    "too many problems": Damage(_field("problems", value=["x"] * 51), manifest, "problems is 51"),
    "problems that are none": Damage(_many, manifest, "problems is "),
    "another format": Damage(_field("format", value=2), manifest, "format 2 is not format 1"),
    "a list": Damage(_bytes(b"[]"), manifest, "the manifest is [], expected an object"),
    "nothing": Damage(_bytes(b""), manifest, "the manifest is empty"),
    "half a manifest": Damage(lambda r: os.truncate(r.manifest_path, 700), manifest, "not JSON"),
    "brackets": Damage(_bytes(b"[" * 100_000), manifest, "brackets nested deeper than 16"),
    "quotes": Damage(_bytes(b'{"a": "' + b'\\"' * 500_000), manifest, "not JSON: Unterminated string"),
    "two megabytes": Damage(_bytes(b" " * (2 << 20)), manifest, "more than the 1048576 allowed"),
    "no text": Damage(_bytes(b"\xff\xfe{\0}\0"), manifest, "not UTF-8"),
    "another recording": Damage(
        _field("recording", value="other-20260131T235959Z-00000000"), manifest, "the manifest is that of 'other-"
    ),
    "no manifest": Damage(lambda r: r.manifest_path.unlink(), manifest, "No such file"),
    # What lies there instead of a file.
    "a link as manifest": Damage(_link(lambda r: r.manifest_path), manifest, "'recording.json' is a link"),
    "a link as data": Damage(_link(lambda r: r.data), data, "'data-3.coverage' is a link"),
    "a link as sources": Damage(_link(lambda r: r.sources), sources, "'sources-3.json' is a link"),
    "a link as recording": Damage(_link(lambda r: r.path), manifest, "links are not followed"),
    "a FIFO as manifest": Damage(_fifo(lambda r: r.manifest_path), manifest, "'recording.json' is a FIFO"),
    "a FIFO as data": Damage(_fifo(lambda r: r.data), data, "'data-3.coverage' is a FIFO"),
    "a FIFO as sources": Damage(_fifo(lambda r: r.sources), sources, "'sources-3.json' is a FIFO"),
    "a file as recording": Damage(_file_as_folder, manifest, "is not a folder"),
    # Fingerprints.
    "sources gone": Damage(lambda r: r.sources.unlink(), sources, "No such file"),
    "sources changed": Damage(lambda r: r.sources.write_bytes(b"{}"), sources, "damaged: not the fingerprints"),
    "sources that are none": Damage(_lying_sources, sources, "damaged: /app/shop/cart.py.sha256 is 7"),
}
