"""Replicas that take turns by a Lease: one of them handles resources, the others wait, and take over when it goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kubernetes_asyncio.client import CoordinationV1Api
from kubernetes_asyncio.watch import Watch

from tests.cluster import WITHIN, ControlPlane, eventually
from tests.cluster.keycloak import Keycloak
from tests.cluster.proxy import Proxy, proxy
from tests.functional.keycloak_operator.scraping import free_address, scrape
from tests.functional.keycloak_operator.users import User, start_operator
from tests.functional.operating import Running
from tests.unit.record.children import left_on

RCFILE = Path(__file__).parents[3] / ".coveragerc"
LEADS, WAITS = r"(\S+) leads from now on", r"leads, so (\S+) waits"


@dataclass(frozen=True)
class Replica:
    """An operator's process, and where it answers probes, and Prometheus."""

    running: Running
    address: str
    metrics: str

    async def says(self, pattern: str) -> str:
        """Wait until it says *pattern*, and return the group in it."""

        async def found() -> str | None:
            said = re.search(pattern, self.running.text())
            assert said or self.running.process.poll() is None, self.running.text()
            return said[1] if said else None

        return await eventually(found, f"it says {pattern}", details=self.running.text)

    async def is_alive(self) -> bool:
        """Return whether it answers a probe."""
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(self.address) as answer:
                    return answer.status == 200
            except aiohttp.ClientConnectionError:
                return False

    async def ended(self) -> int:
        """Wait until it has ended, and return its exit code."""
        return await asyncio.to_thread(self.running.ended)


@dataclass
class Replicas:
    """The replicas of one operator, a Keycloak behind a proxy, and everything that their Lease ever said."""

    user: User
    keycloak: Keycloak
    proxy: Proxy
    folder: Path
    kubeconfig: Path
    holders: list[str] = field(default_factory=list)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(self, **environment: str) -> Replica:
        """Start one more."""
        address, metrics = free_address("/healthz"), free_address("/metrics")
        settings = {"LEASE": f"{self.user.namespace}/turns", "LIVENESS": address, "METRICS": metrics}
        told = {f"KEYCLOAK_OPERATOR_{name}": value for name, value in settings.items()} | environment
        running = start_operator(self.folder, self.kubeconfig, self.user.namespace, **told)
        return Replica(self.stack.enter_context(running), address, metrics)

    async def start_two(self, **environment: str) -> tuple[Replica, Replica]:
        """Start one that leads and one that waits."""
        first = self.start(**environment)
        leader = await first.says(LEADS)
        second = self.start(**environment)
        assert await second.says(WAITS) != leader
        return first, second

    async def apply_realm(self, name: str) -> int:
        """Have the realm displayed as *name*, and return the generation of its resource."""
        spec = {
            "connectionRef": {"name": "keycloak"},
            "realm": {"realm": f"realm-of-{self.user.namespace}", "displayName": name},
            "deletionPolicy": "Delete",
        }
        return await self.user.apply("KeycloakRealm", "realm", spec)

    async def displayed(self) -> Any:
        """Return what Keycloak shows as the name of the realm; not through the proxy."""
        return (await self.keycloak.api.ask("GET", f"realms/realm-of-{self.user.namespace}"))["displayName"]

    async def holder(self) -> str:
        """Return who has the Lease."""
        leases: Any = CoordinationV1Api(self.user.api)
        return str((await leases.read_namespaced_lease("turns", self.user.namespace)).spec.holder_identity)

    async def follow(self) -> None:
        """Write down each holder that the Lease ever has, once for each time that it becomes it."""
        leases: Any = CoordinationV1Api(self.user.api)
        async with Watch() as watch:
            async for event in watch.stream(leases.list_namespaced_lease, self.user.namespace):
                holder = event["object"].spec.holder_identity
                if not self.holders or self.holders[-1] != holder:
                    self.holders.append(holder)


@pytest.fixture
async def replicas(
    user: User, keycloak: Keycloak, control_plane: ControlPlane, tmp_path: Path
) -> AsyncIterator[Replicas]:
    """Return replicas of which none runs yet; the KeycloakConnection ``keycloak`` leads through the proxy."""
    account = keycloak.service_account
    await user.put_secret("admin", client_id=account.client_id, client_secret=account.client_secret)
    async with proxy(keycloak.url) as between:
        await user.apply("KeycloakConnection", "keycloak", {"url": between.url, "admin": {"secret": "admin"}})
        found = Replicas(user, keycloak, between, tmp_path, control_plane.kubeconfig)
        following = asyncio.create_task(found.follow())
        try:
            with found.stack:
                yield found
        finally:
            following.cancel()
            await asyncio.wait([following])


def recorded(volume: Path) -> dict[str, str]:
    """Return what has coverage recorded there."""
    settings = {"ENABLED": "1", "DIR": str(volume), "RCFILE": str(RCFILE), "EXIT_TIMEOUT": f"{WITHIN:g}"}
    return {f"COVERAGE_HOOKS_{name}": value for name, value in settings.items()}


async def test_one_works_and_the_other_takes_over_when_it_is_killed(replicas: Replicas) -> None:
    first, second = await replicas.start_two()
    assert await first.is_alive()
    assert await second.is_alive()
    await replicas.apply_realm("First")
    await replicas.user.wait_for("KeycloakRealm", "realm", "Synced")
    assert "Initial authentication" not in second.running.text(), "it must not even have asked what there is"
    assert await scrape(second.metrics) == {"leader": 0}
    assert (await scrape(first.metrics))["leader"] == 1
    leader = await replicas.holder()
    assert leader == await first.says(LEADS)

    first.running.signal(signal.SIGKILL)
    generation = await replicas.apply_realm("Second")
    await replicas.user.wait_for("KeycloakRealm", "realm", "Synced", generation)
    assert await replicas.displayed() == "Second"
    assert await second.is_alive()
    assert (await scrape(second.metrics))["leader"] == 1
    assert replicas.holders == [leader, await second.says(LEADS)]
    assert leader not in {"", await second.says(LEADS)}


async def test_one_that_is_told_to_stop_hands_over_and_both_are_recorded(replicas: Replicas) -> None:
    volume = replicas.folder / "volume"
    first, second = await replicas.start_two(**recorded(volume))
    await replicas.apply_realm("First")
    await replicas.user.wait_for("KeycloakRealm", "realm", "Synced")
    for replica, others in ((first, second), (second, None)):
        replica.running.signal(signal.SIGTERM)
        assert await replica.ended() == 0
        assert "Traceback" not in replica.running.text()
        if others is not None:
            generation = await replicas.apply_realm("Second")
            await replicas.user.wait_for("KeycloakRealm", "realm", "Synced", generation)
    # Nothing was waited for: it was free before the other one took it.
    assert replicas.holders == [await first.says(LEADS), "", await second.says(LEADS), ""]
    left = left_on(volume)
    assert [each.manifest.state for each in left] == ["finished"] * 2
    assert all(each.lines()["realm.py"] for each in left), "both have reconciled"


async def test_one_that_waits_ends_when_it_is_told_to(replicas: Replicas) -> None:
    first, second = await replicas.start_two()
    second.running.signal(signal.SIGTERM)
    assert await second.ended() == 0
    assert "Traceback" not in second.running.text()
    assert replicas.holders == [await first.says(LEADS)]


async def test_one_that_comes_back_too_late_writes_nothing_any_more(replicas: Replicas) -> None:
    """It stands still in the middle of a pass, as on a machine that is paused: the answer is there when it goes on."""
    first, second = await replicas.start_two()
    await replicas.apply_realm("First")
    await replicas.user.wait_for("KeycloakRealm", "realm", "Synced")
    # What it has read by then says that there is something to write.
    held = replicas.proxy.hold("/admin/realms/[^/]+$", methods=["GET"], times=1)
    generation = await replicas.apply_realm("Second")
    await held.answered.wait()
    first.running.signal(signal.SIGSTOP)
    held.let_go.set()
    await replicas.user.wait_for("KeycloakRealm", "realm", "Synced", generation)
    assert await second.says(LEADS) == await replicas.holder()

    replicas.proxy.clear()
    first.running.signal(signal.SIGCONT)
    code = await first.ended()
    assert replicas.proxy.writes() == []
    assert code == 1
    assert "is lost" in first.running.text()
    assert "Traceback" not in first.running.text()
    assert replicas.holders == [await first.says(LEADS), await second.says(LEADS)]


async def test_one_whose_lease_was_taken_away_ends(replicas: Replicas) -> None:
    volume = replicas.folder / "volume"
    first = replicas.start(KEYCLOAK_OPERATOR_LOG_FORMAT="json", **recorded(volume))
    await first.says(LEADS)
    leases: Any = CoordinationV1Api(replicas.user.api)
    await leases.patch_namespaced_lease(
        "turns",
        replicas.user.namespace,
        {"spec": {"holderIdentity": "another-process"}},
        _content_type="application/merge-patch+json",
    )
    assert await first.ended() == 1
    said = [json.loads(line) for line in first.running.text().splitlines()]
    assert [line["severity"] for line in said if "as another process has it" in line["message"]] == ["fatal"]
    assert await replicas.holder() == "another-process"
    (left,) = left_on(volume)
    assert left.manifest.state == "finished"


async def test_without_a_lease_nothing_of_it_is_there(replicas: Replicas) -> None:
    alone = replicas.start(KEYCLOAK_OPERATOR_LEASE="")
    await replicas.user.wait_for("KeycloakConnection", "keycloak", "Synced")
    alone.running.signal(signal.SIGTERM)
    assert await alone.ended() == 0
    leases: Any = CoordinationV1Api(replicas.user.api)
    assert (await leases.list_namespaced_lease(replicas.user.namespace)).items == []
