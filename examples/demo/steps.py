"""What the demo says: one line for each step, with its time and what was seen; and how it ends early."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from coverage_hooks.shown import plain

_asked_to_stop: list[int] = []


class Failure(Exception):
    """A step did not do what it should."""


def say(text: str) -> None:
    """Show *text* at once; what a server said is in it, too, and is not to drive the terminal."""
    sys.stdout.write("\n".join(map(plain, text.split("\n"))))
    sys.stdout.flush()


def say_line(text: str) -> None:
    """Show *text* as a line."""
    say(text + "\n")


@contextmanager
def step(what: str) -> Iterator[list[str]]:
    """Show *what* is done in the block, how long it took, and what the block adds to the list that it is given."""
    seen: list[str] = []
    start = time.monotonic()
    say(f"{what} ... ")
    yield seen
    stop_if_asked()
    say_line(": ".join([f"{time.monotonic() - start:.1f} s", *seen]))


def expect(fact: bool, what: str) -> None:
    """Raise Failure that says *what* should be, unless it is a *fact*."""
    if not fact:
        raise Failure(f"expected {what}")


def stop_on_signals() -> None:
    """Make Ctrl-C and SIGTERM raise SystemExit, with the code that a shell expects."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)


def stop_if_asked() -> None:
    """Raise SystemExit if a signal came: what its handler raises is lost where Python ignores exceptions."""
    if _asked_to_stop:
        raise SystemExit(128 + _asked_to_stop[0])


def _stop(number: int, _frame: FrameType | None) -> None:
    _asked_to_stop.append(number)
    stop_if_asked()
