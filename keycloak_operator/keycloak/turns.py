"""Whose turn it is to ask a server: so many at a time, in the order in which they came, and none while it wants a rest.

All that ask one server share one `Turns`, whatever accounts they use: it is the server that has too much to do. A turn
is for one request and for the login before it, so a token does not grow old while its request waits.

httpx can limit connections, but only those of one account, and a request that waits for one soon fails with
`PoolTimeout`: to wait here costs nothing of the time that a request may take.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from keycloak_operator.errors import KeycloakUnavailableError
from keycloak_operator.keycloak import answers


class Turns:
    """The turns at the server at *url*, *at_a_time* of them; `before` and `after` are event hooks of httpx."""

    def __init__(self, url: str, at_a_time: int) -> None:
        self._url = url
        self._free = asyncio.Semaphore(at_a_time)  # what waits is let in before what comes
        self._unanswered: deque[httpx.HTTPError] = deque(maxlen=at_a_time)
        self._rests_until = 0.0
        self._said_until = ""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until it is the caller's turn, which ends with the block.

        Those that had to wait do not ask when as many as may ask at a time got no answer, and none has got one since.
        The last of a long line would otherwise learn much later than the first that a server is not there.
        """
        waits = self._free.locked()
        async with self._free:
            if waits and len(self._unanswered) == self._unanswered.maxlen:
                raise answers.unreachable(self._unanswered[-1], self._url)
            try:
                yield
            except httpx.HTTPError as error:
                self._unanswered.append(error)
                raise

    async def before(self, _: httpx.Request) -> None:
        """Raise `KeycloakUnavailableError` while the server wants to be left alone."""
        left = self._rests_until - time.monotonic()
        if left > 0:
            said = f"Keycloak at {self._url} asks to be left alone until {self._said_until}"
            raise KeycloakUnavailableError(said, retry_after=left)

    async def after(self, response: httpx.Response) -> None:
        """Take note that the server answers, and of what it says about coming back."""
        self._unanswered.clear()
        seconds = answers.retry_after(response)
        if seconds is not None and time.monotonic() + seconds > self._rests_until:
            self._rests_until = time.monotonic() + seconds
            self._said_until = answers.moment(seconds)
