"""One control plane and one Keycloak for the whole run; for each test a client, a namespace and a proxy of its own.

Namespaces are never deleted: without a controller manager they would stay Terminating. They go with the control plane.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from kubernetes_asyncio.client import ApiClient, CoreV1Api, V1Namespace, V1ObjectMeta
from kubernetes_asyncio.config import new_client_from_config

from tests import cluster
from tests.chart.rendering import Helm
from tests.cluster import helm as helm_program
from tests.cluster import kubectl as kubectl_program
from tests.functional.auditing import AUDITED

_LOCATE: dict[str, list[Callable[[Callable[[str], None]], object]]] = {
    "control_plane": [cluster.locate],
    "helm": [helm_program.locate],
    "kubectl": [cluster.locate, kubectl_program.locate],
    "starting_keycloak": [cluster.locate_keycloak],
    "programs": [cluster.locate, cluster.locate_keycloak],
}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get what the servers need before the first test: its timeout is too short for that."""
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if not session.config.option.collectonly:
        try:
            for name in sorted(wanted & _LOCATE.keys()):
                for locate in _LOCATE[name]:
                    locate(session.config.get_terminal_writer().line)
        except cluster.ControlPlaneError as error:
            raise pytest.UsageError(str(error)) from error


@pytest.fixture(scope="session")
def programs() -> None:
    """Have what the servers need, and start none: for a test that starts its own."""


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """Return kubectl."""
    return kubectl_program.locate(lambda _line: None)


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Return helm."""
    return Helm(helm_program.locate(lambda _line: None), tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def control_plane() -> Iterator[cluster.ControlPlane]:
    """Return the control plane of this run; it writes down what is scanned for secrets."""
    with cluster.control_plane(audited=AUDITED) as plane:
        yield plane


@pytest.fixture(scope="session")
def starting_keycloak() -> Iterator[cluster.Keycloak]:
    """Return the Keycloak of this run while it may still start: what is asked for next starts meanwhile."""
    with cluster.keycloak(wait=False) as server:
        yield server


@pytest.fixture(scope="session")
def keycloak(starting_keycloak: cluster.Keycloak) -> cluster.Keycloak:
    """Return the Keycloak of this run, ready. A test that stops it starts it again."""
    starting_keycloak.wait_until_ready()
    return starting_keycloak


@pytest.fixture
async def keycloak_proxy(keycloak: cluster.Keycloak) -> AsyncIterator[cluster.Proxy]:
    """Return a proxy in front of Keycloak that no other test uses."""
    async with cluster.proxy(keycloak.url) as proxy:
        yield proxy


@pytest.fixture
async def api(control_plane: cluster.ControlPlane) -> AsyncIterator[ApiClient]:
    """Return a client that may do everything."""
    async with await new_client_from_config(str(control_plane.kubeconfig)) as client:
        yield client


@pytest.fixture
async def namespace(api: ApiClient) -> str:
    """Return the name of a namespace that no other test uses."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    await CoreV1Api(api).create_namespace(V1Namespace(metadata=V1ObjectMeta(name=name)))
    return name
