"""A claim as a source, through a tunnel that breaks, to the reader's own server."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from coverage_hooks.collect.cluster import line
from coverage_hooks.collect.cluster.source import Claim, Wish
from coverage_hooks.collect.retrieve.copies import retrieve
from coverage_hooks.collect.retrieve.directory import Directory
from coverage_hooks.collect.runs import Choice
from coverage_hooks.errors import SourceError, TooLarge, UnsafeEntry, VolumeError
from coverage_hooks.volume import machine, server
from coverage_hooks.volume.server import RANGE_LIMIT
from tests.unit.collect.building import record
from tests.unit.collect.cluster.tunnelling import Forwarder, forwarding_elsewhere, running, wish_for


@dataclass
class Ways:
    """What leads to the reader, and what was said meanwhile."""

    forwarder: Forwarder
    wish: Wish
    said: list[str] = field(default_factory=list)
    copied: list[tuple[str, int, int]] = field(default_factory=list)

    @contextmanager
    def opened(self) -> Iterator[Claim]:
        with Claim(self.wish, say=self.said.append, progress=lambda *told: self.copied.append(told)) as claim:
            yield claim


@pytest.fixture
def ways(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ways]:
    monkeypatch.setattr(line, "PAUSES", (0.0, 0.01, 0.01))
    with forwarding_elsewhere(port) as (url, forwarder):
        forwarder.pod = running()
        yield Ways(forwarder, wish_for(url, tmp_path))


def test_it_tells_what_a_folder_tells(ways: Ways, volume: Path, tmp_path: Path) -> None:
    recording = record(volume, complete=True).publish(b"", 30).publish(b"", 4)
    (volume / "lost+found").mkdir()
    (recording.path / "data-3.coverage").touch()
    folder = Directory(volume)
    with ways.opened() as claim:
        assert claim.recordings() == folder.recordings() == [recording.name]
        listed = ["journal-0", "journal-4", "journal-30", "complete"]
        assert claim.files(recording.name) == folder.files(recording.name) == listed
        assert claim.boot() == folder.boot() == machine.boot_id() != ""
        announced = claim.announcement(recording.name)
        assert announced.content == recording.manifest_path.read_bytes()
        # Told in milliseconds, which may be rounded up.
        assert 0 <= announced.age <= time.time() - recording.manifest_path.stat().st_mtime + 0.001
        ledger = retrieve(claim, tmp_path / "output", Choice())
    assert [row.recording for row in ledger.rows] == [recording.name]
    assert ledger.losses == []
    assert ways.said == []


@pytest.mark.parametrize(("said", "boot"), [("abc", "abc"), ("", ""), (None, ""), (5, "")])
def test_a_machine_that_is_not_told_is_not_known(
    ways: Ways, monkeypatch: pytest.MonkeyPatch, said: object, boot: str
) -> None:
    monkeypatch.setattr(machine, "boot_id", lambda: said)
    with ways.opened() as claim:
        assert claim.boot() == boot


def test_what_is_wrong_on_the_volume_is_the_same_error_here(ways: Ways, volume: Path, tmp_path: Path) -> None:
    recording = record(volume)
    recording.journal.unlink()
    recording.journal.symlink_to(recording.manifest_path)
    with ways.opened() as claim:
        with pytest.raises(UnsafeEntry, match="is a link"):
            claim.copy(recording.name, recording.journal.name, tmp_path / "copy", limit=1 << 20)
        with pytest.raises(VolumeError, match="No such file"):
            claim.copy(recording.name, "journal-9", tmp_path / "copy", limit=1 << 20)
        with pytest.raises(UnsafeEntry, match="not the name of a recording"):
            claim.announcement("../etc")
        recording.manifest_path.unlink()
        with pytest.raises(VolumeError, match=r"recording\.json.*No such file"):
            claim.announcement(recording.name)


def test_a_file_comes_in_ranges_and_its_progress_is_told(ways: Ways, volume: Path, tmp_path: Path) -> None:
    recording = record(volume).publish(os.urandom(2 * RANGE_LIMIT + 1))
    with ways.opened() as claim:
        claim.copy(recording.name, recording.journal.name, tmp_path / "copy", limit=3 * RANGE_LIMIT)
        with pytest.raises(TooLarge, match="more than the 1000 allowed"):
            claim.copy(recording.name, recording.journal.name, tmp_path / "small", limit=1000)
    assert (tmp_path / "copy").read_bytes() == recording.journal.read_bytes()
    size = 2 * RANGE_LIMIT + 1
    assert ways.copied == [(recording.journal.name, here, size) for here in (RANGE_LIMIT, 2 * RANGE_LIMIT, size)]
    assert not (tmp_path / "small").exists()


def test_a_tunnel_that_breaks_is_said_and_what_is_here_does_not_come_again(
    ways: Ways, volume: Path, tmp_path: Path
) -> None:
    recording = record(volume).publish(os.urandom(2 * RANGE_LIMIT))
    ways.forwarder.cuts = [RANGE_LIMIT + RANGE_LIMIT // 2]
    with ways.opened() as claim:
        claim.copy(recording.name, recording.journal.name, tmp_path / "copy", limit=2 * RANGE_LIMIT)
    assert (tmp_path / "copy").read_bytes() == recording.journal.read_bytes()
    assert ways.forwarder.opened == 2
    assert ways.said == ["the tunnel to reader reader broke: it was closed (1000)"]
    assert len(ways.copied) == 2


def test_tunnels_are_not_opened_for_ever(ways: Ways, volume: Path) -> None:
    record(volume)
    ways.forwarder.cuts = [300] * 100  # enough for the reader to say that it is there, and not what there is
    with (
        ways.opened() as claim,
        pytest.raises(SourceError, match="3 tunnels broke; the last one: it was closed"),
    ):
        claim.recordings()
    assert ways.forwarder.opened == 3


def test_a_file_that_is_replaced_between_ranges_is_not_mixed(ways: Ways, volume: Path, tmp_path: Path) -> None:
    recording = record(volume).publish(os.urandom(2 * RANGE_LIMIT))

    def replace(*_: object) -> None:
        other = recording.path / "other"
        other.write_bytes(os.urandom(2 * RANGE_LIMIT))
        other.replace(recording.journal)

    with (
        Claim(ways.wish, say=ways.said.append, progress=replace) as claim,
        pytest.raises(VolumeError, match="was replaced while it was copied"),
    ):
        claim.copy(recording.name, recording.journal.name, tmp_path / "copy", limit=2 * RANGE_LIMIT)
    assert not (tmp_path / "copy").exists()


def test_a_journal_that_grows_between_ranges_is_copied_as_it_was_at_first(
    ways: Ways, volume: Path, tmp_path: Path
) -> None:
    content = os.urandom(2 * RANGE_LIMIT + 16)
    recording = record(volume).publish(content)
    told: list[tuple[str, int, int]] = []

    def grow(*progress: Any) -> None:
        told.append(progress)
        recording.append(os.urandom(RANGE_LIMIT))

    ways.forwarder.cuts = [RANGE_LIMIT + RANGE_LIMIT // 2]  # the next tunnel goes on with the same bytes
    with Claim(ways.wish, say=ways.said.append, progress=grow) as claim:
        claim.copy(recording.name, "journal-0", tmp_path / "copy", limit=len(content))
        with pytest.raises(TooLarge, match="more than the"):
            claim.copy(recording.name, "journal-0", tmp_path / "again", limit=len(content))
    assert (tmp_path / "copy").read_bytes() == content
    assert told == [("journal-0", here, len(content)) for here in (RANGE_LIMIT, 2 * RANGE_LIMIT, len(content))]


def test_a_reader_that_goes_on_with_more_than_it_began_with_is_not_believed(
    ways: Ways, volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = record(volume).publish(os.urandom(2 * RANGE_LIMIT))
    monkeypatch.setattr(server._Handler, "_known", lambda _: None)

    def grow(*_: object) -> None:
        recording.append(bytes(16))

    with (
        Claim(ways.wish, say=ways.said.append, progress=grow) as claim,
        pytest.raises(VolumeError, match="sent something else than what it was asked for"),
    ):
        claim.copy(recording.name, "journal-0", tmp_path / "copy", limit=3 * RANGE_LIMIT)
    assert not (tmp_path / "copy").exists()


def test_a_journal_that_becomes_shorter_between_ranges_is_refused(ways: Ways, volume: Path, tmp_path: Path) -> None:
    recording = record(volume).publish(os.urandom(2 * RANGE_LIMIT))

    def cut(*_: object) -> None:
        os.truncate(recording.journal, RANGE_LIMIT + 16)

    with (
        Claim(ways.wish, say=ways.said.append, progress=cut) as claim,
        pytest.raises(VolumeError, match="'journal-0' became shorter while it was copied"),
    ):
        claim.copy(recording.name, "journal-0", tmp_path / "copy", limit=2 * RANGE_LIMIT)
    assert not (tmp_path / "copy").exists()


def test_a_file_that_is_written_over_between_ranges_is_not_mixed(ways: Ways, volume: Path, tmp_path: Path) -> None:
    recording = record(volume).publish(os.urandom(2 * RANGE_LIMIT))
    before = recording.journal.stat()

    def write_over(*_: object) -> None:
        with recording.journal.open("r+b") as file:
            file.write(b"x" * 3 * RANGE_LIMIT)  # longer than before, as if it had grown
        os.utime(recording.journal, ns=(before.st_atime_ns, before.st_mtime_ns))  # as if nothing had happened

    with (
        Claim(ways.wish, say=ways.said.append, progress=write_over) as claim,
        pytest.raises(VolumeError, match="changed while it was copied"),
    ):
        claim.copy(recording.name, recording.journal.name, tmp_path / "copy", limit=2 * RANGE_LIMIT)
    assert not (tmp_path / "copy").exists()


def test_a_reader_that_is_not_there_is_told_with_what_to_do(ways: Ways) -> None:
    ways.forwarder.pod = None
    with pytest.raises(SourceError, match="there is no pod 'reader'"), ways.opened():
        raise AssertionError


def test_a_reader_that_ended_is_told_with_its_end(ways: Ways) -> None:
    pod = running()
    pod["status"]["containerStatuses"][0]["state"] = {"terminated": {"reason": "Error", "exitCode": 1}}
    ways.forwarder.pod = pod
    with pytest.raises(SourceError, match=r"does not start: its container ended \(Error, exit code 1\)"), ways.opened():
        raise AssertionError


def test_a_volume_that_is_not_there_is_no_empty_one(ways: Ways, volume: Path) -> None:
    with ways.opened() as claim:
        volume.rmdir()
        with pytest.raises(SourceError, match="no recordings can be read from the claim"):
            claim.recordings()


def test_nothing_is_asked_after_it_was_left(ways: Ways, volume: Path) -> None:
    record(volume)
    with ways.opened() as claim:
        assert len(claim.recordings()) == 1
    with pytest.raises(SourceError, match="the reader is gone"):
        claim.recordings()
