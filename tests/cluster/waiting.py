"""Waiting for a condition under a deadline, instead of sleeping and hoping.

Both functions return the first true value of the condition. An exception of the condition is not caught: a condition
says by itself what "not yet" means. `details` is asked at the moment of giving up, when the evidence is still there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds after which what is waited for counts as never coming. Minutes, as a machine that is busy with other work is
#: no failure; what comes is not waited for any longer.
WITHIN = 300.0

_PAUSE = 0.05


def _nothing() -> str:
    return ""


def wait_until(
    condition: Callable[[], T | None],
    what: str,
    *,
    within: float = WITHIN,
    details: Callable[[], str] = _nothing,
    pause: float = _PAUSE,
) -> T:
    """Return the first true value of *condition*; raise TimeoutError that names *what* after *within* seconds.

    Between two looks there are *pause* seconds: more, where looking is work.
    """
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(_message(what, within, details()))
        time.sleep(pause)
    return value


async def eventually(
    condition: Callable[[], Awaitable[T | None]],
    what: str,
    *,
    within: float = WITHIN,
    details: Callable[[], str] = _nothing,
) -> T:
    """`wait_until` for a condition that has to be awaited."""
    deadline = time.monotonic() + within
    while not (value := await condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(_message(what, within, details()))
        await asyncio.sleep(_PAUSE)  # nobody sets an event: the state is that of another process
    return value


def _message(what: str, within: float, details: str) -> str:
    return f"not within {within:g} s: {what}" + (f"\n{details}" if details else "")
