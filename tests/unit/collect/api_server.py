"""As much of an API server as a witness and the maker of a reader need, and every way to fail at it.

It lists pods, events and claims, tells of their changes, and gives, makes and deletes single ones.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from coverage_hooks.collect.cluster.connection import Target

Document = dict[str, Any]

CLAIMS = "persistentvolumeclaims"
LONG_AGO = "2026-01-01T00:00:00Z"

#: The status of a pod whose container runs.
RUNNING = {
    "phase": "Running",
    "containerStatuses": [
        {"name": "reader", "image": "x", "imageID": "x", "ready": True, "restartCount": 0,
         "state": {"running": {"startedAt": LONG_AGO}}},
    ],
}  # fmt: skip

#: What is done to a request for a kind instead of answering it; None answers it after all.
Fault = Callable[[web.Request], web.Response | None]


@dataclass
class ApiServer:
    """The state of one namespace, its history, and what is asked for.

    `faults` are taken one by one, by kind, first come first served, those of requests to delete a pod from `deletion`;
    `cut` ends every open watch at once.
    """

    url: str = ""
    version: int = 10
    oldest: int = 10
    objects: dict[str, dict[str, Document]] = field(default_factory=lambda: {"pods": {}, "events": {}, CLAIMS: {}})
    history: list[tuple[int, str, bytes]] = field(default_factory=list)
    faults: dict[str, list[Fault]] = field(default_factory=lambda: {"pods": [], "events": [], CLAIMS: []})
    deletion: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    deaf: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _cut: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, name: str, **changes: Any) -> None:
        """Make or change a pod; *changes* are of its status."""
        old = self.objects["pods"].get(name)
        document = {
            "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
            "spec": {"containers": [{"name": "main"}]},
            "status": {**(old["status"] if old else {}), **changes},
        }
        self._change("MODIFIED" if old else "ADDED", "pods", name, document)

    def add(self, kind: str, name: str, /, **document: Any) -> None:
        """Make an object of *kind*, whatever is in its *document*; in place of one of that name, as another one."""
        metadata = {"name": name, "namespace": "shop", "uid": f"uid-{self.version}", "creationTimestamp": LONG_AGO}
        self._change("ADDED", kind, name, document | {"metadata": metadata | document.get("metadata", {})})

    def delete(self, name: str) -> None:
        """Delete a pod."""
        document = self.objects["pods"].pop(name)
        self._change("DELETED", "pods", name, document)

    def happen(self, reason: str, pod: str, message: str = "") -> None:
        """Make an event about a pod."""
        about = {"kind": "Pod", "name": pod, "uid": f"uid-{pod}"}
        name = f"{pod}.{self.version}"
        self._change(
            "ADDED",
            "events",
            name,
            {"metadata": {"uid": name}, "involvedObject": about, "reason": reason, "message": message},
        )

    def forget(self) -> None:
        """Throw the history away, as a server does after some minutes."""
        self.oldest = self.version

    def cut(self) -> None:
        """Break every open watch in the middle of a line."""
        self._cut.set()
        self._cut = asyncio.Event()

    def watches(self, kind: str = "pods") -> list[dict[str, str]]:
        """Return the queries of all watches."""
        return [query for asked, query in self.asked if asked == kind and "watch" in query]

    def lists(self, kind: str = "pods") -> int:
        """Return how often a list was asked for."""
        return sum(asked == kind and not {"watch", "limit"} & query.keys() for asked, query in self.asked)

    def _change(self, change: str, kind: str, name: str, document: Document) -> None:
        self.version += 1
        document["metadata"]["resourceVersion"] = str(self.version)
        if change != "DELETED":
            self.objects[kind][name] = document
        line = json.dumps({"type": change, "object": document}).encode() + b"\n"
        self.history.append((self.version, kind, line))
        self._changed.set()
        self._changed = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for a collection."""
        kind = request.match_info["kind"]
        self.asked.append((kind, dict(request.query)))
        if self.faults[kind] and (fault := self.faults[kind].pop(0)(request)) is not None:
            return fault
        if "watch" not in request.query:
            items = list(self.objects[kind].values())
            return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": items})
        return await self._watch(request, kind, int(request.query["resourceVersion"]))

    async def make(self, request: web.Request) -> web.Response:
        """Answer a request to make a pod, which runs at once."""
        document = await request.json()
        name = document["metadata"]["name"]
        if name in self.objects["pods"]:
            return web.json_response(refusal(409, "it is there already"), status=409)
        self.add("pods", name, **{**document, "status": RUNNING})
        return web.json_response(self.objects["pods"][name], status=201)

    async def one(self, request: web.Request) -> web.Response:
        """Answer a request for a single object, or for its end."""
        kind, name = request.match_info["kind"], request.match_info["name"]
        if request.method == "DELETE" and self.deletion and (fault := self.deletion.pop(0)(request)) is not None:
            return fault
        if (found := self.objects[kind].get(name)) is None:
            return web.json_response(refusal(404, f"{name} is not there"), status=404)
        if request.method == "DELETE":
            wanted = (await request.json()).get("preconditions", {}).get("uid")
            if wanted not in {None, found["metadata"]["uid"]}:
                return web.json_response(refusal(409, "it is another one"), status=409)
            self.delete(name)
        return web.json_response(found)

    async def _watch(self, request: web.Request, kind: str, version: int) -> web.StreamResponse:
        stream = web.StreamResponse()
        await stream.prepare(request)
        if version < self.oldest:
            await stream.write(json.dumps({"type": "ERROR", "object": refusal(410, "too old")}).encode() + b"\n")
            return stream
        ending = asyncio.get_running_loop().time() + float(request.query["timeoutSeconds"])
        cut = self._cut
        while True:
            changed = self._changed
            for happened, what, line in self.history:
                if not self.deaf and happened > version and what == kind:
                    await stream.write(line)
                    version = happened
            left = ending - asyncio.get_running_loop().time()
            if left <= 0 and not self.deaf:
                break
            await _any_of(changed, cut, within=max(0.01, left))
            if cut.is_set():
                await stream.write(b'{"type": "MODI')
                assert request.transport is not None
                request.transport.abort()
                return stream
        bookmark = {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": str(self.version)}}}
        await stream.write(json.dumps(bookmark).encode() + b"\n")
        return stream


async def _any_of(*events: asyncio.Event, within: float) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def refusal(status: int, message: str) -> Document:
    """Return what an API server says when it refuses."""
    return {"kind": "Status", "code": status, "message": message, "reason": "?"}


def refuse(status: int, message: str = "told to") -> Fault:
    """Return the fault of an answer with *status*."""
    return lambda _: web.json_response(refusal(status, message), status=status)


@asynccontextmanager
async def api_server(folder: Path) -> AsyncIterator[tuple[ApiServer, Target]]:
    """Give a running server, and what to connect to; the kubeconfig lies in *folder*."""
    server = ApiServer()

    async def version(_: web.Request) -> web.Response:
        wanted = "major minor gitVersion gitCommit gitTreeState buildDate goVersion compiler platform"
        return web.json_response(dict.fromkeys(wanted.split(), "1"))

    async def namespace(_: web.Request) -> web.Response:
        return web.json_response({"metadata": {"name": "shop", "uid": "uid-of-shop"}})

    application = web.Application()
    application.router.add_get("/version/", version)
    application.router.add_get("/api/v1/namespaces/shop", namespace)
    collection = f"/api/v1/namespaces/shop/{{kind:pods|events|{CLAIMS}}}"
    application.router.add_get(collection, server.answer)
    application.router.add_post("/api/v1/namespaces/shop/pods", server.make)
    application.router.add_get(f"{collection}/{{name}}", server.one)
    application.router.add_delete(f"{collection}/{{name}}", server.one)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server, Target(namespace="shop", kubeconfig=write_kubeconfig(folder / "kubeconfig", server.url))
    finally:
        await runner.cleanup()


def write_kubeconfig(path: Path, url: str) -> Path:
    """Write a kubeconfig for *url* to *path*."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": {"server": url}}],
        "users": [{"name": "one", "user": {"token": "none"}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "current-context": "one",
    }
    path.write_text(json.dumps(document))
    return path
