"""The numbers of a report as rows of text, for a terminal and for Markdown: neither escaped nor coloured yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from coverage_hooks.collect.reporting import worlds
from coverage_hooks.collect.reporting.analysis import Report, World
from coverage_hooks.collect.reporting.compare import WORLDS, Change, Comparison, Worlds
from coverage_hooks.collect.reporting.worlds import KINDS, Compared, Split
from coverage_hooks.collect.text import ranges

WORLD_TITLES = ("file", *WORLDS, *(kind.replace("_", " ") for kind in KINDS), "excluded", "missed")
CHANGE_TITLES = ("file", *WORLDS)

#: Characters of ranges that a row shows; the page shows every line.
_MISSED = 24

_NO_COUNTS = ("",) * (len(KINDS) + 2)


def percent(world: World | None, part: str = "percent") -> str:
    """Return one number of *world* as it is shown; never 100 % for less."""
    value: float | None = getattr(world, part) if world is not None else None
    if value is None:
        return "-"
    return f"{min(value, 99.9) if value < 100 else value:.1f} %"


def world_rows(report: Report) -> Iterator[tuple[str, ...]]:
    """Yield for each file, and in total, the worlds in percent, and how many lines which of them ran."""
    for name, compared in report.compared.items():
        missed = _shortened(ranges(compared.lines.neither, compared.lines))
        counts = (*_counts([compared.lines]), str(len(compared.excluded)), missed)
        yield (name, *map(percent, report.files[name].values()), *counts)
    lines = (*_counts(each.lines for each in report.compared.values()), str(report.excluded_lines), "")
    if has_branches(report):
        branches = (*_counts(each.branches for each in report.compared.values()), "", "")
        yield ("all lines", *(percent(each, "lines") for each in report.totals.values()), *lines)
        yield ("all branches", *(percent(each, "branches") for each in report.totals.values()), *branches)
    yield ("TOTAL", *map(percent, report.totals.values()), *(_NO_COUNTS if has_branches(report) else lines))


def has_branches(report: Report) -> bool:
    """Whether branches were measured."""
    return any(each.branches is not None for each in report.compared.values())


def change_title(comparison: Comparison) -> str:
    """Return what *comparison* is about, and what its numbers are."""
    against = f"run {comparison.run}" if comparison.run is not None else "the other summary"
    only = "; of lines, as only one of the two measured branches" if comparison.part == "lines" else ""
    return f"changed since {against}, in percentage points{only}"


def change_rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """Yield how each changed file, the total, and what was added or removed."""

    def cells(changes: dict[str, Change]) -> Iterator[str]:
        return (points(change, comparison.part) for change in changes.values())

    def there(files: Worlds) -> Iterator[str]:
        return (percent(world, comparison.part) for world in files.values())

    for name, changes in comparison.files.items():
        yield (name, *cells(changes))
    for word, files in (("added", comparison.added), ("removed", comparison.removed)):
        for name, found in files.items():
            yield (f"{name} ({word})", *there(found))
    yield ("TOTAL", *cells(comparison.totals))


def points(change: Change, part: str) -> str:
    """Return a change as it is shown; never none for some."""
    grown = change.points(part)
    if grown is None:
        before, after = (world is not None for world in (change.before, change.after))
        return "-" if before == after else f"now {percent(change.after, part)}" if after else "not measured now"
    if abs(grown) < 1e-9:
        return "="
    return f"{grown:+.1f}" if abs(grown) >= 0.05 else f"{'+' if grown > 0 else '-'}<0.1"


def report_document(report: Report) -> dict[str, Any]:
    """Return *report* as it is written to ``summary.json``."""
    return {
        "totals": _percentages(report.totals),
        "worlds": _numbers(report.compared.values()),
        "files": {
            name: {**_percentages(found), "worlds": _file_document(report.compared[name])}
            for name, found in report.files.items()
        },
        "excluded_lines": report.excluded_lines,
        "omitted": report.omitted,
    }


def _percentages(found: Worlds) -> dict[str, Any]:
    return {name: None if world is None else dataclasses.asdict(world) for name, world in found.items()}


def _file_document(compared: Compared) -> dict[str, Any]:
    return {
        **_numbers([compared]),
        "missed": ranges(compared.lines.neither, compared.lines),
        "partial": {str(line): found for line, found in compared.partial().items()},
    }


def _numbers(compared: Iterable[Compared]) -> dict[str, Any]:
    """Return how many lines and branches of *compared* are of which kind; `branches` is null without any."""
    found = list(compared)
    branches = {**worlds.counts(each.branches for each in found), "assumed": sum(each.assumed for each in found)}
    return {
        "lines": {**worlds.counts(each.lines for each in found), "excluded": sum(len(e.excluded) for e in found)},
        "branches": branches if any(each.branches is not None for each in found) else None,
    }


def _counts(splits: Iterable[Split[Any] | None]) -> tuple[str, ...]:
    return tuple(map(str, worlds.counts(splits).values()))


def _shortened(ranges: list[str]) -> str:
    """Return as many *ranges* as a row has room for, and how many more there are."""
    shown, length = 0, 0
    while shown < len(ranges) and length + len(ranges[shown]) <= _MISSED:
        length += len(ranges[shown]) + 2
        shown += 1
    more = [f"and {len(ranges) - shown} more"] if shown < len(ranges) else []
    return ", ".join(ranges[:shown] + more)
