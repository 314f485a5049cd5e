"""What lies on the volume is one whole state at any moment."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from coverage_hooks.record.account import Account
from coverage_hooks.record.publisher import Content, Publisher
from coverage_hooks.settings import Settings
from coverage_hooks.volume import layout
from coverage_hooks.volume.manifest import Fingerprint, Manifest, parse_sources

SOURCES = {"/app/a.py": Fingerprint(sha256="0" * 64, git="1" * 40)}


def content(data: bytes, sources: dict[str, Fingerprint] | None = None) -> Content:
    return Content(data=data, files=1, lines=2, arcs=3, sources=SOURCES if sources is None else sources)


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


def folder(tmp_path: Path, account: Account) -> Path:
    return tmp_path / "volume" / account.recording


def manifest(tmp_path: Path, account: Account) -> Manifest:
    return Manifest.parse((folder(tmp_path, account) / layout.MANIFEST).read_bytes())


def test_the_announcement_names_no_data(tmp_path: Path, account: Account, publisher: Publisher) -> None:
    publisher.put_manifest(account.manifest(publisher, "running"), durable=True)
    written = manifest(tmp_path, account)
    assert (written.data, written.sources, written.sequence) == (None, None, 0)
    assert layout.RECORDING.fullmatch(written.recording)


def test_the_manifest_names_what_is_complete(tmp_path: Path, account: Account, publisher: Publisher) -> None:
    publisher.put_content(content(b"first"))
    publisher.put_manifest(account.manifest(publisher, "running"), durable=True)
    written = manifest(tmp_path, account)
    assert written.data is not None
    assert written.sources is not None
    assert (written.data.size, written.data.sha256) == (5, hashlib.sha256(b"first").hexdigest())
    assert (folder(tmp_path, account) / written.data.file).read_bytes() == b"first"
    sources = (folder(tmp_path, account) / written.sources.file).read_bytes()
    assert hashlib.sha256(sources).hexdigest() == written.sources.sha256
    assert parse_sources(sources) == SOURCES


def test_superseded_files_stay_for_readers_and_go_later(
    tmp_path: Path, account: Account, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for data in (b"1", b"2", b"3"):
        publisher.put_content(content(data))
        publisher.put_manifest(account.manifest(publisher, "running"), durable=False)
    names = {path.name for path in folder(tmp_path, account).iterdir()}
    assert names == {"recording.json", "data-1.coverage", "data-2.coverage", "data-3.coverage", "sources-1.json"}
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + layout.SUPERSEDED_LIFETIME + 1)
    publisher.put_manifest(account.manifest(publisher, "running"), durable=False)
    names = {path.name for path in folder(tmp_path, account).iterdir()}
    assert names == {"recording.json", "data-3.coverage", "sources-1.json"}


def test_a_write_that_fails_leaves_the_old_state_and_no_piece(
    tmp_path: Path, account: Account, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.put_content(content(b"good"))
    publisher.put_manifest(account.manifest(publisher, "running"), durable=True)

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        publisher.put_content(content(b"never"))
    assert manifest(tmp_path, account).data == publisher.data
    assert {path.name for path in folder(tmp_path, account).iterdir()} == {
        "recording.json",
        "data-1.coverage",
        "sources-1.json",
    }


def test_the_volume_may_be_cleared_in_between(tmp_path: Path, account: Account, publisher: Publisher) -> None:
    publisher.put_content(content(b"1"))
    for path in folder(tmp_path, account).iterdir():
        path.unlink()
    folder(tmp_path, account).rmdir()
    with pytest.raises(FileNotFoundError):
        publisher.put_content(content(b"2"))
    publisher.make_folder()
    publisher.put_content(content(b"2"))
    publisher.put_manifest(account.manifest(publisher, "running"), durable=True)
    written = manifest(tmp_path, account)
    assert written.sources is not None
    assert (folder(tmp_path, account) / written.sources.file).exists()
