"""An API server that does nothing but forward a port, in the frames of a real one, and ends tunnels as it is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from kubernetes_asyncio.client import ApiClient, Configuration

_FRAME = 1 << 15


@dataclass(slots=True)
class Forwarder:
    """Forwards to *port* of this machine. What follows is for the next tunnels, the first one first."""

    port: int
    #: How many bytes of data a tunnel passes before it is closed, as if all were well; None for all.
    cuts: list[int | None] = field(default_factory=list)
    #: What a tunnel says on its second channel instead of passing anything.
    refusals: list[str] = field(default_factory=list)
    status: int = 101
    silent: bool = False
    flipped: int | None = None
    opened: int = 0
    asked: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one tunnel."""
        self.opened += 1
        self.asked.append(request.path_qs)
        if self.status != 101:
            return web.Response(status=self.status)
        socket = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
        await socket.prepare(request)
        port = int(request.query["ports"]).to_bytes(2, "little")
        await socket.send_bytes(b"\0" + port)
        await socket.send_bytes(b"\1" + port)
        if self.refusals:
            await socket.send_bytes(b"\1" + self.refusals.pop(0).encode())
            return socket
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        back = asyncio.create_task(self._back(reader, socket, self.cuts.pop(0) if self.cuts else None))
        try:
            async for message in socket:
                assert message.data[0] == 0
                writer.write(message.data[1:])
        finally:
            back.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await back
            writer.close()
        return socket

    async def _back(self, reader: asyncio.StreamReader, socket: web.WebSocketResponse, left: int | None) -> None:
        while content := await reader.read(_FRAME):
            if self.silent:
                continue
            if self.flipped is not None and len(content) > self.flipped:
                content = content[: self.flipped] + bytes((content[self.flipped] ^ 1,)) + content[self.flipped + 1 :]
                self.flipped = None
            if left is not None:
                content, left = content[:left], left - len(content)
            await socket.send_bytes(b"\0" + content)
            if left is not None and left <= 0:
                await socket.close(code=1000)
                return


@asynccontextmanager
async def forwarding(port: int) -> AsyncIterator[tuple[ApiClient, Forwarder]]:
    """Run one, and give a client of it."""
    forwarder = Forwarder(port)
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}/portforward", forwarder.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, bound = runner.addresses[0][:2]
        async with ApiClient(Configuration(host=f"http://{host}:{bound}")) as api:
            yield api, forwarder
    finally:
        await runner.cleanup()
