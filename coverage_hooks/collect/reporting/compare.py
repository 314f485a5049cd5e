"""This collect against the ``summary.json`` of an earlier one: what was gained and lost, by file and world.

A file is the same when its name is: what was renamed is one file removed and one added, for nobody knows better. The
other summary is a file that somebody gave, so it is checked before anything is read from it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage_hooks.collect.reporting.analysis import Report, World
from coverage_hooks.errors import UsageError
from coverage_hooks.volume import access

WORLDS = ("unit", "cluster", "combined")

#: A summary of ten thousand files is a tenth of it.
_LARGEST = 64 << 20
_FORMAT = 1
#: Percentages of equal counts are equal; this is for those that went through another program's JSON.
_NOISE = 1e-9

Worlds = Mapping[str, World | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What an earlier collect reported; `run` is None when its recordings were chosen by time."""

    run: str | None
    totals: Worlds
    files: Mapping[str, Worlds]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One world before and after; None where it was not measured."""

    before: World | None
    after: World | None

    def points(self, part: str) -> float | None:
        """Return by how many percentage points *part* grew, or None when there is nothing to compare."""
        before, after = (None if world is None else getattr(world, part) for world in (self.before, self.after))
        return None if before is None or after is None else after - before


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What changed since the summary of `run`; `part` is what both measured, and `files` differ in it."""

    run: str | None
    part: str
    totals: dict[str, Change]
    files: dict[str, dict[str, Change]]
    added: dict[str, Worlds]
    removed: dict[str, Worlds]


def read(path: Path) -> Summary:
    """Return the summary in file *path*; `UsageError` says why it is none."""
    try:
        with open(path, "rb", opener=access.only_regular) as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"--compare {str(path)!r} cannot be read: {error.strerror or error}") from None
    try:
        return _summary(content)
    except (ValueError, RecursionError, _ForeignError) as error:
        raise UsageError(
            f"--compare {str(path)!r} is not a summary.json that `coverage-hooks collect` wrote: {error}"
        ) from None


def compare(before: Summary, report: Report) -> Comparison:
    """Compare *report* with *before*."""
    part = "percent" if _has_branches(before.totals) == _has_branches(report.totals) else "lines"
    changes = {
        name: _changes(before.files[name], worlds) for name, worlds in report.files.items() if name in before.files
    }
    return Comparison(
        run=before.run,
        part=part,
        totals=_changes(before.totals, report.totals),
        files={name: worlds for name, worlds in changes.items() if _differs(worlds, part)},
        added={name: worlds for name, worlds in report.files.items() if name not in before.files},
        removed={name: worlds for name, worlds in before.files.items() if name not in report.files},
    )


class _ForeignError(Exception):
    """Something that no collect would write."""


def _summary(content: bytes) -> Summary:
    if len(content) > _LARGEST:
        raise _ForeignError(f"it is larger than {_LARGEST >> 20} MiB")
    top = _mapping(json.loads(content), "the document")
    if top.get("format") != _FORMAT:
        raise _ForeignError(f"expected format {_FORMAT}, found {top.get('format')!r}")
    run = top.get("run")
    return Summary(
        run=run if isinstance(run, str) else None,
        totals=_worlds(top.get("totals"), "totals"),
        files={
            name: _worlds(worlds, f"files[{name!r}]") for name, worlds in _mapping(top.get("files"), "files").items()
        },
    )


def _worlds(document: Any, where: str) -> Worlds:
    found = _mapping(document, where)
    return {world: _world(found.get(world), f"{where}.{world}") for world in WORLDS}


def _world(document: Any, where: str) -> World | None:
    if document is None:
        return None
    found = _mapping(document, where)
    branches = found.get("branches")
    return World(
        lines=_number(found.get("lines"), f"{where}.lines"),
        branches=None if branches is None else _number(branches, f"{where}.branches"),
        percent=_number(found.get("percent"), f"{where}.percent"),
    )


def _mapping(document: Any, where: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise _ForeignError(f"{where} is not an object")
    return document


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        raise _ForeignError(f"{where} is {value!r}, expected 0 to 100")
    return float(value)


def _has_branches(totals: Worlds) -> bool:
    return any(world is not None and world.branches is not None for world in totals.values())


def _changes(before: Worlds, after: Worlds) -> dict[str, Change]:
    return {world: Change(before=before[world], after=after[world]) for world in WORLDS}


def _differs(worlds: dict[str, Change], part: str) -> bool:
    return any(
        (change.before is None) != (change.after is None)
        or not math.isclose(change.points(part) or 0, 0, abs_tol=_NOISE)
        for change in worlds.values()
    )


def as_document(comparison: Comparison) -> dict[str, Any]:
    """Return *comparison* as it is written to ``summary.json``; `change` is in percentage points of `part`."""

    def changes(worlds: dict[str, Change]) -> dict[str, Any]:
        return {
            world: {**dataclasses.asdict(change), "change": change.points(comparison.part)}
            for world, change in worlds.items()
        }

    return {
        "run": comparison.run,
        "part": comparison.part,
        "totals": changes(comparison.totals),
        "files": {name: changes(worlds) for name, worlds in comparison.files.items()},
        "added": _as_documents(comparison.added),
        "removed": _as_documents(comparison.removed),
    }


def _as_documents(files: dict[str, Worlds]) -> dict[str, Any]:
    return {
        name: {world: each and dataclasses.asdict(each) for world, each in worlds.items()}
        for name, worlds in files.items()
    }
