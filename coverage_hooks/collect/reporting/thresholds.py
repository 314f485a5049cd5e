"""The least coverage that a collect must have: of which world, and of what.

``80`` means combined coverage as coverage.py counts it, with branches where they were measured; ``unit=40`` the same of
the unit tests alone; ``cluster.branches=60`` one part of one world.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coverage_hooks.collect.reporting.analysis import Report
from coverage_hooks.errors import UsageError

WORLDS = ("unit", "cluster", "combined")
PARTS = ("lines", "branches", "percent")

_FORM = re.compile(r"(?:(?P<world>[^.=]*)(?:\.(?P<part>[^.=]*))?=)?(?P<least>\d{1,3}(?:\.\d+)?)", re.ASCII)
_WHY_NOT = {
    "unit": "there is no unit data: give it with --unit",
    "cluster": "there is no cluster data",
    "combined": "there is no data",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """At least `least` percent of `part` of `world`."""

    least: float
    world: str = "combined"
    part: str = "percent"

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Return what *text* says; `UsageError` names the choices."""
        form = _FORM.fullmatch(text.strip())
        world = form["world"] if form and form["world"] is not None else "combined"
        part = form["part"] if form and form["part"] is not None else "percent"
        if form is None or world not in WORLDS or part not in PARTS or float(form["least"]) > 100:
            raise UsageError(
                f"{text!r} is no threshold: expected PERCENT, WORLD=PERCENT or WORLD.PART=PERCENT, with PERCENT from 0 "
                f"to 100, WORLD one of {', '.join(WORLDS)}, and PART one of {', '.join(PARTS)}"
            )
        return cls(least=float(form["least"]), world=world, part=part)

    @property
    def subject(self) -> str:
        """What is held against the threshold, in words."""
        return f"{self.world} coverage{'' if self.part == 'percent' else f' of {self.part}'}"


def shortfalls(report: Report, thresholds: Iterable[Threshold]) -> Iterator[str]:
    """Say of each threshold that is not met what is under it, and by how much; nothing is rounded up to it."""
    for each in thresholds:
        world = report.totals[each.world]
        found: float | None = None if world is None else getattr(world, each.part)
        asked = f"the {each.least:g} % of --fail-under"
        if world is None:
            yield f"{each.subject} is unknown, so it is under {asked}: {_WHY_NOT[each.world]}"
        elif found is None:
            yield f"{each.subject} is unknown, so it is under {asked}: branches were not measured; set `[run] branch`"
        elif found < each.least:
            by = math.ceil((each.least - found) * 100) / 100
            yield f"{each.subject} is under {asked} by {by:.2f}: it is {math.floor(found * 100) / 100:.2f} %"
