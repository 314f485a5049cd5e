"""What the journals of a recording say, read without any code of the collector: what tests compare it with."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: File number, context, line left, line entered; or 0, 1, bytes of a name, 0.
_RECORD = struct.Struct("<IIii")


@dataclass
class Said:
    """What journals say of each path: `points` as pairs of numbers, and `sources`, all that names told of it."""

    points: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)


def read(folder: Path) -> Said:
    """Return what all journals in *folder* say together, up to what is being written."""
    said = Said()
    for journal in sorted(folder.glob("journal-*")):
        for told in records(journal.read_bytes()):
            if isinstance(told, dict):
                said.points.setdefault(told["path"], set())
                said.sources.setdefault(told["path"], {}).update(told)
            else:
                path, point = told
                said.points[path].add(point)
    return said


def records(content: bytes) -> Iterator[dict[str, Any] | tuple[str, tuple[int, int]]]:
    """Yield the names and the points, each with its path, of a journal; `AssertionError` where one is unsound."""
    paths: dict[int, str] = {}
    at = 0
    while at + _RECORD.size <= len(content):
        number, kind, start, end = _RECORD.unpack_from(content, at)
        at += _RECORD.size
        if number:
            assert kind == 0, f"a record of kind {kind}"
            yield paths[number], (start, end)
            continue
        assert (kind, end) == (1, 0), f"a name of kind {kind} with {end} behind it"
        text = content[at : at + start]
        at += -(-start // _RECORD.size) * _RECORD.size
        if at > len(content):
            return
        document = json.loads(text)
        assert paths.setdefault(document["id"], document["path"]) == document["path"], "a second name of one file"
        yield document
