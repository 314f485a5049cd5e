"""Which of several processes leads: the one that holds a Lease and renews it in time.

What is promised: a process that leads has renewed the Lease within the last two thirds of its duration, by its own
clock. One that waits takes the Lease only after it has seen it unchanged for a whole duration, by its own clock. So no
two lead at the same time as long as their clocks run at about the same speed; what time they show does not matter.

What is not: a request that was sent before a process stopped leading may arrive after another one began to.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from keycloak_operator.errors import ClusterError

#: Parts of the duration: after how much a leader that could not renew gives up, and how often the Lease is looked at.
GIVE_UP, LOOK = 2 / 3, 2 / 15

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a Lease says; `version` is another one after each write, and no `holder` means that it is free."""

    holder: str
    seconds: float
    version: str
    transitions: int = 0


class Leases(Protocol):
    """One Lease. All methods raise `ClusterError` when it is not known what came of the request."""

    async def read(self) -> Record | None:
        """Return what it says, None if it does not exist."""

    async def write(self, holder: str, seconds: float, over: Record | None) -> Record | None:
        """Have *holder* hold it for *seconds*, if it still is *over*; None if it is not."""


class Election:
    """One candidate, called *identity*, for a *lease* that lasts for *seconds*."""

    def __init__(
        self,
        lease: Leases,
        identity: str,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.identity = identity
        self._lease = lease
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._record: Record | None = None
        self._renewed = -float("inf")

    @property
    def leads_until(self) -> float:
        """When this process stops leading unless it renews before, on the clock."""
        return self._renewed + GIVE_UP * self._seconds

    async def win(self) -> None:
        """Return when this process leads."""
        seen: Record | None = None
        since, told = self._clock(), ""

        def tell(level: int, text: str) -> None:
            nonlocal told
            if text != told:
                _logger.log(level, "%s: %s", self._lease, text)
            told = text

        while True:
            pause = LOOK * self._seconds
            try:
                found = await self._lease.read()
                # One that was deleted is still held by the process that does not know of it yet.
                if found is not None and found != seen:
                    seen, since = found, self._clock()
                left = 0.0 if seen is None or self._may_take(seen) else since + seen.seconds - self._clock()
                if left <= 0 and await self._take(found):
                    tell(logging.INFO, f"{self.identity} leads from now on")
                    return
                if seen is not None and left > 0:
                    tell(logging.INFO, f"{seen.holder} leads, so {self.identity} waits")
                    pause = min(pause, left)
            except ClusterError as error:
                tell(logging.WARNING, f"{error}; trying again")
            await self._sleep(pause)

    async def keep(self) -> None:
        """Renew for as long as this process leads; return when another one does. Mind `leads_until` beside it."""
        while True:
            await self._sleep(LOOK * self._seconds)
            try:
                if not await self._take(self._record):
                    found = await self._lease.read()
                    if not (found is None or self._may_take(found)) or not await self._take(found):
                        return
            except ClusterError as error:
                _logger.warning("%s: not renewed: %s", self._lease, error)

    async def release(self) -> None:
        """Stop leading, so that another process need not wait until the Lease has run out."""
        self._renewed = -float("inf")
        try:
            await self._lease.write("", 1, self._record)
        except ClusterError as error:
            _logger.warning("%s: not released, so the next process waits until it has run out: %s", self._lease, error)

    def _may_take(self, found: Record) -> bool:
        # Ours, although it was never told so: a write whose answer was lost.
        return found.holder in {"", self.identity}

    async def _take(self, over: Record | None) -> bool:
        began = self._clock()  # before the request: the others count from when it arrives
        written = await self._lease.write(self.identity, self._seconds, over)
        if written is None:
            return False
        self._record, self._renewed = written, began
        return True
