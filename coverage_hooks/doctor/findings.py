"""What a check finds: the words of ``coverage-hooks doctor``, which both sides speak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

#: The exit code of a finding without which nothing can be read from the source at all.
UNREACHABLE = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. `wrong` says what was found, what was expected and what to do next; `code` is what it ends with."""

    level: Literal["ok", "wrong", "note"]
    text: str
    code: int = 0


#: Who is told of findings, one by one, as they are made.
Tell = Callable[[Finding], None]


def ok(text: str) -> Finding:
    """Return that something is as it has to be."""
    return Finding("ok", text)


def wrong(text: str, code: int = 1) -> Finding:
    """Return that something keeps an operator from being recorded, or its recordings from being collected."""
    return Finding("wrong", text, code)


def note(text: str) -> Finding:
    """Return what somebody should know, though nothing is wrong."""
    return Finding("note", text)
