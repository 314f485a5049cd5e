"""What the operator asks of one Keycloak when it has many resources: `make benchmark-load`.

::

    python -m tests.benchmarks.load
    python -m tests.benchmarks.load 500 --realms 10 --drift 50 --resync 120 --requests 8

A real operator, a real API server and a real Keycloak, and a proxy before that which writes down what comes. The
resources are realms and clients, evenly spread, all created at once; then nothing changes for as long as it takes to
look at each of them; then clients are changed behind the operator's back; then the operator is killed and started anew.

In the table, `looks` are the requests that a pass over a resource begins with, `at once` is the greatest number of
requests at the same time, and `in 1 s` the greatest number that came within a second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from kubernetes_asyncio.client import ApiClient, CoreV1Api, CustomObjectsApi, V1Namespace, V1ObjectMeta
from kubernetes_asyncio.config import new_client_from_config

from keycloak_operator.resources import GROUP, VERSION
from tests.cluster import ControlPlane, Keycloak, Proxy, Request, at_once, control_plane, eventually, keycloak, proxy
from tests.functional.keycloak_operator.users import PLURALS, User, install_crds, start_operator
from tests.functional.operating import Running

NAMESPACE = "load"
#: Minutes: much is asked of one machine here.
WITHIN = 1800.0

PHASES = ("create", "no-op pass", "drift", "restart", "pass after it")

_LOOK = re.compile(r"^/admin/realms/(?P<realm>[^/]+)(?P<clients>/clients)?$")


@dataclass(frozen=True, slots=True)
class Load:
    """How many resources there are, and how the operator is set."""

    resources: int = 500
    realms: int = 10
    drift: int = 50
    resync: float = 120.0
    requests: int = 8

    def clients(self) -> Iterator[tuple[str, str]]:
        """Yield the realm and the name of each client."""
        for number in range(self.resources - self.realms):
            yield f"realm-{number % self.realms}", f"client-{number}"

    def looks(self) -> set[tuple[str, str]]:
        """Return what is looked at: realm and client, the latter empty for a realm."""
        return {*self.clients(), *((f"realm-{number}", "") for number in range(self.realms))}


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that a phase needs."""

    load: Load
    user: User
    keycloak: Keycloak
    proxy: Proxy

    def looked(self) -> Counter[tuple[str, str]]:
        """Return how often the operator has looked at what since the last `clear`."""
        looked: Counter[tuple[str, str]] = Counter()
        for request in self.proxy.requests():
            found = _LOOK.match(request.path)
            if request.method == "GET" and found:
                looked[found["realm"], request.query.removeprefix("clientId=") if found["clients"] else ""] += 1
        return looked

    async def looked_at_all(self) -> None:
        """Wait until the operator has looked at everything since the last `clear`."""
        wanted = self.load.looks()

        async def done() -> bool:
            return not wanted - self.looked().keys()

        await eventually(done, "everything was looked at", within=WITHIN)


def main(arguments: Sequence[str] | None = None, out: TextIO = sys.stdout) -> None:
    """Go through the phases, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("resources", type=int, nargs="?", default=500, help="realms and clients (default: 500)")
    parser.add_argument("--realms", type=int, default=10, help="how many of them are realms (default: 10)")
    parser.add_argument("--drift", type=int, default=50, help="clients changed by hand (default: 50)")
    parser.add_argument("--resync", type=float, default=120.0, help="the operator's setting (default: 120)")
    parser.add_argument("--requests", type=int, default=8, help="the operator's setting (default: 8)")
    load = Load(**vars(parser.parse_args(arguments)))
    with (
        tempfile.TemporaryDirectory(prefix="load-") as folder,
        keycloak(wait=False) as server,
        control_plane() as plane,
    ):
        server.wait_until_ready()
        asyncio.run(measure(load, Path(folder), plane, server, out))


async def measure(load: Load, folder: Path, plane: ControlPlane, server: Keycloak, out: TextIO) -> None:
    """Go through the phases at *plane* and *server*, where nothing of it is there yet, and print a line for each."""
    async with await new_client_from_config(str(plane.kubeconfig)) as api, proxy(server.url) as between:
        await install_crds(api)
        await CoreV1Api(api).create_namespace(V1Namespace(metadata=V1ObjectMeta(name=NAMESPACE)))
        stage = Stage(load, User(api, NAMESPACE), server, between)
        out.write(f"{load}\n")
        out.write(f"{'':14}{'requests':>10}{'logins':>8}{'writes':>8}{'looks':>8}{'at once':>9}")
        out.write(f"{'in 1 s':>8}{'seconds':>9}\n")
        with _operator(load, folder, plane) as running:
            await _connected(stage)
            await _phase(out, stage, PHASES[0], _create(stage, api))
            await _phase(out, stage, PHASES[1], stage.looked_at_all())
            await _phase(out, stage, PHASES[2], _drift(stage))
            running.signal(signal.SIGKILL)
            running.ended()
        with _operator(load, folder, plane):
            await _phase(out, stage, PHASES[3], stage.looked_at_all())
            await _phase(out, stage, PHASES[4], stage.looked_at_all())


def _operator(load: Load, folder: Path, plane: ControlPlane) -> Running:
    settings = {"RESYNC_SECONDS": f"{load.resync:g}", "REQUESTS": str(load.requests), "TIMEOUT_SECONDS": "60"}
    environment = {f"KEYCLOAK_OPERATOR_{name}": value for name, value in settings.items()}
    return start_operator(folder, plane.kubeconfig, NAMESPACE, **environment)


async def _connected(stage: Stage) -> None:
    account = stage.keycloak.service_account
    await stage.user.put_secret("admin", client_id=account.client_id, client_secret=account.client_secret)
    await stage.user.apply("KeycloakConnection", "keycloak", {"url": stage.proxy.url, "admin": {"secret": "admin"}})
    await stage.user.wait_for("KeycloakConnection", "keycloak", "Synced")


async def _phase(out: TextIO, stage: Stage, name: str, work: Awaitable[None]) -> None:
    stage.proxy.clear()
    began = time.monotonic()
    await work
    seconds = time.monotonic() - began
    requests = stage.proxy.requests()
    logins = sum(request.path.endswith("/token") for request in requests)
    each_second = Counter(int(request.began - began) for request in requests)
    out.write(f"{name:14}{len(requests):10}{logins:8}{len(stage.proxy.writes()):8}{stage.looked().total():8}")
    out.write(f"{at_once(requests):9}{max(each_second.values(), default=0):8}{seconds:9.0f}\n")
    out.flush()
    failed = Counter(
        _kind(request) for request in requests if request.ended < math.inf and (request.status or 400) >= 400
    )
    out.writelines(f"{'':14}{times} times {kind}\n" for kind, times in failed.most_common())


def _kind(request: Request) -> str:
    """Return what a request was about, whichever realm or client it named, and how it ended."""
    path = re.sub("(?<=/)(realm-[0-9]+|[0-9a-f-]{36})(?=/|$)", "…", request.path)
    return f"{request.method} {path}: {request.status or 'given up by the operator'}"


async def _create(stage: Stage, api: ApiClient) -> None:
    # Until its own parent is there a resource does not ask Keycloak, so clients need not come later.
    async with _some_at_once() as start:
        for number in range(stage.load.realms):
            spec = {"connectionRef": {"name": "keycloak"}, "realm": {"realm": f"realm-{number}"}}
            await start(stage.user.apply("KeycloakRealm", f"realm-{number}", spec))
        for realm, name in stage.load.clients():
            declared = {"clientId": name, "description": "declared", "redirectUris": [f"https://{name}/*"]}
            await start(stage.user.apply("KeycloakClient", name, {"realmRef": {"name": realm}, "client": declared}))

    async def all_ready() -> bool:
        await asyncio.sleep(1)  # a list of everything is work for the machine that is measured
        return await _ready(api) == stage.load.resources

    await eventually(all_ready, "everything is Ready", within=WITHIN)


async def _ready(api: ApiClient) -> int:
    """Return how many realms and clients are Ready."""
    objects: Any = CustomObjectsApi(api)
    found = 0
    for kind in ("KeycloakRealm", "KeycloakClient"):
        listed = await objects.list_namespaced_custom_object(GROUP, VERSION, NAMESPACE, PLURALS[kind])
        for item in listed["items"]:
            conditions = (item.get("status") or {}).get("conditions") or []
            found += any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return found


async def _drift(stage: Stage) -> None:
    """Change clients behind the operator's back, and wait until each was put right."""
    chosen = list(stage.load.clients())[: stage.load.drift]
    changed: set[str] = set()

    async def change(realm: str, name: str) -> None:
        (actual,) = await stage.keycloak.api.ask("GET", f"realms/{realm}/clients?clientId={name}")
        path = f"realms/{realm}/clients/{actual['id']}"
        changed.add(f"/admin/{path}")
        await stage.keycloak.api.ask("PUT", path, {**actual, "description": "changed by hand"})

    async with _some_at_once() as start:
        for realm, name in chosen:
            await start(change(realm, name))

    async def put_right() -> bool:
        return changed <= {request.path for request in stage.proxy.writes() if request.status == 204}

    await eventually(put_right, "everything is put right", within=WITHIN)


@contextlib.asynccontextmanager
async def _some_at_once(limit: int = 16) -> AsyncIterator[Any]:
    """Yield what starts a task, when fewer than *limit* run; at the end all of them have ended."""
    turns = asyncio.Semaphore(limit)
    async with asyncio.TaskGroup() as tasks:

        async def run(work: Awaitable[Any]) -> None:
            try:
                await work
            finally:
                turns.release()

        async def start(work: Awaitable[Any]) -> None:
            await turns.acquire()
            tasks.create_task(run(work))

        yield start


if __name__ == "__main__":
    main()
