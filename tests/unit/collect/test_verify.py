"""What of a raw copy counts: what its manifest names of it, whole or not at all, and what is sound behind that."""

from __future__ import annotations

import hashlib
import itertools
import pickle
import signal
import subprocess
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_hooks.collect.data import journals
from coverage_hooks.collect.data import verify as verifying
from coverage_hooks.collect.data.contents import DamagedError
from coverage_hooks.collect.data.journals import LAST_LINE
from coverage_hooks.collect.data.verify import Verified, verify
from coverage_hooks.collect.ledger import Ledger, Row
from coverage_hooks.collect.retrieve.copies import retrieve
from coverage_hooks.collect.retrieve.directory import Directory
from coverage_hooks.collect.runs import Choice
from coverage_hooks.volume.journal import RECORD, Name
from coverage_hooks.volume.manifest import Begun, JournalFile
from tests.unit.collect.building import (
    LINES,
    SOURCES,
    STARTED,
    Recording,
    fingerprint,
    journal_bytes,
    named,
    point,
    record,
)

ARCS_OF: list[dict[str, set[tuple[int, int]]]] = [
    {"shop/cart.py": {(-1, 1), (1, 2)}},
    {"shop/cart.py": {(-1, 1), (1, 3)}},
    {"shop/cart.py": {(-1, 1)}, "shop/parts/till.py": {(-1, 1)}},
]

CART = "/app/shop/cart.py"
CHILD = journal_bytes({CART: {8}}, {CART: SOURCES["shop/cart.py"]})


def ledger_of(volume: Path, output: Path) -> tuple[Ledger, int]:
    ledger = retrieve(Directory(volume), output, Choice())
    return ledger, len(list(verify(ledger, output)))


def looked(recording: Recording) -> tuple[Ledger, list[Verified]]:
    """Verify *recording* where it lies, as the copy that it is."""
    ledger = Ledger(rows=[Row.of(recording.manifest, recording.name)])
    return ledger, list(verify(ledger, recording.path.parent))


def lines(verified: Verified, path: str = CART) -> int:
    return verified.content.lines[path, ""]


def test_a_sound_recording_counts_in_its_row(tmp_path: Path) -> None:
    ledger, (verified,) = looked(record(tmp_path, measured=ARCS_OF[2], branch=True))
    row = ledger.rows[0]
    assert (row.files, row.lines, row.arcs, row.branch, row.note) == (2, 2, 2, True, "")
    assert verified.branch
    assert verified.fingerprints[CART] == fingerprint(SOURCES["shop/cart.py"])
    assert ledger.losses == []


def swap(recording: Recording) -> None:
    """Let a point name another line."""
    content = bytearray(recording.journal.read_bytes())
    content[-8] ^= 1
    recording.journal.write_bytes(content)


WHOLE: dict[str, tuple[Callable[[Recording], object], str, str]] = {
    "cut short": (lambda r: r.journal.write_bytes(r.journal.read_bytes()[:-1]), "journal-0", "truncated: 879 of 880 b"),
    "of no bytes": (lambda r: r.journal.write_bytes(b""), "journal-0", "truncated: 0 of 880 bytes"),
    "gone": (lambda r: r.journal.unlink(), "journal-0", "gone: the raw copy cannot be read: No such file"),
    "changed": (swap, "journal-0", "damaged: the SHA-256 of its first 880 bytes differs from the manifest's"),
    "unsound": (
        lambda r: r.publish(r.journal.read_bytes() + bytes(16)),
        "journal-0",
        "damaged behind byte 880: a hole",
    ),
    "a name that is cut short": (
        lambda r: r.publish(r.journal.read_bytes() + Name(number=9, path="/a" * 20).to_bytes()[:32]),
        "journal-0",
        "damaged behind byte 880: it ends within a record",
    ),
    "a journal of lines where branches were measured": (
        lambda r: r.change_process(branch=True).publish(r.journal.read_bytes() + point(1, LAST_LINE + 1)),
        "journal-0",
        f"damaged behind byte 880: /app/shop/__init__.py has no arc ({LAST_LINE + 1}, 0)",
    ),
    "a journal of branches where lines were measured": (
        lambda r: r.publish(journal_bytes({CART: {(1, 2)}}, {CART: None})),
        "journal-0",
        "/app/shop/cart.py has no line (1, 2)",
    ),
    "a second journal gone": (
        lambda r: r.change(journals=[*r.manifest.journals, named("journal-7", CHILD)]),
        "journal-7",
        "gone: ",
    ),
    "no point": (
        lambda r: r.publish(Name(number=1, path=CART).to_bytes()),
        "journal-0",
        "empty: it holds no line; nothing of `run:source` ran",
    ),
    "no manifest": (lambda r: r.manifest_path.unlink(), "recording.json", "gone: "),
    "no sound manifest": (lambda r: r.manifest_path.write_bytes(b"{"), "recording.json", "the manifest cannot be read"),
    "an old manifest": (lambda r: r.change(format=1), "recording.json", "format 1 is not format 2"),
}


@pytest.mark.parametrize(("spoil", "file", "reason"), WHOLE.values(), ids=WHOLE)
def test_nothing_is_used_of_what_is_not_as_its_manifest_says(
    tmp_path: Path, spoil: Callable[[Recording], object], file: str, reason: str
) -> None:
    recording = record(tmp_path)
    recording.append(CHILD, number=27)
    spoil(recording)
    if reason.startswith("empty"):
        (recording.path / "journal-27").unlink()
    ledger, verified = looked(recording)
    assert verified == []
    (loss,) = ledger.losses
    assert (loss.step, loss.file) == ("verify", file)
    assert reason in loss.reason
    row = ledger.rows[0]
    assert (row.state, row.files) == ("empty" if reason.startswith("empty") else "damaged", 0)


def test_what_was_appended_behind_the_manifest_counts(tmp_path: Path) -> None:
    plain = record(tmp_path)
    number = list(LINES).index("shop/cart.py") + 1
    recording = plain.append(point(number, 8))
    ledger, (verified,) = looked(recording)
    assert lines(verified) == sum(1 << line for line in LINES["shop/cart.py"] | {8})
    assert ledger.rows[0].lines == 9
    assert ledger.losses == []


@pytest.mark.parametrize("state", ["running", "finished"])
@pytest.mark.parametrize(
    "torn", [point(1, 1)[:9], b"\1", Name(number=9, path="/a.py").to_bytes()[:16], CHILD[:60]], ids=len
)
def test_what_was_just_being_written_is_no_loss(tmp_path: Path, torn: bytes, state: str) -> None:
    ledger, (verified,) = looked(record(tmp_path, state=state, tail=point(1, 3) + torn))
    assert ledger.losses == []
    assert ledger.rows[0].note == ""
    assert verified.content.line_count == 9


def test_what_follows_a_hole_behind_the_manifest_is_lost_by_name(tmp_path: Path) -> None:
    ledger, (verified,) = looked(record(tmp_path, tail=point(1, 3) + bytes(32) + point(1, 4)))
    (loss,) = ledger.losses
    assert (loss.step, loss.file) == ("verify", "journal-0")
    assert loss.reason == "damaged behind byte 896: a hole, or what is no record; what came after it is lost"
    assert ledger.rows[0].note == f"journal-0 is {loss.reason}"
    assert ledger.rows[0].state == "finished"
    assert verified.content.line_count == 9


def test_a_note_of_its_end_stays(tmp_path: Path) -> None:
    recording = record(tmp_path, tail=bytes(16))
    ledger = Ledger(rows=[Row.of(recording.manifest, recording.name)])
    ledger.rows[0].note = "it was killed"
    assert list(verify(ledger, tmp_path))
    assert ledger.rows[0].note == "it was killed"


class TestChildren:
    def test_what_they_ran_is_joined_by_path(self, tmp_path: Path) -> None:
        other = journal_bytes({"/b.py": {1}, CART: {2}}, {"/b.py": "", CART: SOURCES["shop/cart.py"]})
        recording = record(tmp_path, measured={"shop/cart.py": {1}}).append(CHILD, number=27)
        ledger, (verified,) = looked(recording.publish(other, number=8))
        assert lines(verified) == 1 << 1 | 1 << 2 | 1 << 8
        assert lines(verified, "/b.py") == 1 << 1
        assert set(verified.fingerprints) == {CART, "/b.py"}
        assert (ledger.rows[0].files, ledger.rows[0].lines) == (2, 4)
        assert ledger.losses == []

    def test_one_that_ran_alone_is_read(self, tmp_path: Path) -> None:
        _, (verified,) = looked(record(tmp_path, measured={}).append(CHILD, number=27))
        assert lines(verified) == 1 << 8

    def test_one_that_is_damaged_is_lost_and_nothing_else(self, tmp_path: Path) -> None:
        recording = record(tmp_path).append(bytes(16), number=26).append(CHILD + bytes(16), number=27)
        ledger, (verified,) = looked(recording)
        assert [(loss.file, loss.reason.partition(":")[0]) for loss in ledger.losses] == [
            ("journal-26", "damaged behind byte 0"),
            ("journal-27", f"damaged behind byte {len(CHILD)}"),
        ]
        assert lines(verified) == sum(1 << line for line in LINES["shop/cart.py"] | {8})

    def test_where_all_is_damaged_that_is_why_it_is_empty(self, tmp_path: Path) -> None:
        ledger, verified = looked(record(tmp_path, measured={}).append(bytes(16), number=26))
        assert verified == []
        assert [(loss.file, loss.reason) for loss in ledger.losses] == [("journal-26", ledger.rows[0].note)]
        assert ledger.rows[0].state == "damaged"

    def test_a_file_that_is_no_journal_is_not_read(self, tmp_path: Path) -> None:
        recording = record(tmp_path)
        for name in ("journal-1.bak", "journal-", ".journal-2", "journal-x", "data-3.coverage"):
            (recording.path / name).write_bytes(bytes(16))
        ledger, (_,) = looked(recording)
        assert ledger.losses == []


def test_without_a_journal_retrieve_has_said_so(tmp_path: Path) -> None:
    recording = record(tmp_path, measured={})
    assert looked(recording)[1] == []
    recording.append(b"")
    ledger, verified = looked(recording)
    assert (ledger.losses, verified) == ([], [])


def test_more_than_any_program_has_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "MOST_BYTES", 3)
    ledger, verified = looked(record(tmp_path))
    assert verified == []
    (loss,) = ledger.losses
    assert (loss.file, loss.reason) == ("journal-0", "damaged: it holds more than any program has")


class TestTwins:
    def rows(self, volume: Path, output: Path) -> list[str]:
        ledger, _ = ledger_of(volume, output)
        assert ledger.losses == []
        assert {row.lines for row in ledger.rows} == {8}
        return sorted(row.note.partition(" as ")[0] for row in ledger.rows)

    def test_the_same_data_is_combined_once(self, tmp_path: Path) -> None:
        for number in range(3):
            record(tmp_path / "volume", started_at=STARTED + timedelta(seconds=number))
        assert self.rows(tmp_path / "volume", tmp_path / "output") == ["", "the same data", "the same data"]

    def test_where_modules_stood_is_part_of_it(self, tmp_path: Path) -> None:
        for number in range(2):
            record(tmp_path / "volume", host=str(number), begun=[Begun(path=CART, lines=[number + 1])])
        assert self.rows(tmp_path / "volume", tmp_path / "output") == ["", ""]

    def test_so_is_what_was_measured(self, tmp_path: Path) -> None:
        """Of an empty module, a line and an arc are the same bytes."""
        one = record(tmp_path / "volume", measured={"shop/__init__.py": {0}})
        other = record(tmp_path / "volume", measured={"shop/__init__.py": {(0, 0)}}, branch=True, host="b")
        assert one.journal.read_bytes() == other.journal.read_bytes()
        assert ledger_of(tmp_path / "volume", tmp_path / "output")[1] == 2

    def test_so_is_all_that_follows_what_the_manifest_names(self, tmp_path: Path) -> None:
        ran = {"shop/cart.py": range(1, 9)}
        whole = record(tmp_path / "volume", measured=ran)
        one, other = (record(tmp_path / "volume", measured=ran, host=host) for host in ("one", "other"))
        for recording, size in ((one, 32), (other, 64)):
            content = recording.journal.read_bytes()
            prefix = content[: len(content) - size]
            sha256 = hashlib.sha256(prefix).hexdigest()
            recording.change(journals=[JournalFile(file="journal-0", size=len(prefix), sha256=sha256)])
        assert whole.journal.read_bytes() == one.journal.read_bytes()
        assert self.rows(tmp_path / "volume", tmp_path / "output") == ["", "the same data", "the same data"]
        with other.journal.open("ab") as file:
            file.write(RECORD.pack(1, 0, 1, 0))
        assert self.rows(tmp_path / "volume", tmp_path / "output") == ["", "", "the same data"]


@settings(max_examples=150)
@given(data=st.data())
def test_one_changed_byte_never_passes_as_other_lines(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """In a journal any change is a loss; in a manifest it may touch what is only told."""
    base = tmp_path_factory.mktemp("byte")
    recording = record(base / "volume")
    path = data.draw(st.sampled_from([recording.journal, recording.manifest_path]))
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
@given(noise=st.binary(max_size=300), offset=st.integers(0, 2000))
def test_no_bytes_make_us_crash(tmp_path_factory: pytest.TempPathFactory, noise: bytes, offset: int) -> None:
    recording = record(tmp_path_factory.mktemp("noise"))
    content = recording.journal.read_bytes()
    offset %= len(content)
    ledger, verified = looked(recording.publish(content[:offset] + noise + content[offset + len(noise) :]))
    assert len(verified) + len(ledger.losses) == 1


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
                recording.journal.write_bytes(b"short")
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
        told = pickle.loads(pickle.dumps(DamagedError("journal-0", "truncated: 1 of 2 bytes")))
        assert (type(told), told.file, str(told)) == (DamagedError, "journal-0", "truncated: 1 of 2 bytes")

    def test_a_process_that_is_ended_loses_nothing(self, retrieved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ledger = retrieve(Directory(retrieved.parent / "volume"), retrieved, Choice())
        started = _remembering(monkeypatch)
        names = []
        for each in verify(ledger, retrieved):
            names.append(each.row.recording)
            for process in started:
                process.kill()
        assert len(started) == 2
        assert names == [name for name, *_ in self.told(retrieved, monkeypatch, at_once=False)[0]]

    @pytest.mark.parametrize("count", [1, COUNT])
    def test_no_process_stays(self, retrieved: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        ledger = retrieve(Directory(retrieved.parent / "volume"), retrieved, Choice())
        started = _remembering(monkeypatch)
        looked = verify(ledger, retrieved)
        assert isinstance(looked, Generator)
        assert list(itertools.islice(looked, count))
        looked.close()
        assert [process.returncode for process in started] == [-signal.SIGKILL] * 2


def _remembering(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Return a list that grows with every process that is started from now on."""
    started: list[subprocess.Popen[bytes]] = []

    class Remembered(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Remembered)
    return started
