"""The operator with the rights of its release, on a real API server: they are enough, and no more than that."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kubernetes_asyncio.client import ApiClient, ApiException, CoordinationV1Api, CoreV1Api
from kubernetes_asyncio.config import new_client_from_config

from keycloak_operator.cluster import ClusterClient
from keycloak_operator.reconcile.ports import Secret
from keycloak_operator.resources import GROUP
from tests.chart.releasing import Release, make_namespace
from tests.cluster import eventually
from tests.functional.keycloak_operator.users import User, start_operator
from tests.functional.operating import Running

#: What Kopf, and the operator, say of a right that they miss.
COMPLAINTS = ("permission", "orbidden", "refused to", "Failed to post", "Traceback")
#: Nothing listens there, and nobody may but root.
SPEC = {"url": "http://127.0.0.1:1", "admin": {"secret": "admin"}}
#: They look for their parent; what they never made there, they let go of without it.
CHILDREN: dict[str, dict[str, Any]] = {
    "KeycloakRealm": {"connectionRef": {"name": "main"}, "realm": {"realm": "main"}},
    "KeycloakClient": {"realmRef": {"name": "main"}, "client": {"clientId": "main"}, "deletionPolicy": "Retain"},
}


@dataclass(frozen=True)
class Stage:
    """A release, what its pod logs in with, and the namespaces of two teams."""

    release: Release
    kubeconfig: Path
    teams: tuple[User, User]


@pytest.fixture(params=["default", "everywhere", "replicas", "watched"])
async def watching(request: pytest.FixtureRequest) -> str:
    """Tell what is watched: by default, also with replicas, the namespace of the release, the first team's then."""
    return str(request.param)


@pytest.fixture
async def watched(watching: str) -> bool:
    """Tell whether only the first team's namespace is watched."""
    return watching != "everywhere"


@pytest.fixture
async def stage(release: Release, api: ApiClient, tmp_path: Path, watching: str) -> Stage:
    """Return an installed release."""
    teams = [await make_namespace(api, f"{team}-of-{release.namespace}") for team in ("first", "second")]
    if watching in {"default", "replicas"}:
        teams[0] = release.namespace
    values = {"everywhere": ["watchNamespaces={*}"], "watched": [f"watchNamespaces={{{teams[0]}}}"]}
    release.install(*values.get(watching, []), *["replicas=2"] * (watching == "replicas"))
    first, second = (User(api, team) for team in teams)
    return Stage(release, await release.kubeconfig_of_the_pod(api, tmp_path), (first, second))


@pytest.fixture
async def operators_api(stage: Stage) -> AsyncIterator[ApiClient]:
    """Return a client that may do what the operator may."""
    async with await new_client_from_config(str(stage.kubeconfig)) as client:
        yield client


def _start(stage: Stage, folder: Path) -> tuple[Running, str]:
    """Start the operator with the environment of its pod; return also where it tells that it lives."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/healthz"
    given = stage.release.manifests().environment
    told = {key: value for key, value in given.items() if isinstance(value, str)}
    told |= {"KEYCLOAK_OPERATOR_LIVENESS": address, "POD_ID": "demo"}
    return start_operator(folder, stage.kubeconfig, namespace="", **told), address


async def _lives(address: str) -> bool:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(address) as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False


async def test_the_rights_are_enough(stage: Stage, watching: str, watched: bool, tmp_path: Path) -> None:
    first, second = stage.teams
    running, address = _start(stage, tmp_path)
    with running:
        await eventually(lambda: _lives(address), "the operator lives", details=running.text)
        if watching == "replicas":
            await asyncio.to_thread(running.wait_for, "leads from now on")
        for team in (second, first):
            await team.put_secret("admin", client_id="operator", client_secret="secret")
            await team.apply("KeycloakConnection", "main", SPEC)
        found = await first.wait_for("KeycloakConnection", "main", "KeycloakUnavailable")
        assert found["metadata"]["finalizers"] == [f"{GROUP}/finalizer"]
        await first.wait_for_event("main", "KeycloakUnavailable")
        for kind, spec in CHILDREN.items():
            await first.apply(kind, "main", spec)
            await first.wait_for(kind, "main", "Waiting")
        for kind in reversed(CHILDREN):
            await first.delete(kind, "main")
            await first.wait_until_gone(kind, "main")
        if watched:
            assert "status" not in (await second.get("KeycloakConnection", "main") or {})
        else:
            await second.wait_for("KeycloakConnection", "main", "KeycloakUnavailable")
        for team in stage.teams:
            await team.delete("KeycloakConnection", "main")
            await team.wait_until_gone("KeycloakConnection", "main")
        assert [line for line in running.text().splitlines() if any(each in line for each in COMPLAINTS)] == []


async def _applied(api: ApiClient, team: User) -> dict[str, str] | None:
    """Have the operator's own client write a Secret twice, and read it."""
    await team.apply("KeycloakConnection", "owner", SPEC)
    owner = await team.get("KeycloakConnection", "owner") or {}
    client = ClusterClient(api)
    for value in ("one", "two"):
        await client.apply_secret(Secret(namespace=team.namespace, name="made", data={"key": value}), owner)
    found = await client.secret(team.namespace, "made")
    return dict(found.data) if found else None


async def test_credentials_can_be_written_and_read_and_deleted(stage: Stage, operators_api: ApiClient) -> None:
    assert await _applied(operators_api, stage.teams[0]) == {"key": "two"}
    await CoreV1Api(operators_api).delete_namespaced_secret("made", stage.teams[0].namespace)
    assert await stage.teams[0].secret("made") is None


async def _refused(call: Any) -> bool:
    try:
        await call
    except ApiException as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return True
    return False


async def test_more_is_refused(stage: Stage, operators_api: ApiClient, watched: bool) -> None:
    core = CoreV1Api(operators_api)
    for namespace in (stage.teams[0].namespace, stage.release.namespace):
        for call, *arguments in (
            (core.list_namespaced_secret, namespace),
            (core.delete_collection_namespaced_secret, namespace),
            (core.list_namespaced_pod, namespace),
            (CoordinationV1Api(operators_api).read_namespaced_lease, "another", namespace),
            (CoordinationV1Api(operators_api).list_namespaced_lease, namespace),
            (core.connect_get_namespaced_pod_exec, "demo", namespace),
            (core.list_namespaced_config_map, namespace),
            (core.delete_namespace, namespace),
        ):
            assert await _refused(call(*arguments)), call
    assert await _refused(core.list_secret_for_all_namespaces())
    assert await _refused(core.list_namespace()) is not watched


async def test_where_it_does_not_watch_it_may_nothing(stage: Stage, operators_api: ApiClient, watched: bool) -> None:
    core = CoreV1Api(operators_api)
    await stage.teams[1].put_secret("admin", client_secret="secret")
    assert await _refused(core.read_namespaced_secret("admin", stage.teams[1].namespace)) is watched
