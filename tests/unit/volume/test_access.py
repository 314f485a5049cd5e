"""Opening what nobody vouches for: folders, files and JSON."""

from __future__ import annotations

import io
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverage_hooks.errors import TooLarge, UnsafeEntry, VolumeError
from coverage_hooks.volume import access
from tests.processor import is_cheap

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def read(folder: Path, name: str, limit: int = 100) -> bytes:
    with access.open_folder(folder) as descriptor:
        return access.read_file(name, parent=descriptor, limit=limit)


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    assert read(tmp_path, "x", 7) == b"content"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "/etc/passwd", "a\0b"])
def test_only_plain_names_are_opened(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafeEntry, match="not a plain file name"):
        read(tmp_path, name)


@pytest.mark.timeout(60)  # a FIFO that is waited for has no end
def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo")
    for name, what in {"folder": "a folder", "link": "a link", "fifo": "a FIFO"}.items():
        with pytest.raises(UnsafeEntry, match=what):
            read(tmp_path, name)


def test_a_file_above_its_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(101))
    with pytest.raises(TooLarge, match="101 bytes, more than the 100 allowed"):
        read(tmp_path, "x")


@pytest.mark.parametrize("grown", [101, 199, 10_000])
def test_a_file_that_grows_is_read_up_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grown: int) -> None:
    (tmp_path / "x").write_bytes(b"")
    content = io.BytesIO(b"x" * grown)
    monkeypatch.setattr(os, "read", lambda _, size: content.read(size))
    with pytest.raises(TooLarge, match="grew beyond the 100 bytes"):
        read(tmp_path, "x")
    assert content.tell() == 101, "no more is read than tells that it is too large"


def test_what_was_read_is_compared_with_what_lies_there(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    with access.open_folder(tmp_path) as top, access.open_file("x", parent=top, limit=5) as descriptor:
        path.write_bytes(b"1234567")
        access.check_same("x", descriptor, parent=top, size=5)
        os.truncate(path, 4)
        with pytest.raises(VolumeError, match="became shorter"):
            access.check_same("x", descriptor, parent=top, size=5)
        with pytest.raises(VolumeError, match="became shorter"):
            access.read_range("x", descriptor, 2, 3)
        (tmp_path / "y").write_bytes(b"12345")
        (tmp_path / "y").replace(path)
        with pytest.raises(VolumeError, match="was replaced"):
            access.check_same("x", descriptor, parent=top, size=4)
        path.unlink()
        with pytest.raises(VolumeError, match="No such file"):
            access.check_same("x", descriptor, parent=top, size=4)


def test_a_link_is_refused_below_the_top_only(tmp_path: Path) -> None:
    (tmp_path / "real/inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    with access.open_folder(tmp_path / "link") as top, access.open_folder("inner", parent=top):
        pass
    with access.open_folder(tmp_path) as top, pytest.raises(UnsafeEntry), access.open_folder("link", parent=top):
        pass


def test_what_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="'x': No such file"):
        read(tmp_path, "x")


@given(JSON)
def test_json_is_read_as_json_reads_it(value: object) -> None:
    text = json.dumps(value)
    assert access.parse_json(text.encode(), depth=100) == json.loads(text)


@given(st.binary())
def test_no_bytes_are_more_than_a_refusal(content: bytes) -> None:
    with suppress(ValueError):
        access.parse_json(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 17, "deeper than 16"),
        (b'{"a":' * 100_000, "deeper than 16"),
        (b'"' + b'\\"' * 500_000, "Unterminated string"),
        (b'"' * 1_000_001, "not JSON"),
        (b"\\" * 1_000_000, "not JSON"),
        (b'["' + b"[" * 1_000_000, "Unterminated string"),
        (("[\u2222[\u2200" + "[" * 100_000).encode("utf-16"), "not UTF-8"),
        (b"[NaN]", "NaN is not JSON"),
        (b"9" * 5000, "integer string conversion"),
    ],
)
def test_hostile_json_is_refused_at_once(content: bytes, reason: str) -> None:
    def refused() -> None:
        with pytest.raises(ValueError, match=reason):
            access.parse_json(content)

    sound = json.dumps(list(range(150_000))).encode()  # as much of it
    assert is_cheap(refused, 20, lambda: access.parse_json(sound))


def test_brackets_in_strings_are_no_depth() -> None:
    text = "[" * 1000 + '"\\'
    assert access.parse_json(json.dumps([text]).encode()) == [text]
