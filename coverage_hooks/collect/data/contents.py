"""What was measured, as every step of combining takes it: lines and arcs by path and context."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage_hooks.collect.data.arcs import PACKED, Arcs
from coverage_hooks.errors import VolumeError


class DamagedError(VolumeError):
    """File `file` of a recording cannot be used; the message begins with the kind of damage."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(reason)
        self.file = file

    def __reduce__(self) -> tuple[type[DamagedError], tuple[str, str]]:
        return type(self), (self.file, str(self))  # as it comes from another process


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All `paths` that were measured, and by path and context the lines or the arcs.

    Lines are one number, with bit n for line n, as they lie in a data file. `tracers` names the plug-in that measured a
    path, where one did; `tops` has the highest line by path, and each line and arc of a path counts once.
    """

    paths: tuple[str, ...]
    lines: Mapping[tuple[str, str], int]
    arcs: Mapping[tuple[str, str], Arcs] | None
    tracers: Mapping[str, str]
    tops: Mapping[str, int]
    line_count: int
    arc_count: int

    @classmethod
    def of(
        cls,
        paths: Collection[str],
        tracers: Mapping[str, str],
        *,
        lines: Mapping[tuple[str, str], int],
        arcs: Mapping[tuple[str, str], Arcs] | None,
    ) -> Content:
        """Return the content that holds this."""
        tops, line_count, arc_count = _measured_lines(lines) if arcs is None else _measured_arcs(arcs, tracers)
        return cls(
            paths=tuple(sorted(paths)),
            lines=lines,
            arcs=arcs,
            tracers=tracers,
            tops=dict.fromkeys(paths, 0) | tops,
            line_count=line_count,
            arc_count=arc_count,
        )

    @property
    def branch(self) -> bool:
        """Whether branches were measured, not lines."""
        return self.arcs is not None


def _measured_lines(lines: Mapping[tuple[str, str], int]) -> tuple[dict[str, int], int, int]:
    """Return the highest line by path, and the number of lines and of arcs over all paths, contexts merged.

    Sets of bits are merged as numbers, not as sets: a file that claims ten million lines costs milliseconds.
    """
    merged: Counter[str] = Counter()
    for (path, _), bits in lines.items():
        merged[path] |= bits
    tops = {path: max(0, bits.bit_length() - 1) for path, bits in merged.items()}
    return tops, sum(bits.bit_count() for bits in merged.values()), 0


def _measured_arcs(
    groups: Mapping[tuple[str, str], Arcs], tracers: Mapping[str, str]
) -> tuple[dict[str, int], int, int]:
    """As `_measured_lines`, of arcs."""
    by_path: dict[str, list[Arcs]] = defaultdict(list)
    for (path, _), arcs in groups.items():
        by_path[path].append(arcs)
    merged = {path: Arcs.merged(found) for path, found in by_path.items()}  # several contexts may have the same arc
    # Where a template is entered and left is told, below zero, in lines of the Python that renders it.
    tops = {
        path: max(0, arcs.highest) if path in tracers else max(arcs.highest, -arcs.lowest)
        for path, arcs in merged.items()
    }
    return tops, sum(arcs.line_count for arcs in merged.values()), sum(map(len, merged.values()))


def read_data(path: Path) -> Content:
    """Return what data file *path* holds, which coverage.py has just written here."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        paths: dict[int, str] = dict(fetch(connection, "id, path", "file"))
        contexts: dict[int, str] = dict(fetch(connection, "id, context", "context"))
        tracers: dict[str, str] = dict(fetch(connection, "path, tracer", "tracer JOIN file ON file.id = file_id"))
        lines = fetch(connection, "file_id, context_id, hex(numbits)", "line_bits")
        packed = (
            f"(SELECT file_id, context_id, json_group_array({PACKED}) AS arcs FROM arc GROUP BY file_id, context_id)"  # noqa: S608
        )
        arcs = fetch(connection, "file_id, context_id, json(arcs)", packed)
        [[has_arcs]] = fetch(connection, "value", "meta WHERE key = 'has_arcs'")
    return Content.of(
        paths.values(),
        tracers,
        lines={
            (paths[file], contexts[context]): int.from_bytes(bytes.fromhex(bits), "little")
            for file, context, bits in lines
        },
        arcs={(paths[file], contexts[context]): Arcs.of(found) for file, context, found in arcs}
        if has_arcs == "1"
        else None,
    )


def fetch(connection: sqlite3.Connection, columns: str, source: str) -> list[list[Any]]:
    """Return *columns* of every row of *source*, none of which may be a BLOB.

    As one value, not row by row: each step of SQLite's lets other threads run, and where there are any, it then waits
    for its turn again.
    """
    query = f"SELECT json_group_array(json_array({columns})) FROM {source}"  # noqa: S608 - names of ours
    rows: list[list[Any]] = json.loads(connection.execute(query).fetchone()[0])
    return rows
