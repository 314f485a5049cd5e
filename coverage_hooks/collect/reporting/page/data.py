"""The files, line by line, as the page's script reads them."""

from __future__ import annotations

import io
import tokenize
from pathlib import Path
from typing import Any

from coverage_hooks.collect.reporting import worlds
from coverage_hooks.collect.reporting.analysis import Report, World
from coverage_hooks.collect.reporting.worlds import KINDS, Compared
from coverage_hooks.shown import plain

#: What a line is marked with; the script and the style know them, too.
LETTERS = {"unit_only": "U", "cluster_only": "C", "both": "B", "neither": "-"}
EXCLUDED = "x"

#: Longer lines are cut: a generated table in one line would make the page crawl.
_LONGEST = 2000


def document(report: Report) -> dict[str, Any]:
    """Return what the page shows of the files of *report*."""
    return {
        "files": [
            {
                "name": plain(name),
                "percent": {world: _percent(each) for world, each in report.files[name].items()},
                "counts": _counts(compared),
                "branches": _branches(compared),
                "partial": {line: _list(found) for line, found in compared.partial().items()},
                **_source(report.paths[name], compared),
            }
            for name, compared in report.compared.items()
        ]
    }


def _percent(world: World | None) -> float | None:
    return None if world is None else world.percent


def _counts(compared: Compared) -> list[int]:
    """Return the number of lines of each kind, and of excluded ones."""
    return [*worlds.counts([compared.lines]).values(), len(compared.excluded)]


def _branches(compared: Compared) -> list[int] | None:
    return None if compared.branches is None else list(worlds.counts([compared.branches]).values())


def _list(found: dict[str, tuple[int, int]]) -> list[tuple[int, int] | None]:
    return [found.get(world) for world in ("unit", "cluster", "combined")]


def _source(path: Path, compared: Compared) -> dict[str, str]:
    """Return the lines of *path*, and a letter for each."""
    lines = [_shown(line) for line in _read(path)]
    marks = dict.fromkeys(compared.excluded, EXCLUDED)
    for kind in KINDS:
        marks |= dict.fromkeys(getattr(compared.lines, kind), LETTERS[kind])
    return {"source": "\n".join(lines), "marks": "".join(marks.get(n, " ") for n in range(1, len(lines) + 1))}


def _read(path: Path) -> list[str]:
    """Return the lines of *path* as Python counts them: only line feeds and carriage returns end one."""
    content = path.read_bytes()
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(content).readline)[0]
    except SyntaxError:  # an encoding that nobody knows; coverage.py has its own opinion of such files
        encoding = "utf-8"
    text = content.decode(encoding, "replace").replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n")


def _shown(line: str) -> str:
    """Return *line* without what could make it look like another one: control characters and text direction."""
    cut = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode("ascii") for c in cut)
