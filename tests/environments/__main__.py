"""``python -m tests.environments pythons [3.14 …] | versions [newest | floors]``: the tests of what users install.

`pythons` runs them on every Python with the newest versions of all packages. `versions` runs them on this Python, whose
packages everything else is tested with, but with the newest, and with the oldest that this project allows.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from types import FrameType

from tests.environments.interpreters import VERSIONS
from tests.environments.packages import CHOICES, Choice
from tests.environments.running import Outcome, outcome

_HEAD = ("Python", "packages", "coverage.py", "Kopf", "kubernetes-asyncio", "passed", "failed", "seconds")
_SHOWN = ("coverage", "kopf", "kubernetes-asyncio")


def main() -> int:
    """Test what is asked for; return 1 if anything is red."""
    parser = argparse.ArgumentParser(prog="python -m tests.environments", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    pythons = verbs.add_parser("pythons", help="every Python, or those named")
    pythons.add_argument("versions", nargs="*", metavar="VERSION", help=f"one of {', '.join(VERSIONS)}")
    versions = verbs.add_parser("versions", help="the newest and the oldest packages, or those named")
    versions.add_argument("choices", nargs="*", metavar="CHOICE", help=f"one of {', '.join(CHOICES)}")
    asked = parser.parse_args()
    for name, known in (("versions", VERSIONS), ("choices", CHOICES)):
        if unknown := set(getattr(asked, name, ())) - {*known}:
            parser.error(f"unknown: {', '.join(sorted(unknown))}; expected {', '.join(known)}")
    wanted: list[tuple[str, Choice]]
    if asked.verb == "pythons":
        wanted = [(version, "newest") for version in asked.versions or VERSIONS]
    else:
        wanted = [("{}.{}".format(*sys.version_info), choice) for choice in asked.choices or CHOICES]
    workers = (os.cpu_count() or 1) + 1
    outcomes = [outcome(version, choice, workers, _say) for version, choice in wanted]
    for line in report(outcomes):
        _say(line)
    return int(any(each.problem for each in outcomes))


def report(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Return a table, what is wrong, and the sum."""
    outcomes = list(outcomes)
    rows = [_HEAD, *map(_row, outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
    for each in outcomes:
        if each.problem:
            yield f"\n{each.problem}"
    yield f"{sum(each.passed for each in outcomes)} passed, {sum(each.failed for each in outcomes)} failed"


def _row(each: Outcome) -> tuple[str, ...]:
    versions = (each.packages.get(name, "-") for name in _SHOWN)
    return (each.python, each.choice, *versions, str(each.passed), str(each.failed), f"{each.seconds:.0f}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)  # so that the folder of the environment is removed
    sys.exit(main())
