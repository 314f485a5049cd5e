"""Which world ran what, line by line: unit only, cluster only, both, neither.

The lines, branches and exclusions are those that coverage.py's reports name; here they are only compared. What either
world ran was run, so everything that is known of the two together follows from them, and nothing is analysed a third
time for it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, TypeVar

from coverage_hooks.errors import CoverageHooksError

#: A branch is where a jump starts and where it ends; below zero is the way out of a function.
Branch = tuple[int, int]
Point = TypeVar("Point", int, Branch)

KINDS = ("unit_only", "cluster_only", "both", "neither")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(Generic[Point]):
    """Lines, or branches, by the worlds that ran them; each in exactly one of the four, in order."""

    unit_only: list[Point]
    cluster_only: list[Point]
    both: list[Point]
    neither: list[Point]

    @classmethod
    def of(cls, all_: Iterable[Point], unit: set[Point], cluster: set[Point]) -> Split[Point]:
        """Return how *unit* and *cluster* divide the points *all_*."""
        every = set(all_)
        return cls(
            unit_only=sorted(every & unit - cluster),
            cluster_only=sorted(every & cluster - unit),
            both=sorted(every & unit & cluster),
            neither=sorted(every - unit - cluster),
        )

    def run_by(self, world: str) -> set[Point]:
        """Return what *world* ran: unit, cluster, or combined."""
        parts = {
            "unit": (self.unit_only, self.both),
            "cluster": (self.cluster_only, self.both),
            "combined": (self.unit_only, self.cluster_only, self.both),
        }
        return {point for part in parts[world] for point in part}

    def __iter__(self) -> Any:
        for kind in KINDS:
            yield from getattr(self, kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One file in both worlds; `branches` is None where only lines were measured.

    `assumed` is how many more branches there are that coverage.py counts as taken in every world, and does not name:
    those of a line with ``pragma: no branch``.
    """

    lines: Split[int]
    branches: Split[Branch] | None
    excluded: list[int]
    assumed: int = 0

    def partial(self) -> dict[int, dict[str, tuple[int, int]]]:
        """Return, for each line with a branch that nobody or not everybody took: by world, how many of how many.

        Only worlds that ran the line are there: of a line that never ran, every branch is missing anyhow.
        """
        if self.branches is None:
            return {}
        exits = Counter(start for start, _ in self.branches)
        found: dict[int, dict[str, tuple[int, int]]] = defaultdict(dict)
        for world in ("unit", "cluster", "combined"):
            taken = Counter(start for start, _ in self.branches.run_by(world))
            for line in self.lines.run_by(world) & set(exits):
                found[line][world] = (taken[line], exits[line])
        return {
            line: worlds
            for line, worlds in sorted(found.items())
            if any(taken < total for taken, total in worlds.values())
        }


def compare(unit: Mapping[str, Any] | None, cluster: Mapping[str, Any] | None, name: str) -> Compared:
    """Compare what coverage.py's JSON report says of file *name* in each world; None for a world that does not exist.

    `CoverageHooksError` when the file changed between the two reports.
    """
    reports = [each for each in (unit, cluster) if each is not None]
    statements = [{*each["executed_lines"], *each["missing_lines"]} for each in reports]
    excluded = [each["excluded_lines"] for each in reports]
    if any(one != other for shape in (statements, excluded) for one, other in pairwise(shape)):
        raise CoverageHooksError(f"{name!r} changed while it was being reported: run `coverage-hooks report` again")
    branches = _branches(unit, cluster)
    return Compared(
        lines=Split.of(statements[0], _executed(unit), _executed(cluster)),
        branches=branches,
        excluded=excluded[0],
        assumed=0 if branches is None else reports[0]["summary"]["num_branches"] - len(list(branches)),
    )


def _executed(report: Mapping[str, Any] | None) -> set[int]:
    return set() if report is None else set(report["executed_lines"])


def _branches(unit: Mapping[str, Any] | None, cluster: Mapping[str, Any] | None) -> Split[Branch] | None:
    """Return the branches that either report names.

    A branch is taken when it is not missing, as coverage.py counts it: it never calls one missing that it was told to
    ignore, and names that one only where it was taken.
    """
    reports = [each for each in (unit, cluster) if each is not None]
    if "executed_branches" not in reports[0]:
        return None
    every: set[Branch] = {
        (start, end)
        for each in reports
        for name in ("executed_branches", "missing_branches")
        for start, end in each[name]
    }

    def taken(report: Mapping[str, Any] | None) -> set[Branch]:
        return set() if report is None else every - {(start, end) for start, end in report["missing_branches"]}

    return Split.of(every, taken(unit), taken(cluster))


def counts(splits: Iterable[Split[Any] | None]) -> dict[str, int]:
    """Return how many points of each kind there are in *splits* together."""
    found = dict.fromkeys(KINDS, 0)
    for split in splits:
        for kind in KINDS:
            found[kind] += len(getattr(split, kind)) if split is not None else 0
    return found
