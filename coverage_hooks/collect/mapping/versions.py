"""What it means that a recording was made by other versions of Python and coverage.py than those that report it.

CPython's versions disagree about the arcs of comprehensions, of multi-line ``with`` and of what a line jumps to itself;
coverage.py evens that out when it reports. ``docs/mapping.md`` has what was measured, and how: between the versions
below no branch came out differently, and of 64,799 lines one. Of others nobody knows.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Iterator

from coverage_hooks.collect.text import counted
from coverage_hooks.volume.manifest import Process

#: The minor versions of Python, and of coverage.py, between which every combination was measured.
MEASURED_PYTHON = {"3.11", "3.12", "3.13"}
MEASURED_COVERAGE = {"7.17"}


def skews(recorded: Iterable[Process], coverage_here: str, python_here: str = "") -> Iterator[str]:
    """Yield what to tell of those processes that had other minor versions than there are *here*."""
    here = minor(python_here or platform.python_version()), minor(coverage_here)
    counts = Counter((minor(each.python), minor(each.coverage), each.branch) for each in recorded)
    for (python, coverage, branch), count in sorted(counts.items()):
        if (python, coverage) == here:
            continue
        made = f"{counted(count, 'recording')} made on Python {python} with coverage.py {coverage}"
        meaning = _meaning({python, here[0]}, {coverage, here[1]}, branch=branch)
        yield f"{made}, reported on Python {here[0]} with {here[1]}: {meaning}"


def _meaning(pythons: set[str], coverages: set[str], *, branch: bool) -> str:
    if pythons <= MEASURED_PYTHON and coverages <= MEASURED_COVERAGE:
        return f"when measured, {'no branch and ' if branch else ''}hardly a line came out differently"
    what = "lines and branches" if branch else "lines"
    return f"whether {what} come out the same was not measured; to be sure, collect with the versions of the image"


def newer_syntax(recorded: Iterable[str], here: str = "") -> str:
    """Return what to add to an error about a source file that Python *here* cannot parse, for who recorded it can."""
    here = minor(here or platform.python_version())
    newest = max((minor(version) for version in recorded if version), key=_number, default=here)
    if _number(newest) <= _number(here):
        return ""
    return f"; recorded on Python {newest}, and reported on Python {here}: collect with Python {newest} or newer"


def _number(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdecimal()]


def minor(version: str) -> str:
    """Return the major and the minor part of *version*."""
    return ".".join(version.split(".")[:2])
