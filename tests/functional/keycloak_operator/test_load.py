"""Many resources at one Keycloak: what arrives there, as a proxy saw it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.client import CoreV1Api

from tests.cluster import ControlPlane, Request, at_once, eventually
from tests.functional.keycloak_operator.conftest import Stage
from tests.functional.keycloak_operator.users import User, start_operator
from tests.functional.operating import Running

LIMIT = 3
#: Seconds for which Keycloak asks to be left alone: several resyncs.
REST = 8


@pytest.fixture
def settings() -> dict[str, str]:
    return {"KEYCLOAK_OPERATOR_REQUESTS": str(LIMIT)}


@pytest.fixture
def operator(
    tmp_path: Path, control_plane: ControlPlane, namespace: str, user: User, settings: dict[str, str]
) -> Iterator[Running]:
    with start_operator(tmp_path, control_plane.kubeconfig, namespace, **settings) as running:
        yield running


def names(count: int) -> list[str]:
    return [f"client-{number}" for number in range(count)]


def client(client_id: str, **declared: Any) -> dict[str, Any]:
    return {"realmRef": {"name": "realm"}, "client": {"clientId": client_id, **declared}}


async def create(stage: Stage, clients: list[str]) -> None:
    """Create a realm and *clients* in it, all at once, and wait until they are Ready."""
    spec = {"connectionRef": {"name": "keycloak"}, "realm": {"realm": stage.realm_name}, "deletionPolicy": "Delete"}
    await asyncio.gather(
        stage.user.apply("KeycloakRealm", "realm", spec),
        *(stage.user.apply("KeycloakClient", name, client(name)) for name in clients),
    )
    for name in clients:
        await stage.user.wait_for("KeycloakClient", name, "Synced")


def looked_at(stage: Stage) -> set[str]:
    """Return the clients that the operator has looked at since the proxy was cleared."""
    looks = [each for each in stage.proxy.requests() if each.method == "GET" and each.path.endswith("/clients")]
    return {each.query.removeprefix("clientId=") for each in looks}


async def look_at(stage: Stage, clients: list[str]) -> None:
    async def all_of_them() -> bool:
        return looked_at(stage) >= set(clients)

    await eventually(all_of_them, "the operator looks at everything", details=stage.operator.text)


async def killed(stage: Stage) -> None:
    stage.operator.process.kill()
    await asyncio.to_thread(stage.operator.ended)
    stage.proxy.clear()


async def test_no_more_requests_at_a_time_than_the_setting_says(
    stage: Stage, control_plane: ControlPlane, tmp_path: Path, settings: dict[str, str]
) -> None:
    clients = names(28)
    stage.proxy.clear()
    stage.proxy.delay(0.05)  # none is over before the next comes
    await create(stage, clients)
    assert at_once(stage.proxy.requests()) == LIMIT, "when they are created"
    stage.proxy.clear()
    await look_at(stage, clients)
    assert at_once(stage.proxy.requests()) <= LIMIT, "when nothing has changed"
    await killed(stage)
    with start_operator(tmp_path, control_plane.kubeconfig, stage.user.namespace, **settings):
        await look_at(stage, clients)
    assert at_once(stage.proxy.requests()) <= LIMIT, "when the operator starts again"
    assert stage.proxy.writes() == []


async def test_after_a_start_only_what_is_new_or_changed_is_looked_at_right_away(
    stage: Stage, control_plane: ControlPlane, tmp_path: Path, settings: dict[str, str]
) -> None:
    clients = names(28)
    await create(stage, clients)
    await killed(stage)
    generation = await stage.user.apply("KeycloakClient", clients[0], client(clients[0], name="changed"))
    await stage.user.apply("KeycloakClient", "missed", client("missed"))
    settings = {**settings, "KEYCLOAK_OPERATOR_RESYNC_SECONDS": "86400"}
    with start_operator(tmp_path, control_plane.kubeconfig, stage.user.namespace, **settings):
        await stage.user.wait_for("KeycloakClient", clients[0], "Synced", generation)
        await stage.user.wait_for("KeycloakClient", "missed", "Synced")
        await stage.user.apply("KeycloakClient", "new", client("new"))
        await stage.user.wait_for("KeycloakClient", "new", "Synced")
        waiting = sorted(set(clients) - looked_at(stage))
        assert waiting, "everything else may take its time"
        # A change ends the wait.
        generation = await stage.user.apply("KeycloakClient", waiting[0], client(waiting[0], name="changed"))
        await stage.user.wait_for("KeycloakClient", waiting[0], "Synced", generation)


async def next_after_refusal(stage: Stage, status: int) -> tuple[Request, Request]:
    """Wait for a request that is answered with *status*, and for the next one; return both."""

    async def both() -> tuple[Request, Request] | None:
        requests = stage.proxy.requests()
        refused = next((number for number, each in enumerate(requests) if each.status == status), len(requests))
        return (requests[refused], requests[refused + 1]) if refused + 1 < len(requests) else None

    return await eventually(both, "there is a next request", details=stage.operator.text)


async def all_well(stage: Stage, clients: list[str]) -> None:
    stage.proxy.clear()
    await look_at(stage, clients)
    for name in clients:
        await stage.user.wait_for("KeycloakClient", name, "Synced")


@pytest.mark.parametrize("settings", [{"KEYCLOAK_OPERATOR_REQUESTS": "1"}])  # none is on its way at that moment
async def test_nothing_is_asked_while_keycloak_wants_to_be_left_alone(stage: Stage) -> None:
    clients = names(10)
    await create(stage, clients)
    stage.proxy.clear()
    stage.proxy.fail(429, "/admin/", times=1, headers={"Retry-After": str(REST)})
    refused, following = await next_after_refusal(stage, 429)
    assert following.began >= refused.ended + REST
    await all_well(stage, clients)


@pytest.mark.parametrize("settings", [{"KEYCLOAK_OPERATOR_REQUESTS": "1"}])
async def test_a_refused_login_keeps_other_accounts_from_asking(stage: Stage) -> None:
    clients = names(10)
    await create(stage, clients)
    account = stage.keycloak.service_account
    await stage.user.put_secret("other", client_id=account.client_id, client_secret=account.client_secret)
    stage.proxy.clear()
    stage.proxy.fail(503, "/token$", times=1, headers={"Retry-After": str(REST)})
    await stage.user.apply("KeycloakConnection", "other", {"url": stage.proxy.url, "admin": {"secret": "other"}})
    refused, following = await next_after_refusal(stage, 503)
    assert following.began >= refused.ended + REST
    await stage.user.wait_for("KeycloakConnection", "other", "Synced")
    await all_well(stage, clients)
    events = await CoreV1Api(stage.user.api).list_namespaced_event(stage.user.namespace)
    told = {each.message for each in events.items if each.reason == "KeycloakUnavailable"}
    refusal = "answered 503 to POST /realms/master/protocol/openid-connect/token and asks to be left alone until 20"
    assert any(refusal in each for each in told)
    assert any(f"Keycloak at {stage.proxy.url} asks to be left alone until 20" in each for each in told)
