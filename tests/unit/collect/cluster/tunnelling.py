"""An API server that knows one running pod and forwards its port, in the frames of a real one, and ends tunnels as it
is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from kubernetes_asyncio.client import ApiClient, Configuration

from coverage_hooks.collect.cluster.connection import Target
from coverage_hooks.collect.cluster.source import Wish
from tests.cluster.waiting import WITHIN

_FRAME = 1 << 15


def wish_for(url: str, folder: Path) -> Wish:
    """Return what reads the running pod of the server at *url*, by a kubeconfig that is written to *folder*."""
    path = folder / "kubeconfig"
    path.write_text(json.dumps({
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "contexts": [{"name": "x", "context": {"cluster": "c"}}],
        "current-context": "x",
    }))  # fmt: skip
    return Wish(target=Target(namespace="shop", kubeconfig=path), reader="reader")


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
    #: What the pod is, when it is asked for.
    pod: dict[str, Any] | None = None
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

    async def find(self, _: web.Request) -> web.Response:
        """Answer what the pod is."""
        return web.json_response(self.pod) if self.pod else web.json_response({"message": "no such pod"}, status=404)


def running() -> dict[str, Any]:
    """Return a pod that runs."""
    status = {"name": "reader", "ready": True, "restartCount": 0, "image": "x", "imageID": "", "state": {"running": {}}}
    return {
        "metadata": {"name": "reader", "uid": "u"},
        "spec": {"containers": [{"name": "reader"}]},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }


async def _allow(request: web.Request) -> web.Response:
    return web.json_response({**await request.json(), "status": {"allowed": True}}, status=201)


async def _version(_: web.Request) -> web.Response:
    names = "buildDate compiler gitCommit gitTreeState gitVersion goVersion major minor platform"
    return web.json_response(dict.fromkeys(names.split(), "x"))


@asynccontextmanager
async def forwarding(port: int) -> AsyncIterator[tuple[ApiClient, Forwarder]]:
    """Run one, and give a client of it."""
    async with _serving(port) as (url, forwarder), ApiClient(Configuration(host=url)) as api:
        yield api, forwarder


@contextmanager
def forwarding_elsewhere(port: int) -> Iterator[tuple[str, Forwarder]]:
    """Run one in a thread, for who waits without a loop, and give its URL."""
    started: Future[tuple[str, Forwarder, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with _serving(port) as (url, forwarder):
            stop = asyncio.Event()
            started.set_result((url, forwarder, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    url, forwarder, loop, stop = started.result(WITHIN)
    try:
        yield url, forwarder
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@asynccontextmanager
async def _serving(port: int) -> AsyncIterator[tuple[str, Forwarder]]:
    forwarder = Forwarder(port)
    app = web.Application()
    pod = "/api/v1/namespaces/{namespace}/pods/{pod}"
    app.router.add_get(f"{pod}/portforward", forwarder.handle)
    app.router.add_get(pod, forwarder.find)
    app.router.add_post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", _allow)
    app.router.add_get("/version/", _version)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, bound = runner.addresses[0][:2]
        yield f"http://{host}:{bound}", forwarder
    finally:
        await runner.cleanup()
