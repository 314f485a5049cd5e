"""HTTP as far as the server of a reader speaks it: one GET after the other through one stream of bytes.

Nothing is believed: an answer whose length or hash does not agree, or that is larger than was asked for, breaks the
tunnel that it came through.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from coverage_hooks.collect.cluster.tunnel import TunnelBroken
from coverage_hooks.volume.server import DIGEST, digest

_HEAD_LIMIT = 16 << 10

#: Seconds that one answer may take: an answer of a byte now and then would have no end, though each is in time.
ANSWERED_WITHIN = 300.0


class Stream(Protocol):
    """What a tunnel is to whoever speaks through it."""

    async def send(self, content: bytes) -> None:
        """Send *content*."""

    async def receive(self) -> bytes:
        """Return the next bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, whose hash is right."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Exchange:
    """Questions through *stream*, one at a time; after `TunnelBroken` there is no other."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def ask(self, path: str, headers: Mapping[str, str], *, limit: int) -> Answer:
        """Return the answer to GET *path*, which has at most *limit* bytes."""
        lines = [f"GET {path} HTTP/1.1", "Host: reader", *(f"{name}: {value}" for name, value in headers.items())]
        await self._stream.send("\r\n".join([*lines, "", ""]).encode("ascii"))
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                status, received = self._parse(await self._head())
                body = await self._body(received, limit)
        except TimeoutError:
            raise TunnelBroken(f"no whole answer came within {ANSWERED_WITHIN:g} s") from None
        if received.get(DIGEST) != digest(hashlib.sha256(body)):
            raise TunnelBroken("what came has another hash than what was sent")
        return Answer(status=status, headers=received, body=body)

    async def _head(self) -> bytes:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise TunnelBroken("what answers is no reader")
            self._buffer += await self._stream.receive()
        return self._take(end + 4)

    @staticmethod
    def _parse(head: bytes) -> tuple[int, http.client.HTTPMessage]:
        first, _, rest = head.partition(b"\r\n")
        words = first.split()
        if len(words) < 2 or words[0] != b"HTTP/1.1" or not words[1].isdigit():
            raise TunnelBroken("what answers is no reader")
        try:
            return int(words[1]), http.client.parse_headers(io.BytesIO(rest))
        except (http.client.HTTPException, ValueError) as error:
            raise TunnelBroken(f"what answers is no reader: {error}") from None

    async def _body(self, headers: http.client.HTTPMessage, limit: int) -> bytes:
        length = headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > limit:
            raise TunnelBroken(f"an answer of {length[:20] or 'unknown'} bytes, expected at most {limit}")
        while len(self._buffer) < int(length):
            self._buffer += await self._stream.receive()
        return self._take(int(length))

    def _take(self, count: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return taken
