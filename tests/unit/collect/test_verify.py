"""What a data file may hold before coverage.py sees it; the kinds of damage are in `spoiling`."""

from __future__ import annotations

import multiprocessing
import pickle
import re
import sqlite3
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import coverage
import pytest
from coverage.numbits import numbits_to_nums
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_hooks.collect import contents
from coverage_hooks.collect import verify as verifying
from coverage_hooks.collect.contents import DamagedError
from coverage_hooks.collect.ledger import Ledger
from coverage_hooks.collect.retrieve import retrieve
from coverage_hooks.collect.runs import Choice
from coverage_hooks.collect.sources.directory import Directory
from coverage_hooks.collect.verify import schema, verify
from tests.processor import is_cheap
from tests.unit.collect.building import LINES, STARTED, data_bytes, record

ARCS = {"/a.py": {(-1, 1), (1, 2), (2, -1), (-1, 5), (5, 1)}, "/empty.py": {(-1, 0), (0, -1)}}


@pytest.mark.parametrize("contexts", [[""], ["one", "two"]])
@pytest.mark.parametrize("branch", [False, True])
def test_counts_are_those_of_coverage(tmp_path: Path, contexts: list[str], *, branch: bool) -> None:
    path = tmp_path / "data"
    path.write_bytes(data_bytes(ARCS if branch else LINES, branch=branch, contexts=contexts))
    content = contents.read_content(path, schema())
    data = coverage.CoverageData(str(path))
    data.read()
    files = data.measured_files()
    assert set(content.tops) == files
    assert content.line_count == sum(len(data.lines(file) or ()) for file in files)
    assert content.arc_count == sum(len(data.arcs(file) or ()) for file in files)
    assert content.branch == branch
    for file in files:
        numbers = [abs(number) for arc in data.arcs(file) or () for number in arc] or data.lines(file) or [0]
        assert content.tops[file] == max(numbers)


def test_a_file_of_coverage_itself_passes_whatever_suffix_it_was_given(tmp_path: Path) -> None:
    data = coverage.CoverageData(str(tmp_path / "data"), suffix=True)  # writes more metadata
    data.add_lines({"/a.py": {1}})
    data.write()
    assert contents.read_content(Path(data.data_filename()), schema()).line_count == 1


def test_the_deadline_ends_what_would_take_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data"
    path.write_bytes(data_bytes({"/a.py": {(a, b) for a in range(300) for b in range(300)}}, branch=True))
    monkeypatch.setattr(contents, "DEADLINE", -1)
    with pytest.raises(DamagedError, match="SQLite says: interrupted"):
        contents.read_content(path, schema())


def test_what_coverage_has_just_written_may_take_as_long_as_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "unit"
    path.write_bytes(data_bytes({"/a.py": {(a, b) for a in range(300) for b in range(300)}}, branch=True))
    monkeypatch.setattr(contents, "DEADLINE", -1)
    assert contents.read_data(path).arc_count == 90_000


def test_a_file_of_very_many_arcs_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(data_bytes({"/a.py": {(line, line + 1) for line in range(200_000)}}, branch=True))
    assert contents.read_content(path, schema()).arc_count == 200_000
    assert contents.read_data(path).arc_count == 200_000


@pytest.mark.parametrize(("limit", "branch"), [("MOST_ARCS", True), ("MOST_BYTES", False)])
def test_more_than_any_program_has_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, *, branch: bool
) -> None:
    path = tmp_path / "data"
    path.write_bytes(data_bytes(ARCS if branch else LINES, branch=branch))
    monkeypatch.setattr(contents, limit, 3)
    with pytest.raises(DamagedError, match="more than any program has"):
        contents.read_content(path, schema())


def test_files_beside_the_data_are_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(data_bytes(LINES))
    for suffix in ("-journal", "-wal", "-shm"):
        (tmp_path / f"data{suffix}").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(4096))
    contents.read_content(path, schema())
    assert len(list(tmp_path.iterdir())) == 4


def test_a_file_that_claims_a_million_lines_costs_no_time(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(data_bytes({f"/{number}.py": {9_999_999} for number in range(20)}))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.create_function("all_bits", 0, lambda: b"\xff" * 1_250_000)
        connection.execute("UPDATE line_bits SET numbits = all_bits()")
    known = schema()
    assert contents.read_content(path, known).line_count == 200_000_000
    assert is_cheap(
        lambda: contents.read_content(path, known), 200 / 10, lambda: set(numbits_to_nums(b"\xff" * 125_000))
    ), "no set is made of them"


ARCS_OF: list[dict[str, set[tuple[int, int]]]] = [
    {"shop/cart.py": {(-1, 1), (1, 2)}},
    {"shop/cart.py": {(-1, 1), (1, 3)}},
    {"shop/cart.py": {(-1, 1)}, "shop/parts/till.py": {(-1, 1)}},
]


def change_behind_the_index(path: Path, table: str, change: str) -> None:
    """Carry out *change* on *table* while SQLite does not know of the index that makes its rows unique."""
    index = f"sqlite_autoindex_{table}_1"
    with closing(sqlite3.connect(path)) as connection, connection:
        kept = connection.execute("SELECT * FROM sqlite_master WHERE name = ?", (index,)).fetchone()
        (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_master WHERE name = ?", (index,))
        without = re.sub(r",\s*unique \([^)]*\)", "", sql)
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (without, table))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(change)
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", kept)
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, table))


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("arc", "DELETE FROM arc WHERE tono = 5", "4 arcs in the table, 5 in its index"),
        ("file", "UPDATE file SET path = '/b.py'", "missing from index"),
        ("context", "UPDATE context SET context = 'other'", "missing from index"),
    ],
)
def test_a_table_that_its_index_disagrees_with_is_damaged(tmp_path: Path, table: str, change: str, said: str) -> None:
    path = tmp_path / "data"
    path.write_bytes(data_bytes({"/a.py": ARCS["/a.py"]}, branch=True))
    contents.read_content(path, schema())
    change_behind_the_index(path, table, change)
    with pytest.raises(DamagedError, match=said):
        contents.read_content(path, schema())


def ledger_of(volume: Path, output: Path) -> tuple[Ledger, int]:
    ledger = retrieve(Directory(volume), output, Choice())
    return ledger, len(list(verify(ledger, output)))


@settings(max_examples=150)
@given(data=st.data())
def test_one_changed_byte_never_passes_as_other_lines(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """In data or fingerprints any change is a loss; in a manifest it may touch what is only told."""
    base = tmp_path_factory.mktemp("byte")
    recording = record(base / "volume")
    path = data.draw(st.sampled_from([recording.data, recording.sources, recording.manifest_path]))
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    ledger, sound = ledger_of(base / "volume", base / "output")
    if path != recording.manifest_path:
        assert ledger.open_losses
        assert sound == 0
    elif not ledger.open_losses:
        assert sound == 1
        assert ledger.rows[0].lines == 8


@settings(max_examples=100)
@given(st.binary(max_size=300), st.integers(0, 40_000))
def test_no_bytes_make_sqlite_or_us_crash(tmp_path_factory: pytest.TempPathFactory, noise: bytes, offset: int) -> None:
    path = tmp_path_factory.mktemp("noise") / "data"
    content = data_bytes(LINES)
    offset %= len(content)
    path.write_bytes(content[:offset] + noise + content[offset + len(noise) :])
    with suppress(DamagedError):
        contents.read_content(path, schema())


class TestMany:
    """More recordings than one process looks at."""

    COUNT = 24

    @pytest.fixture
    def retrieved(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(verifying, "MANY", 2)
        monkeypatch.setattr(verifying, "WORKERS", 2)
        monkeypatch.setattr(verifying, "AT_ONCE", 1)
        for number in range(self.COUNT):
            at = STARTED + timedelta(seconds=number)
            recording = record(tmp_path / "volume", measured=ARCS_OF[number % 3], branch=True, started_at=at)
            if number == 5:
                recording.data.write_bytes(b"short")
            if number == 6:
                recording.manifest_path.write_text("{")
        retrieve(Directory(tmp_path / "volume"), tmp_path / "output", Choice())
        return tmp_path / "output"

    def told(self, output: Path, monkeypatch: pytest.MonkeyPatch, *, at_once: bool) -> tuple[list[Any], ...]:
        ledger = retrieve(Directory(output.parent / "volume"), output, Choice())
        with monkeypatch.context() as patch:
            if not at_once:
                patch.setattr(verifying, "MANY", self.COUNT + 1)
            found = [(each.row.recording, each.content.arc_count, each.fingerprints) for each in verify(ledger, output)]
        return list(found), list(ledger.rows), list(ledger.losses)

    def test_it_is_the_same_as_one_by_one(self, retrieved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        several = self.told(retrieved, monkeypatch, at_once=True)
        assert several == self.told(retrieved, monkeypatch, at_once=False)
        assert [len(part) for part in several] == [3, self.COUNT, 2]

    def test_damage_is_told_by_another_process_as_here(self) -> None:
        told = pickle.loads(pickle.dumps(DamagedError("data-3.coverage", "truncated: 1 of 2 bytes")))
        assert (type(told), told.file, str(told)) == (DamagedError, "data-3.coverage", "truncated: 1 of 2 bytes")

    def test_a_process_that_is_ended_loses_nothing(self, retrieved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ledger = retrieve(Directory(retrieved.parent / "volume"), retrieved, Choice())
        names, killed = [], 0
        for each in verify(ledger, retrieved):
            names.append(each.row.recording)
            for child in multiprocessing.active_children():
                child.kill()
                killed += 1
        assert killed
        assert names == [name for name, *_ in self.told(retrieved, monkeypatch, at_once=False)[0]]
