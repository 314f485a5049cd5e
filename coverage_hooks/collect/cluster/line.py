"""Questions to a reader, through whatever breaks on the way.

A tunnel that breaks is opened again, and a reader that went away is made again: every question is one that may be asked
twice. How often is bounded; each time is said.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping

from kubernetes_asyncio.client import ApiClient

from coverage_hooks.collect.cluster.claims import Volume
from coverage_hooks.collect.cluster.exchange import Answer, Exchange
from coverage_hooks.collect.cluster.reader import Reader, Say
from coverage_hooks.collect.cluster.tunnel import Tunnel, TunnelBroken
from coverage_hooks.errors import SourceError
from coverage_hooks.volume.server import PORT

#: The pauses before a question is asked for the first time and again, in seconds; so many times at most.
PAUSES = (0.0, 0.2, 1.0, 2.0, 4.0)

#: Seconds that a running reader has until it answers.
ANSWERS_WITHIN = 15.0

_POLL = 0.1
_SMALL = 4096


class Line:
    """The way to the reader of *volume*, or to the one called *reader*; `close` it."""

    def __init__(self, api: ApiClient, volume: Volume, say: Say, reader: str | None = None) -> None:
        self._api, self._namespace, self._say = api, volume.namespace, say
        self._reader = Reader(api, volume, say=say, idle=self._idle, name=reader)
        self._tunnel: Tunnel | None = None
        self._exchange: Exchange | None = None
        self._turn = asyncio.Lock()  # one stream, so one question at a time

    async def open(self) -> None:
        """Return when the reader answers; `SourceError` with the cause when it does not."""
        async with self._turn:
            await self._connect()

    async def close(self) -> None:
        """Hang up, and remove the reader."""
        await self._hang_up()
        await self._reader.remove()

    async def ask(self, path: str, headers: Mapping[str, str], *, limit: int) -> Answer:
        """Return the answer to GET *path*, at most *limit* bytes; `SourceError` when there is none to be had."""
        problem = ""
        async with self._turn:
            for pause in PAUSES:
                await asyncio.sleep(pause)
                try:
                    exchange = self._exchange or await self._connect()
                    return await exchange.ask(path, headers, limit=limit)
                except TunnelBroken as broken:
                    problem = str(broken)
                    self._say(f"the tunnel to reader {self._reader.name} broke: {problem}")
                    await self._hang_up()
                except asyncio.CancelledError:
                    await self._hang_up()  # half of an answer may be on its way
                    raise
        raise SourceError(
            f"reader {self._reader.name} cannot be read, {len(PAUSES)} tunnels broke; the last one: {problem}"
            f"{await self._reader.log()}"
        )

    async def _connect(self) -> Exchange:
        deadline = time.monotonic() + ANSWERS_WITHIN
        while True:
            before = time.monotonic()
            await self._reader.ensure()
            deadline += time.monotonic() - before  # that had a deadline of its own
            try:
                self._tunnel = await Tunnel.open(self._api, self._namespace, self._reader.name, PORT)
                exchange = Exchange(self._tunnel)
                await exchange.ask("/", {}, limit=_SMALL)
            except TunnelBroken as broken:  # most likely the server is not up yet
                await self._hang_up()
                if time.monotonic() > deadline:
                    said = f"runs and does not answer within {ANSWERS_WITHIN:g} s: {broken}{await self._reader.log()}"
                    raise SourceError(f"reader {self._reader.name} {said}") from None
                await asyncio.sleep(_POLL)
                continue
            self._reader.answered()
            self._exchange = exchange
            return exchange

    async def _hang_up(self) -> None:
        tunnel, self._tunnel, self._exchange = self._tunnel, None, None
        if tunnel is not None:
            await tunnel.close()

    async def _idle(self, pod: str) -> float | None:
        """Return for how many seconds nobody asked *pod* for anything, or None when it does not answer."""
        try:
            async with await Tunnel.open(self._api, self._namespace, pod, PORT) as tunnel:
                answer = await Exchange(tunnel).ask("/", {}, limit=_SMALL)
            return float(json.loads(answer.body)["idle"])
        except (TunnelBroken, ValueError, KeyError, TypeError):
            return None
