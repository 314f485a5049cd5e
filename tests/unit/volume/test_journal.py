"""The names in a journal, which nobody vouches for."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverage_hooks.errors import ManifestError
from coverage_hooks.volume.journal import (
    NAME,
    NAME_LIMIT,
    PATH_LIMIT,
    PROBLEM_LIMIT,
    RECORD,
    Fingerprint,
    Name,
    name_bytes,
    padded,
)

PRINT = Fingerprint(sha256="0" * 64, git="1" * 40)
SOUND = {"id": 1, "path": "/app/a.py", **asdict(PRINT)}

TEXT = st.text(max_size=50)
NAMES = st.builds(
    Name,
    number=st.integers(1, (1 << 32) - 1),
    path=st.text(min_size=1, max_size=100),
    fingerprint=st.none() | st.just(PRINT),
    tracer=TEXT,
    problem=TEXT,
)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.integers())


@given(NAMES)
def test_what_is_written_is_read_back_and_fills_whole_records(name: Name) -> None:
    content = name.to_bytes()
    first, kind, size, last = RECORD.unpack_from(content)
    assert (first, kind, last) == (0, NAME, 0)
    assert len(content) == RECORD.size + padded(size)
    assert Name.parse(content[RECORD.size : RECORD.size + size]) == name


@pytest.mark.parametrize(("size", "whole"), [(0, 0), (1, 16), (16, 16), (17, 32)])
def test_records_are_whole(size: int, whole: int) -> None:
    assert padded(size) == whole


@given(st.binary())
def test_no_bytes_are_more_than_a_refusal(content: bytes) -> None:
    with pytest.raises(ManifestError):
        Name.parse(content)


@given(key=st.sampled_from(["id", "path", "sha256", "git", "tracer", "problem"]), value=VALUES)
def test_any_value_in_any_field_is_taken_or_refused(key: str, value: object) -> None:
    content = json.dumps({**SOUND, key: value}).encode()
    try:
        name = Name.parse(content)
    except ManifestError:
        return
    assert (name.number if key == "id" else getattr(name, key)) == value


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": 0}, "number 0"),
        ({"id": 1 << 32}, "number 4294967296"),
        ({"id": True}, "number True"),
        ({"path": ""}, "is no path"),
        ({"path": "x" * 4097}, "is no path"),
        ({"problem": 1}, "its other fields are no text"),
        ({"sha256": ""}, "64 and 40 hex digits"),
        ({"sha256": "0" * 63}, "64 and 40 hex digits"),
        ({"sha256": "G" * 64}, "64 and 40 hex digits"),
        ({"git": ""}, "64 and 40 hex digits"),
        ({"x": {}}, "nested deeper"),
    ],
)
def test_what_is_wrong_with_a_name_is_said(change: dict[str, object], reason: str) -> None:
    with pytest.raises(ManifestError, match=reason):
        Name.parse(json.dumps({**SOUND, **change}).encode())


@pytest.mark.parametrize("letter", ["p", "\U0001f600", "\udc80"])
def test_a_name_that_is_written_is_never_more_than_is_read(letter: str) -> None:
    content = name_bytes(1, "/" + letter * 5000, fingerprint=None, tracer="a.Plugin", problem=letter * 5000)
    _, _, size, _ = RECORD.unpack_from(content)
    assert size <= NAME_LIMIT
    name = Name.parse(content[RECORD.size :])
    assert (name.path, name.problem) == ("/" + letter * (PATH_LIMIT - 1), letter * PROBLEM_LIMIT)
