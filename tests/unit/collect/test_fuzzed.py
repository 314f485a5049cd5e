"""Whatever bytes a recording has: only a `VolumeError`, or what its records say, and of a beginning no more.

``fuzzed.txt`` has what a coverage-guided fuzzer kept of this very property: of each input the first bytes say how it is
used. `HYPOTHESIS_EFFORT=100` tries a hundred times as many changes of them.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coverage_hooks.collect.data import verify
from coverage_hooks.collect.data.journals import Journals
from coverage_hooks.errors import VolumeError
from coverage_hooks.volume import layout
from coverage_hooks.volume.manifest import JournalFile
from tests.unit.collect.building import Recording, examples, record
from tests.unit.collect.test_journals import facts

CORPUS = [base64.b64decode(line) for line in Path(__file__).with_name("fuzzed.txt").read_text().split()]

_HASHES = re.compile("[0-9a-f]{64}[0-9a-f]{40}")


@dataclass
class Said:
    """The most that journals say, by path: points, and pairs of hashes."""

    points: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    hashes: dict[str, set[tuple[str, str]]] = field(default_factory=dict)


def said(journals: list[bytes], *, branch: bool) -> Said:
    """Read *journals* record by record, by no code but this."""
    found = Said()
    for content in journals:
        names: dict[int, str] = {}
        at = 0
        while at + 16 <= len(content):
            file, kind, start, end = struct.unpack_from("<IIii", content, at)
            at += 16
            if file in names and kind == 0 and (branch or end == 0):
                found.points[names[file]].add((start, end))
                continue
            if (file, kind, end) != (0, 1, 0) or start <= 0 or at + -(-start // 16) * 16 > len(content):
                break
            document = named(content[at : at + start])
            at += -(-start // 16) * 16
            path = names.setdefault(document.get("id", 0), document.get("path", ""))
            if path != document.get("path"):
                break
            found.points.setdefault(path, set())
            if document.get("sha256"):
                found.hashes.setdefault(path, set()).add((document["sha256"], document["git"]))
    return found


def named(text: bytes) -> dict[str, Any]:
    """Return the name in *text*; nothing if it is none."""
    try:
        document = json.loads(text.decode())
    except ValueError:
        return {}
    sound = isinstance(document, dict) and type(document.get("id")) is int and isinstance(document.get("path"), str)
    if not sound or (document.get("sha256") and not _HASHES.fullmatch(f"{document['sha256']}{document.get('git')}")):
        return {}
    return document  # type: ignore[no-any-return] # it was looked at


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(tmp_path_factory.mktemp("fuzzed"), measured={})


def written(recording: Recording, data: bytes) -> tuple[list[bytes], bool]:
    """Make *recording* one of *data*; return its journals, and whether they are of branches."""
    how, cut, share = data[:3]
    content = data[4:]
    split = len(content) * cut // 255 // 16 * 16 if how & 2 else len(content)
    parts = {layout.journal_name(0): content[:split]} | ({layout.journal_name(7): content[split:]} if how & 2 else {})
    listed = []
    for name, part in parts.items():
        size = min(len(part), len(part) * share // 200) // 16 * 16
        if how & 4 or (how & 8 and name == layout.journal_name(0)):
            listed.append(JournalFile(file=name, size=size, sha256=hashlib.sha256(part[:size]).hexdigest()))
    for path in recording.path.glob("journal-*"):
        path.unlink()
    for name, part in parts.items():
        (recording.path / name).write_bytes(part)
    process = dataclasses.replace(recording.manifest.process, branch=bool(how & 1))
    recording.change(journals=listed, process=process)
    return list(parts.values()), bool(how & 1)


def check(recording: Recording, data: bytes) -> None:
    """Check all that is promised of *recording* when it is made of *data*."""
    journals, branch = written(recording, data)
    told = said(journals, branch=branch)
    found = verify._look(recording.path)
    if found is not None and not isinstance(found, VolumeError):
        assert set(found.content.paths) <= told.points.keys()
        for path, points in facts(found.content).items():
            assert {each if isinstance(each, tuple) else (each, 0) for each in points} <= told.points[path]
        for path, known in found.fingerprints.items():
            assert (known.sha256, known.git) in told.hashes[path]
    whole = read(journals[0], branch=branch)
    beginning = read(journals[0][: len(journals[0]) * data[3] // 255], branch=branch)
    if whole is not None and beginning is not None:
        assert beginning.items() <= whole.items() or all(points <= whole[path] for path, points in beginning.items())


def read(journal: bytes, *, branch: bool) -> dict[str, set[object]] | None:
    journals = Journals(branch=branch)
    try:
        journals.read(memoryview(journal))
    except VolumeError:
        return None
    return facts(journals.content())


@pytest.mark.parametrize("number", range(len(CORPUS)))
def test_what_a_fuzzer_kept(recording: Recording, number: int) -> None:
    check(recording, CORPUS[number])


_CHANGES = st.lists(st.tuples(st.integers(0, 500), st.binary(max_size=16), st.integers(0, 16)), max_size=4)


@given(data=st.sampled_from(CORPUS), changes=_CHANGES)
@example(data=CORPUS[-1], changes=[])
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_it_kept_and_something_else(
    recording: Recording, data: bytes, changes: list[tuple[int, bytes, int]]
) -> None:
    for at, put, taken in changes:
        at = at % (len(data) + 1)  # noqa: PLW2901
        data = data[:at] + put + data[at + taken :]
    check(recording, data.ljust(4, b"\0"))
