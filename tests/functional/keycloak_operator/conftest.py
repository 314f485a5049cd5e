"""A user, a running operator, and a proxy between it and Keycloak, anew for each test."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kubernetes_asyncio.client import ApiClient, CoreV1Api, V1Namespace, V1ObjectMeta

from tests.cluster import ControlPlane
from tests.cluster.keycloak import Keycloak
from tests.cluster.proxy import Proxy, Request, proxy
from tests.functional.keycloak_operator.secrecy import Produced
from tests.functional.keycloak_operator.users import User, install_crds, start_operator
from tests.functional.operating import Running


@dataclass(frozen=True)
class Stage:
    """Everything a test needs; the Keycloak resource ``keycloak`` is Ready, and leads through the proxy."""

    user: User
    keycloak: Keycloak
    proxy: Proxy
    operator: Running

    @property
    def realm_name(self) -> str:
        """Return the name of a realm that no other test uses."""
        return f"realm-of-{self.user.namespace}"

    def asked(self, method: str, end: str) -> list[Request]:
        """Return the requests of *method* that went to a path with this *end*."""
        return [each for each in self.proxy.requests() if each.method == method and each.path.endswith(end)]


@pytest.fixture(autouse=True)
def produced(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Produced | None]:
    """Return what the operators of a test produce; at its end no secret must be in there, whatever else it tests.

    What is set up first is taken down last: by then no operator runs any more.
    """
    if "control_plane" not in request.fixturenames:
        yield None
        return
    plane: ControlPlane = request.getfixturevalue("control_plane")
    produced = Produced(plane.audit, tmp_path)
    yield produced
    if leaks := produced.leaks():
        pytest.fail("\n".join(["secrets are shown, and expected nowhere:", *leaks]), pytrace=False)


@pytest.fixture
async def user(api: ApiClient, namespace: str) -> User:
    await install_crds(api)
    return User(api, namespace)


@pytest.fixture
async def tenant(api: ApiClient) -> User:
    """Return a user in another namespace, for tests whose operator watches it, too."""
    name = f"tenant-{uuid.uuid4().hex[:12]}"
    await CoreV1Api(api).create_namespace(V1Namespace(metadata=V1ObjectMeta(name=name)))
    return User(api, name)


@pytest.fixture
def watched(namespace: str) -> str:
    """Return the namespaces that the operator watches, separated by commas."""
    return namespace


@pytest.fixture
def operator(
    tmp_path: Path,
    control_plane: ControlPlane,
    watched: str,
    user: User,
) -> Iterator[Running]:
    with start_operator(tmp_path, control_plane.kubeconfig, watched) as running:
        yield running


@pytest.fixture
async def stage(user: User, keycloak: Keycloak, operator: Running, produced: Produced) -> AsyncIterator[Stage]:
    async with proxy(keycloak.url) as between:
        produced.watch(between)
        account = keycloak.service_account
        await user.put_secret("admin", client_id=account.client_id, client_secret=account.client_secret)
        await user.apply("KeycloakConnection", "keycloak", {"url": between.url, "admin": {"secret": "admin"}})
        try:
            await user.wait_for("KeycloakConnection", "keycloak", "Synced")
            yield Stage(user, keycloak, between, operator)
        except BaseException as error:
            error.add_note(operator.text()[-5000:])
            raise
