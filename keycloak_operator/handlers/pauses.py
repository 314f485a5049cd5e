"""How long to wait before looking again: what repeats waits longer and longer, and never all at the same moment.

What happens to many resources at once puts them in step: their creation, a change, a start of the operator, an outage.
Their next looks would meet, and those after them for hours. So the next one is at any moment up to the resync.
"""

from __future__ import annotations

import math
import random

from keycloak_operator.errors import Retry

_SOON, _LONGEST_SOON = 1.0, 10.0
_BACKOFF, _LONGEST_BACKOFF = 5.0, 60.0
_MINUTE = 60.0
_LONGEST_FIRST = 300.0


class Pauses:
    """The pauses of one resource, in seconds; *resync* is the one when all is well."""

    def __init__(self, resync: float) -> None:
        self._resync = resync
        self._kind: Retry | None = None
        self._times = 0
        self._in_step = True

    def first(self) -> float:
        """Return the pause before the first look at what was well when the operator was last there."""
        self._in_step = False
        return _part(min(self._resync, _LONGEST_FIRST))

    def fall_in_step(self) -> None:
        """Take note that this look has a reason that others may have, too."""
        self._in_step = True

    def well(self) -> float:
        """Return the pause after success."""
        self._kind = None
        in_step, self._in_step = self._in_step, False
        return _part(self._resync) if in_step else _jittered(self._resync)

    def failed(self, retry: Retry, retry_after: float | None = None) -> float:
        """Return the pause after a failure that is to be tried again as *retry* says, not before *retry_after*."""
        self._in_step = True
        return max(self._after(retry), (retry_after or 0.0) * random.uniform(1.0, 1.1))  # noqa: S311 - as below

    def _after(self, retry: Retry) -> float:
        # Bounded: an outage of a weekend is more doublings than a number can hold.
        self._times = min(self._times + 1, 16) if retry == self._kind else 0
        self._kind = retry
        if retry == "never":
            return math.inf
        if retry == "soon":
            return _jittered(min(_LONGEST_SOON, _SOON * 1.5**self._times))
        if retry == "backoff":
            return _jittered(min(_LONGEST_BACKOFF, _BACKOFF * 2.0**self._times))
        return _MINUTE if retry == "minute" else _jittered(self._resync)


def _part(seconds: float) -> float:
    return seconds * random.random()  # noqa: S311 - as below


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, guards nothing
