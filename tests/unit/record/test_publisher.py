"""A reader finds a whole manifest on the volume at any moment."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest

from coverage_hooks.record.account import Account
from coverage_hooks.record.publisher import Publisher
from coverage_hooks.settings import Settings
from coverage_hooks.volume import layout
from coverage_hooks.volume.manifest import JournalFile, Manifest

JOURNAL = JournalFile(file="journal-0", size=32, sha256="0" * 64)


@pytest.fixture
def account() -> Account:
    account = Account(Settings(run="r"))
    account.beat = 0
    return account


@pytest.fixture
def publisher(tmp_path: Path, account: Account) -> Publisher:
    publisher = Publisher(tmp_path / "volume", account.recording)
    publisher.make_folder()
    return publisher


def manifest(publisher: Publisher) -> Manifest:
    return Manifest.parse((publisher.folder / layout.MANIFEST).read_bytes())


def test_the_announcement_names_no_journal(account: Account, publisher: Publisher) -> None:
    publisher.put_manifest(account.manifest([], "running"), durable=True)
    written = manifest(publisher)
    assert (written.journals, written.beat, written.run) == ([], 0, "r")
    assert layout.RECORDING.fullmatch(written.recording)


@pytest.mark.parametrize("durable", [True, False])
def test_the_last_manifest_is_the_only_file(account: Account, publisher: Publisher, durable: bool) -> None:
    for journals in ([], [JOURNAL]):
        account.beat += 1
        publisher.put_manifest(account.manifest(journals, "running"), durable=durable)
        assert (manifest(publisher).journals, manifest(publisher).beat) == (journals, account.beat)
    assert [path.name for path in publisher.folder.iterdir()] == [layout.MANIFEST]


@pytest.mark.parametrize("call", ["os.fsync", "os.replace"])
def test_a_write_that_fails_leaves_the_old_state_and_no_piece(
    account: Account, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    publisher.put_manifest(account.manifest([], "running"), durable=True)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(call, refuse)
    with pytest.raises(OSError, match="No space left"):
        publisher.put_manifest(account.manifest([JOURNAL], "running"), durable=True)
    assert manifest(publisher).journals == []
    assert [path.name for path in publisher.folder.iterdir()] == [layout.MANIFEST]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Collect the inodes of what is synchronised, and the names of what is renamed, in their order."""
    steps: list[object] = []
    synchronise, replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        steps.append(os.fstat(descriptor).st_ino)
        synchronise(descriptor)

    def renamed(old: str, new: str, **at: int) -> None:
        replace(old, new, **at)
        steps.append(new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", renamed)
    return steps


def test_a_manifest_survives_a_power_cut_if_it_has_to(
    account: Account, publisher: Publisher, steps: list[object]
) -> None:
    publisher.put_manifest(account.manifest([], "running"), durable=True)
    written = (publisher.folder / layout.MANIFEST).stat().st_ino
    assert steps == [written, layout.MANIFEST, publisher.folder.stat().st_ino]
    publisher.put_manifest(account.manifest([], "running"), durable=False)
    assert steps[3:] == [layout.MANIFEST]


def test_a_new_folder_survives_a_power_cut(account: Account, tmp_path: Path, steps: list[object]) -> None:
    publisher = Publisher(tmp_path / "volume", account.recording)
    publisher.make_folder()
    assert steps == [(tmp_path / "volume").stat().st_ino]
    publisher.make_folder()
    assert len(steps) == 1, "it is there already"


@pytest.mark.parametrize(("number", "is_fatal"), [(errno.EIO, True), (errno.EINVAL, False)])
def test_a_folder_that_cannot_be_synchronised_is_an_error_unless_none_can_be(
    account: Account, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, number: int, is_fatal: bool
) -> None:
    synchronise = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), publisher.folder.stat()):
            raise OSError(number, os.strerror(number))
        synchronise(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output error") if is_fatal else contextlib.nullcontext():
        publisher.put_manifest(account.manifest([], "running"), durable=True)


def test_the_volume_may_be_cleared_in_between(account: Account, publisher: Publisher) -> None:
    publisher.put_manifest(account.manifest([], "running"), durable=True)
    (publisher.folder / layout.MANIFEST).unlink()
    publisher.folder.rmdir()
    with pytest.raises(FileNotFoundError):
        publisher.put_manifest(account.manifest([JOURNAL], "running"), durable=True)
    publisher.make_folder()
    publisher.put_manifest(account.manifest([JOURNAL], "running"), durable=True)
    assert manifest(publisher).journals == [JOURNAL]
