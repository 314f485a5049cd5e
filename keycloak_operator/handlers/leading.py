"""One process at a time handles resources: with a Lease, every other one waits before its first handler.

Kopf handles nothing before its startup handlers have returned, and answers no probe either: that is seen to here.

A process that lost its Lease must not write anything any more, not even in the seconds that Kopf takes to stop. So it
ends where it finds that out, with exit code 1, and the event loop runs nothing after that.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from keycloak_operator.cluster import Election, Lease
from keycloak_operator.settings import Settings

_PATIENCE = 10.0
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

_logger = logging.getLogger(__name__)


class Leadership:
    """What this process has while it leads."""

    def __init__(self, election: Election, lease: Lease) -> None:
        self._election = election
        self._lease = lease
        self._keeping = asyncio.create_task(election.keep(), name="keeping the lease")
        self._keeping.add_done_callback(self._kept_no_longer)
        self._deadline = self._watch()

    async def end(self) -> None:
        """Let another process lead, now that this one handles nothing any more."""
        self._deadline.cancel()
        self._keeping.remove_done_callback(self._kept_no_longer)
        self._keeping.cancel()
        await asyncio.wait([self._keeping])
        await self._election.release()
        await self._lease.close()

    def _watch(self) -> asyncio.TimerHandle:
        """Look again when the time is up that there was when this was called last."""
        left = self._election.leads_until - time.monotonic()
        return asyncio.get_running_loop().call_later(left, self._look)

    def _look(self) -> None:
        if time.monotonic() < self._election.leads_until:
            self._deadline = self._watch()
        else:
            self._stop("it could not be renewed in time")

    def _kept_no_longer(self, keeping: asyncio.Task[None]) -> None:
        if not keeping.cancelled():
            self._stop(f"it failed: {keeping.exception()!r}" if keeping.exception() else "another process has it")

    def _stop(self, why: str) -> None:
        """End the process: what waits for an answer is never told it, so that nothing follows from that.

        Cancelled, tasks would still run, and those of Kopf wait for one another then.
        """
        _logger.critical("%s is lost, as %s: this process ends at once", self._lease, why)
        try:
            atexit._run_exitfuncs()  # noqa: SLF001 - what was recorded is saved, and files with credentials are deleted
        finally:
            os._exit(1)


async def lead(settings: Settings) -> Leadership | None:
    """Return when this process may handle resources: at once if it need not share them."""
    if settings.lease is None:
        return None
    seconds = settings.lease_seconds
    lease = await Lease.connect(*settings.lease, seconds=seconds / 3)
    # Unlike the name of a pod, no other start of the same container has it.
    election = Election(lease, f"{socket.gethostname()}_{uuid.uuid4()}", seconds)
    try:
        async with _alive(settings.liveness):
            await election.win()
        return Leadership(election, lease)
    except BaseException:  # cancelled, mostly: told to stop before its turn came
        await lease.close()
        raise


@contextlib.asynccontextmanager
async def _alive(liveness: str | None) -> AsyncIterator[None]:
    """Answer probes at the address where Kopf does so later on."""
    if liveness is None:
        yield
        return
    address = urlsplit(liveness)
    server = await asyncio.start_server(_answer, address.hostname or "localhost", address.port or 80)
    try:
        yield
    finally:
        server.close()  # and does not wait for a client that says nothing


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(_PATIENCE):
            await reader.readuntil(b"\r\n\r\n")
        writer.write(_OK)
        await writer.drain()
    writer.close()
