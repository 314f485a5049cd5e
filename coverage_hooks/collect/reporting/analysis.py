"""coverage.py's own analysis of the worlds, over one list of files: every one that the configuration selects.

The list, the exclusions, and what is covered in unit and in cluster are coverage.py's, through its public API. Combined
is their union; it is held against coverage.py's own count of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage_hooks.collect import outputs
from coverage_hooks.collect.configuration import Configuration
from coverage_hooks.collect.reporting import worlds
from coverage_hooks.collect.reporting.worlds import Compared
from coverage_hooks.errors import CoverageHooksError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One world in percent: of lines, of branches (None without), and of both together as coverage.py counts them."""

    lines: float
    branches: float | None
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The worlds that exist, in total and by file, and by file what each line and branch was run by.

    `paths` are the files in the checkout; `omitted` are those that no percentage counts, with the setting that says so,
    and `excluded_lines` the lines.
    """

    totals: dict[str, World | None]
    files: dict[str, dict[str, World | None]]
    compared: dict[str, Compared]
    paths: dict[str, Path]
    omitted: dict[str, str]
    excluded_lines: int


def report(output: Path, configuration: Configuration, *, xml_per_world: bool = False) -> Report:
    """Write coverage.py's reports of what was combined below *output* and return the three worlds."""
    data_file = output / outputs.COMBINED
    if data_file.is_file():
        configuration.select_measured(data_file)
    unit, cluster = (
        configuration.read_world(output / name, output / xml if xml_per_world else None)
        if (output / name).is_file()
        else None
        for name, xml in outputs.XML_OF.items()
    )
    if (one := unit or cluster) is None or not data_file.is_file():
        raise UsageError(f"{str(data_file)!r} is not there: run `coverage-hooks combine` first")
    names = sorted(one["files"])
    compared = {name: worlds.compare(_file(unit, name), _file(cluster, name), name) for name in names}
    combined = _union(list(compared.values()))
    _check(combined, configuration.write_files(data_file, output))
    return Report(
        totals={"unit": _world(unit, "totals"), "cluster": _world(cluster, "totals"), "combined": combined},
        files={
            name: {
                "unit": _world(_file(unit, name), "summary"),
                "cluster": _world(_file(cluster, name), "summary"),
                "combined": _union([compared[name]]),
            }
            for name in names
        },
        compared=compared,
        paths={name: configuration.place(name) for name in names},
        omitted=configuration.omitted(names),
        excluded_lines=sum(len(each.excluded) for each in compared.values()),
    )


def _file(document: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    return None if document is None else document["files"].get(name)


def _world(document: dict[str, Any] | None, part: str) -> World | None:
    if document is None:
        return None
    summary = document[part]
    return World(
        lines=summary["percent_statements_covered"],
        branches=summary.get("percent_branches_covered"),
        percent=summary["percent_covered"],
    )


def _union(compared: list[Compared]) -> World:
    """Return what the worlds in *compared* covered together."""
    lines = _ratio(worlds.counts(each.lines for each in compared))
    branches = _ratio(worlds.counts(each.branches for each in compared), sum(each.assumed for each in compared))
    has_branches = any(each.branches is not None for each in compared)
    return World(
        lines=_percent(*lines),
        branches=_percent(*branches) if has_branches else None,
        percent=_percent(lines[0] + branches[0], lines[1] + branches[1]),
    )


def _ratio(counts: dict[str, int], assumed: int = 0) -> tuple[int, int]:
    every = sum(counts.values()) + assumed
    return every - counts["neither"], every


def _percent(covered: int, of: int) -> float:
    """Return a percentage; of nothing, all is covered: coverage.py has it so."""
    return 100.0 * covered / of if of else 100.0


def _check(combined: World, counted: float) -> None:
    """Refuse to report a number that coverage.py disagrees with; where there is no line at all, it says 0."""
    if counted and not math.isclose(combined.percent, counted, abs_tol=1e-6):
        raise CoverageHooksError(
            f"unit and cluster cover {combined.percent:.6f} % together, but coverage.py counts {counted:.6f} % in "
            "their union: a file changed meanwhile; run `coverage-hooks combine` and `coverage-hooks report` again"
        )
